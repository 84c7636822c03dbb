//! Settings that change under load: every listener gets all that they allow, and what it does not get it is told of.
//!
//! `ERIC_TEST_ROUNDS` is how often they change (50), `ERIC_TEST_SEED` draws the same changes again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eric_client::{
    Ack, ChannelId, Code, HttpClient, ListenerId, Overflow, PullOptions, ReadFrom, SettingsPatch,
};
use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::readers::{Reader, Seen, Told, mail};
use super::{Mail, Stage, channel, labelled, listener, number, sorted};
use crate::hub::PATIENCE;

/// Who listens: on a stream that lives through all of it, by pulling and acknowledging, and not at all until the end.
const LISTENERS: [&str; 3] = ["streaming", "pulling", "away"];
/// Publishes between two changes.
const BETWEEN: u64 = 60;
/// Bytes of a message, about.
const MESSAGE_BYTES: u64 = 20;

struct Run {
    client: HttpClient,
    news: ChannelId,
    is_over: AtomicBool,
    /// How often something was published or refused.
    published: watch::Sender<u64>,
}

/// What one publisher got taken: for everybody, and for each listener.
#[derive(Debug, Default)]
struct Published {
    broadcasts: Vec<Mail>,
    own: [Vec<Mail>; LISTENERS.len()],
    refused: usize,
}

/// Room for everything.
fn roomy() -> SettingsPatch {
    SettingsPatch {
        max_messages: Some(1_000_000),
        max_bytes: Some(1 << 26),
        max_age_s: Some(1_000_000),
        history: Some(1_000),
        max_unread_per_listener: Some(1_000_000),
        max_unread_bytes_per_listener: Some(1 << 26),
        overflow: Some(Overflow::DropOldest),
        ..SettingsPatch::default()
    }
}

/// A change of one setting, narrower or wider than what is kept by then.
fn draw(rng: &mut Rng) -> SettingsPatch {
    let mut patch = SettingsPatch::default();
    match rng.u8(..8) {
        0 => patch.max_messages = Some(rng.u64(1..60)),
        1 => patch.max_bytes = Some(rng.u64(MESSAGE_BYTES..60 * MESSAGE_BYTES)),
        2 => patch.max_age_s = Some(rng.u64(1..3)),
        3 => patch.history = Some(rng.u64(..30)),
        4 => patch.max_unread_per_listener = Some(rng.u64(1..30)),
        5 => patch.max_unread_bytes_per_listener = Some(rng.u64(MESSAGE_BYTES..30 * MESSAGE_BYTES)),
        6 => {
            patch.overflow =
                Some(*rng.choice(&[Overflow::DropOldest, Overflow::Reject]).expect("there are two"))
        }
        _ => patch = SettingsPatch { overflow: None, ..roomy() },
    }
    patch
}

impl Run {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    async fn publish(self: Arc<Self>, name: String, mut rng: Rng) -> Published {
        let mut published = Published::default();
        for n in 0_u32.. {
            if self.is_over() {
                break;
            }
            let label = format!("{name}-{n:06}");
            let to = rng.bool().then(|| rng.usize(..LISTENERS.len()));
            let taken = match to {
                None => self.client.broadcast(&self.news, labelled(&label)).await,
                Some(to) => {
                    self.client.dispatch(&self.news, &listener(LISTENERS[to]), labelled(&label)).await
                }
            };
            match (taken, to) {
                (Ok(taken), None) => published.broadcasts.push((taken.id, label)),
                (Ok(taken), Some(to)) => published.own[to].push((taken.id, label)),
                (Err(error), _) => {
                    assert_eq!(error.code(), Some(Code::LimitExceeded), "{error}");
                    published.refused += 1;
                }
            }
            self.published.send_modify(|count| *count += 1);
        }
        published
    }

    /// Pulls a few, acknowledges the last of them, until there are none after the end.
    async fn pull(self: Arc<Self>, id: ListenerId, mut rng: Rng) -> Seen {
        let mut seen = Seen::default();
        loop {
            let was_over = self.is_over();
            let options = PullOptions { limit: Some(rng.usize(1..20)), ..PullOptions::default() };
            let pulled = self.client.pull(&self.news, &id, &options).await.expect("the hub is there");
            seen.told.extend(pulled.gaps.into_iter().map(Told::Gap));
            seen.told.extend(pulled.messages.iter().map(mail).map(Told::Mail));
            match pulled.messages.last() {
                Some(last) => self.client.ack(&self.news, &id, last.id).await.expect("it was shown"),
                None if was_over => return seen,
                None => {}
            }
        }
    }
}

/// Says what there was to see.
async fn settings_are_kept_under_load(stage: Stage, seed: u64) -> String {
    let rounds = number("ERIC_TEST_ROUNDS", 50);
    let mut rng = Rng::with_seed(seed);
    let news = channel("news");
    stage.client.ensure_channel(&news, &roomy()).await.unwrap();
    for name in LISTENERS {
        stage.client.ensure_listener(&news, &listener(name)).await.unwrap();
    }
    let run = Arc::new(Run {
        client: stage.client.clone(),
        news: news.clone(),
        is_over: AtomicBool::new(false),
        published: watch::Sender::new(0),
    });
    let reader = Reader::listen(&stage.client, &news, &listener(LISTENERS[0]), Ack::Auto, ReadFrom::Cursor);
    let streaming = tokio::spawn(async move { reader.until("end").await });
    let publishers: Vec<JoinHandle<Published>> =
        ["a", "b"].map(|name| tokio::spawn(run.clone().publish(name.to_owned(), rng.fork()))).into();
    let pulling = tokio::spawn(run.clone().pull(listener(LISTENERS[1]), rng.fork()));

    let mut published = run.published.subscribe();
    for round in 1..=rounds {
        let patch = draw(&mut rng);
        let (channel, is_new) = stage.client.ensure_channel(&news, &patch).await.unwrap();
        assert!(!is_new);
        // In force at once, whatever is on its way.
        let now = stage.client.channel(&news).await.unwrap();
        for (limit, kept) in [("max_messages", now.messages), ("max_bytes", now.bytes)] {
            let max = channel.settings[limit].as_u64().unwrap();
            assert!(kept <= max, "{kept} are kept, {limit}={max}");
        }
        let enough = published.wait_for(|count| *count >= BETWEEN * round);
        timeout(PATIENCE, enough).await.expect("publishers are answered").unwrap();
    }

    // With room again everybody gets everything.
    stage.client.ensure_channel(&news, &roomy()).await.unwrap();
    run.is_over.store(true, Ordering::SeqCst);
    let mut all = Published::default();
    for publisher in publishers {
        let of_one = timeout(PATIENCE, publisher).await.expect("it comes to its end").unwrap();
        all.broadcasts.extend(of_one.broadcasts);
        all.refused += of_one.refused;
        for (all, of_one) in all.own.iter_mut().zip(of_one.own) {
            all.extend(of_one);
        }
    }
    let pulled = timeout(PATIENCE, pulling).await.expect("it comes to its end").unwrap();
    let mut last = Vec::new();
    for n in 0..20 {
        let label = if n == 19 { "end".to_owned() } else { format!("last-{n:02}") };
        last.push((stage.client.broadcast(&news, labelled(&label)).await.unwrap().id, label));
    }
    let streamed = timeout(PATIENCE, streaming).await.expect("it comes to its end").unwrap();
    // What was missed is known after a kill as well.
    let stage = if stage.is_on_disk() { stage.killed().await } else { stage };
    let reader = Reader::listen(&stage.client, &news, &listener(LISTENERS[2]), Ack::Auto, ReadFrom::Cursor);
    let returned = reader.until("end").await;

    let expected = |index: usize, with_last: bool| {
        let last = if with_last { &last[..] } else { &[] };
        sorted(all.broadcasts.iter().chain(&all.own[index]).chain(last).cloned().collect())
    };
    for seen in [&streamed, &returned] {
        let mail = seen.mail();
        assert_eq!(mail[mail.len() - last.len()..], last, "what was published when there was room");
    }
    let missed = [
        streamed.judge(&expected(0, true), true),
        pulled.judge(&expected(1, false), false),
        returned.judge(&expected(2, true), true),
    ];
    // Whoever was away has one gap, and is told its size.
    let gaps = returned.gaps();
    assert!(
        gaps.len() == usize::from(missed[2] > 0) && gaps.iter().all(|gap| gap.missed.is_some()),
        "{gaps:?}"
    );
    let taken = all.broadcasts.len() + all.own.iter().map(Vec::len).sum::<usize>();
    format!("{rounds} changes, {taken} messages taken, {} refused, {missed:?} missed", all.refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_change_under_load_lose_nothing_beyond_what_they_say_in_memory() {
    let seed = number("ERIC_TEST_SEED", fastrand::u64(..));
    println!("ERIC_TEST_SEED={seed}");
    println!("{}", settings_are_kept_under_load(Stage::in_memory().await, seed).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_change_under_load_lose_nothing_beyond_what_they_say_on_a_disk() {
    let seed = number("ERIC_TEST_SEED", fastrand::u64(..));
    println!("ERIC_TEST_SEED={seed}");
    println!("{}", settings_are_kept_under_load(Stage::on_disk().await, seed).await);
}

/// A smaller limit lets go of what is over it at once, whatever is to happen to new messages, and nothing more.
async fn shrinking_is_exact(stage: Stage) {
    let (news, bob) = (channel("news"), listener("bob"));
    stage
        .client
        .ensure_channel(&news, &SettingsPatch { overflow: Some(Overflow::Reject), ..roomy() })
        .await
        .unwrap();
    stage.client.ensure_listener(&news, &bob).await.unwrap();
    let mut sent: Vec<Mail> = Vec::new();
    for n in 0..10 {
        let label = format!("mail-{n:02}");
        sent.push((stage.client.broadcast(&news, labelled(&label)).await.unwrap().id, label));
    }
    // Each message has ten bytes. Exactly at what is kept nothing goes.
    for (patch, kept) in [
        (SettingsPatch { max_messages: Some(10), max_bytes: Some(100), ..SettingsPatch::default() }, 10),
        (SettingsPatch { max_messages: Some(9), ..SettingsPatch::default() }, 9),
        (SettingsPatch { max_bytes: Some(80), ..SettingsPatch::default() }, 8),
        (SettingsPatch { max_bytes: Some(79), ..SettingsPatch::default() }, 7),
        (SettingsPatch { max_messages: Some(100), max_bytes: Some(70), ..SettingsPatch::default() }, 7),
    ] {
        stage.client.ensure_channel(&news, &patch).await.unwrap();
        assert_eq!(stage.client.channel(&news).await.unwrap().messages, kept, "{patch:?}");
        let (mail, gaps) = super::readers::pull(&stage.client, &news, &bob).await;
        let missed = 10 - kept;
        assert_eq!(mail, sent[missed as usize..], "{patch:?}");
        let told: Vec<Option<u64>> = gaps.iter().map(|gap| gap.missed).collect();
        assert_eq!(told, (missed > 0).then_some(Some(missed)).as_slice(), "{patch:?}");
    }
    let error = stage.client.broadcast(&news, labelled("one more")).await.unwrap_err();
    assert_eq!((error.status(), error.limit()), (Some(429), Some("max_bytes")));
    // Once it is too old everything goes, also what was to be refused rather than dropped.
    let patch = SettingsPatch { max_age_s: Some(1), ..SettingsPatch::default() };
    stage.client.ensure_channel(&news, &patch).await.unwrap();
    let begin = Instant::now();
    while stage.client.channel(&news).await.unwrap().messages > 0 {
        assert!(begin.elapsed() < PATIENCE, "a second passes");
        tokio::task::yield_now().await;
    }
    let (mail, gaps) = super::readers::pull(&stage.client, &news, &bob).await;
    assert_eq!((mail.len(), gaps.len(), gaps[0].missed), (0, 1, Some(10)));
}

#[tokio::test]
async fn a_limit_that_shrinks_lets_go_of_exactly_what_is_over_it_in_memory() {
    shrinking_is_exact(Stage::in_memory().await).await;
}

#[tokio::test]
async fn a_limit_that_shrinks_lets_go_of_exactly_what_is_over_it_on_a_disk() {
    shrinking_is_exact(Stage::on_disk().await).await;
}
