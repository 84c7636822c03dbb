//! A hub on a store on a disk with chosen faults, beside the model of what its readers are owed: how it lives, dies and
//! comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use eric_sse::engine::Engine as _;
use eric_sse::{
    Channel, ChannelSettings, Clock as _, Connection, Epoch, ErrorKind, Hub, Limits, ListenerInfo, Offset,
    Position, Result,
};
use eric_store::{Sabotage, Store, StoreSettings};
use futures_util::future::BoxFuture;

use super::model::{LaneNumber, Model, New};
use super::session::{Meddling, Session};
use crate::clock::ManualClock;
use crate::counts::Counts;
use crate::fault_disk::{Crash, FaultDisk};
use crate::wrong::{Checked, wrong};

/// What was asked for, and nobody knows whether it happened.
#[derive(Debug, Clone)]
pub(super) enum Doubt {
    Publish { lane: LaneNumber, batch: Vec<New>, asked_ms: u64 },
    Make(String, ChannelSettings),
    Set(LaneNumber, ChannelSettings),
    Remove(LaneNumber),
    Join(LaneNumber, String),
    Leave(LaneNumber),
}

/// What a call was answered.
#[derive(Debug)]
pub(super) enum Answer<T> {
    Done(T),
    /// Nothing has changed.
    Refused(ErrorKind),
    /// The store has stopped, and it may have happened or not.
    Unknown,
}

pub(super) struct World {
    pub(super) disk: FaultDisk,
    pub(super) clock: ManualClock,
    settings: StoreSettings,
    limits: Limits,
    store: Option<Arc<Store>>,
    hub: Option<Hub>,
    pub(super) model: Model,
    pub(super) sessions: Vec<Session>,
    pub(super) doubts: Vec<Doubt>,
    /// The last offset that each client got, by the ids of its channel and its listener. It outlives everything.
    pub(super) clients: BTreeMap<(String, String), u64>,
    /// Whether the disk may be full in this life.
    pub(super) may_be_full: bool,
    epoch: Option<Epoch>,
    pub(super) counts: Counts,
    pub(super) meddling: Option<Meddling>,
}

impl World {
    pub(super) fn new(disk: FaultDisk, sabotage: Option<Sabotage>, window_bytes: usize) -> Self {
        Self {
            disk,
            clock: ManualClock::new(),
            settings: crate::log::settings(sabotage),
            limits: Limits { window_bytes, ..Limits::default() },
            store: None,
            hub: None,
            model: Model::default(),
            sessions: Vec::new(),
            doubts: Vec::new(),
            clients: BTreeMap::new(),
            may_be_full: false,
            epoch: None,
            counts: Counts { runs: 1, ..Counts::default() },
            meddling: None,
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now().as_ms()
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        self.store.as_ref().expect("the store is open")
    }

    pub(super) fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("the hub is there")
    }

    /// Whether nothing is taken any more.
    pub(super) fn is_down(&self) -> bool {
        self.disk.has_crashed() || self.store.as_ref().is_none_or(|store| store.health().is_err())
    }

    pub(super) fn position(&self, offset: u64) -> Position {
        Position { epoch: self.hub().tail().epoch, offset: Offset::new(offset) }
    }

    pub(super) fn channel(&self, lane: LaneNumber) -> Result<Channel> {
        let id = self.model.lanes[lane].id.parse()?;
        self.hub().channels().get(&id)
    }

    pub(super) fn connection(&self, lane: LaneNumber) -> Result<Connection> {
        let of = &self.model.lanes[lane];
        self.channel(of.channel.expect("it is a listener's"))?.listener(&of.id.parse()?)
    }

    // Calls.

    /// Makes calls in this order, lets the store work until nothing is left to do, and returns what they answer.
    pub(super) fn drive<T>(&self, calls: Vec<BoxFuture<'static, T>>) -> Vec<Option<T>> {
        drive(self.store(), calls)
    }

    /// Makes one call; what it was answered.
    pub(super) fn call<T>(&self, call: BoxFuture<'static, Result<T>>) -> Checked<Answer<T>> {
        let mut answers = self.drive(vec![call]);
        self.judge(answers.remove(0))
    }

    pub(super) fn judge<T>(&self, answer: Option<Result<T>>) -> Checked<Answer<T>> {
        let error = match answer {
            Some(Ok(done)) => return Ok(Answer::Done(done)),
            Some(Err(error)) => error,
            None if self.is_down() => return Ok(Answer::Unknown),
            None => wrong!(Other, "a call was never answered"),
        };
        match error.kind() {
            ErrorKind::Unavailable if self.is_down() => Ok(Answer::Unknown),
            ErrorKind::NoSpace if !self.may_be_full => wrong!(Other, "the disk has room: {error}"),
            ErrorKind::Unavailable | ErrorKind::Corrupt => wrong!(Other, "the disk is well: {error}"),
            kind => Ok(Answer::Refused(kind)),
        }
    }

    /// Looks at where cursors stand by now. After a crash they stand where they did, or at one of the places that they
    /// were moved to since.
    pub(super) fn settle(&mut self, is_exact: bool) -> Checked {
        while self.store().step() {}
        if self.is_down() {
            return Ok(());
        }
        let listeners: Vec<LaneNumber> = self.model.listeners.values().copied().collect();
        for lane in listeners {
            let cursors = &self.model.lanes[lane].standing.cursors;
            if is_exact && cursors.len() == 1 {
                continue;
            }
            let connection = self.connection(lane);
            let info = connection.and_then(|connection| {
                let info: BoxFuture<'static, Result<ListenerInfo>> =
                    Box::pin(async move { connection.info().await });
                self.drive(vec![info]).remove(0).expect("reading waits for nothing")
            });
            let found = match info {
                Ok(info) => info.cursor.offset.get(),
                Err(_) if self.is_down() => return Ok(()),
                Err(error) => wrong!(Lost, "where a listener stands cannot be read: {error}"),
            };
            let cursor = self.model.lanes[lane].standing.cursor();
            let is_right = match is_exact && !self.may_be_full {
                true => found == cursor,
                false => self.model.lanes[lane].standing.cursors.contains(&found),
            };
            if !is_right && found < cursor {
                wrong!(Doubled, "a cursor stands at {found} although it was moved to {cursor}");
            }
            if !is_right {
                wrong!(Lost, "a cursor stands at {found} although it was moved to {cursor} only");
            }
            self.model.lanes[lane].standing.cursors = vec![found];
        }
        Ok(())
    }

    // Life and death.

    /// Ends everything as a crash does, and what the machine had not synced as `how` says.
    pub(super) fn crash(&mut self, how: Crash) {
        // What subscriptions say when they go is planned, and never written.
        self.sessions.clear();
        self.hub = None;
        if let Some(store) = self.store.take() {
            Arc::into_inner(store).expect("only the hub shared it").abandon();
        }
        self.disk.crash(how);
    }

    /// Ends everything as its owner does.
    pub(super) fn close(&mut self) {
        for mut session in std::mem::take(&mut self.sessions) {
            if let Some(to) = session.commit(self.meddling) {
                self.model.lanes[session.listener].standing.move_cursor(to);
            }
        }
        while self.store().step() {}
        self.hub = None;
        drop(self.store.take());
        self.disk.crash(Crash::LoseAll);
    }

    /// Opens the store and restores the hub; whether both are there, which is for the disk to say.
    pub(super) fn try_open(&mut self) -> Checked<bool> {
        let clock = Arc::new(self.clock.clone());
        let store = match Store::open_stepped(self.disk.mount(), self.settings.clone(), clock.clone()) {
            Ok(store) => Arc::new(store),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                wrong!(Lost, "the store does not open: {error}")
            }
            Err(_) => return Ok(false),
        };
        self.store = Some(store.clone());
        let builder = Hub::builder(store.clone()).clock(clock).limits(self.limits.clone());
        let restore: BoxFuture<'static, _> = Box::pin(builder.restore(store));
        match self.drive(vec![restore]).remove(0) {
            Some(Ok(hub)) => self.hub = Some(hub),
            Some(Err(error)) if error.kind() == ErrorKind::Corrupt => {
                wrong!(Lost, "the hub does not come back: {error}")
            }
            _ => {}
        }
        Ok(self.hub.is_some() && !self.is_down())
    }

    /// Checks that what came back is what was acknowledged, and perhaps the first of what was asked for since.
    pub(super) fn check_survivors(&mut self, is_exact: bool) -> Checked {
        let tail = self.hub().tail();
        if *self.epoch.get_or_insert(tail.epoch) != tail.epoch {
            wrong!(Other, "the epoch changed");
        }
        if tail.offset.get() < self.model.tail {
            wrong!(Lost, "the tail is {} after {} was acknowledged", tail.offset, self.model.tail);
        }
        let doubts = std::mem::take(&mut self.doubts);
        for doubt in &doubts {
            self.find_out(doubt);
        }
        self.check_existence()?;
        self.find_out_about_messages(&doubts, tail.offset.get())?;
        self.settle(is_exact)
    }

    /// Whether what changes channels or listeners happened.
    pub(super) fn find_out(&mut self, doubt: &Doubt) {
        match doubt {
            Doubt::Publish { .. } => {}
            Doubt::Make(id, settings) => {
                if self.hub().channels().ids().iter().any(|present| present.as_str() == id) {
                    self.model.open(id, settings.clone());
                }
            }
            Doubt::Set(lane, settings) => {
                if self.channel(*lane).is_ok_and(|channel| *channel.settings() == *settings) {
                    self.model.set(*lane, settings);
                }
            }
            Doubt::Remove(lane) => {
                if self.channel(*lane).is_err() {
                    self.model.close(*lane);
                }
            }
            Doubt::Join(channel, id) => {
                let ids = self.channel(*channel).map(|channel| channel.listener_ids());
                if ids.is_ok_and(|ids| ids.iter().any(|present| present.as_str() == id)) {
                    self.model.join(*channel, id);
                }
            }
            Doubt::Leave(lane) => {
                if self.connection(*lane).is_err() {
                    self.model.leave(*lane);
                }
            }
        }
    }

    /// The hub has the channels and listeners that it must have, and no others.
    pub(super) fn check_existence(&self) -> Checked {
        let channels = self.hub().channels().page(None, usize::MAX).unwrap_or_default();
        let mut found: Vec<String> = Vec::new();
        for channel in &channels {
            found.push(channel.id().to_string());
            found.extend(channel.listener_ids().iter().map(|id| format!("{}/{id}", channel.id())));
            let lane = self.model.channels.get(channel.id().as_str());
            if lane.is_some_and(|lane| self.model.lanes[*lane].settings != *channel.settings()) {
                wrong!(Lost, "channel {} has other settings than it was given", channel.id());
            }
        }
        let of = |lane: &LaneNumber| &self.model.lanes[*lane].id;
        let listeners = self.model.listeners.keys().map(|(channel, id)| format!("{}/{id}", of(channel)));
        let mut expected: Vec<String> = self.model.channels.keys().cloned().chain(listeners).collect();
        found.sort_unstable();
        expected.sort_unstable();
        if found != expected {
            wrong!(Lost, "there is {found:?} instead of {expected:?}");
        }
        Ok(())
    }
}

/// Makes calls in this order, lets the store work until nothing is left to do, and returns what they answer.
fn drive<T>(store: &Store, calls: Vec<BoxFuture<'static, T>>) -> Vec<Option<T>> {
    let context = &mut Context::from_waker(Waker::noop());
    let mut answers: Vec<Option<T>> = calls.iter().map(|_| None).collect();
    let mut calls: Vec<Option<BoxFuture<'static, T>>> = calls.into_iter().map(Some).collect();
    loop {
        for (call, answer) in calls.iter_mut().zip(&mut answers) {
            if let Some(pending) = call
                && let Poll::Ready(said) = pending.as_mut().poll(context)
            {
                *answer = Some(said);
                *call = None;
            }
        }
        if !store.step() {
            break;
        }
    }
    answers
}
