//! How the streams of a door look: what they begin with, what they say beside their events, how they end.

use std::time::Duration;

use bytes::Bytes;
use eric_protocol::Slow;
use eric_sse::sse::encode::{Format, control_frame, gap_frame, prime, prologue, retry_line};
use eric_sse::{Gap, Subscription};

/// How a door's streams look.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Event streams of v1: a prologue, heartbeats, control events.
    Events { format: Format, is_primed: bool, slow: Slow },
    /// Event streams of eric-api: heartbeats, and nothing else beside the events.
    Compatible,
    /// Lines of JSON on the Unix socket, and nothing else.
    Lines { has_ids: bool },
}

impl Manner {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Events { format, .. } => format,
            Self::Compatible => Format::Compatible,
            Self::Lines { has_ids: false } => Format::Line,
            Self::Lines { has_ids: true } => Format::LineWithIds,
        }
    }

    /// What the stream begins with.
    pub(crate) fn opening(self, subscription: &Subscription) -> Bytes {
        let Self::Events { is_primed, .. } = self else { return Bytes::new() };
        let mut opening = prologue(subscription.channel().settings().retry());
        if is_primed {
            opening.push_str(&prime(subscription.position()));
        }
        opening.into()
    }

    pub(crate) fn slow(self) -> Slow {
        match self {
            Self::Events { slow, .. } => slow,
            Self::Compatible | Self::Lines { .. } => Slow::Spill,
        }
    }

    pub(crate) fn has_heartbeats(self) -> bool {
        !matches!(self, Self::Lines { .. })
    }

    pub(crate) fn gap(self, gap: &Gap, subscription: &Subscription) -> Option<Bytes> {
        if self.format().has_control_events() {
            return Some(gap_frame(gap));
        }
        let (channel, listener) = (subscription.channel().id(), subscription.listener());
        tracing::warn!(%channel, ?listener, ?gap, "missed, on a stream that cannot tell");
        None
    }

    /// The last words of a stream that its client is to come back to after `retry`, if it is not at once.
    pub(crate) fn goodbye(self, name: &str, retry: Option<Duration>) -> Bytes {
        match (self, retry) {
            (Self::Events { .. }, _) => control_frame(name, retry),
            (Self::Compatible, Some(retry)) => retry_line(retry).into(),
            _ => Bytes::new(),
        }
    }
}
