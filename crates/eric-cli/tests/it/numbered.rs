//! Thousands of numbered messages through a bad network: what every client of the end-to-end tests is given.
//!
//! The journey is the same for all: the client connects, the first message is published, the client says that it has
//! it, the proxy begins to reset, the rest is published, and the client reports what it saw. Odd numbers have the
//! type `message`, even ones `tick`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fault_proxy::{FaultProxy, Fields};
use crate::hub::Hub;

/// Longer than a whole journey may take.
pub(crate) const JOURNEY: Duration = Duration::from_secs(100);
/// Drawn once; a failure that depends on it is repeatable.
const SEED: u64 = 0x0e71c;
const BATCH: usize = 500;

/// Which of the hub's routes a journey takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Routes {
    V1,
    /// Those of eric-api. They have no batches, so that there are fewer messages.
    EricApi,
}

#[derive(Debug)]
pub(crate) struct Numbered {
    routes: Routes,
    hub: Hub,
    listener: String,
    proxy: FaultProxy,
}

impl Routes {
    fn messages(self) -> usize {
        match self {
            Self::V1 => 10_000,
            Self::EricApi => 2_000,
        }
    }

    fn resets(self) -> usize {
        match self {
            Self::V1 => 30,
            Self::EricApi => 12,
        }
    }

    fn resets_min(self) -> usize {
        match self {
            Self::V1 => 20,
            Self::EricApi => 10,
        }
    }

    fn fields(self) -> Fields {
        match self {
            Self::V1 => &[b"\nid: ", b"\nevent: ", b"\ndata: "],
            Self::EricApi => &[b"\nid: ", b"\nevent: ", b"\ndata: ", b"\nretry: "],
        }
    }
}

impl Numbered {
    /// A hub with one listener, behind a proxy that does not yet reset.
    pub(crate) async fn start(routes: Routes, flags: &[&str]) -> Self {
        let hub = Hub::start(flags).await;
        // The proxy's kernel acknowledges what its client has not seen, which consumes it; resuming rewinds, and
        // may rewind as far as there is history.
        let settings = json!({"retry_ms": 100, "history": 2 * routes.messages()});
        hub.json("PUT", "/v1/channels/numbers", &settings).await;
        let listener = match routes {
            Routes::V1 => hub.json("PUT", "/v1/channels/numbers/listeners/reader", &json!({})).await,
            Routes::EricApi => hub.json("POST", "/subscribe?channel_id=numbers", &Value::Null).await,
        };
        let listener = listener["listener_id"].as_str().expect("a listener has an id").to_owned();
        let proxy = FaultProxy::start(hub.address(), routes.resets(), routes.fields(), SEED).await;
        Self { routes, hub, listener, proxy }
    }

    /// How many there will be.
    pub(crate) fn messages(&self) -> usize {
        self.routes.messages()
    }

    /// The hub as the client is to reach it.
    pub(crate) fn url(&self) -> String {
        self.proxy.url()
    }

    /// The stream as the client is to open it.
    pub(crate) fn stream_url(&self) -> String {
        let (url, listener) = (self.proxy.url(), &self.listener);
        match self.routes {
            Routes::V1 => format!("{url}/v1/channels/numbers/listeners/{listener}/events"),
            Routes::EricApi => format!("{url}/stream/numbers/{listener}"),
        }
    }

    pub(crate) async fn publish_first(&self) {
        self.publish(1..2).await;
    }

    /// To be called when the client has the first message.
    pub(crate) async fn publish_rest_through_faults(&self) {
        self.proxy.arm();
        for first in (2..=self.messages()).step_by(BATCH) {
            self.publish(first..(first + BATCH).min(self.messages() + 1)).await;
        }
    }

    /// Holds the client's report against what was published, and the proxy to its word.
    pub(crate) fn judge(&self, report: &Value) {
        assert_eq!(report["faults"], json!([]), "{report}");
        assert_eq!(report["received"], json!(self.messages()), "{report}");
        let (resets, resets_min) = (self.proxy.resets(), self.routes.resets_min());
        assert!(resets >= resets_min, "only {resets} resets: {report}");
        let connections = report["connections"].as_u64().unwrap_or_default();
        assert!(connections > resets_min as u64, "{resets} resets, but only {report}");
        eprintln!("{resets} resets, {report}");
    }

    async fn publish(&self, numbers: std::ops::Range<usize>) {
        match self.routes {
            Routes::V1 => self.publish_at_once(numbers).await,
            Routes::EricApi => self.publish_by_turns(numbers).await,
        }
    }

    async fn publish_at_once(&self, numbers: std::ops::Range<usize>) {
        let mut lines = String::new();
        for n in numbers {
            writeln!(lines, "{}", message(n)).expect("a string takes everything");
        }
        let headers = [("content-type", "application/x-ndjson")];
        let answer = self.hub.request("POST", "/v1/channels/numbers/messages", &headers, lines).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// To all listeners and to the one, which come in the same order.
    async fn publish_by_turns(&self, numbers: std::ops::Range<usize>) {
        let broadcast = "/broadcast?channel_id=numbers";
        let dispatch = format!("/dispatch?channel_id=numbers&listener_id={}", self.listener);
        for n in numbers {
            let path = if n % 2 == 0 { broadcast } else { &dispatch };
            self.hub.json("POST", path, &message(n)).await;
        }
    }
}

fn message(n: usize) -> Value {
    let message_type = if n.is_multiple_of(2) { "tick" } else { "message" };
    let payload = json!({"n": n, "text": "Grüße, 世界 — id: 1\nevent: x\n\ndata: 0"});
    json!({"type": message_type, "payload": payload})
}
