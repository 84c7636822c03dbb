//! Lanes that are nobody's yet, or no longer: let go unless somebody keeps them.
//!
//! A channel or listener is made in steps (the engine, the record, the registry), and whoever asked may be gone after
//! any of them. A [`Claim`] holds the lane in between; dropped, it takes back what was done. Where the engine has not
//! answered yet, the rest waits in [`Strays`] for the next change, or the next round of expiry.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::engine::{Feed as _, FeedEvent};
use crate::error::{ErrorKind, Result};
use crate::hub::HubCore;
use crate::lane::{Lane, Retention};
use crate::log::{BoxFuture, Ticket};
use crate::persist::Seat;

/// Strays that are looked after at once.
const STRAYS_SLICE: usize = 64;

/// A lane that is let go, and forgotten, when this is dropped.
pub(crate) struct Claim<'a> {
    core: &'a Arc<HubCore>,
    /// The lane of the listener's channel; none where this is a channel's own.
    channel: Option<Lane>,
    state: State,
}

enum State {
    Asked(BoxFuture<'static, Result<Lane>>),
    Open(Lane),
    Settled,
}

impl<'a> Claim<'a> {
    /// A new channel's lane.
    pub(crate) fn open(core: &'a Arc<HubCore>, retention: Retention) -> Self {
        look_after_strays(core);
        let ticket = core.engine.open(retention);
        Self { core, channel: None, state: State::Asked(Box::pin(ticket)) }
    }

    /// A new listener's lane.
    pub(crate) fn join(core: &'a Arc<HubCore>, channel: Lane) -> Self {
        look_after_strays(core);
        let ticket = core.engine.join(channel);
        let lane = async move { Ok(ticket.await?.lane) };
        Self { core, channel: Some(channel), state: State::Asked(Box::pin(lane)) }
    }

    /// The lane of a listener that is on its way out.
    pub(crate) fn of_listener(core: &'a Arc<HubCore>, channel: Lane, lane: Lane) -> Self {
        Self { core, channel: Some(channel), state: State::Open(lane) }
    }

    /// The lane, once the engine has opened it.
    pub(crate) async fn lane(&mut self) -> Result<Lane> {
        let lane = match &mut self.state {
            State::Asked(lane) => lane.await,
            State::Open(lane) => return Ok(*lane),
            State::Settled => unreachable!("a claim that is settled is gone"),
        };
        self.state = lane.as_ref().map_or(State::Settled, |lane| State::Open(*lane));
        lane
    }

    /// The lane is somebody's from now on.
    pub(crate) fn keep(mut self) {
        self.state = State::Settled;
    }

    /// Lets the lane go, its record being gone already.
    pub(crate) async fn release(mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Open(lane) => {
                gone(self.core, self.channel, lane, release(self.core, self.channel, lane)).await
            }
            State::Asked(_) | State::Settled => unreachable!("the lane that is let go was opened"),
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Settled => {}
            State::Open(lane) => {
                // Ordered by the calls, also after a record that is still under way.
                drop(match self.channel {
                    None => self.core.records.channels.delete(lane),
                    Some(channel) => self.core.records.connections.delete(Seat { channel, lane }),
                });
                drop(release(self.core, self.channel, lane));
            }
            State::Asked(lane) => {
                let stray = Stray { channel: self.channel, state: StrayState::Asked(lane) };
                self.core.strays.0.lock().push_back(stray);
            }
        }
    }
}

/// Waits until a lane whose record is gone is gone too. Where the engine has no room to say so it goes later: nobody
/// has it any more, its readers are told, and the next start would sweep it.
pub(crate) async fn gone(
    core: &HubCore,
    channel: Option<Lane>,
    lane: Lane,
    released: Ticket<()>,
) -> Result<()> {
    match released.await {
        Err(error) if error.kind() == ErrorKind::NoSpace => {
            core.strays.0.lock().push_back(Stray { channel, state: StrayState::Open(lane) });
            core.window.event(FeedEvent::Removed { lane });
            core.window.settle();
            Ok(())
        }
        other => other,
    }
}

fn release(core: &HubCore, channel: Option<Lane>, lane: Lane) -> Ticket<()> {
    match channel {
        None => core.engine.close(lane),
        Some(_) => core.engine.leave(lane),
    }
}

/// Lanes that are nobody's: those that the engine was asked for by somebody who is gone, and those that it had no room
/// to let go. There are no more of them than requests that the engine has taken and not answered, which is for the
/// engine to bound, and than there are lanes.
#[derive(Default)]
pub(crate) struct Strays(Mutex<VecDeque<Stray>>);

struct Stray {
    channel: Option<Lane>,
    state: StrayState,
}

enum StrayState {
    Asked(BoxFuture<'static, Result<Lane>>),
    Open(Lane),
    Going(Lane, Ticket<()>),
}

impl Stray {
    /// Does what can be done now; whether something is left.
    fn look_after(&mut self, core: &HubCore) -> bool {
        let context = &mut Context::from_waker(Waker::noop());
        if let StrayState::Asked(lane) = &mut self.state {
            match lane.as_mut().poll(context) {
                Poll::Pending => return true,
                Poll::Ready(Err(_)) => return false,
                Poll::Ready(Ok(lane)) => self.state = StrayState::Open(lane),
            }
        }
        if let StrayState::Open(lane) = self.state {
            self.state = StrayState::Going(lane, release(core, self.channel, lane));
        }
        let StrayState::Going(lane, released) = &mut self.state else { return true };
        match Pin::new(released).poll(context) {
            Poll::Pending => true,
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::NoSpace => {
                self.state = StrayState::Open(*lane);
                true
            }
            Poll::Ready(_) => false,
        }
    }
}

/// Lets go of strays that the engine has answered since.
pub(crate) fn look_after_strays(core: &HubCore) {
    let mut strays: VecDeque<Stray> = {
        let mut strays = core.strays.0.lock();
        let some = strays.len().min(STRAYS_SLICE);
        strays.drain(..some).collect()
    };
    strays.retain_mut(|stray| stray.look_after(core));
    if !strays.is_empty() {
        core.strays.0.lock().append(&mut strays);
    }
}

impl fmt::Debug for Strays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strays").field("count", &self.0.lock().len()).finish()
    }
}
