//! One run: the sockets of readers and publishers, waited for by one thread.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventFlags};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;

use crate::clock::{Clock, nanos};
use crate::crowd::Crowd;
use crate::dialect::{Dialect, Request, Template, Whom};
use crate::exchange::Exchange;
use crate::ledger::Ledger;
use crate::limits::{OPENING_MAX, READ_BYTES, READY_MAX};
use crate::log::Audience;
use crate::message::Texts;
use crate::publisher::{MARK, Publishers};
use crate::report::Slice;
use crate::scenario::Settings;
use crate::socket::make_room;
use crate::timeline::Timeline;
use crate::watch::{Phase, Watch};

/// The longest wait for a socket.
const WAIT: u64 = 50_000_000;

/// How often whoever looks on is told how far it is, and asked whether to go on.
const LOOK: u64 = 50_000_000;

/// A server that sends nothing for so long is not merely slow.
const STILL: u64 = 1_000_000_000;

/// Who listens, and where.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cast {
    /// Listeners on the first channel, or by themselves.
    pub(crate) listeners: usize,
    /// Listeners that read the head of their stream and nothing else.
    pub(crate) stuck: usize,
    /// Listeners that are registered and never come.
    pub(crate) absent: usize,
    /// Whether there is a second channel, with one listener.
    pub(crate) has_aside: bool,
    /// Whether messages are for one listener each.
    pub(crate) is_unicast: bool,
    /// Whether listeners say where they were when they come back.
    pub(crate) resumes: bool,
    pub(crate) publishers: usize,
}

/// A run against one server.
pub(crate) struct Load<'a> {
    pub(crate) clock: Clock,
    pub(crate) crowd: Crowd,
    pub(crate) ledger: Ledger,
    dialect: &'a Dialect,
    /// How streams are opened.
    subscription: &'a Request,
    channels: Vec<String>,
    /// Listeners on the first channel.
    pub(crate) listeners: usize,
    /// Whether streams are those of named listeners.
    is_named: bool,
    /// Ids that the server chose.
    ids: Vec<Box<str>>,
    publishers: Publishers,
    epoll: OwnedFd,
    ready: Vec<Event>,
    buffer: Vec<u8>,
    pub(crate) watch: &'a Watch,
    timeline: Option<Timeline>,
    next_look: u64,
}

impl<'a> Load<'a> {
    /// Prepares channels and listeners, and connects the publishers; no stream is opened yet.
    pub(crate) fn prepare(
        dialect: &'a Dialect,
        server: SocketAddr,
        settings: &Settings,
        cast: Cast,
        watch: &'a Watch,
    ) -> anyhow::Result<Self> {
        let streams = cast.listeners + usize::from(cast.has_aside) + cast.stuck;
        make_room(streams + cast.publishers)?;
        let run = fastrand::u32(..);
        let mut ledger = Ledger::new(Texts::new(run, settings.payload_bytes)?, dialect);
        let audience = if cast.is_unicast { Audience::One } else { Audience::All(cast.listeners as u32) };
        ledger.open(audience, cast.listeners)?;
        let mut channels = vec![watch.channel.clone()];
        if cast.has_aside {
            ledger.open(Audience::All(1), 1)?;
            channels.push(aside(&watch.channel));
        }
        let named = dialect.listener.as_ref().filter(|listener| listener.subscribe.is_some());
        let is_named =
            named.is_some_and(|named| cast.is_unicast || (!settings.anonymous && named.hears_channel));
        ensure!(
            is_named || !cast.is_unicast,
            "{} has no listeners with messages of their own",
            dialect.title
        );
        let subscription = named.and_then(|named| named.subscribe.as_ref()).filter(|_| is_named);
        let subscription = subscription.or(dialect.subscribe.as_ref());
        let subscription =
            subscription.with_context(|| format!("{} has no streams of that kind", dialect.title))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("cannot wait for many sockets")?;
        let timeline = watch.slice.map(|slice| Timeline::new(slice, &ledger));
        let mut load = Self {
            clock: Clock::start(),
            crowd: Crowd::new(subscription.address(server), streams)?,
            publishers: Publishers::open(server, epoll.as_fd(), 0, Vec::new())?,
            ledger,
            dialect,
            subscription,
            channels,
            listeners: cast.listeners,
            is_named,
            ids: Vec::new(),
            epoll,
            ready: Vec::with_capacity(READY_MAX),
            buffer: vec![0; READ_BYTES],
            watch,
            timeline,
            next_look: 0,
        };
        load.crowd.keeps_ids = cast.resumes;
        load.crowd.stuck_from = streams - cast.stuck;
        load.register(server, cast)?;
        let publish = load.publication(cast.is_unicast)?;
        let templates = load.templates(publish, cast.is_unicast);
        let to = publish.address(server);
        load.publishers = Publishers::open(to, load.epoll.as_fd(), cast.publishers, templates)?;
        Ok(load)
    }

    /// Makes channels and listeners known to the server.
    fn register(&mut self, server: SocketAddr, cast: Cast) -> anyhow::Result<()> {
        let watch = self.watch;
        watch.touch();
        for request in &self.dialect.prepare {
            let whom = |channel| Whom { channel, listener: "" };
            let mut requests = self.channels.iter().map(|channel| request.bytes(whom(channel), None));
            Exchange::new(request.address(server)).all(&mut requests, |_| watch.go_on())?;
        }
        let named = self.dialect.listener.as_ref().filter(|_| self.is_named);
        let Some(named) = named else { return Ok(()) };
        let listeners = self.crowd.len() + cast.absent;
        let mut ids = Vec::new();
        for (step, request) in named.prepare.iter().enumerate() {
            let mut requests = (0..listeners).map(|number| {
                let channel = self.channel_of(number);
                request.bytes(Whom { channel, listener: &self.listener(number) }, None)
            });
            let field = named.capture.as_deref().filter(|_| step + 1 == named.prepare.len());
            Exchange::new(request.address(server)).all(&mut requests, |body| {
                watch.go_on()?;
                let Some(field) = field else { return Ok(()) };
                let body: serde_json::Value = serde_json::from_slice(body).context("an answer is no JSON")?;
                let id = body[field].as_str().with_context(|| format!("no text `{field}` in {body}"))?;
                ids.push(Box::from(id));
                Ok(())
            })?;
        }
        self.ids = ids;
        Ok(())
    }

    /// What publishes.
    fn publication(&self, is_unicast: bool) -> anyhow::Result<&'a Request> {
        let listener = self.dialect.listener.as_ref().filter(|_| is_unicast);
        match listener {
            None => Ok(&self.dialect.publish),
            Some(listener) => listener.publish.as_ref().with_context(|| {
                format!("{} does not say how to publish to one listener", self.dialect.title)
            }),
        }
    }

    /// What publishes to each channel, or to each listener.
    fn templates(&self, publish: &Request, is_unicast: bool) -> Vec<Template> {
        let bytes = self.ledger.message_bytes();
        if !is_unicast {
            let whom = |channel| Whom { channel, listener: "" };
            return self.channels.iter().map(|channel| publish.template(whom(channel), bytes)).collect();
        }
        let template = |number: usize| {
            let listener = &self.listener(number);
            publish.template(Whom { channel: &self.channels[0], listener }, bytes)
        };
        (0..self.listeners).map(template).collect()
    }

    /// Opens all streams, at most `at_once` of them at a time; returns the seconds that took.
    pub(crate) fn open(&mut self, at_once: usize, patience_s: f64) -> anyhow::Result<f64> {
        self.watch.enter(Phase::Open);
        self.reopen(0..self.crowd.len(), at_once, patience_s)
    }

    /// Opens some streams.
    pub(crate) fn reopen(
        &mut self,
        numbers: std::ops::Range<usize>,
        at_once: usize,
        patience_s: f64,
    ) -> anyhow::Result<f64> {
        let start = self.clock.nanos();
        let deadline = start + nanos(patience_s);
        let (before, mut begun) = (self.crowd.open, 0);
        while self.crowd.open - before < numbers.len() {
            while begun < numbers.len() && begun - (self.crowd.open - before) < at_once {
                self.connect(numbers.start + begun)?;
                begun += 1;
            }
            self.turn(deadline)?;
            if self.clock.nanos() > deadline {
                bail!(
                    "{} of {} streams are open after {patience_s} s",
                    self.crowd.open - before,
                    numbers.len()
                );
            }
        }
        Ok((self.clock.nanos() - start) as f64 / 1e9)
    }

    /// Opens all streams as usual, where that is not what is measured.
    pub(crate) fn open_quietly(&mut self, settings: &Settings) -> anyhow::Result<f64> {
        let seconds = self.open(OPENING_MAX, settings.patience_s)?;
        self.run_for(nanos(settings.settle_s), |_, _| Ok(u64::MAX))?;
        Ok(seconds)
    }

    /// Begins to connect one listener.
    pub(crate) fn connect(&mut self, number: usize) -> anyhow::Result<()> {
        self.crowd.connect(self.epoll.as_fd(), number, self.clock.nanos())
    }

    /// Publishes a message that is due at `due`.
    pub(crate) fn publish(&mut self, to: u32, due: u64) -> anyhow::Result<()> {
        let message = self.ledger.issue(to, due)?;
        self.publishers.publish(self.epoll.as_fd(), &self.ledger, message)
    }

    /// Goes on for `nanos`; before every turn `act` does what is due and says when it wants the next turn at the latest.
    pub(crate) fn run_for(
        &mut self,
        nanos: u64,
        mut act: impl FnMut(&mut Self, u64) -> anyhow::Result<u64>,
    ) -> anyhow::Result<()> {
        let end = self.clock.nanos() + nanos;
        loop {
            let now = self.clock.nanos();
            if now >= end {
                return Ok(());
            }
            let next = act(self, now)?;
            self.turn(next.min(end))?;
        }
    }

    /// Goes on until `is_done`, or fails after `patience_s`.
    pub(crate) fn run_until(
        &mut self,
        patience_s: f64,
        is_done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let end = self.clock.nanos() + nanos(patience_s);
        while !is_done(self) {
            ensure!(self.clock.nanos() < end, "not done after {patience_s} s");
            self.turn(end)?;
        }
        Ok(())
    }

    /// Waits for everything that is under way, and a moment longer for what must not come; then says whether all is well.
    pub(crate) fn settle(&mut self, settings: &Settings) -> anyhow::Result<()> {
        self.watch.enter(Phase::Settle);
        let waited = self.run_until(settings.patience_s, |load| load.ledger.is_settled());
        if waited.is_err() {
            self.watch.go_on()?;
        }
        if waited.is_err() && !self.is_still_heard()? {
            self.ledger.verdict()?;
        }
        waited.context("messages are still under way")?;
        self.run_for(nanos(settings.settle_s), |_, _| Ok(u64::MAX))?;
        self.ledger.verdict()
    }

    /// The measurement begins, of what is due from then on.
    pub(crate) fn begin_measurement(&mut self, measured_from: u64) {
        self.watch.enter(Phase::Measure);
        self.ledger.measured_from = measured_from;
        let now = self.clock.nanos();
        self.timeline.iter_mut().for_each(|timeline| timeline.begin(&self.ledger, now));
    }

    /// The measurement ends; returns its slices.
    pub(crate) fn end_measurement(&mut self) -> Vec<Slice> {
        let now = self.clock.nanos();
        self.timeline.as_mut().map_or_else(Vec::new, |timeline| timeline.end(&self.ledger, now))
    }

    /// Tells how far it is, and fails once somebody ended it.
    fn look(&mut self, now: u64) -> anyhow::Result<()> {
        let (published, delivered) = self.ledger.totals();
        self.watch.tell(self.crowd.open, published, delivered);
        let slice_ends = self.timeline.as_mut().map(|timeline| timeline.look(&self.ledger, now));
        self.next_look = (now + LOOK).min(slice_ends.unwrap_or(u64::MAX));
        self.watch.go_on()
    }

    /// Whether events still come: what they bring is late, and not lost.
    fn is_still_heard(&mut self) -> anyhow::Result<bool> {
        let delivered = |load: &Self| load.ledger.logs.iter().map(|log| log.count.delivered).sum::<u64>();
        let before = delivered(self);
        self.run_for(STILL, |_, _| Ok(u64::MAX))?;
        Ok(delivered(self) > before)
    }

    /// Handles the sockets that are ready, or become so before `until`.
    fn turn(&mut self, until: u64) -> anyhow::Result<()> {
        let now = self.clock.nanos();
        if now >= self.next_look {
            self.look(now)?;
        }
        // The system waits for whole milliseconds; the last one is spent asking.
        let milliseconds = until.saturating_sub(now).min(WAIT) / 1_000_000;
        let wait = Timespec { tv_sec: 0, tv_nsec: (milliseconds * 1_000_000) as _ };
        self.ready.clear();
        let space = rustix::buffer::spare_capacity(&mut self.ready);
        match epoll::wait(&self.epoll, space, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for many sockets"),
        }
        for place in 0..self.ready.len() {
            let Event { flags, data } = self.ready[place];
            let (token, now) = (data.u64(), self.clock.nanos());
            let (epoll, buffer) = (self.epoll.as_fd(), self.buffer.as_mut_slice());
            if token & MARK != 0 {
                let publisher = (token & !MARK) as usize;
                self.publishers.ready(epoll, publisher, buffer, &mut self.ledger, now)?;
                continue;
            }
            let number = token as usize;
            if flags.contains(EventFlags::OUT) {
                let request = self.request(number);
                self.crowd.ask(self.epoll.as_fd(), number, &request)?;
            } else {
                self.crowd.read(epoll, number, buffer, &mut self.ledger, now)?;
            }
        }
        Ok(())
    }

    /// What a listener sends to get its stream.
    fn request(&self, number: usize) -> Vec<u8> {
        let channel = self.channel_of(number);
        let listener = self.listener(number);
        let id = self.crowd.last_id(number);
        let resume = self.dialect.resume.as_deref().filter(|_| !id.is_empty()).map(|name| (name, id));
        self.subscription.bytes(Whom { channel, listener: &listener }, resume)
    }

    fn channel_of(&self, number: usize) -> &str {
        let is_aside = number == self.listeners && self.channels.len() > 1;
        &self.channels[usize::from(is_aside)]
    }

    fn listener(&self, number: usize) -> String {
        self.ids.get(number).map_or_else(|| format!("l{number}"), |id| id.to_string())
    }
}

/// The second channel of a run.
fn aside(channel: &str) -> String {
    format!("{channel}-aside")
}

/// Removes what a run made.
pub(crate) fn clean_up(dialect: &Dialect, server: SocketAddr, watch: &Watch) -> anyhow::Result<()> {
    let channels = [watch.channel.clone(), aside(&watch.channel)];
    for request in &dialect.clean_up {
        let mut requests = channels.iter().map(|channel| request.bytes(Whom { channel, listener: "" }, None));
        Exchange::new(request.address(server)).forgiving_absence().all(&mut requests, |_| Ok(()))?;
    }
    Ok(())
}
