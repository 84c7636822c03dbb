//! What was published, and what every listener has of it.
//!
//! The order of a channel's messages is what the first listener tells who sees one; everybody else must see the same.
//! A message to one listener must be the one that is under way to it. Whatever else comes is an error that says who,
//! what was due, and what came.

use anyhow::{anyhow, ensure};

use crate::dialect::Dialect;
use crate::latency::Latency;
use crate::limits::MESSAGES_MAX;
use crate::log::{Audience, Log};
use crate::message::Texts;
use crate::stream::Event;

/// The place of a message that nobody has seen, and what is under way where nothing is.
const NONE: u32 = u32::MAX;

/// Names of events that the server sends by itself begin so.
const CONTROL: &[u8] = b"eric.";

/// Everything that was published, and everybody who listens.
#[derive(Debug)]
pub(crate) struct Ledger {
    texts: Texts,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Further names of events that the server sends by itself.
    control: Vec<String>,
    sent: Vec<Sent>,
    pub(crate) logs: Vec<Log>,
    listeners: Vec<Listener>,
    /// Only what was due from here on has its time taken.
    pub(crate) measured_from: u64,
    /// Events that the server sent by itself.
    pub(crate) control_events: u64,
    scratch: Vec<u8>,
}

/// One message.
#[derive(Debug)]
struct Sent {
    due: u64,
    /// A channel, or a listener.
    to: u32,
    place: u32,
    /// How many do not have it.
    left: u32,
    is_answered: bool,
}

/// How far a listener is.
#[derive(Debug, Clone, Copy)]
struct Listener {
    log: u32,
    /// The next entry of the log; or the message that is under way.
    at: u32,
    /// It came back without saying where it was, and may have missed something.
    is_adrift: bool,
}

impl Ledger {
    /// An empty ledger of messages that look as the dialect says.
    pub(crate) fn new(texts: Texts, dialect: &Dialect) -> Self {
        let (before, after) = dialect.data_around();
        Self {
            texts,
            before: before.into(),
            after: after.into(),
            control: dialect.control_events.clone(),
            sent: Vec::new(),
            logs: Vec::new(),
            listeners: Vec::new(),
            measured_from: u64::MAX,
            control_events: 0,
            scratch: Vec::new(),
        }
    }

    /// Adds a channel and its listeners, who are numbered on from those that are there.
    pub(crate) fn open(&mut self, audience: Audience, listeners: usize) -> anyhow::Result<()> {
        let data_bytes = self.before.len() + self.texts.bytes() + self.after.len();
        let log = self.logs.len() as u32;
        let at = if audience == Audience::One { NONE } else { 0 };
        self.logs.push(Log::new(audience, data_bytes)?);
        self.listeners.extend((0..listeners).map(|_| Listener { log, at, is_adrift: false }));
        Ok(())
    }

    /// The length of a message.
    pub(crate) fn message_bytes(&self) -> usize {
        self.texts.bytes()
    }

    /// Notes a new message to a channel, or to a listener where messages are for one; returns its number.
    pub(crate) fn issue(&mut self, to: u32, due: u64) -> anyhow::Result<u32> {
        ensure!(self.sent.len() < MESSAGES_MAX, "one run has {MESSAGES_MAX} messages at most");
        let number = self.sent.len() as u32;
        let log = self.log_of(to);
        let left = match self.logs[log].audience {
            Audience::All(listeners) => listeners,
            Audience::One => {
                let at = &mut self.listeners[to as usize].at;
                ensure!(*at == NONE, "two messages under way to listener {to}");
                *at = number;
                1
            }
        };
        self.logs[log].count.sent += 1;
        self.sent.push(Sent { due, to, place: NONE, left, is_answered: false });
        Ok(number)
    }

    /// Whom a message is for.
    pub(crate) fn recipient(&self, number: u32) -> u32 {
        self.sent[number as usize].to
    }

    /// Appends the text of a message.
    pub(crate) fn write(&self, number: u32, to: &mut Vec<u8>) {
        self.texts.write(number, self.sent[number as usize].due, to);
    }

    /// A message was taken by the server.
    pub(crate) fn answered(&mut self, number: u32, now: u64) {
        let log = self.log_of(self.recipient(number));
        let (sent, count) = (&mut self.sent[number as usize], &mut self.logs[log].count);
        sent.is_answered = true;
        count.answered += 1;
        count.complete += u64::from(sent.left == 0);
        if sent.due >= self.measured_from {
            count.answer.record(now.saturating_sub(sent.due));
        }
    }

    /// An event came to a listener.
    #[inline]
    pub(crate) fn deliver(&mut self, listener: usize, event: Event<'_>, now: u64) -> anyhow::Result<()> {
        if event.name.starts_with(CONTROL) || self.control.iter().any(|name| name.as_bytes() == event.name) {
            self.control_events += 1;
            return Ok(());
        }
        let data = event.data;
        let log = self.listeners[listener].log as usize;
        let number = match self.logs[log].audience {
            Audience::All(_) => self.in_order(listener, log, data)?,
            Audience::One => self.under_way(listener, data)?,
        };
        let (sent, count) = (&mut self.sent[number as usize], &mut self.logs[log].count);
        sent.left -= 1;
        count.delivered += 1;
        count.complete += u64::from(sent.left == 0 && sent.is_answered);
        if sent.due >= self.measured_from {
            count.delivery.record(now.saturating_sub(sent.due));
        }
        Ok(())
    }

    /// Messages that were sent and events that came, on all channels.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let counts = self.logs.iter().map(|log| &log.count);
        counts.fold((0, 0), |(sent, delivered), count| (sent + count.sent, delivered + count.delivered))
    }

    /// Times of the deliveries that matter: those on the last channel.
    pub(crate) fn times(&self) -> &Latency {
        &self.logs[self.logs.len() - 1].count.delivery
    }

    /// A listener came back and could not say where it was.
    pub(crate) fn set_adrift(&mut self, listener: usize) {
        self.listeners[listener].is_adrift = true;
    }

    /// Whether a message is under way to a listener that gets its own.
    pub(crate) fn has_under_way(&self, listener: usize) -> bool {
        self.listeners[listener].at != NONE
    }

    /// Whether everything was answered and delivered.
    pub(crate) fn is_settled(&self) -> bool {
        let is_settled = |log: &Log| {
            log.count.answered == log.count.sent && log.count.delivered + log.count.missed == log.owed()
        };
        self.logs.iter().all(is_settled)
    }

    /// Checks that nothing is owed to anybody.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let unanswered = self.sent.iter().position(|sent| !sent.is_answered);
        ensure!(unanswered.is_none(), "message {} was never answered", unanswered.unwrap_or_default());
        let mut behind = self.listeners.iter().enumerate().filter_map(|(listener, here)| {
            let log = &self.logs[here.log as usize];
            match log.audience {
                Audience::All(_) if here.is_adrift => None,
                Audience::All(_) => {
                    let due = log.entries.get(here.at as usize).copied();
                    let due = due.or_else(|| self.unseen(here.log));
                    due.map(|due| (listener, due))
                }
                Audience::One => (here.at != NONE).then_some((listener, here.at)),
            }
        });
        let Some((listener, due)) = behind.next() else { return Ok(()) };
        let others = behind.count();
        let owed = |log: &Log| log.owed() - log.count.delivered - log.count.missed;
        let owed: u64 = self.logs.iter().map(owed).sum();
        Err(anyhow!(
            "lost: listener {listener} expected message {due} and got nothing more; {others} others are behind, {owed} \
             events are owed{}",
            self.told()
        ))
    }

    /// A message to a channel that nobody has seen.
    fn unseen(&self, log: u32) -> Option<u32> {
        if self.logs[log as usize].entries.len() as u64 == self.logs[log as usize].count.sent {
            return None;
        }
        self.sent.iter().position(|sent| sent.to == log && sent.place == NONE).map(|number| number as u32)
    }

    /// The log of a message for `to`: listeners share one where messages are for one.
    fn log_of(&self, to: u32) -> usize {
        if self.logs[0].audience == Audience::One { 0 } else { to as usize }
    }

    /// Checks data against the channel's order, which it may extend; returns the message.
    #[inline]
    fn in_order(&mut self, listener: usize, log: usize, data: &[u8]) -> anyhow::Result<u32> {
        if self.listeners[listener].is_adrift {
            self.rejoin(listener, log, data);
        }
        let place = self.listeners[listener].at as usize;
        if place == self.logs[log].entries.len() {
            let number = self.claimed(data).filter(|&number| {
                let sent = &self.sent[number as usize];
                sent.to as usize == log && sent.place == NONE
            });
            let number = number.filter(|&number| self.is_text(number, data));
            let Some(number) = number else { return Err(self.unexpected(listener, None, data)) };
            self.sent[number as usize].place = place as u32;
            self.logs[log].push(number, data);
        } else {
            let number = self.logs[log].entries[place];
            let is_right = match self.logs[log].data(place) {
                Some(due) => due == data,
                None => self.is_text(number, data),
            };
            if !is_right {
                return Err(self.unexpected(listener, Some(number), data));
            }
        }
        self.listeners[listener].at += 1;
        Ok(self.logs[log].entries[place])
    }

    /// Checks data against the one message that is under way to a listener.
    fn under_way(&mut self, listener: usize, data: &[u8]) -> anyhow::Result<u32> {
        let due = self.listeners[listener].at;
        if due == NONE || !self.is_text(due, data) {
            return Err(self.unexpected(listener, (due != NONE).then_some(due), data));
        }
        self.listeners[listener].at = NONE;
        self.sent[due as usize].place = 0;
        Ok(due)
    }

    /// Finds where a listener is that could not resume; what lies between, it missed.
    fn rejoin(&mut self, listener: usize, log: usize, data: &[u8]) {
        let place = self.claimed(data).map_or(NONE, |number| self.sent[number as usize].place);
        let here = &mut self.listeners[listener];
        let place = if place == NONE { self.logs[log].entries.len() as u32 } else { place };
        if place < here.at {
            return;
        }
        self.logs[log].count.missed += u64::from(place - here.at);
        (here.at, here.is_adrift) = (place, false);
    }

    /// The number that data claims to have, if such a message was sent.
    fn claimed(&self, data: &[u8]) -> Option<u32> {
        let text = data.strip_prefix(self.before.as_slice())?.strip_suffix(self.after.as_slice())?;
        self.texts.number(text).filter(|&number| (number as usize) < self.sent.len())
    }

    /// Whether data is exactly that of a message.
    fn is_text(&mut self, number: u32, data: &[u8]) -> bool {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.before);
        self.texts.write(number, self.sent[number as usize].due, &mut self.scratch);
        self.scratch.extend_from_slice(&self.after);
        self.scratch == data
    }

    /// Says what is wrong with data that is not what was due.
    #[cold]
    fn unexpected(&mut self, listener: usize, due: Option<u32>, data: &[u8]) -> anyhow::Error {
        let here = self.listeners[listener];
        let expected = match due {
            Some(number) => format!("message {number}"),
            None if self.logs[here.log as usize].audience == Audience::One => "nothing".to_owned(),
            None => "a message that nobody has seen".to_owned(),
        };
        let got = String::from_utf8_lossy(data).into_owned();
        let Some(number) = self.claimed(data) else {
            return anyhow!("corrupt: listener {listener} expected {expected}, got what nobody sent: {got}");
        };
        let (to, place) = (self.sent[number as usize].to, self.sent[number as usize].place);
        let is_doubled = match self.logs[here.log as usize].audience {
            Audience::All(_) => place < here.at,
            Audience::One => to as usize == listener && place != NONE,
        };
        let what = match () {
            () if !self.is_text(number, data) => "corrupt",
            () if self.log_of(to) != here.log as usize => "astray",
            () if is_doubled => "doubled or late",
            () => "lost or out of order",
        };
        let told = self.told();
        anyhow!("{what}: listener {listener} expected {expected}, got message {number}{told}: {got}")
    }

    /// That the server itself had something to say, which may be why.
    fn told(&self) -> String {
        match self.control_events {
            0 => String::new(),
            count => format!(" (the server sent {count} events of its own)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger with one channel, and `messages` published on it.
    fn ledger(audience: Audience, listeners: usize, messages: u32) -> Ledger {
        let publish = r#"{"method": "POST", "path": "/", "body": "{message}"}"#;
        let dialect = format!(
            r#"{{"title": "t", "publish": {publish}, "data": "\"{{message}}\"", "control_events": ["beat"]}}"#
        );
        let mut ledger = Ledger::new(Texts::new(7, 64).unwrap(), &Dialect::parse(&dialect).unwrap());
        ledger.open(audience, listeners).unwrap();
        for number in 0..messages {
            assert_eq!(ledger.issue(0, u64::from(number) * 1000).unwrap(), number);
            ledger.answered(number, 0);
        }
        ledger
    }

    fn data(ledger: &Ledger, number: u32) -> Vec<u8> {
        let mut data = b"\"".to_vec();
        ledger.write(number, &mut data);
        data.push(b'"');
        data
    }

    fn give(ledger: &mut Ledger, listener: usize, data: &[u8]) -> anyhow::Result<()> {
        ledger.deliver(listener, Event { data, ..Event::default() }, 5_000_000)
    }

    /// Gives `numbers` to the listener; returns what the ledger says of the last.
    fn give_all(ledger: &mut Ledger, listener: usize, numbers: &[u32]) -> String {
        let mut result = Ok(());
        for &number in numbers {
            assert!(result.is_ok(), "{result:?}");
            let data = data(ledger, number);
            result = give(ledger, listener, &data);
        }
        result.and_then(|()| ledger.verdict()).map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }

    #[test]
    fn everybody_may_get_messages_in_the_order_of_whoever_is_first() {
        let mut ledger = ledger(Audience::All(2), 2, 3);
        assert!(give_all(&mut ledger, 0, &[1, 0, 2]).starts_with("lost: listener 1 expected message 1"));
        assert!(!ledger.is_settled());
        assert_eq!(give_all(&mut ledger, 1, &[1, 0, 2]), "fine");
        assert!(ledger.is_settled());
        assert_eq!((ledger.logs[0].count.delivered, ledger.logs[0].count.complete), (6, 3));
    }

    #[test]
    fn every_fault_is_found_and_named() {
        let check = |numbers: &[u32], expected: &str| {
            let mut ledger = ledger(Audience::All(2), 2, 4);
            give_all(&mut ledger, 0, &[0, 1, 2, 3]);
            let told = give_all(&mut ledger, 1, numbers);
            assert!(told.starts_with(expected), "{told}");
        };
        check(&[0, 1, 2, 3], "fine");
        check(&[0, 2], "lost or out of order: listener 1 expected message 1, got message 2");
        check(&[1], "lost or out of order: listener 1 expected message 0, got message 1");
        check(&[0, 0], "doubled or late: listener 1 expected message 1, got message 0");
        check(&[0, 1, 2], "lost: listener 1 expected message 3");
        check(
            &[0, 1, 2, 3, 3],
            "doubled or late: listener 1 expected a message that nobody has seen, got message 3",
        );
    }

    #[test]
    fn a_message_that_nobody_got_is_missed() {
        let mut ledger = ledger(Audience::All(1), 1, 2);
        assert!(give_all(&mut ledger, 0, &[0]).starts_with("lost: listener 0 expected message 1"));
        ledger.issue(0, 0).unwrap();
        assert_eq!(ledger.verdict().unwrap_err().to_string(), "message 2 was never answered");
    }

    #[test]
    fn every_flipped_byte_is_found() {
        for is_first in [true, false] {
            let mut ledger = ledger(Audience::All(2), 2, 2);
            let right = data(&ledger, 0);
            if !is_first {
                give(&mut ledger, 0, &right).unwrap();
            }
            for place in 0..right.len() {
                let mut wrong = right.clone();
                wrong[place] ^= 1;
                let told = give(&mut ledger, 1, &wrong).unwrap_err().to_string();
                assert!(told.starts_with("corrupt: listener 1"), "{told}");
            }
            assert!(give(&mut ledger, 1, &right[..right.len() - 1]).is_err());
            give(&mut ledger, 1, &right).unwrap();
        }
    }

    #[test]
    fn what_left_the_recent_entries_is_still_checked() {
        let messages = crate::limits::RECENT_MAX as u32 + 2;
        let mut ledger = ledger(Audience::All(2), 2, messages);
        let all: Vec<u32> = (0..messages).collect();
        give_all(&mut ledger, 0, &all);
        let mut wrong = data(&ledger, 0);
        wrong[60] ^= 1;
        assert!(give(&mut ledger, 1, &wrong).is_err());
        assert_eq!(give_all(&mut ledger, 1, &all), "fine");
    }

    #[test]
    fn a_message_for_one_comes_to_that_one_once() {
        let mut ledger = ledger(Audience::One, 2, 0);
        for to in [0, 1] {
            ledger.issue(to, 0).unwrap();
            ledger.answered(to, 0);
        }
        assert!(ledger.issue(0, 0).is_err(), "one at a time");
        let (first, second) = (data(&ledger, 0), data(&ledger, 1));
        let told = give(&mut ledger, 0, &second).unwrap_err().to_string();
        assert!(
            told.starts_with("lost or out of order: listener 0 expected message 0, got message 1"),
            "{told}"
        );
        give(&mut ledger, 0, &first).unwrap();
        let told = give(&mut ledger, 0, &first).unwrap_err().to_string();
        assert!(told.starts_with("doubled or late: listener 0 expected nothing, got message 0"), "{told}");
        assert!(ledger.verdict().unwrap_err().to_string().starts_with("lost: listener 1 expected message 1"));
        give(&mut ledger, 1, &second).unwrap();
        assert!(ledger.is_settled());
        ledger.verdict().unwrap();
    }

    #[test]
    fn times_count_from_when_a_message_was_due() {
        let mut ledger = ledger(Audience::All(1), 1, 0);
        ledger.measured_from = 1_000_000;
        for due in [0, 2_000_000] {
            ledger.issue(0, due).unwrap();
        }
        give_all(&mut ledger, 0, &[0, 1]);
        let told = ledger.logs[0].count.delivery.percentiles().unwrap();
        assert!((told.max_ms - 3.0).abs() < 0.01 && (told.p50_ms - 3.0).abs() < 0.01, "{told:?}");
    }

    #[test]
    fn what_a_listener_missed_that_cannot_resume_is_counted() {
        let mut ledger = ledger(Audience::All(2), 2, 4);
        give_all(&mut ledger, 0, &[0, 1, 2, 3]);
        give_all(&mut ledger, 1, &[0]);
        ledger.set_adrift(1);
        assert_eq!(give_all(&mut ledger, 1, &[3]), "fine");
        assert_eq!(ledger.logs[0].count.missed, 2);
        assert!(ledger.is_settled());
    }

    #[test]
    fn events_of_the_server_itself_are_counted_and_not_held_against_it() {
        let mut ledger = ledger(Audience::All(1), 1, 0);
        for name in ["eric.gap", "beat"] {
            let event = Event { name: name.as_bytes(), data: b"{}", ..Event::default() };
            ledger.deliver(0, event, 0).unwrap();
        }
        assert_eq!(ledger.control_events, 2);
    }
}
