//! What is done with a hub in a run, each with what it must be answered and what it does to the model.

use std::task::{Context, Waker};
use std::time::Duration;

use eric_sse::lane::Overflow;
use eric_sse::log::Budget;
use eric_sse::{Ack, ChannelId, End, ErrorKind, Message, Publish, ReadFrom, SettingsPatch, Subscribe};
use futures_util::future::BoxFuture;

use super::draw::{CHANNELS, Deed, Draw, LISTENERS, Wish};
use super::model::{LaneNumber, New};
use super::session::{Read, Session, Start};
use super::world::{Answer, Doubt, World};
use crate::wrong::{Checked, wrong};

type Taken = eric_sse::Result<Vec<(u64, bool)>>;

impl World {
    /// One deed. Whether anything could be done.
    pub(super) fn act(&mut self, draw: &mut Draw) -> Checked {
        let deed = draw.deed();
        let channel = draw.random.choice(self.model.channels.values().copied());
        let listener = draw.random.choice(self.model.listeners.values().copied());
        match (deed, channel, listener) {
            (Deed::Make, ..) | (_, None, _) => self.make(draw)?,
            (Deed::Join, Some(channel), _)
            | (Deed::Leave | Deed::Ack | Deed::Listen, Some(channel), None) => {
                self.join(channel, draw)?;
            }
            (Deed::Set, Some(channel), _) => self.set(channel, draw)?,
            (Deed::Remove, Some(channel), _) => self.remove(channel)?,
            (Deed::Leave, _, Some(listener)) => self.leave(listener)?,
            (Deed::Publish, ..) => self.publish_some(draw)?,
            (Deed::GiveUp, ..) => self.give_up(draw)?,
            (Deed::Ack, _, Some(listener)) => self.ack(listener, draw)?,
            (Deed::Listen, _, Some(listener)) => {
                let (wish, ack) = draw.wish();
                self.listen(listener, wish, ack, draw)?;
            }
            (Deed::Read, ..) => self.read(draw)?,
            (Deed::Close, ..) => self.close_one(draw),
            (Deed::Tidy, ..) => {
                // What fails there has no consequences but those of a crash.
                let _ = self.store().tidy();
            }
            (Deed::Wait, ..) => self.wait(draw),
        }
        self.settle(true)
    }

    // Channels and listeners.

    fn make(&mut self, draw: &mut Draw) -> Checked {
        let id = CHANNELS[draw.random.usize(..CHANNELS.len())];
        let settings = draw.settings();
        let (hub, name, given) = (self.hub().clone(), channel_id(id), settings.clone());
        let call = Box::pin(async move { hub.channels().create(name, given).await.map(drop) });
        match self.call(call)? {
            Answer::Done(()) if self.model.channels.contains_key(id) => {
                wrong!(Other, "channel {id} was made twice")
            }
            Answer::Done(()) => {
                self.model.open(id, settings);
                self.counts.acknowledged += 1;
            }
            Answer::Unknown => self.doubts.push(Doubt::Make(id.to_owned(), settings)),
            Answer::Refused(ErrorKind::NoSpace) => return self.check_existence(),
            Answer::Refused(ErrorKind::AlreadyExists) if self.model.channels.contains_key(id) => {}
            Answer::Refused(kind) => wrong!(Other, "channel {id} was refused: {kind:?}"),
        }
        Ok(())
    }

    fn set(&mut self, lane: LaneNumber, draw: &mut Draw) -> Checked {
        let settings = draw.settings();
        let patch = SettingsPatch {
            max_messages: Some(settings.max_messages),
            max_bytes: Some(settings.max_bytes),
            max_age_s: Some(settings.max_age_s),
            history: Some(settings.history),
            max_unread_per_listener: Some(settings.max_unread_per_listener),
            max_unread_bytes_per_listener: Some(settings.max_unread_bytes_per_listener),
            overflow: Some(settings.overflow),
            ..SettingsPatch::default()
        };
        let channel = self.known(self.channel(lane))?;
        match self.call(Box::pin(async move { channel.change_settings(&patch).await }))? {
            Answer::Done(()) => {
                self.model.set(lane, &settings);
                self.counts.acknowledged += 1;
            }
            Answer::Unknown => self.doubts.push(Doubt::Set(lane, settings)),
            Answer::Refused(ErrorKind::NoSpace) => return self.check_existence(),
            Answer::Refused(kind) => wrong!(Other, "settings were refused: {kind:?}"),
        }
        Ok(())
    }

    fn remove(&mut self, lane: LaneNumber) -> Checked {
        let (hub, id) = (self.hub().clone(), channel_id(&self.model.lanes[lane].id));
        match self.call(Box::pin(async move { hub.channels().remove(&id).await }))? {
            Answer::Done(()) => {
                self.counts.acknowledged += 1;
                let gone = |world: &Self, of: LaneNumber| world.model.lanes[of].channel == Some(lane);
                self.end_sessions(gone, End::Removed)?;
                self.model.close(lane);
            }
            Answer::Unknown => self.doubts.push(Doubt::Remove(lane)),
            Answer::Refused(ErrorKind::NoSpace) => return self.check_existence(),
            Answer::Refused(kind) => wrong!(Other, "a channel stayed: {kind:?}"),
        }
        Ok(())
    }

    fn join(&mut self, channel: LaneNumber, draw: &mut Draw) -> Checked {
        let id = LISTENERS[draw.random.usize(..LISTENERS.len())];
        let is_there = self.model.listeners.contains_key(&(channel, id.to_owned()));
        let of = self.known(self.channel(channel))?;
        let name = id.parse().expect("the ids are ids");
        let call = Box::pin(async move { of.ensure_listener(name).await.map(|(_, is_new)| is_new) });
        match self.call(call)? {
            Answer::Done(is_new) if is_new == is_there => {
                wrong!(Other, "listener {id} was made although it was there, or not made although it was not")
            }
            Answer::Done(true) => {
                self.model.join(channel, id);
                self.counts.acknowledged += 1;
            }
            Answer::Done(false) => {}
            Answer::Unknown if is_there => {}
            Answer::Unknown => self.doubts.push(Doubt::Join(channel, id.to_owned())),
            Answer::Refused(ErrorKind::NoSpace) => return self.check_existence(),
            Answer::Refused(kind) => wrong!(Other, "listener {id} was refused: {kind:?}"),
        }
        Ok(())
    }

    fn leave(&mut self, lane: LaneNumber) -> Checked {
        let of = &self.model.lanes[lane];
        let channel = self.known(self.channel(of.channel.expect("it is a listener's")))?;
        let id = of.id.parse().expect("the ids are ids");
        match self.call(Box::pin(async move { channel.remove_listener(&id).await }))? {
            Answer::Done(()) => {
                self.counts.acknowledged += 1;
                self.end_sessions(|_, of| of == lane, End::Removed)?;
                self.model.leave(lane);
            }
            Answer::Unknown => self.doubts.push(Doubt::Leave(lane)),
            Answer::Refused(ErrorKind::NoSpace) => return self.check_existence(),
            Answer::Refused(kind) => wrong!(Other, "a listener stayed: {kind:?}"),
        }
        Ok(())
    }

    /// The streams of these listeners must have ended like this.
    fn end_sessions(&mut self, which: impl Fn(&Self, LaneNumber) -> bool, how: End) -> Checked {
        let sessions = std::mem::take(&mut self.sessions);
        let (ended, others) = sessions.into_iter().partition(|session| which(self, session.listener));
        self.sessions = others;
        let ended: Vec<Session> = ended;
        for mut session in ended {
            let read = self.read_session(&mut session, Budget::default())?;
            if read != Read::Ended(how) && !self.is_down() {
                wrong!(Other, "a stream goes on that has ended: {read:?} instead of {how:?}");
            }
        }
        Ok(())
    }

    fn known<T>(&self, found: eric_sse::Result<T>) -> Checked<T> {
        match found {
            Ok(found) => Ok(found),
            Err(error) => wrong!(Lost, "what was made is not there: {error}"),
        }
    }

    // Publishing.

    fn publish_some(&mut self, draw: &mut Draw) -> Checked {
        let together = if draw.random.u32(..4) == 0 { draw.random.usize(2..5) } else { 1 };
        let asks = (0..together).map(|_| self.batch(draw)).collect();
        self.publish(asks)
    }

    /// What is published next, and where.
    fn batch(&self, draw: &mut Draw) -> (LaneNumber, Vec<New>) {
        let lanes: Vec<LaneNumber> =
            self.model.channels.values().chain(self.model.listeners.values()).copied().collect();
        let lane = lanes[draw.random.usize(..lanes.len())];
        let settings = &self.model.lanes[self.model.lanes[lane].channel.unwrap_or(lane)].settings;
        let is_small = settings.max_bytes.min(settings.max_unread_bytes_per_listener) < 10_000;
        (lane, draw.batch(is_small || settings.overflow == Overflow::Reject))
    }

    /// A publisher asks and does not wait for the answer. Meanwhile somebody reads, who must not see what is not durable.
    fn give_up(&mut self, draw: &mut Draw) -> Checked {
        let (lane, batch) = self.batch(draw);
        if self.model.may_refuse(lane, &batch) {
            return Ok(());
        }
        let mut call = self.publishing(lane, &batch)?;
        let is_answered = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if is_answered && !self.is_down() {
            wrong!(Other, "a publish was answered before anything was written");
        }
        self.model.set_under_way(Some((lane, &batch)));
        self.read(draw)?;
        self.model.set_under_way(None);
        drop(call);
        while self.store().step() {}
        let doubt = Doubt::Publish { lane, batch, asked_ms: self.now_ms() };
        if self.is_down() {
            self.doubts.push(doubt);
            return Ok(());
        }
        self.find_out_about_messages(&[doubt], self.hub().tail().offset.get())
    }

    /// A call that publishes a batch, and what it says: offsets, and whether each is new.
    pub(super) fn publishing(&self, lane: LaneNumber, batch: &[New]) -> Checked<BoxFuture<'static, Taken>> {
        let of = &self.model.lanes[lane];
        let channel = self.known(self.channel(of.channel.unwrap_or(lane)))?;
        let listener = of.channel.map(|_| of.id.parse().expect("the ids are ids"));
        let batch: Vec<Publish> = batch
            .iter()
            .map(|new| Publish {
                message: Message::of("t", &new.text).expect("a text is a message"),
                key: new.key.as_ref().map(|key| key.parse().expect("the keys are keys")),
            })
            .collect();
        Ok(Box::pin(async move {
            let taken = match listener {
                None => channel.broadcast_batch(batch).await?,
                Some(listener) => channel.dispatch_batch(&listener, batch).await?,
            };
            Ok(taken.iter().map(|taken| (taken.position.offset.get(), taken.first)).collect())
        }))
    }

    // Reading.

    fn ack(&mut self, lane: LaneNumber, draw: &mut Draw) -> Checked {
        let standing = &self.model.lanes[lane].standing;
        let Some(to) = draw.random.choice(standing.seen.iter().copied().rev().take(8)) else { return Ok(()) };
        let cursor = standing.cursor();
        let connection = self.known(self.connection(lane))?;
        let position = self.position(to);
        let call = Box::pin(async move { connection.channel().ack(connection.id(), position).await });
        match self.call(call)? {
            Answer::Done(()) => self.counts.acknowledged += 1,
            Answer::Unknown => {}
            Answer::Refused(ErrorKind::NoSpace) => return Ok(()),
            Answer::Refused(kind) => wrong!(Other, "an ack was refused: {kind:?}"),
        }
        if to > cursor {
            self.skip(lane, cursor, to);
            self.model.lanes[lane].standing.move_cursor(to);
        }
        Ok(())
    }

    /// Whoever reads for the listener chose to leave out what it had not got up to `to`.
    fn skip(&mut self, lane: LaneNumber, from: u64, to: u64) {
        let owed = self.model.owed(lane, from, to);
        self.model.lanes[lane].standing.excused.extend(owed);
    }

    /// Opens a stream, in the place of the one that there is.
    pub(super) fn listen(&mut self, lane: LaneNumber, wish: Wish, ack: Ack, draw: &mut Draw) -> Checked {
        let mut old = self.sessions.iter().position(|session| session.listener == lane);
        if draw.random.bool()
            && let Some(index) = old.take()
        {
            let session = self.sessions.swap_remove(index);
            self.close_session(session);
            self.settle(true)?;
            if self.is_down() {
                return Ok(());
            }
        }
        let (from, start) = self.start(lane, wish, draw);
        let connection = self.known(self.connection(lane))?;
        let options = Subscribe { from, ack, ..Subscribe::default() };
        let call = Box::pin(async move { connection.channel().subscribe(connection.id(), options).await });
        let answer = self.call(call)?;
        let cursor = self.model.lanes[lane].standing.cursor();
        if ack == Ack::Auto && start.at != cursor {
            self.skip(lane, cursor, start.at);
            self.model.lanes[lane].standing.move_cursor(start.at);
        }
        match answer {
            Answer::Done(subscription) => {
                if let Some(index) = old {
                    let mut session = self.sessions.swap_remove(index);
                    self.check_replaced(&mut session)?;
                }
                self.sessions.push(Session::new(subscription, lane, ack, start)?);
                Ok(())
            }
            Answer::Unknown | Answer::Refused(ErrorKind::NoSpace) => Ok(()),
            Answer::Refused(kind) => wrong!(Other, "a stream was refused: {kind:?}"),
        }
    }

    /// Where a stream begins that is opened with this wish.
    fn start(&self, lane: LaneNumber, wish: Wish, draw: &mut Draw) -> (ReadFrom, Start) {
        let of = &self.model.lanes[lane];
        let channel = of.channel.expect("it is a listener's");
        let (floor, tail) = (of.standing.floor, self.model.tail);
        let client = (self.model.lanes[channel].id.clone(), of.id.clone());
        let after = match wish {
            Wish::Last => self.clients.get(&client).copied(),
            Wish::Any => Some(draw.random.u64(floor.saturating_sub(3)..=tail)),
            _ => None,
        };
        match (wish, after) {
            (_, Some(after)) => {
                let before_join = self.model.broadcasts(channel, after, floor);
                let start = Start { at: after.max(floor), silent_to: 0, before_join };
                (ReadFrom::After(self.position(after)), start)
            }
            (Wish::Earliest, _) => (ReadFrom::Earliest, Start { at: floor, silent_to: tail, before_join: 0 }),
            (Wish::Latest, _) => (ReadFrom::Latest, Start { at: tail, ..Start::default() }),
            _ => (ReadFrom::Cursor, Start { at: of.standing.cursor().max(floor), ..Start::default() }),
        }
    }

    /// A stream whose successor is there hands out nothing more, and moves no cursor.
    fn check_replaced(&mut self, session: &mut Session) -> Checked {
        session.consume();
        session.subscription.commit();
        let read = self.read_session(session, Budget::default())?;
        if read != Read::Ended(End::Replaced) && !self.is_down() {
            wrong!(Other, "a stream goes on that was replaced: {read:?}");
        }
        Ok(())
    }

    pub(super) fn read_session(&mut self, session: &mut Session, budget: Budget) -> Checked<Read> {
        let now_ms = self.now_ms();
        let read = session.read(&mut self.model, budget, now_ms, self.meddling, &mut self.counts)?;
        if read == Read::Failed && !self.is_down() {
            wrong!(Lost, "what is kept cannot be read although the disk is well");
        }
        if let Some(last) = session.last {
            let of = &self.model.lanes[session.listener];
            let channel = of.channel.expect("it is a listener's");
            self.clients.insert((self.model.lanes[channel].id.clone(), of.id.clone()), last);
        }
        Ok(read)
    }

    fn read(&mut self, draw: &mut Draw) -> Checked {
        if self.sessions.is_empty() {
            return Ok(());
        }
        let mut session = self.sessions.swap_remove(draw.random.usize(..self.sessions.len()));
        let read = self.read_session(&mut session, draw.budget())?;
        if let Read::Ended(end) = read {
            wrong!(Other, "a stream ended that nobody ended: {end:?}");
        }
        if draw.random.bool()
            && let Some(to) = session.commit(self.meddling)
        {
            self.model.lanes[session.listener].standing.move_cursor(to);
        }
        self.sessions.push(session);
        Ok(())
    }

    fn close_one(&mut self, draw: &mut Draw) {
        if !self.sessions.is_empty() {
            let session = self.sessions.swap_remove(draw.random.usize(..self.sessions.len()));
            self.close_session(session);
        }
    }

    fn close_session(&mut self, mut session: Session) {
        if let Some(to) = session.commit(self.meddling) {
            self.model.lanes[session.listener].standing.move_cursor(to);
        }
    }

    /// Opens a stream for every listener and reads until nothing is left.
    pub(super) fn drain(&mut self, wish: Wish, ack: Ack, draw: &mut Draw) -> Checked {
        let listeners: Vec<LaneNumber> = self.model.listeners.values().copied().collect();
        for lane in listeners {
            self.listen(lane, wish, ack, draw)?;
            let Some(mut session) = self.sessions.pop() else { return Ok(()) };
            while self.read_session(&mut session, draw.budget())? == Read::Some {}
            if let Some(to) = session.commit(self.meddling) {
                self.model.lanes[lane].standing.move_cursor(to);
            }
            self.sessions.push(session);
            self.settle(true)?;
        }
        Ok(())
    }

    fn wait(&mut self, draw: &mut Draw) {
        self.clock.advance(Duration::from_millis(draw.random.u64(1..4_000)));
        if draw.random.u32(..4) == 0 {
            let hub = self.hub().clone();
            self.drive(vec![Box::pin(async move { hub.expire_listeners().await }) as BoxFuture<'static, _>]);
        }
    }
}

fn channel_id(id: &str) -> ChannelId {
    id.parse().expect("the ids are ids")
}
