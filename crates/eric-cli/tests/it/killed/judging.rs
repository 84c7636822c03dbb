//! What was published and what was seen, held against what is there in the end.

use std::collections::HashMap;

use eric_client::Position;

use super::publishing::Attempt;
use super::reading::{END, READERS, Reader, Seen, Session};

/// Everything that there is for one reader, in order.
pub(super) struct Mail {
    reader: usize,
    all: Vec<Seen>,
    places: HashMap<String, usize>,
}

/// What there was to count.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Messages that were acknowledged.
    pub(super) acknowledged: usize,
    /// Messages whose publishers had no answer, and that are there; and that are not.
    pub(super) unanswered_there: usize,
    pub(super) unanswered_absent: usize,
    /// Messages that came to readers, however often.
    pub(super) delivered: usize,
    /// Those among them that came again.
    pub(super) redelivered: usize,
}

impl Mail {
    /// Whatever is there stands in order, in one epoch, and once.
    pub(super) fn new(reader: usize, all: Vec<Seen>) -> Self {
        let mut places = HashMap::new();
        for (place, (position, label)) in all.iter().enumerate() {
            if let Some((before, _)) = place.checked_sub(1).map(|before| &all[before]) {
                assert_eq!(position.epoch, before.epoch, "{reader}: the epoch is always the same");
                assert!(position.offset > before.offset, "{reader}: {position} is after {before}");
            }
            assert_eq!(places.insert(label.clone(), place), None, "{reader}: {label} is there once");
        }
        Self { reader, all, places }
    }

    fn position(&self, label: &str) -> Option<Position> {
        self.places.get(label).map(|place| self.all[*place].0)
    }
}

pub(super) fn judge(mail: &[Mail], attempts: &[Attempt], read: &[Vec<Session>]) -> Figures {
    let mut figures = Figures::default();
    let mut holders: HashMap<Position, &str> = HashMap::new();
    for (position, label) in mail.iter().flat_map(|mail| &mail.all) {
        let holder = *holders.entry(*position).or_insert(label);
        assert_eq!(holder, label, "position {position} is one message's");
    }
    for mail in mail {
        let meant = attempts.iter().filter(|attempt| attempt.to.is_none_or(|to| to == mail.reader));
        let labels: usize = meant.map(|attempt| judge_attempt(mail, attempt)).sum();
        assert_eq!(labels, mail.all.len(), "{}: there is nothing else", mail.reader);
    }
    for attempt in attempts {
        let count = attempt.labels.len();
        let is_there = mail[attempt.to.unwrap_or(0)].position(&attempt.labels[0]).is_some();
        match (&attempt.answer, is_there) {
            (Some(_), _) => figures.acknowledged += count,
            (None, true) => figures.unanswered_there += count,
            (None, false) => figures.unanswered_absent += count,
        }
    }
    for (mail, sessions) in mail.iter().zip(read) {
        judge_reading(mail, sessions, &mut figures);
    }
    figures
}

/// What was answered is where the answer says; what was not is there whole or not at all. Returns how many messages of
/// it are there.
fn judge_attempt(mail: &Mail, attempt: &Attempt) -> usize {
    let there: Vec<Position> = attempt.labels.iter().filter_map(|label| mail.position(label)).collect();
    match &attempt.answer {
        Some(answer) => assert_eq!(&there, answer, "{}: acknowledged and lost: {attempt:?}", mail.reader),
        None => assert!(
            there.is_empty() || there.len() == attempt.labels.len(),
            "{}: a part of {attempt:?} at {there:?}",
            mail.reader
        ),
    }
    for pair in there.windows(2) {
        assert_eq!(pair[0].offset.next(), pair[1].offset, "{}: with a hole: {attempt:?}", mail.reader);
    }
    there.len()
}

/// Every session is a stretch of the mail without a hole, and begins where it should.
fn judge_reading(mail: &Mail, sessions: &[Session], figures: &mut Figures) {
    let reader = mail.reader;
    // Places up to which the reader has seen everything.
    let mut reached = 0;
    for session in sessions {
        let Some((_, first)) = session.seen.first() else { continue };
        let begins = *mail.places.get(first).unwrap_or_else(|| panic!("{reader}: {first} is gone"));
        let ends = begins + session.seen.len();
        assert_eq!(session.seen[..], mail.all[begins..ends.min(mail.all.len())], "{reader}: a stretch");
        assert!(begins <= reached, "{reader}: nothing is passed over between {reached} and {begins}");
        if READERS[reader].1 == Reader::Acking {
            judge_beginning(mail, session, begins);
        }
        figures.delivered += session.seen.len();
        figures.redelivered += reached.min(ends) - begins;
        reached = reached.max(ends);
    }
    assert_eq!(reached, mail.all.len(), "{reader}: all of it was seen");
    assert_eq!(mail.all.last().map(|(_, label)| label.as_str()), Some(END), "{reader}");
}

/// It begins after what was acknowledged: what the hub had confirmed, or something further that it was asked for.
fn judge_beginning(mail: &Mail, session: &Session, begins: usize) {
    let before = begins.checked_sub(1).map(|before| mail.all[before].0);
    let is_asked = || {
        let further = |asked: &Position| session.acked.is_none_or(|acked| asked.offset > acked.offset);
        session.asked.iter().any(|asked| further(asked) && Some(*asked) == before)
    };
    assert!(before == session.acked || is_asked(), "{}: after {before:?}, but {session:?}", mail.reader);
}
