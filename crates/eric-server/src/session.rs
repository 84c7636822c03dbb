//! A session: one stream on one socket, from its head to its end.
//!
//! It writes what the subscription hands out, many pending events in one write, and shares the bytes that were
//! encoded once. What the peer has taken counts as consumed. It notices at once when the peer leaves, the subscription
//! ends or the server stops. What differs between doors is in [`Manner`], what differs between sockets in [`Peer`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use eric_protocol::Slow;
use eric_sse::limits::{
    COMMIT_LAG_ENTRIES_MAX, COMMIT_LAG_MS_MAX, HANDOVER_MS_MAX, HEARTBEAT_S, WRITE_STALL_S,
};
use eric_sse::log::Budget;
use eric_sse::sse::encode::{HEARTBEAT, REPLACED_RETRY};
use eric_sse::{Channel, Conflict, End, Item, ListenerId, Offset, Subscribe, Subscription};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::acceptor::Place;
use crate::manner::Manner;
use crate::peer::Peer;
use crate::shard::{Arrival, Shards};

/// How long a session that has said goodbye waits for its peer to read it.
const LINGER: Duration = Duration::from_secs(1);
/// How long a session whose peer takes nothing may go on once there is a reason to end it.
const ENDING_STALL: Duration = Duration::from_secs(1);
/// How long a peer may take nothing before its stream counts as slow.
pub(crate) const SLOW: Duration = Duration::from_secs(1);
/// When what was consumed is committed; half of what is promised.
pub(crate) const COMMIT_LAG: Duration = Duration::from_millis(COMMIT_LAG_MS_MAX / 2);
/// Heartbeats are late by up to this; with [`HEARTBEAT_S`] still within the 15 s that are promised.
const HEARTBEAT_TICK: Duration = Duration::from_millis(250);
/// A time that does not come; the timer is set all the same.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Bytes of small messages that a peer takes in one step: what any client reads at once.
const STEP_BYTES: usize = 4 * 1024;
/// Pieces of one write.
const PIECES_MAX: usize = 64;

/// Pause before a stream that the shard did not take is offered again.
const OFFER_PAUSE: Duration = Duration::from_secs(1);

/// A stream that is ready to begin.
#[derive(Debug)]
pub(crate) struct Handoff {
    pub(crate) subscription: Box<Subscription>,
    pub(crate) manner: Manner,
}

/// What was written on a socket, and not taken by its peer.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Where entries end, counted from the last byte that the peer took.
    pub(crate) marks: VecDeque<(u64, Offset)>,
    /// Since when the peer takes nothing, if it does not.
    pub(crate) stalled_since: Option<Instant>,
}

/// One stream on one socket.
#[derive(Debug)]
pub(crate) struct Session<P> {
    socket: P,
    subscription: Box<Subscription>,
    manner: Manner,
    is_chunked: bool,
    stop: CancellationToken,
    /// Who serves it together with others, while it is live and its peer takes what it is sent.
    shards: Option<Arc<Shards>>,
    /// When it may be offered to them.
    offer_at: Instant,
    /// Bytes that the kernel took.
    sent: u64,
    /// Where in those bytes entries end, until the peer has taken them.
    marks: VecDeque<(u64, Offset)>,
    /// Since when the peer takes nothing, where that was found by a shard.
    stalled_since: Option<Instant>,
    written_at: Instant,
    /// When the cursor is due to move.
    commit_at: Option<Instant>,
    /// When the next message may be written, where the channel paces its streams.
    next_at: Option<Instant>,
    /// Why the subscription is over, where that was found while the peer took nothing.
    ended: Option<End>,
    /// There is a reason to end, and a peer that takes nothing is not waited for.
    is_ending: bool,
}

/// What a session waits for its peer to do.
#[derive(Debug, Clone, Copy)]
enum Wait {
    /// To make room.
    Room,
    /// To take all that was written.
    Taking,
}

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum Leave {
    /// A shard goes on with it.
    Settled,
    /// Its peer left.
    Gone,
    /// Its peer takes nothing.
    Stalled,
    /// Its subscription ended.
    Ended(End),
    /// The server stops.
    Stopping,
    /// The engine failed.
    Failed(eric_sse::Error),
}

/// Begins a listener's stream. The one that it replaces says first what was consumed.
///
/// # Errors
/// As [`Channel::subscribe`].
pub(crate) async fn subscribe(
    channel: &Channel,
    listener: &ListenerId,
    options: Subscribe,
) -> eric_sse::Result<Subscription> {
    if options.conflict == Conflict::Replace {
        // Who does not say so in time is replaced all the same.
        let handover = timeout(Duration::from_millis(HANDOVER_MS_MAX), channel.relieve(listener)).await;
        handover.unwrap_or(Ok(()))?;
    }
    channel.subscribe(listener, options).await
}

/// Serves a stream, in the place of its connection, until it ends or a shard goes on with it. `rest` is written first:
/// its head, or the end of what was begun. With a `leave`, it is over after that.
pub(crate) async fn run<P: Peer>(
    mut session: Session<P>,
    mut rest: Vec<Bytes>,
    leave: Option<Leave>,
    place: Place,
) {
    session.is_ending = leave.is_some();
    let leave = match (session.write(&mut rest).await, leave) {
        (Err(leave), _) | (Ok(()), Some(leave)) => leave,
        (Ok(()), None) => session.follow().await,
    };
    match leave {
        Leave::Settled => session.settle(place),
        leave => session.end(leave).await,
    }
}

impl<P: Peer> Session<P> {
    pub(crate) fn new(socket: P, handoff: Handoff, is_chunked: bool, stop: CancellationToken) -> Self {
        let Handoff { subscription, manner } = handoff;
        Self {
            socket,
            subscription,
            manner,
            is_chunked,
            stop,
            shards: None,
            offer_at: Instant::now(),
            sent: 0,
            marks: VecDeque::new(),
            stalled_since: None,
            written_at: Instant::now(),
            commit_at: None,
            next_at: None,
            ended: None,
            is_ending: false,
        }
    }

    /// The same stream, which `shards` may go on with, after `untaken` was written.
    pub(crate) fn of_shards(self, shards: Arc<Shards>, untaken: Untaken) -> Self {
        let Untaken { bytes, marks, stalled_since } = untaken;
        let commit_at = (!marks.is_empty()).then(|| Instant::now() + COMMIT_LAG);
        let offer_at = Instant::now() + OFFER_PAUSE;
        Self { shards: Some(shards), offer_at, sent: bytes, marks, stalled_since, commit_at, ..self }
    }

    /// Whether a shard can go on with it now.
    fn is_settled(&self) -> bool {
        self.shards.is_some()
            && self.is_chunked
            && self.subscription.is_live()
            && self.subscription.channel().settings().stream_delay_ms == 0
            && Instant::now() >= self.offer_at
    }

    fn settle(mut self, place: Place) {
        self.take_note();
        let taken = self.socket.taken(self.sent);
        let marks = self.marks.iter().map(|(end, offset)| (end - taken, *offset)).collect();
        let untaken = Untaken { bytes: self.sent - taken, marks, stalled_since: None };
        let (Some(shards), Some(socket)) = (self.shards, self.socket.into_std()) else { return };
        let handoff = Handoff { subscription: self.subscription, manner: self.manner };
        shards.serve(Arrival { socket, handoff, untaken, first: Vec::new(), place });
    }

    /// Writes what comes until there is a reason to leave.
    async fn follow(&mut self) -> Leave {
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.cancelled());
        let mut timer = pin!(sleep_until(self.heartbeat_due()));
        let mut items = Vec::new();
        loop {
            if self.is_settled() {
                return Leave::Settled;
            }
            for due in [self.commit_at, self.next_at].into_iter().flatten() {
                bring_forward(timer.as_mut(), due);
            }
            let is_pausing = self.next_at.is_some();
            let read = tokio::select! {
                biased;
                () = &mut stopped => return Leave::Stopping,
                () = self.socket.gone() => return Leave::Gone,
                read = next_items(&mut self.subscription, &mut items, is_pausing) => Some(read),
                () = timer.as_mut() => None,
            };
            let outcome = match read {
                Some(Ok(None)) => self.deliver(&mut items).await,
                Some(Ok(Some(end))) => return Leave::Ended(end),
                Some(Err(error)) => return Leave::Failed(error),
                None => self.tick(timer.as_mut()).await,
            };
            match (outcome, self.ended) {
                (Err(leave), _) => return leave,
                (Ok(()), Some(end)) => return Leave::Ended(end),
                (Ok(()), None) => {}
            }
        }
    }

    /// When a silent stream gets a heartbeat. Streams that are due within the same tick are served together, so that
    /// ten thousand idle ones do not wake the process thousands of times a second.
    fn heartbeat_due(&self) -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        if !self.manner.has_heartbeats() {
            return self.written_at + NEVER;
        }
        let due = self.written_at + Duration::from_secs(HEARTBEAT_S);
        let into_tick = due.saturating_duration_since(*START).as_nanos() % HEARTBEAT_TICK.as_nanos();
        due + HEARTBEAT_TICK - Duration::from_nanos(into_tick as u64)
    }

    /// What the time asks for: a commit, a heartbeat, the next message.
    async fn tick(&mut self, timer: Pin<&mut Sleep>) -> Result<(), Leave> {
        let now = Instant::now();
        if now >= self.heartbeat_due() {
            let mut pieces = Vec::with_capacity(3);
            self.chunk(&mut pieces, [Bytes::from_static(HEARTBEAT)]);
            self.write(&mut pieces).await?;
        }
        if self.commit_at.is_some_and(|due| now >= due) {
            self.commit();
            // What the peer's kernel has not acknowledged is looked at again.
            self.commit_at = (!self.marks.is_empty()).then_some(now + COMMIT_LAG);
        }
        self.next_at = self.next_at.filter(|due| now < *due);
        timer.reset(self.heartbeat_due());
        Ok(())
    }

    /// Writes `items` as events, all in one chunk.
    async fn deliver(&mut self, items: &mut Vec<Item>) -> Result<(), Leave> {
        let settings = self.subscription.channel().settings();
        let (format, retry) = (self.manner.format(), settings.retry());
        let mut frames = Vec::with_capacity(items.len());
        let mut ends = Vec::with_capacity(items.len());
        let mut bytes = 0;
        for item in items.drain(..) {
            let frame = match &item {
                Item::Entry(framed) => framed.frame(format, retry, self.subscription.stats()),
                Item::Gap(gap) => match self.manner.gap(gap, &self.subscription) {
                    Some(frame) => frame,
                    None => continue,
                },
            };
            bytes += frame.len() as u64;
            if let Item::Entry(framed) = item {
                ends.push((bytes, framed.entry().offset()));
            }
            frames.push(frame);
        }
        if frames.is_empty() {
            return Ok(());
        }
        let has_entries = !ends.is_empty();
        let mut pieces = Vec::with_capacity(frames.len() + 2);
        self.chunk(&mut pieces, frames);
        if self.subscription.is_auto() {
            let head = if self.is_chunked { pieces[0].len() as u64 } else { 0 };
            let start = self.sent + head;
            self.marks.extend(ends.into_iter().map(|(end, offset)| (start + end, offset)));
        }
        if !self.marks.is_empty() && self.commit_at.is_none() {
            self.commit_at = Some(Instant::now() + COMMIT_LAG);
        }
        match P::IS_IN_STEP && self.subscription.is_auto() {
            false => self.write(&mut pieces).await?,
            true => self.write_in_step(&mut pieces).await?,
        }
        if self.marks.len() > COMMIT_LAG_ENTRIES_MAX {
            self.commit();
        }
        if has_entries && settings.stream_delay_ms > 0 {
            self.next_at = Some(Instant::now() + Duration::from_millis(settings.stream_delay_ms));
        }
        Ok(())
    }

    /// `frames` as one chunk of the response.
    fn chunk(&self, pieces: &mut Vec<Bytes>, frames: impl IntoIterator<Item = Bytes>) {
        if !self.is_chunked {
            pieces.extend(frames);
            return;
        }
        let head = pieces.len();
        pieces.push(Bytes::new());
        pieces.extend(frames);
        let bytes: usize = pieces[head..].iter().map(Bytes::len).sum();
        pieces[head] = Bytes::from(format!("{bytes:x}\r\n"));
        pieces.push(Bytes::from_static(b"\r\n"));
    }

    /// Writes all of `pieces`; leaves if the peer does, or takes nothing for too long.
    async fn write(&mut self, pieces: &mut [Bytes]) -> Result<(), Leave> {
        let mut rest = pieces;
        let mut stalled_at = self.stalled_since.take().map(|since| self.stall_due(since));
        while !rest.is_empty() {
            match write_some(&self.socket, rest) {
                Ok(written) => {
                    self.sent += written as u64;
                    rest = advance(rest, written);
                    stalled_at = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let due = *stalled_at.get_or_insert_with(|| self.stall_due(Instant::now()));
                    stalled_at = Some(self.wait_for_peer(Wait::Room, due).await?);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Leave::Gone),
            }
        }
        self.written_at = Instant::now();
        Ok(())
    }

    /// Writes `pieces`, which are a message each, a few small ones or one large one at a time: the next when the peer
    /// has taken the last. Leaves the rest once there is a reason to end.
    async fn write_in_step(&mut self, pieces: &mut [Bytes]) -> Result<(), Leave> {
        let mut rest = pieces;
        while !rest.is_empty() {
            let (mut due, mut before) = (self.stall_due(Instant::now()), 0);
            loop {
                let taken = self.socket.taken(self.sent);
                if taken == self.sent {
                    break;
                }
                if taken > before {
                    (due, before) = (self.stall_due(Instant::now()), taken);
                }
                due = self.wait_for_peer(Wait::Taking, due).await?;
            }
            self.take_note();
            if self.is_ending || self.stop.is_cancelled() {
                return Ok(());
            }
            let mut bytes = 0;
            let small = rest.iter().take_while(|piece| {
                bytes += piece.len();
                bytes <= STEP_BYTES
            });
            let (step, later) = rest.split_at_mut(small.count().max(1));
            self.write(step).await?;
            rest = later;
        }
        Ok(())
    }

    /// Until when a peer that takes nothing since `since` is waited for.
    fn stall_due(&self, since: Instant) -> Instant {
        let stall = match self.manner.slow() {
            _ if self.is_ending => ENDING_STALL,
            Slow::Disconnect => SLOW,
            Slow::Spill | Slow::Drop | Slow::Latest => Duration::from_secs(WRITE_STALL_S),
        };
        since + stall
    }

    /// Waits for the peer, at most until `stalled_at`, or shorter once there is a reason to end; the cursor moves
    /// meanwhile. Returns until when to wait if it takes nothing then either.
    async fn wait_for_peer(&mut self, wait: Wait, stalled_at: Instant) -> Result<Instant, Leave> {
        let is_stopping = self.is_ending || self.stop.is_cancelled();
        let soon = || stalled_at.min(Instant::now() + ENDING_STALL);
        let commit_at = self.commit_at.unwrap_or(stalled_at);
        tokio::select! {
            biased;
            () = self.socket.gone() => return Err(Leave::Gone),
            () = self.stop.cancelled(), if !is_stopping => return Ok(soon()),
            end = poll_fn(|context| end(&mut self.subscription, context)), if !is_stopping => {
                if end == End::Replaced {
                    self.give_way();
                }
                (self.ended, self.is_ending) = (Some(end), true);
                return Ok(soon());
            }
            ready = ready(&self.socket, wait) => ready.map_err(|_| Leave::Gone)?,
            () = sleep_until(stalled_at) => return Err(Leave::Stalled),
            () = sleep_until(commit_at), if self.commit_at.is_some() => {
                self.commit();
                self.commit_at = (!self.marks.is_empty()).then(|| Instant::now() + COMMIT_LAG);
            }
        }
        Ok(stalled_at)
    }

    /// Takes note of what the peer has taken.
    fn take_note(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        let taken = self.socket.taken(self.sent);
        while let Some((_, offset)) = self.marks.pop_front_if(|(end, _)| *end <= taken) {
            self.subscription.consumed(offset);
        }
    }

    /// Moves the cursor to what the peer has taken.
    fn commit(&mut self) {
        self.take_note();
        self.subscription.commit();
    }

    /// Says what was consumed, for the stream that waits to take over.
    fn give_way(&mut self) {
        self.commit();
        self.subscription.close();
    }

    /// Says goodbye as the reason asks for, and lets go.
    async fn end(mut self, leave: Leave) {
        if matches!(leave, Leave::Ended(End::Replaced)) {
            self.give_way();
        }
        let goodbye = match leave {
            Leave::Gone | Leave::Settled => None,
            Leave::Stalled => {
                self.socket.reset();
                None
            }
            Leave::Failed(error) => {
                tracing::warn!(%error, "a stream ends");
                self.socket.reset();
                None
            }
            Leave::Ended(End::Replaced) => Some(self.manner.goodbye("replaced", Some(REPLACED_RETRY))),
            Leave::Ended(End::Removed) => Some(self.manner.goodbye("removed", None)),
            Leave::Ended(_) => Some(Bytes::new()),
            Leave::Stopping => {
                // Spread the reconnects, or all come back in the same moment.
                let spread = self.subscription.channel().settings().retry_ms.max(1_000);
                let retry = Duration::from_millis(500 + fastrand::u64(0..=spread));
                Some(self.manner.goodbye("shutdown", Some(retry)))
            }
        };
        if let Some(goodbye) = goodbye {
            let mut pieces = Vec::with_capacity(4);
            if !goodbye.is_empty() {
                self.chunk(&mut pieces, [goodbye]);
            }
            if self.is_chunked {
                pieces.push(Bytes::from_static(b"0\r\n\r\n"));
            }
            self.is_ending = true;
            if self.write(&mut pieces).await.is_ok() {
                let _ = timeout(LINGER, self.socket.farewell()).await;
            }
        }
        self.commit();
    }
}

async fn ready(socket: &impl Peer, wait: Wait) -> io::Result<()> {
    match wait {
        Wait::Room => socket.writable().await,
        Wait::Taking => socket.caught_up().await,
    }
}

/// Ready when the subscription is over.
fn end(subscription: &mut Subscription, context: &mut Context<'_>) -> Poll<End> {
    subscription.poll_end(context).map_or(Poll::Pending, Poll::Ready)
}

/// Lets `timer` fire at `due`, if it would fire later.
fn bring_forward(timer: Pin<&mut Sleep>, due: Instant) {
    if due < timer.deadline() {
        timer.reset(due);
    }
}

/// `pieces` without their first `written` bytes.
fn advance(pieces: &mut [Bytes], mut written: usize) -> &mut [Bytes] {
    let mut done = 0;
    for piece in pieces.iter_mut() {
        if written < piece.len() {
            piece.advance(written);
            break;
        }
        written -= piece.len();
        done += 1;
    }
    &mut pieces[done..]
}

/// The next items, one message at a time where the channel paces its streams, or the end; while a paced stream pauses,
/// the end alone.
async fn next_items(
    subscription: &mut Subscription,
    items: &mut Vec<Item>,
    is_pausing: bool,
) -> eric_sse::Result<Option<End>> {
    if is_pausing {
        return Ok(Some(poll_fn(|context| end(subscription, context)).await));
    }
    let is_paced = subscription.channel().settings().stream_delay_ms > 0;
    let budget = if is_paced { Budget { entries: 1, bytes: 0 } } else { Budget::default() };
    poll_fn(|context| subscription.poll_items(context, budget, items)).await
}

/// Writes as much of `pieces` as the kernel takes now.
fn write_some(socket: &impl Peer, pieces: &[Bytes]) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); PIECES_MAX];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    socket.try_write(&slices[..pieces.len().min(PIECES_MAX)])
}
