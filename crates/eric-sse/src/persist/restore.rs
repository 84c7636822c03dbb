//! What becomes of records at the next start: channels and listeners come back, what a crash has left goes.
//!
//! A lane and its record belong together. Only one of them is there where a crash came between the two; then what was
//! under way had not been answered, or was a removal, and the other goes too.

use rustc_hash::FxHashMap;

use super::Records;
use super::kinds::{Kinds, Made};
use super::record::{ChannelRecord, ListenerRecord, Seat};
use crate::engine::Engine;
use crate::error::Result;
use crate::id::{ChannelId, ListenerId};
use crate::lane::Lane;
use crate::log::Ticket;

/// What a hub came back with.
///
/// ```
/// assert_eq!(eric_sse::Hub::in_memory().restored(), eric_sse::Restored::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Its channels.
    pub channels: usize,
    /// Its listeners, of all channels.
    pub listeners: usize,
    /// Lanes that nobody had a record of.
    pub swept_lanes: usize,
    /// Records of lanes that the engine did not have.
    pub swept_records: usize,
}

/// What was found, engine and records agreeing: channels with their listeners, each in the order of lanes.
pub(crate) struct Found {
    pub(crate) channels: Vec<(ChannelRecord, Vec<(ListenerRecord, Made)>)>,
    pub(crate) restored: Restored,
}

/// Finds what there is, sweeps what there should not be, and has every channel kept by its record's settings.
pub(crate) async fn find(engine: &dyn Engine, records: &Records, kinds: &Kinds) -> Result<Found> {
    let mut sweep = Sweep {
        records,
        nobodys: engine.lanes().into_iter().map(|open| (open.lane, open.channel)).collect(),
        tickets: Vec::new(),
        restored: Restored::default(),
    };
    let mut channels = Vec::new();
    let mut ids: FxHashMap<ChannelId, Lane> = FxHashMap::default();
    records
        .channels
        .load_all(|channel| {
            if sweep.is_lane_of(channel.lane, None) {
                // One made again while its predecessor was not gone altogether: the later one was answered.
                if let Some(older) = ids.insert(channel.id.clone(), channel.lane) {
                    sweep.forget(older, None);
                }
                channels.push((channel, Vec::new()));
            } else {
                sweep.forget(channel.lane, None);
            }
        })
        .await?;
    channels.retain(|(channel, _)| ids[&channel.id] == channel.lane);
    let places: FxHashMap<Lane, usize> =
        channels.iter().enumerate().map(|(place, (channel, _))| (channel.lane, place)).collect();
    let mut wrong = None;
    let queues_of_nobody = records
        .connections
        .load_all(|connection| {
            let Seat { channel, lane } = connection.listener.seat;
            match places.get(&channel) {
                Some(place) if sweep.is_lane_of(lane, Some(channel)) => match kinds.make(&connection) {
                    Ok(made) => channels[*place].1.push((connection.listener, made)),
                    Err(error) => wrong = wrong.take().or(Some(error)),
                },
                _ => sweep.forget(lane, Some(channel)),
            }
        })
        .await?;
    if let Some(error) = wrong {
        return Err(error);
    }
    for queue in queues_of_nobody {
        sweep.restored.swept_records += 1;
        sweep.tickets.push(records.connections.queues.delete(queue.seat));
    }
    let mut latest: FxHashMap<ListenerId, Lane> = FxHashMap::default();
    for (channel, listeners) in &mut channels {
        latest.clear();
        for (listener, _) in &*listeners {
            if let Some(older) = latest.insert(listener.id.clone(), listener.seat.lane) {
                sweep.forget(older, Some(channel.lane));
            }
        }
        listeners.retain(|(listener, _)| latest[&listener.id] == listener.seat.lane);
        sweep.keep(channel.lane);
        listeners.iter().for_each(|(listener, _)| sweep.keep(listener.seat.lane));
        sweep.restored.listeners += listeners.len();
    }
    sweep.restored.channels = channels.len();
    sweep.let_go(engine);
    // The process may have gone between a record's settings and the engine's.
    let retained =
        channels.iter().map(|(channel, _)| engine.retain(channel.lane, channel.settings.retention()));
    sweep.tickets.extend(retained);
    for ticket in sweep.tickets {
        ticket.await?;
    }
    Ok(Found { channels, restored: sweep.restored })
}

struct Sweep<'a> {
    records: &'a Records,
    /// The engine's lanes that nobody has kept yet, and whose listeners' they are.
    nobodys: FxHashMap<Lane, Option<Lane>>,
    tickets: Vec<Ticket<()>>,
    restored: Restored,
}

impl Sweep<'_> {
    fn is_lane_of(&self, lane: Lane, channel: Option<Lane>) -> bool {
        self.nobodys.get(&lane) == Some(&channel)
    }

    fn keep(&mut self, lane: Lane) {
        self.nobodys.remove(&lane);
    }

    fn forget(&mut self, lane: Lane, channel: Option<Lane>) {
        self.restored.swept_records += 1;
        self.tickets.push(match channel {
            None => self.records.channels.delete(lane),
            Some(channel) => self.records.connections.delete(Seat { channel, lane }),
        });
    }

    /// Closes what nobody has kept; a channel's lane takes those of its listeners along.
    fn let_go(&mut self, engine: &dyn Engine) {
        self.restored.swept_lanes = self.nobodys.len();
        for (lane, channel) in &self.nobodys {
            match channel {
                None => self.tickets.push(engine.close(*lane)),
                Some(channel) if self.nobodys.contains_key(channel) => {}
                Some(_) => self.tickets.push(engine.leave(*lane)),
            }
        }
    }
}
