//! A store on a disk with chosen faults, beside the model of what it must hold.

use std::fmt;
use std::sync::Arc;

use eric_sse::cursor::{Authority, Commit, Committed, Conflict, Cursors as _, Joined};
use eric_sse::engine::Engine as _;
use eric_sse::lane::Lane;
use eric_sse::log::{Budget, Log, NewEntry, Taken, Ticket};
use eric_sse::persist::KvStore as _;
use eric_sse::{Clock as _, ErrorKind, Message, Offset, Position, Result};
use eric_store::{Store, StoreSettings};
use futures_util::FutureExt as _;

use super::model::{Change, Model, ModelLane, Outcome};
use crate::clock::ManualClock;
use crate::fault_disk::{Crash, FaultDisk};
use crate::wrong::{Breach, Checked, Wrong, wrong};

/// A store and its model.
///
/// ```
/// use eric_verify::fault_disk::{Crash, FaultDisk};
/// use eric_verify::log::{Draw, World, act, settings};
///
/// let mut world = World::new(FaultDisk::new(), settings(None))?;
/// let (mut draw, mut random) = (Draw::new(1), fastrand::Rng::with_seed(1));
/// for _ in 0..20 {
///     act(&mut world, &mut draw, &mut random)?;
/// }
/// world.crash(Crash::LoseAll);
/// world.reopen()?;
/// world.check_survivors(false)?;
/// # Ok::<(), eric_verify::Wrong>(())
/// ```
pub struct World {
    disk: FaultDisk,
    clock: ManualClock,
    settings: StoreSettings,
    store: Option<Store>,
    /// What was acknowledged.
    acknowledged: Model,
    /// That, and what was asked for since.
    pub(super) planned: Model,
    /// What was asked for and not answered with success, in order, with when.
    open: Vec<(Change, u64)>,
    epoch: Option<String>,
    /// Whether the disk's trace is to say when an answer leaves.
    notes_answers: bool,
    /// Changes that were answered with success.
    answered: u64,
}

/// Notes in the disk's trace when it is woken: an answer has left.
struct NoteAnswer(FaultDisk);

impl std::task::Wake for NoteAnswer {
    fn wake(self: Arc<Self>) {
        self.0.note("answered");
    }
}

/// What a ticket will say.
enum Answer {
    Nothing(Ticket<()>),
    Lane(Ticket<Lane>),
    Joined(Ticket<Joined>),
    Taken(Ticket<Vec<Taken>>),
    Committed(Ticket<Vec<Result<Committed>>>),
}

impl Answer {
    /// Lets the disk's trace say when it leaves.
    fn note(&mut self, disk: &FaultDisk) {
        let waker = Arc::new(NoteAnswer(disk.clone())).into();
        let context = &mut std::task::Context::from_waker(&waker);
        let is_pending = match self {
            Self::Nothing(ticket) => ticket.poll_unpin(context).is_pending(),
            Self::Lane(ticket) => ticket.poll_unpin(context).is_pending(),
            Self::Joined(ticket) => ticket.poll_unpin(context).is_pending(),
            Self::Taken(ticket) => ticket.poll_unpin(context).is_pending(),
            Self::Committed(ticket) => ticket.poll_unpin(context).is_pending(),
        };
        assert!(is_pending, "nothing is answered before the store has worked");
    }

    /// What it says; none if nothing yet, an error's kind if it failed.
    fn outcome(self) -> Option<Outcome> {
        let failed = |error: eric_sse::Error| Outcome::Failed(error.kind());
        Some(match self {
            Self::Nothing(ticket) => ticket.now_or_never()?.map_or_else(failed, |()| Outcome::Done),
            Self::Lane(ticket) => {
                ticket.now_or_never()?.map_or_else(failed, |lane| Outcome::Lane(lane.get()))
            }
            Self::Joined(ticket) => ticket
                .now_or_never()?
                .map_or_else(failed, |joined| Outcome::Joined(joined.lane.get(), joined.floor.get())),
            Self::Taken(ticket) => ticket.now_or_never()?.map_or_else(failed, |taken| {
                Outcome::Taken(taken.iter().map(|taken| (taken.position.offset.get(), taken.first)).collect())
            }),
            Self::Committed(ticket) => ticket
                .now_or_never()?
                .and_then(|mut answers| answers.remove(0))
                .map_or_else(failed, |committed| Outcome::Moved(committed == Committed::Moved)),
        })
    }
}

impl World {
    /// A new store on an empty disk.
    ///
    /// # Errors
    /// Where it does not open.
    pub fn new(disk: FaultDisk, settings: StoreSettings) -> Checked<Self> {
        let mut world = Self {
            disk,
            clock: ManualClock::new(),
            settings,
            store: None,
            acknowledged: Model::default(),
            planned: Model::default(),
            open: Vec::new(),
            epoch: None,
            notes_answers: false,
            answered: 0,
        };
        world.reopen()?;
        Ok(world)
    }

    /// Its disk.
    pub fn disk(&self) -> &FaultDisk {
        &self.disk
    }

    /// Its clock.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// How many changes were answered with success.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Notes in the disk's trace when an answer leaves, from now on.
    pub fn note_answers(&mut self) {
        self.notes_answers = true;
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().as_ms()
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    /// Whether the store takes nothing any more.
    pub fn is_down(&self) -> bool {
        self.disk.has_crashed() || self.store.as_ref().is_none_or(|store| store.health().is_err())
    }

    /// Asks for changes together, lets the store work, and checks what it answers.
    pub(super) fn ask(&mut self, changes: Vec<Change>) -> Checked {
        let (now_ms, shown) = (self.now_ms(), self.acknowledged.tail);
        let mut asked = Vec::new();
        for change in changes {
            let mut answer = self.submit(&change);
            if self.notes_answers {
                answer.note(&self.disk);
            }
            asked.push((answer, self.planned.due(&change)));
            self.planned.apply(&change, now_ms, shown);
            self.open.push((change, now_ms));
        }
        while self.store().step() {}
        let (mut is_certain, mut is_refused) = (true, false);
        let mut due = Vec::new();
        for (answer, its) in asked {
            match answer.outcome() {
                None | Some(Outcome::Failed(ErrorKind::Unavailable)) => is_certain = false,
                Some(_) if !is_certain => wrong!(Other, "a change was answered after one that was not"),
                Some(Outcome::Failed(ErrorKind::NoSpace)) => {
                    self.open.remove(0);
                    is_refused = true;
                }
                Some(found) => {
                    let (change, now_ms) = self.open.remove(0);
                    let expected = self.acknowledged.apply(&change, now_ms, shown);
                    if found.has_changed() {
                        due.extend(its);
                    }
                    if found != expected {
                        let breach =
                            if found.is_taken_again(&expected) { Breach::Doubled } else { Breach::Other };
                        let asked = format!("{change:?}");
                        let text =
                            format!("a change was answered with {found:?} instead of {expected:?}: {asked}");
                        return Err(Wrong::new(breach, text));
                    }
                    self.answered += 1;
                }
            }
        }
        if is_refused {
            // The model in which it happened is given up.
            self.planned = self.acknowledged.clone();
            self.settle_planned();
        }
        for model in [&mut self.acknowledged, &mut self.planned] {
            let shown = model.tail;
            model.enforce(due.iter().copied(), now_ms, shown);
        }
        Ok(())
    }

    fn settle_planned(&mut self) {
        let shown = self.planned.tail;
        for (change, now_ms) in &self.open {
            self.planned.apply(change, *now_ms, shown);
        }
    }

    fn submit(&self, change: &Change) -> Answer {
        let store = self.store();
        let at = |offset: u64| Position { epoch: store.tail().epoch, offset: Offset::new(offset) };
        match change {
            Change::Open(retention) => Answer::Lane(store.open(*retention)),
            Change::Retain(lane, retention) => Answer::Nothing(store.retain(Lane::new(*lane), *retention)),
            Change::Close(lane) => Answer::Nothing(Log::close(store, Lane::new(*lane))),
            Change::Join(lane) => Answer::Joined(store.join(Lane::new(*lane))),
            Change::Leave(lane) => Answer::Nothing(store.leave(Lane::new(*lane))),
            Change::Submit(lane, batch) => {
                let new = |new: &super::model::New| NewEntry {
                    lane: Lane::new(*lane),
                    message: Message::of("t", &new.text()).expect("a text is a message"),
                    key: new.key.as_ref().map(|key| key.parse().expect("the keys are keys")),
                    taken_at: self.clock.now(),
                };
                Answer::Taken(store.submit(batch.iter().map(new).collect()))
            }
            Change::Ack(lane, to) => {
                let commit = Commit { listener: Lane::new(*lane), to: at(*to), by: Authority::Ack };
                Answer::Committed(store.commit(vec![commit]))
            }
            Change::Seek(lane, to) => {
                let lease = store.lease(Lane::new(*lane), Conflict::Replace);
                while store.step() {}
                let by = match lease.now_or_never() {
                    Some(Ok(lease)) => Authority::Reader(lease.fence),
                    _ => Authority::Ack,
                };
                let commit = Commit { listener: Lane::new(*lane), to: at(*to), by };
                Answer::Committed(store.commit(vec![commit]))
            }
            Change::Upsert(key, value) => Answer::Nothing(store.upsert(key, value.clone().into())),
            Change::Delete(key) => Answer::Nothing(store.delete(key)),
        }
    }

    /// Lets the store keep house; what fails there has no consequences but those of a crash.
    pub(super) fn tidy(&self) {
        let _ = self.store().tidy();
        while self.store().step() {}
    }

    /// Ends the store as a crash does, and what the machine had not synced as `how` says.
    pub fn crash(&mut self, how: Crash) {
        if let Some(store) = self.store.take() {
            store.abandon();
        }
        self.disk.crash(how);
    }

    /// Ends the store as its owner does.
    pub fn close(&mut self) {
        drop(self.store.take());
        self.disk.crash(Crash::LoseAll);
    }

    /// Opens the store again. What it holds must be what was acknowledged, and perhaps the first of what was asked for
    /// since.
    ///
    /// # Errors
    /// Where it does not open, and the disk is not to blame.
    pub fn reopen(&mut self) -> Checked {
        match self.try_open() {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                wrong!(Lost, "the store does not open: {error}")
            }
            // Else the disk fails again; whoever drives this tries once more.
            _ => Ok(()),
        }
    }

    fn try_open(&mut self) -> Result<()> {
        let settings = self.settings.clone();
        let clock = Arc::new(self.clock.clone());
        self.store = Some(Store::open_stepped(self.disk.mount(), settings, clock)?);
        Ok(())
    }

    /// Opens the store again, which may refuse.
    ///
    /// # Errors
    /// What the store says.
    pub fn try_reopen(&mut self) -> std::result::Result<(), ErrorKind> {
        self.try_open().map_err(|error| error.kind())
    }

    /// Whether the store is open.
    pub fn is_open(&self) -> bool {
        self.store.is_some()
    }

    /// Whether the store said that acknowledged changes may be missing.
    pub fn has_new_epoch(&self) -> bool {
        self.store().opening().has_new_epoch
    }

    /// Reads all that is kept.
    ///
    /// # Errors
    /// Where something cannot be read.
    pub fn read_everything(&self) -> Checked {
        for open in self.store().lanes() {
            read_lane(self.store(), open.lane.get())?;
        }
        Ok(())
    }

    /// Finds out what survived a crash and checks that it is a state that may have survived.
    ///
    /// # Errors
    /// Where it is nothing that may have survived.
    pub fn check_survivors(&mut self, is_exact: bool) -> Checked {
        let now_ms = self.now_ms();
        let mut candidate = self.acknowledged.clone();
        let mut open = std::mem::take(&mut self.open).into_iter();
        let mut reasons = Vec::new();
        loop {
            let mut model = candidate.clone();
            let shown = model.tail;
            let lanes: Vec<u64> = model.lanes.keys().copied().collect();
            model.enforce(lanes, now_ms, shown);
            match self.compare(&mut model, is_exact) {
                Ok(()) => {
                    self.acknowledged = model.clone();
                    self.planned = model;
                    return Ok(());
                }
                Err(wrong) => reasons.push(wrong.reason().to_owned()),
            }
            let Some((change, at_ms)) = open.next() else { break };
            let due = candidate.due(&change);
            let shown = candidate.tail;
            candidate.apply(&change, at_ms, shown);
            let shown = candidate.tail;
            candidate.enforce(due, at_ms, shown);
        }
        wrong!(Lost, "what survived is nothing that may have: {}", reasons.join("; or "))
    }

    /// Compares the store with a model; takes over what came back although it was let go.
    fn compare(&mut self, model: &mut Model, is_exact: bool) -> Checked {
        let store = self.store.as_ref().expect("the store is open");
        let epoch = store.tail().epoch.to_string();
        if *self.epoch.get_or_insert_with(|| epoch.clone()) != epoch {
            wrong!(Other, "the epoch changed to {epoch}");
        }
        let found: Vec<(u64, Option<u64>)> =
            store.lanes().iter().map(|open| (open.lane.get(), open.channel.map(Lane::get))).collect();
        let expected: Vec<_> = model.lanes.iter().map(|(lane, of)| (*lane, of.channel)).collect();
        if found != expected {
            wrong!(Lost, "the lanes are {found:?} instead of {expected:?}");
        }
        if store.tail().offset.get() != model.tail {
            wrong!(Lost, "the tail is {} instead of {}", store.tail().offset, model.tail);
        }
        let values = store.fetch_all(None, usize::MAX).now_or_never();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let values: Vec<_> = match values.expect("it is done at once") {
            Ok(values) => values.into_iter().map(|(key, value)| (key, text(&value))).collect(),
            Err(error) => wrong!(Lost, "the values: {error}"),
        };
        let expected: Vec<_> = model.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if values != expected {
            wrong!(Lost, "the values are {values:?} instead of {expected:?}");
        }
        for (lane, of) in &mut model.lanes {
            compare_lane(store, *lane, of, is_exact)?;
        }
        // What came back was looked at by the store's rules when it was read, so by the model's it stays.
        let (mut again, now_ms) = (model.clone(), self.clock.now().as_ms());
        again.enforce(model.lanes.keys().copied(), now_ms, model.tail);
        for (lane, of) in &model.lanes {
            if again.lanes[lane].trimmed != of.trimmed {
                wrong!(Lost, "lane {lane} keeps what its rules let go: {:?}", of.rules());
            }
        }
        Ok(())
    }
}

/// Offsets and texts of all that a lane keeps.
fn read_lane(store: &Store, lane: u64) -> Checked<Vec<(u64, String)>> {
    let mut found = Vec::new();
    let mut at = Offset::ZERO;
    while at < store.tail().offset {
        let read = store.read(Lane::new(lane), at, Budget { entries: 7, bytes: 3000 }).now_or_never();
        let page = match read.expect("without threads a read is done at once") {
            Ok(page) => page,
            Err(error) => wrong!(Lost, "lane {lane} cannot be read: {error}"),
        };
        found.extend(page.entries.iter().map(|entry| {
            let text: String =
                serde_json::from_str(entry.message().payload().as_json()).expect("it was a text");
            (entry.offset().get(), text)
        }));
        at = page.searched_to;
    }
    Ok(found)
}

fn compare_lane(store: &Store, lane: u64, of: &mut ModelLane, is_exact: bool) -> Checked {
    if of.channel.is_none() && store.retention(Lane::new(lane)) != Some(of.retention) {
        wrong!(Lost, "lane {lane} has another retention");
    }
    let found = read_lane(store, lane)?;
    let kept = of.ever.len().checked_sub(found.len()).filter(|first| *first <= of.trimmed);
    let is_suffix = kept.is_some_and(|first| {
        of.ever[first..]
            .iter()
            .map(|entry| (entry.offset, &entry.text))
            .eq(found.iter().map(|(at, text)| (*at, text)))
    });
    if !is_suffix || is_exact && found.len() != of.kept().len() {
        let offsets: Vec<u64> = found.iter().map(|(offset, _)| *offset).collect();
        let expected: Vec<u64> = of.kept().iter().map(|entry| entry.offset).collect();
        wrong!(Lost, "lane {lane} holds {offsets:?} instead of {expected:?}: {:?}", of.rules());
    }
    // What was let go and not yet noted has come back; it will be let go again.
    of.trimmed = of.ever.len() - found.len();
    let info = match store.lane(Lane::new(lane)).now_or_never().expect("it is done at once") {
        Ok(info) => info,
        Err(error) => wrong!(Lost, "lane {lane}: {error}"),
    };
    let bytes: u64 = of.kept().iter().map(|entry| entry.bytes).sum();
    let trimmed_to = of.trimmed.checked_sub(1).map_or(0, |last| of.ever[last].offset);
    let expected = (of.kept().len() as u64, bytes, of.ever.last().map(|entry| entry.offset), trimmed_to);
    let told = (info.messages, info.bytes, info.last.map(Offset::get), info.trimmed_to.get());
    if told != expected {
        wrong!(Lost, "lane {lane} tells {told:?} instead of {expected:?}");
    }
    let span =
        store.span(Lane::new(lane), Offset::ZERO, Offset::MAX).now_or_never().expect("it is done at once");
    match span {
        Ok(span) if span.entries == Some(of.ever.len() as u64) => {}
        other => wrong!(Lost, "lane {lane} had {} entries, and counts {other:?}", of.ever.len()),
    }
    if of.channel.is_some() {
        let cursor = match store.load(Lane::new(lane)).now_or_never().expect("it is done at once") {
            Ok(cursor) => cursor,
            Err(error) => wrong!(Lost, "the cursor of {lane}: {error}"),
        };
        let found = (cursor.position.offset.get(), cursor.floor.get());
        if found != (of.cursor, of.floor) {
            wrong!(Lost, "listener {lane} stands at {found:?} instead of {:?}", (of.cursor, of.floor));
        }
    }
    Ok(())
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}
