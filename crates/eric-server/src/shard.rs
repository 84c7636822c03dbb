//! Shards: loops that serve thousands of live streams each.
//!
//! A stream that has caught up, and whose peer takes what it is sent, needs no task, no timer and no buffer: a shard
//! keeps its socket and where it is. Streams of one channel are a [`Group`], which hears once for all of them. What is
//! not plain (a peer without room, the end of a subscription, pacing) is the business of a [`Session`], which a stream
//! becomes and comes back from. There is a shard for each core; it looks at its sockets by an epoll of its own.

mod group;
mod poller;
mod reel;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};

use bytes::Bytes;
use eric_sse::ChannelId;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::group::{Group, Slice, Why};
pub(crate) use self::poller::Poller;
pub(crate) use self::reel::chunk_of;
use crate::acceptor::Place;
use crate::peer::reset;
use crate::session::{self, Handoff, Leave, Session, Untaken};

/// Writes of one turn, and how long it may take, before whatever else waits has its turn.
const SLICE_SENDS: usize = 256;
const SLICE_TIME: Duration = Duration::from_millis(2);
/// How often a shard looks what the time asks for.
const TICK: Duration = Duration::from_millis(250);

/// The shards of a server.
#[derive(Debug)]
pub(crate) struct Shards {
    mailboxes: Vec<Arc<Mailbox>>,
    next: AtomicUsize,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A stream on its way to a shard: an HTTP/1.1 event stream on a socket of its own.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: TcpStream,
    pub(crate) handoff: Handoff,
    /// What was written already.
    pub(crate) untaken: Untaken,
    /// What is written first.
    pub(crate) first: Vec<Bytes>,
    pub(crate) place: Place,
}

/// How others reach a shard.
#[derive(Debug, Default)]
struct Mailbox {
    mail: Mutex<Mail>,
    notify: Notify,
}

/// What a shard is to look at.
#[derive(Debug, Default)]
struct Mail {
    /// As many as there are connections, at most.
    arrivals: Vec<Arrival>,
    /// Groups that something came for, each once at most until the group looks.
    groups: Vec<usize>,
    is_closed: bool,
}

/// Reaches one group.
struct GroupWaker {
    mailbox: Arc<Mailbox>,
    group: usize,
}

struct Shard {
    shards: Arc<Shards>,
    mailbox: Arc<Mailbox>,
    poller: Poller,
    groups: slab::Slab<Group>,
    by_channel: HashMap<ChannelId, usize>,
    /// Groups that have something to do.
    busy: VecDeque<usize>,
    /// Groups whose round was cut: they go on behind those that something came for meanwhile.
    unfinished: Vec<usize>,
}

impl Shards {
    /// Starts a shard for each of `pollers`; they end after `stop`.
    pub(crate) fn start(pollers: Vec<Poller>, tasks: TaskTracker, stop: CancellationToken) -> Arc<Self> {
        let mailboxes = pollers.iter().map(|_| Arc::default()).collect();
        let shards = Arc::new(Self { mailboxes, next: AtomicUsize::new(0), tasks, stop });
        for (poller, mailbox) in pollers.into_iter().zip(&shards.mailboxes) {
            let shard = Shard {
                shards: shards.clone(),
                mailbox: mailbox.clone(),
                poller,
                groups: slab::Slab::new(),
                by_channel: HashMap::new(),
                busy: VecDeque::new(),
                unfinished: Vec::new(),
            };
            shards.tasks.spawn(shard.run());
        }
        shards
    }

    /// Serves a stream: in a shard, if it is live, and by itself otherwise.
    pub(crate) fn serve(self: &Arc<Self>, arrival: Arrival) {
        let channel = arrival.handoff.subscription.channel();
        let is_plain = arrival.handoff.subscription.is_live() && channel.settings().stream_delay_ms == 0;
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(mailbox) = self.mailboxes.get(next % self.mailboxes.len().max(1)).filter(|_| is_plain)
        else {
            return self.serve_alone(arrival, None);
        };
        let mut mail = mailbox.lock();
        if mail.is_closed {
            drop(mail);
            return self.serve_alone(arrival, None);
        }
        mail.arrivals.push(arrival);
        drop(mail);
        mailbox.notify.notify_one();
    }

    /// Serves a stream by itself; with a `leave`, to its end.
    fn serve_alone(self: &Arc<Self>, arrival: Arrival, leave: Option<Leave>) {
        let Arrival { socket, handoff, untaken, first, place } = arrival;
        let socket = match tokio::net::TcpStream::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "a stream ends"),
        };
        let session = Session::new(socket, handoff, true, self.stop.clone()).of_shards(self.clone(), untaken);
        self.tasks.spawn(session::run(session, first, leave, place));
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().expect("nothing panics with the lock held")
    }
}

impl Wake for GroupWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.lock().groups.push(self.group);
        self.mailbox.notify.notify_one();
    }
}

impl Shard {
    async fn run(mut self) {
        let mailbox = self.mailbox.clone();
        let stop = self.shards.stop.clone();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            self.look();
            if self.turn() {
                // Whatever else is ready has its turn, and what it publishes is sent with the rest.
                yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = mailbox.notify.notified() => yield_now().await,
                () = self.poller.ready() => {}
                _ = ticks.tick(), if !self.groups.is_empty() => self.tick(),
            }
        }
        self.end();
    }

    /// Takes note of who came and left, and of groups that something came for.
    fn look(&mut self) {
        let (arrivals, groups) = {
            let mut mail = self.mailbox.lock();
            (std::mem::take(&mut mail.arrivals), std::mem::take(&mut mail.groups))
        };
        let Self { poller, groups: all, busy, .. } = self;
        poller.look(|group, seat, news| {
            if let Some(of_stream) = all.get_mut(group) {
                of_stream.ready(seat, news.has_room, news.may_have_left);
                begin(of_stream, group, busy);
            }
        });
        for group in groups {
            if let Some(woken) = self.groups.get_mut(group) {
                woken.is_woken = true;
                begin(woken, group, &mut self.busy);
            }
        }
        arrivals.into_iter().for_each(|arrival| self.admit(arrival));
    }

    fn admit(&mut self, arrival: Arrival) {
        let channel = arrival.handoff.subscription.channel().clone();
        let index = match self.by_channel.get(channel.id()) {
            Some(index) => *index,
            None => {
                let slot = self.groups.vacant_entry();
                let waker = GroupWaker { mailbox: self.mailbox.clone(), group: slot.key() };
                let Ok(group) = Group::new(&channel, Waker::from(Arc::new(waker))) else {
                    return self.shards.serve_alone(arrival, None);
                };
                let index = slot.key();
                slot.insert(group);
                self.by_channel.insert(channel.id().clone(), index);
                index
            }
        };
        let group = &mut self.groups[index];
        match group.admit(arrival) {
            Err(arrival) => self.shards.serve_alone(*arrival, None),
            Ok(seat) => {
                let socket = group.stream(seat).map(|stream| &stream.socket);
                if let Some(Err(error)) = socket.map(|socket| self.poller.add(socket, index, seat)) {
                    tracing::warn!(%error, "a stream is served by itself");
                    group.leave(seat, Why::Slow);
                }
            }
        }
        begin(&mut self.groups[index], index, &mut self.busy);
    }

    /// Hears, and sends what is pending, for a while. False when nothing is left to do.
    fn turn(&mut self) -> bool {
        let mut slice = Slice { sends: SLICE_SENDS, until: Instant::now() + SLICE_TIME };
        self.busy.extend(self.unfinished.drain(..));
        for _ in 0..self.busy.len() {
            let Some(index) = self.busy.pop_front() else { break };
            let group = &mut self.groups[index];
            group.hear();
            group.is_busy = group.serve(&mut slice);
            if group.is_busy {
                self.unfinished.push(index);
            }
            self.let_go(index, None);
            if slice.is_over() {
                break;
            }
        }
        !self.busy.is_empty() || !self.unfinished.is_empty()
    }

    fn tick(&mut self) {
        let now = Instant::now();
        for (index, group) in &mut self.groups {
            if group.tick(now) {
                begin(group, index, &mut self.busy);
            }
        }
    }

    /// Hands on the streams of a group that are to leave, and the group itself if nobody is left.
    fn let_go(&mut self, index: usize, stopping: Option<Why>) {
        let group = &mut self.groups[index];
        if let Some(why) = stopping {
            group.dismiss(why);
        }
        while let Some((arrival, why)) = group.next_leaving() {
            tracing::debug!(channel = %group.channel().id(), ?why, "a stream leaves its shard");
            let leave = match why {
                // The subscription says what was consumed, and ends.
                Why::Gone => continue,
                Why::Stalled => {
                    reset(&arrival.socket);
                    continue;
                }
                Why::Slow => None,
                Why::Ended(end) => Some(Leave::Ended(end)),
                Why::Stopping => Some(Leave::Stopping),
            };
            self.poller.remove(&arrival.socket);
            self.shards.serve_alone(arrival, leave);
        }
        if group.is_empty() {
            let group = self.groups.remove(index);
            self.by_channel.remove(group.channel().id());
            self.busy.retain(|busy| *busy != index);
            self.unfinished.retain(|unfinished| *unfinished != index);
        }
    }

    /// Hands on all streams, for the server stops.
    fn end(mut self) {
        let arrivals = {
            let mut mail = self.mailbox.lock();
            mail.is_closed = true;
            std::mem::take(&mut mail.arrivals)
        };
        arrivals.into_iter().for_each(|arrival| self.shards.serve_alone(arrival, None));
        let groups: Vec<usize> = self.groups.iter().map(|(index, _)| index).collect();
        groups.into_iter().for_each(|index| self.let_go(index, Some(Why::Stopping)));
    }
}

/// The group is to have a turn.
fn begin(group: &mut Group, index: usize, busy: &mut VecDeque<usize>) {
    if !std::mem::replace(&mut group.is_busy, true) {
        busy.push_back(index);
    }
}
