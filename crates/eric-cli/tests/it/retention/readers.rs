//! Those who read: a stream from its beginning to its end, with everything that it told.

use std::pin::Pin;

use eric_client::{
    Ack, ChannelId, EndReason, Event, Events, Gap, HttpClient, ListenerId, Position, PullOptions, ReadFrom,
    Received, SubscribeOptions, WatchOptions,
};
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Mail;
use crate::hub::PATIENCE;

/// What a reader was told, in order.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Mail(Mail),
    Gap(Gap),
}

/// What one reader saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) told: Vec<Told>,
    pub(super) end: Option<EndReason>,
}

impl Seen {
    pub(super) fn mail(&self) -> Vec<Mail> {
        let mail = |told: &Told| match told {
            Told::Mail(mail) => Some(mail.clone()),
            Told::Gap(_) => None,
        };
        self.told.iter().filter_map(mail).collect()
    }

    pub(super) fn gaps(&self) -> Vec<Gap> {
        let gap = |told: &Told| match told {
            Told::Gap(gap) => Some(gap.clone()),
            Told::Mail(_) => None,
        };
        self.told.iter().filter_map(gap).collect()
    }

    /// Everything that was missed is covered by a gap, everything else came once and in order. Where `is_exact` the
    /// gaps count exactly what was missed. `expected` is all that there ever was for the reader.
    pub(super) fn judge(&self, expected: &[Mail], is_exact: bool) -> u64 {
        let mail = self.mail();
        let mut at = mail.iter().peekable();
        let mut missed: Vec<Position> = Vec::new();
        for (position, label) in expected {
            match at.next_if(|(came, _)| came == position) {
                Some((_, came)) => assert_eq!(came, label, "{position}"),
                None => missed.push(*position),
            }
        }
        assert_eq!(at.next(), None, "what came was published for the reader, came once and in order");
        let gaps = self.gaps();
        for position in &missed {
            let offset = position.offset;
            let is_told = gaps.iter().any(|gap| {
                gap.from.is_none_or(|from| from.offset < offset)
                    && gap.to.is_none_or(|to| offset <= to.offset)
            });
            assert!(is_told, "{position} was missed, and nobody said so: {gaps:?}");
        }
        let missed = missed.len() as u64;
        let told: u64 = gaps.iter().filter_map(|gap| gap.missed).sum();
        match gaps.iter().all(|gap| gap.missed.is_some()) {
            true if is_exact => assert_eq!(told, missed, "{gaps:?}"),
            true => assert!(told >= missed, "{missed} were missed: {gaps:?}"),
            false => assert!(!is_exact || told <= missed, "{missed} were missed: {gaps:?}"),
        }
        missed
    }
}

pub(super) fn mail(received: &Received) -> Mail {
    (received.id, received.value::<String>().expect("a label is a text"))
}

/// A stream that is read for as long as its hub and its listener are there.
pub(super) struct Reader {
    events: Pin<Box<Events>>,
    pub(super) seen: Seen,
    /// How many messages came; none before the stream is open.
    pub(super) count: watch::Sender<Option<usize>>,
}

impl Reader {
    pub(super) fn listen(
        client: &HttpClient,
        channel: &ChannelId,
        id: &ListenerId,
        ack: Ack,
        after: ReadFrom,
    ) -> Self {
        let options = SubscribeOptions { after, ack, ..SubscribeOptions::default() };
        Self::of(client.subscribe(channel, id, options))
    }

    pub(super) fn watch(client: &HttpClient, channel: &ChannelId, after: ReadFrom) -> Self {
        Self::of(client.watch(channel, WatchOptions { after, ..WatchOptions::default() }))
    }

    fn of(events: Events) -> Self {
        Self { events: Box::pin(events), seen: Seen::default(), count: watch::Sender::new(None) }
    }

    /// Reads until the stream is over, or a message has this label.
    pub(super) async fn until(mut self, last: &str) -> Seen {
        loop {
            let event =
                timeout(PATIENCE, self.events.next()).await.expect("a stream is never silent for long");
            match event.expect("a stream says how it ends").expect("the hub is there") {
                Event::Connected => drop(self.count.send_replace(Some(0))),
                Event::Message(received) => {
                    let mail = mail(&received);
                    let is_last = mail.1 == last;
                    self.seen.told.push(Told::Mail(mail));
                    self.count.send_modify(|count| *count = count.map(|count| count + 1));
                    if is_last {
                        return self.seen;
                    }
                }
                Event::Gap(gap) => self.seen.told.push(Told::Gap(gap)),
                Event::Ended(reason) => {
                    self.seen.end = Some(reason);
                    return self.seen;
                }
                event => panic!("after {:?}: {event:?}", self.seen),
            }
        }
    }
}

/// All that waits for a listener, pulled at once.
pub(super) async fn pull(client: &HttpClient, channel: &ChannelId, id: &ListenerId) -> (Vec<Mail>, Vec<Gap>) {
    let options = PullOptions { limit: Some(1_000), ..PullOptions::default() };
    let pulled = client.pull(channel, id, &options).await.expect("the hub is there");
    (pulled.messages.iter().map(mail).collect(), pulled.gaps)
}
