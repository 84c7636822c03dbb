//! What came of a run: one JSON object.

use serde::Serialize;

use crate::distribution::Distribution;
pub use crate::latency::Percentiles;

/// The result of one scenario; what was not measured is left out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The server's name.
    pub server: String,
    /// What was asked for.
    pub settings: serde_json::Value,
    /// Why the figures do not count: a fault of the server, or of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether it was ended early; what was measured until then is told.
    #[serde(skip_serializing_if = "is_false")]
    pub is_cancelled: bool,
    /// How streams were opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened: Option<Opened>,
    /// The length of the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Messages that were published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_s: Option<f64>,
    /// Events that came to listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries_per_s: Option<f64>,
    /// From when a message was due until a listener had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Percentiles>,
    /// From when a message was due until its publisher had the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Percentiles>,
    /// The server's processor time during the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<ProcessorTime>,
    /// The generator's share of its core during the measurement: near 1, it may be what was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator_share: Option<f64>,
    /// What everybody else used of the machine meanwhile, in cores: where it is much, the figures are low.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others_share: Option<f64>,
    /// The server's memory, with all streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryUse>,
    /// Times a listener left and came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returns: Option<u64>,
    /// Deliveries that listeners missed while they were away, where the server has no way to resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed: Option<u64>,
    /// Events that the server sent by itself.
    #[serde(skip_serializing_if = "is_zero")]
    pub control_events: u64,
    /// Until everybody who came back had everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caught_up_s: Option<f64>,
    /// The server's memory at the end of the measurement, with all that it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_at_end: Option<MemoryAtEnd>,
    /// Why something stays on the server that should have been removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<String>,
    /// The measurement in slices, where they were wished for.
    #[serde(skip)]
    pub slices: Vec<Slice>,
    /// All times of deliveries.
    #[serde(skip)]
    pub distribution: Option<Distribution>,
}

/// How streams were opened.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Opened {
    /// So many.
    pub streams: usize,
    /// Until all heads were there.
    pub seconds: f64,
    /// Streams a second.
    pub per_s: f64,
    /// From connecting to the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Percentiles>,
}

/// Processor time, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ProcessorTime {
    /// In the server.
    pub user_s: f64,
    /// In the kernel, for it.
    pub system_s: f64,
    /// Both, for each second of the measurement.
    pub share: f64,
    /// Both, for a million deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s_per_million_deliveries: Option<f64>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct MemoryUse {
    /// Before anything was asked of the server, what belongs to no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<u64>,
    /// Before the streams were opened, when their listeners were registered.
    pub before: u64,
    /// At the end.
    pub after: u64,
    /// Resident, at the end.
    pub resident: u64,
    /// What was added since `before`.
    pub added: i64,
    /// The same for each stream.
    pub per_stream: f64,
    /// What was added since `fresh`, for each listener and its stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_listener: Option<f64>,
    /// What the sockets of the whole machine took more of the kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<i64>,
    /// The server's sockets that have something to send which nobody takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stuck_sockets: Option<usize>,
    /// What the kernel holds in the queue of each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_per_stuck_stream: Option<f64>,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct MemoryAtEnd {
    /// What belongs to no file.
    pub anonymous: u64,
    /// What is resident.
    pub resident: u64,
}

/// A short part of a measurement; times are of what was delivered in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice {
    /// When it began, since the measurement did; it ends where the next one begins.
    pub time_s: f64,
    /// Messages that were published.
    pub published: u64,
    /// Events that came to listeners.
    pub delivered: u64,
    /// The median; none where nothing was timed.
    pub p50_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_false(is_so: &bool) -> bool {
    !is_so
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
