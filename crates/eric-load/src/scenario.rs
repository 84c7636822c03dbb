//! What can be done to a server, one file each; all in the same steps: prepare, open, warm up, measure, settle, judge.

mod churn;
mod connects;
mod elsewhere;
mod fan_out;
mod idle;
mod measure;
mod slow;
mod storm;
mod unicast;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::dialect::Dialect;
use crate::load::clean_up;
use crate::report::Report;
use crate::watch::{CANCELLED, Watch};

pub use churn::Churn;
pub use connects::Connects;
pub use elsewhere::Elsewhere;
pub use fan_out::{FanOutClosed, FanOutOpen};
pub use idle::Idle;
pub use slow::Slow;
pub use storm::Storm;
pub use unicast::Unicast;

/// A server that is up.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// How it is spoken to.
    pub dialect: &'a Dialect,
    /// Where it is.
    pub server: SocketAddr,
    /// Its process, whose processor time and memory are measured.
    pub pid: Option<u32>,
}

/// What all scenarios have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The length of the measurement.
    pub duration_s: f64,
    /// What goes before it and is not measured.
    pub warm_up_s: f64,
    /// How long to wait where nothing should happen any more: after streams were opened, and at the end.
    pub settle_s: f64,
    /// What takes longer than this has failed.
    pub patience_s: f64,
    /// The length of a message.
    pub payload_bytes: usize,
    /// Listen as anybody on the channel, even where listeners can have names.
    pub anonymous: bool,
    /// Connections for messages that are due at set times; one message is under way on each.
    pub publishers: usize,
}

/// One of the scenarios.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "kebab-case")]
pub enum Scenario {
    /// Streams on which nothing happens.
    Idle(Idle),
    /// Messages to all, as fast as all have them.
    FanOutClosed(FanOutClosed),
    /// Messages to all, at set times.
    FanOutOpen(FanOutOpen),
    /// Messages to one listener each.
    Unicast(Unicast),
    /// Messages to all while listeners come and go.
    Churn(Churn),
    /// Messages to all while some do not read.
    Slow(Slow),
    /// Everybody comes back at once, and has missed something.
    Storm(Storm),
    /// Everybody comes at once.
    Connects(Connects),
    /// Messages to one, while there are messages to many.
    Elsewhere(Elsewhere),
}

/// A run in which a scenario measures.
#[derive(Debug, Clone, Copy)]
struct Subject<'a> {
    target: Target<'a>,
    settings: &'a Settings,
    watch: &'a Watch,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            duration_s: 5.0,
            warm_up_s: 1.0,
            settle_s: 0.2,
            patience_s: 60.0,
            payload_bytes: 128,
            anonymous: false,
            publishers: 64,
        }
    }
}

impl Scenario {
    /// Runs it against a server. What goes wrong is in the report, beside what was measured until then.
    pub fn run(&self, target: Target<'_>, settings: &Settings) -> Report {
        self.run_watched(target, settings, &Watch::default())
    }

    /// The same, while somebody looks on.
    pub fn run_watched(&self, target: Target<'_>, settings: &Settings, watch: &Watch) -> Report {
        let mut report = Report { server: target.dialect.title.clone(), ..Report::default() };
        let mut told = serde_json::to_value(settings).unwrap_or_default();
        if let (Some(told), Ok(serde_json::Value::Object(own))) =
            (told.as_object_mut(), serde_json::to_value(self))
        {
            told.extend(own);
            let name = told.remove("scenario").unwrap_or_default();
            name.as_str().unwrap_or_default().clone_into(&mut report.scenario);
        }
        report.settings = told;
        let subject = Subject { target, settings, watch };
        let result = match self {
            Self::Idle(idle) => idle.run(subject, &mut report),
            Self::FanOutClosed(fan_out) => fan_out.run(subject, &mut report),
            Self::FanOutOpen(fan_out) => fan_out.run(subject, &mut report),
            Self::Unicast(unicast) => unicast.run(subject, &mut report),
            Self::Churn(churn) => churn.run(subject, &mut report),
            Self::Slow(slow) => slow.run(subject, &mut report),
            Self::Storm(storm) => storm.run(subject, &mut report),
            Self::Connects(connects) => connects.run(subject, &mut report),
            Self::Elsewhere(elsewhere) => elsewhere.run(subject, &mut report),
        };
        report.failure = result.err().map(|error| format!("{error:#}"));
        report.is_cancelled = watch.is_cancelled() && report.failure.as_deref() == Some(CANCELLED);
        if watch.has_touched() {
            let cleaned = clean_up(target.dialect, target.server, watch);
            report.left_behind = cleaned.err().map(|error| format!("{error:#}"));
        }
        report
    }
}
