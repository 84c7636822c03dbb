//! What is removed and made again under the same id, while publishers and streams go on: nobody gets a predecessor's
//! mail, whatever position it brings along, also where the hub was killed in between.
//!
//! `ERIC_TEST_ROUNDS` is how often (50 of either kind).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use eric_client::{Ack, Code, EndReason, GapReason, HttpClient, Overflow, Position, ReadFrom, SettingsPatch};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::readers::{Reader, Seen};
use super::{Stage, channel, labelled, listener, number};
use crate::hub::PATIENCE;

/// Publishers that never stop.
const PUBLISHERS: usize = 2;
/// Watchers of a channel.
const WATCHERS: usize = 3;
/// Messages that a stream has seen when its listener or channel goes.
const SEEN: usize = 12;

/// What is removed and made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remade {
    Channel,
    Listener,
}

/// What everybody in a run shares.
struct Run {
    /// Generation g lives at 2 g; at 2 g + 1 it is being removed and the next one made.
    phase: AtomicU64,
    is_over: AtomicBool,
    /// The client of the hub that runs; another one after every restart.
    client: watch::Sender<HttpClient>,
}

/// A message that was taken.
#[derive(Debug)]
struct Taken {
    position: Position,
    label: String,
    /// The phases in which it was asked for and answered.
    asked: u64,
    answered: u64,
}

/// A generation's streams.
struct Streams {
    readers: Vec<JoinHandle<Seen>>,
    counts: Vec<watch::Receiver<Option<usize>>>,
}

impl Streams {
    fn open(client: &HttpClient, remade: Remade, after: ReadFrom, ack: Ack) -> Self {
        let (news, guest) = (channel("passing"), listener("guest"));
        let mut readers = vec![Reader::listen(client, &news, &guest, ack, after)];
        if remade == Remade::Channel {
            readers.extend((0..WATCHERS).map(|_| Reader::watch(client, &news, after)));
        }
        let counts = readers.iter().map(|reader| reader.count.subscribe()).collect();
        let read = |reader: Reader| tokio::spawn(async move { reader.until("").await });
        Self { readers: readers.into_iter().map(read).collect(), counts }
    }

    /// Waits until each of them has seen so many messages.
    async fn have_seen(&mut self, messages: usize) {
        for count in &mut self.counts {
            let enough = count.wait_for(|count| count.is_some_and(|count| count >= messages));
            timeout(PATIENCE, enough).await.expect("they get something").expect("they read");
        }
    }

    /// Waits for their end, and returns what they saw, the listener's first.
    async fn removed(self) -> Vec<Seen> {
        let mut all = Vec::new();
        for reader in self.readers {
            let seen = timeout(PATIENCE, reader).await.expect("a stream ends with its listener").unwrap();
            assert_eq!(seen.end, Some(EndReason::Removed), "{:?}", seen.told.last());
            all.push(seen);
        }
        all
    }
}

impl Run {
    fn phase(&self) -> u64 {
        self.phase.load(Ordering::SeqCst)
    }

    fn next_phase(&self) {
        self.phase.fetch_add(1, Ordering::SeqCst);
    }

    /// Publishes until the run is over, whatever is there to publish to.
    async fn publish(self: Arc<Self>, publisher: usize) -> Vec<Taken> {
        let (news, guest) = (channel("passing"), listener("guest"));
        let mut clients = self.client.subscribe();
        let mut all = Vec::new();
        for n in 0_u64.. {
            if self.is_over.load(Ordering::SeqCst) {
                break;
            }
            let client = clients.borrow_and_update().clone();
            let kind = if n.is_multiple_of(2) { "broadcast" } else { "dispatch" };
            let label = format!("{kind}/{publisher}/{n}");
            let asked = self.phase();
            let taken = match n % 2 {
                0 => client.broadcast(&news, labelled(&label)).await,
                _ => client.dispatch(&news, &guest, labelled(&label)).await,
            };
            match taken {
                Ok(taken) => {
                    let answered = self.phase();
                    all.push(Taken { position: taken.id, label, asked, answered });
                }
                Err(error) if matches!(error.code(), Some(Code::UnknownChannel | Code::UnknownListener)) => {}
                // The hub is away: what became of the message is not known, and nobody will miss it.
                Err(error) => {
                    assert!(error.is_temporary(), "{error}");
                    timeout(PATIENCE, clients.changed())
                        .await
                        .expect("it comes back")
                        .expect("the run goes on");
                }
            }
        }
        all
    }
}

/// What one stream of generation `generation` saw is that generation's, and all of it.
fn judge(seen: &Seen, generation: u64, is_listener: bool, is_whole: bool, taken: &[Taken]) {
    let mail = seen.mail();
    for pair in mail.windows(2) {
        assert!(pair[0].0.offset < pair[1].0.offset, "generation {generation}: {pair:?}");
    }
    for (position, label) in &mail {
        // One that was not answered before the hub was killed is not known.
        let Ok(known) = taken.binary_search_by_key(&position.offset, |taken| taken.position.offset) else {
            continue;
        };
        let known = &taken[known];
        assert_eq!(known.label, *label);
        assert!(
            known.answered > 2 * generation.saturating_sub(1) || generation == 0,
            "generation {generation} got mail of its predecessor: {known:?}"
        );
        assert!(
            known.asked <= 2 * generation + 1,
            "generation {generation} got mail of its successor: {known:?}"
        );
        assert!(is_listener || label.starts_with("broadcast/"), "a watcher got {known:?}");
    }
    // Everything that was asked for and answered while it lived, up to the last that came.
    let (Some((first, _)), Some((last, _))) = (mail.first(), mail.last()) else { return };
    let is_due = |taken: &&Taken| {
        (taken.asked, taken.answered) == (2 * generation, 2 * generation)
            && (is_listener || taken.label.starts_with("broadcast/"))
            && (is_whole || taken.position.offset > first.offset)
            && taken.position.offset <= last.offset
    };
    for due in taken.iter().filter(is_due) {
        let came = mail.binary_search_by_key(&due.position.offset, |(position, _)| position.offset);
        assert!(came.is_ok(), "generation {generation} did not get {due:?}");
    }
}

/// Says what there was to see.
async fn nobody_gets_a_predecessors_mail(mut stage: Stage, remade: Remade) -> String {
    let rounds: u64 = number("ERIC_TEST_ROUNDS", 50);
    let (news, guest) = (channel("passing"), listener("guest"));
    let settings = SettingsPatch { overflow: Some(Overflow::DropOldest), ..SettingsPatch::default() };
    stage.client.ensure_channel(&news, &settings).await.unwrap();
    stage.client.ensure_listener(&news, &guest).await.unwrap();
    let run = Arc::new(Run {
        phase: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        client: watch::Sender::new(stage.client.clone()),
    });
    let publishers: Vec<_> = (0..PUBLISHERS).map(|n| tokio::spawn(run.clone().publish(n))).collect();
    let mut streams = Streams::open(&stage.client, remade, ReadFrom::Cursor, Ack::Auto);
    let (mut all, mut starts) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        streams.have_seen(SEEN).await;
        run.next_phase();
        match remade {
            Remade::Channel => stage.client.remove_channel(&news).await.unwrap(),
            Remade::Listener => stage.client.remove_listener(&news, &guest).await.unwrap(),
        }
        let seen = streams.removed().await;
        let old = seen[0].mail().last().expect("it saw something").0;
        all.push(seen);
        let dies = stage.is_on_disk() && round % 5 == 4;
        if dies && round % 2 == 0 {
            stage = restart(stage, &run).await;
        }
        let (_, is_new) = stage.client.ensure_channel(&news, &settings).await.unwrap();
        assert_eq!(is_new, remade == Remade::Channel);
        assert!(stage.client.ensure_listener(&news, &guest).await.unwrap(), "it is another one");
        if dies && round % 2 == 1 {
            stage = restart(stage, &run).await;
        }
        run.next_phase();
        // With nothing, from the earliest, and with the last position that its predecessor saw.
        let after = [ReadFrom::Cursor, ReadFrom::Earliest, ReadFrom::After(old)][(round % 3) as usize];
        let ack = if round % 2 == 0 { Ack::Auto } else { Ack::Manual };
        streams = Streams::open(&stage.client, remade, after, ack);
        starts.push(after);
    }
    streams.have_seen(SEEN).await;
    run.is_over.store(true, Ordering::SeqCst);
    run.client.send_replace(stage.client.clone());
    let mut taken = Vec::new();
    for publisher in publishers {
        taken.extend(timeout(PATIENCE, publisher).await.expect("it comes to its end").unwrap());
    }
    run.next_phase();
    stage.client.remove_channel(&news).await.unwrap();
    all.push(streams.removed().await);

    taken.sort_unstable_by_key(|taken| taken.position.offset);
    let mut told = 0;
    for (generation, seen) in all.iter().enumerate() {
        let after = generation.checked_sub(1).map_or(ReadFrom::Cursor, |before| starts[before]);
        for (reader, seen) in seen.iter().enumerate() {
            // A watcher without a position begins wherever the channel is by then.
            let is_whole = reader == 0 || matches!(after, ReadFrom::Earliest | ReadFrom::After(_));
            judge(seen, generation as u64, reader == 0, is_whole && generation > 0, &taken);
            for gap in seen.gaps() {
                // What its predecessor's position leaves out is what was there before it joined, and nothing else.
                let is_after = matches!(after, ReadFrom::After(_));
                assert_eq!((&gap.reason, is_after, reader), (&GapReason::BeforeJoin, true, 0), "{gap:?}");
                let first = seen.mail()[0].0;
                assert!(
                    gap.missed.is_some_and(|missed| missed > 0)
                        && gap.to.is_some_and(|to| to.offset < first.offset),
                    "{gap:?}"
                );
                told += 1;
            }
        }
    }
    let seen: usize = all.iter().flatten().map(|seen| seen.told.len()).sum();
    format!("{rounds} rounds, {} messages taken, {seen} seen, {told} told of what was before", taken.len())
}

async fn restart(stage: Stage, run: &Run) -> Stage {
    let stage = stage.killed().await;
    run.client.send_replace(stage.client.clone());
    stage
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_made_again_has_no_predecessor_in_memory() {
    println!("{}", nobody_gets_a_predecessors_mail(Stage::in_memory().await, Remade::Channel).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_made_again_has_no_predecessor_on_a_disk() {
    println!("{}", nobody_gets_a_predecessors_mail(Stage::on_disk().await, Remade::Channel).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_made_again_has_no_predecessor_in_memory() {
    println!("{}", nobody_gets_a_predecessors_mail(Stage::in_memory().await, Remade::Listener).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_made_again_has_no_predecessor_on_a_disk() {
    println!("{}", nobody_gets_a_predecessors_mail(Stage::on_disk().await, Remade::Listener).await);
}

/// Every stream of a channel that is removed is told so, and ends, however many there are.
async fn all_streams_end_with_their_channel(stage: Stage) {
    let (news, streams) = (channel("news"), number("ERIC_TEST_LISTENERS", 1_000));
    stage.client.ensure_channel(&news, &SettingsPatch::default()).await.unwrap();
    let mut all = Vec::new();
    for n in 0..streams {
        let id = listener(&format!("listener-{n}"));
        let reader = match n % 2 {
            0 => Reader::watch(&stage.client, &news, ReadFrom::Cursor),
            _ => {
                stage.client.ensure_listener(&news, &id).await.unwrap();
                Reader::listen(&stage.client, &news, &id, Ack::Auto, ReadFrom::Cursor)
            }
        };
        let mut count = reader.count.subscribe();
        all.push(tokio::spawn(async move { reader.until("").await }));
        let open = count.wait_for(Option::is_some);
        timeout(PATIENCE, open).await.expect("it is opened").expect("it is read");
    }
    let channel = stage.client.channel(&news).await.unwrap();
    assert_eq!(channel.connected, streams / 2);
    let taken = stage.client.broadcast(&news, labelled("one")).await.unwrap().id;
    stage.client.remove_channel(&news).await.unwrap();
    for reader in all {
        let seen = timeout(PATIENCE, reader).await.expect("it ends").unwrap();
        assert_eq!(seen.end, Some(EndReason::Removed));
        // What was broadcast before may be overtaken by the end, and is never something else.
        assert!([vec![], vec![(taken, "one".to_owned())]].contains(&seen.mail()), "{:?}", seen.told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_streams_end_with_their_channel_in_memory() {
    all_streams_end_with_their_channel(Stage::in_memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_streams_end_with_their_channel_on_a_disk() {
    all_streams_end_with_their_channel(Stage::on_disk().await).await;
}
