//! Ten thousand numbered messages through a bad network: what every client of the end-to-end tests is given.
//!
//! The journey is the same for all: the client connects, the first message is published, the client says that it has
//! it, the proxy begins to reset, the rest is published, and the client reports what it saw. Odd numbers have the
//! type `message`, even ones `tick`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fault_proxy::FaultProxy;
use crate::hub::Hub;

pub(crate) const MESSAGES: usize = 10_000;
/// Longer than a whole journey may take.
pub(crate) const JOURNEY: Duration = Duration::from_secs(100);
/// Drawn once; a failure that depends on it is repeatable.
const SEED: u64 = 0x0e71c;
const RESETS: usize = 30;
const RESETS_MIN: usize = 20;
const BATCH: usize = 500;

#[derive(Debug)]
pub(crate) struct Numbered {
    hub: Hub,
    proxy: FaultProxy,
}

impl Numbered {
    /// A hub with one listener, behind a proxy that does not yet reset.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let hub = Hub::start(flags).await;
        // The proxy's kernel acknowledges what its client has not seen, which consumes it; resuming rewinds, and
        // may rewind as far as there is history.
        let settings = json!({"retry_ms": 100, "history": 2 * MESSAGES});
        hub.json("PUT", "/v1/channels/numbers", &settings).await;
        hub.json("PUT", "/v1/channels/numbers/listeners/reader", &json!({})).await;
        let proxy = FaultProxy::start(hub.address(), RESETS, SEED).await;
        Self { hub, proxy }
    }

    /// The stream as the client is to open it.
    pub(crate) fn stream_url(&self) -> String {
        format!("{}/v1/channels/numbers/listeners/reader/events", self.proxy.url())
    }

    pub(crate) async fn publish_first(&self) {
        self.publish(1..2).await;
    }

    /// To be called when the client has the first message.
    pub(crate) async fn publish_rest_through_faults(&self) {
        self.proxy.arm();
        for first in (2..=MESSAGES).step_by(BATCH) {
            self.publish(first..(first + BATCH).min(MESSAGES + 1)).await;
        }
    }

    /// Holds the client's report against what was published, and the proxy to its word.
    pub(crate) fn judge(&self, report: &Value) {
        assert_eq!(report["faults"], json!([]), "{report}");
        assert_eq!(report["received"], json!(MESSAGES), "{report}");
        let resets = self.proxy.resets();
        assert!(resets >= RESETS_MIN, "only {resets} resets: {report}");
        let connections = report["connections"].as_u64().unwrap_or_default();
        assert!(connections > RESETS_MIN as u64, "{resets} resets, but only {report}");
        eprintln!("{resets} resets, {report}");
    }

    async fn publish(&self, numbers: std::ops::Range<usize>) {
        let mut lines = String::new();
        for n in numbers {
            let message_type = if n % 2 == 0 { "tick" } else { "message" };
            let payload = json!({"n": n, "text": "Grüße, 世界 — id: 1\nevent: x\n\ndata: 0"});
            writeln!(lines, "{}", json!({"type": message_type, "payload": payload}))
                .expect("a string takes everything");
        }
        let headers = [("content-type", "application/x-ndjson")];
        let answer = self.hub.request("POST", "/v1/channels/numbers/messages", &headers, lines).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}
