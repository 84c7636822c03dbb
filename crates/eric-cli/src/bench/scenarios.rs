//! What can be measured, and the flags of each: they become a scenario of the load.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use eric_load::scenario::{
    Churn, Connects, Elsewhere, FanOutClosed, FanOutOpen, Idle, Scenario, Settings, Slow, Storm, Unicast,
};

use crate::bench::figures::grouped;
use crate::target::Target;

/// The longest measurement, in seconds.
const DURATION_S_MAX: f64 = 86_400.0;
/// Measurements that are longer than this, in seconds, have a row for each second.
const FINE_S_MAX: f64 = 60.0;
/// The most messages a second, and the most that are under way at once.
const RATE_MAX: f64 = 1e6;
const WINDOW_MAX: u64 = 10_000;
/// Listeners that may be asked for; what fits is less.
const LISTENERS_MAX: u64 = 1_000_000;
/// The shortest and the longest message.
const PAYLOAD_BYTES_MIN: u64 = 48;
const PAYLOAD_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Kind {
    FanOut(FanOut),
    Unicast(ToOne),
    Idle(Quiet),
    Connects(Crowd),
    Storm(Return),
    Churn(Leaving),
    Slow(Stuck),
    Elsewhere(Aside),
}

/// Messages to all listeners of a channel: as fast as they go, or with --rate at set times
///
/// Examples:
///   eric bench fan-out --listeners 5000 --window 64
///   eric bench fan-out --rate 100 --out latency.csv
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct FanOut {
    #[command(flatten)]
    listeners: Listeners,
    /// Messages that are under way at once; the next is published when one was answered and all have it.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=WINDOW_MAX))]
    window: u64,
    /// Publishes so many messages a second instead, whatever became of those before.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, conflicts_with = "window")]
    rate: Option<f64>,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    common: Common,
}

/// Messages for one listener each, in turn, as fast as they go
///
/// Example: eric bench unicast --listeners 1000 --registered 10000
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ToOne {
    #[command(flatten)]
    listeners: Listeners,
    /// Listeners that the hub knows, those who listen included; as many as these if there are no others.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u64).range(..=LISTENERS_MAX))]
    registered: u64,
    /// Messages that are under way at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=WINDOW_MAX))]
    window: u64,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    common: Common,
}

/// Streams on which nothing happens: with --pid, the memory for each
///
/// Example: eric bench idle --listeners 10000 --pid "$(pgrep -x eric)"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Quiet {
    #[command(flatten)]
    listeners: Listeners,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    common: Common,
}

/// Listeners who connect all at once: the time until they have their streams
#[derive(Debug, Args)]
pub(super) struct Crowd {
    #[command(flatten)]
    listeners: Listeners,
    #[command(flatten)]
    common: Common,
}

/// Listeners who come back all at once: the time until they have what they missed
#[derive(Debug, Args)]
pub(super) struct Return {
    #[command(flatten)]
    listeners: Listeners,
    /// Messages that are published while they are away.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=LISTENERS_MAX))]
    missed: u64,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    common: Common,
}

/// Messages to all at set times, while listeners leave in the middle of everything and come back; none may miss anything
#[derive(Debug, Args)]
pub(super) struct Leaving {
    #[command(flatten)]
    listeners: Listeners,
    /// Messages a second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// Listeners that leave, each second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 50.0, value_parser = rate)]
    leave_rate: f64,
    /// How long each is away.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    away: f64,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    common: Common,
}

/// Messages to all at set times, while some read nothing: what that does to the others, and to the hub's memory
#[derive(Debug, Args)]
pub(super) struct Stuck {
    #[command(flatten)]
    listeners: Listeners,
    /// Further listeners, who read nothing.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=LISTENERS_MAX))]
    stuck: u64,
    /// Messages a second.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    common: Common,
}

/// Messages to one listener, while there are messages to many on another channel: the times are the one's
#[derive(Debug, Args)]
pub(super) struct Aside {
    #[command(flatten)]
    listeners: Listeners,
    /// Messages a second to the many.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0, value_parser = rate)]
    rate: f64,
    /// Messages a second to the one.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 200.0, value_parser = rate)]
    aside_rate: f64,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Listeners {
    /// Listeners, each with a stream of its own.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=LISTENERS_MAX))]
    listeners: u64,
}

#[derive(Debug, Args)]
struct Length {
    /// How long it is measured; fractions are possible.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = duration)]
    duration: f64,
    /// What goes before that and is not measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
}

/// Where figures go, besides standard output.
#[derive(Debug, Args, Default)]
pub(super) struct Files {
    /// Writes a time series: time_s,published,delivered,p50_ms,p99_ms,max_ms for each 100 ms, for each second of a
    /// measurement of more than a minute.
    #[arg(long, value_name = "FILE.csv")]
    pub(super) out: Option<PathBuf>,
    /// Writes all times of deliveries, in milliseconds, as plotters of HdrHistograms read them.
    #[arg(long, value_name = "FILE.hgrm")]
    pub(super) histogram: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// The length of a message.
    #[arg(long, value_name = "BYTES", default_value_t = 128,
          value_parser = clap::value_parser!(u64).range(PAYLOAD_BYTES_MIN..=PAYLOAD_BYTES_MAX))]
    payload_bytes: u64,
    /// Watches the channel, as anybody may, instead of listening by name.
    #[arg(long)]
    anonymous: bool,
    /// How another hub is spoken to that sends Server-Sent Events; Eric's own routes otherwise.
    #[arg(long, value_name = "FILE")]
    pub(super) dialect: Option<PathBuf>,
    /// The hub's process, if it is on this machine: its processor time and memory are measured, its children's included.
    #[arg(long)]
    pub(super) pid: Option<u32>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) scenario: Scenario,
    pub(super) settings: Settings,
    /// What will be done, in words.
    pub(super) deed: String,
    /// Whether messages follow one another as fast as they go.
    pub(super) is_closed: bool,
    /// The length of the measurement, where that is set.
    pub(super) duration_s: Option<f64>,
    pub(super) files: Files,
    pub(super) common: Common,
}

impl Kind {
    pub(super) fn plan(self) -> Plan {
        match self {
            Self::FanOut(own) => own.plan(),
            Self::Unicast(own) => {
                let (listeners, window) = (own.listeners.count(), own.window.min(own.listeners.listeners));
                let registered = (own.registered as usize).max(listeners);
                let scenario = Unicast { listeners, registered, window: window as usize };
                let deed =
                    format!("{}, a message for one each, {window} of them under way", own.listeners.told());
                Plan::new(Scenario::Unicast(scenario), deed, own.common)
                    .lasting(&own.length)
                    .closed()
                    .to(own.files)
            }
            Self::Idle(own) => {
                let deed = format!("{}, and nothing happens", own.listeners.told());
                let scenario = Idle { listeners: own.listeners.count() };
                Plan::new(Scenario::Idle(scenario), deed, own.common).lasting(&own.length)
            }
            Self::Connects(own) => {
                let deed = format!("{} connect at once", own.listeners.told());
                let scenario = Connects { listeners: own.listeners.count(), ..Connects::default() };
                Plan::new(Scenario::Connects(scenario), deed, own.common).closed()
            }
            Self::Storm(own) => {
                let deed = format!("{} miss {} messages and come back", own.listeners.told(), own.missed);
                let (listeners, missed) = (own.listeners.count(), own.missed);
                let scenario = Storm { listeners, missed, ..Storm::default() };
                Plan::new(Scenario::Storm(scenario), deed, own.common).closed().to(own.files)
            }
            Self::Churn(own) => {
                let (listeners, rate, leave_rate) = (own.listeners.count(), own.rate, own.leave_rate);
                let told = own.listeners.told();
                let deed =
                    format!("{told}, {leave_rate} of whom leave and return each second, {rate} messages/s");
                let scenario = Churn { listeners, rate, leave_rate, away_s: own.away };
                Plan::new(Scenario::Churn(scenario), deed, own.common).lasting(&own.length).to(own.files)
            }
            Self::Slow(own) => {
                let (listeners, stuck, rate) = (own.listeners.count(), own.stuck as usize, own.rate);
                let deed =
                    format!("{} and {stuck} who read nothing, {rate} messages/s", own.listeners.told());
                let scenario = Slow { listeners, stuck, rate, ..Slow::default() };
                Plan::new(Scenario::Slow(scenario), deed, own.common).lasting(&own.length).to(own.files)
            }
            Self::Elsewhere(own) => {
                let (listeners, rate, aside_rate) = (own.listeners.count(), own.rate, own.aside_rate);
                let told = own.listeners.told();
                let deed = format!("{told}, {rate} messages/s to them and {aside_rate}/s to one elsewhere");
                let scenario = Elsewhere { listeners, rate, aside_rate };
                Plan::new(Scenario::Elsewhere(scenario), deed, own.common).lasting(&own.length).to(own.files)
            }
        }
    }
}

impl FanOut {
    fn plan(self) -> Plan {
        let (listeners, told) = (self.listeners.count(), self.listeners.told());
        let plan = match self.rate {
            Some(rate) => {
                let deed = format!("{told}, {rate} messages/s to all of them");
                Plan::new(Scenario::FanOutOpen(FanOutOpen { listeners, rate }), deed, self.common)
            }
            None => {
                let deed = format!("{told}, messages to all of them, {} under way", self.window);
                let scenario = FanOutClosed { listeners, window: self.window as usize };
                Plan::new(Scenario::FanOutClosed(scenario), deed, self.common).closed()
            }
        };
        plan.lasting(&self.length).to(self.files)
    }
}

impl Listeners {
    fn count(&self) -> usize {
        self.listeners as usize
    }

    fn told(&self) -> String {
        match self.listeners {
            1 => "1 listener".to_owned(),
            count => format!("{} listeners", grouped(count as f64)),
        }
    }
}

impl Plan {
    fn new(scenario: Scenario, deed: String, common: Common) -> Self {
        let settings = Settings {
            payload_bytes: common.payload_bytes as usize,
            anonymous: common.anonymous,
            ..Settings::default()
        };
        let files = Files::default();
        Self { scenario, settings, deed, is_closed: false, duration_s: None, files, common }
    }

    fn lasting(mut self, length: &Length) -> Self {
        (self.settings.duration_s, self.settings.warm_up_s) = (length.duration, length.warm_up);
        self.duration_s = Some(length.duration);
        self.deed.push_str(&format!(", for {} s", length.warm_up + length.duration));
        self
    }

    fn closed(self) -> Self {
        Self { is_closed: true, ..self }
    }

    fn to(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// The length of a row of the time series, where one is wished for.
    pub(super) fn slice(&self) -> Option<Duration> {
        let is_long = self.duration_s.is_some_and(|duration| duration > FINE_S_MAX);
        let length = if is_long { Duration::from_secs(1) } else { Duration::from_millis(100) };
        self.files.out.as_ref().map(|_| length)
    }
}

fn number(text: &str, max: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (0.0..=max).contains(&number) { Ok(number) } else { Err(format!("it is not within 0 and {max}")) }
}

fn positive(number: f64) -> Result<f64, String> {
    if number > 0.0 { Ok(number) } else { Err("it must be more than 0".to_owned()) }
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, DURATION_S_MAX)
}

fn duration(text: &str) -> Result<f64, String> {
    seconds(text).and_then(positive)
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, RATE_MAX).and_then(positive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_at_both_ends() {
        assert_eq!((seconds("0"), duration("0.5")), (Ok(0.0), Ok(0.5)));
        for text in ["-1", "NaN", "inf", "1e9", "soon"] {
            assert!(seconds(text).is_err() && duration(text).is_err() && rate(text).is_err(), "{text}");
        }
        assert!(duration("0").is_err() && rate("0").is_err() && rate("1e6").is_ok());
    }
}
