//! A hub that is killed again and again, in the middle of whatever it does: nothing that was answered is lost.
//!
//! One directory, one port. Publishers and readers live through all of it and go on as soon as there is a hub again. It
//! is killed once so many publishes were answered, or while it starts, also several times in a row; now and then it
//! is asked to end. In the end the mail of every reader is read from its beginning, and held against what was answered,
//! what was seen, and when.
//!
//! `ERIC_TEST_KILLS` is how often (20), `ERIC_TEST_SEED` draws the same again as far as the machine lets it.

mod judging;
mod publishing;
mod reading;
mod remaking;
mod stage;
mod unsynced;

use std::env;
use std::str::FromStr;

use eric_client::{HttpClient, SettingsPatch};
use fastrand::Rng;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::folder::Folder;
use crate::hub::{PATIENCE, Serving, serve};
use judging::{Mail, judge};
use publishing::{Attempt, Manner, Published, publish};
use reading::{END, READERS, Session, everything, read};
use remaking::remake;
use stage::{Life, NEWS, Progress, Stage, channel, listener};

/// Publishers of each manner.
const PUBLISHERS: usize = 2;
/// Publishes that a hub answers before it is killed, at most.
const ANSWERS_MAX: u64 = 150;

/// Who starts the hub, and ends it.
struct Director {
    stage: Stage,
    life: watch::Sender<Life>,
    rng: Rng,
    engine: String,
    ends: Ends,
}

/// How often the hub came to which end.
#[derive(Debug, Default)]
struct Ends {
    killed: usize,
    killed_starting: usize,
    terminated: usize,
}

impl Director {
    fn start(&self) -> Serving {
        let address = self.stage.address.to_string();
        Serving::start(serve(&["--listen", &address, "--engine", &self.engine, "--log-level", "info"]))
    }

    /// One life of the hub, from its start to its end.
    async fn cycle(&mut self) {
        let mut serving = self.start();
        if self.rng.u8(..4) == 0 {
            let lines = self.rng.usize(..4);
            serving.stderr_when(|said| said.len() >= lines).await;
            self.dither().await;
            serving.end_by(Signal::KILL).await;
            self.ends.killed_starting += 1;
            return;
        }
        let hub = serving.ready().await;
        let answers_max = self.rng.u64(..ANSWERS_MAX);
        self.expect_answers(answers_max);
        self.life.send_replace(Life::Here);
        if self.rng.bool() {
            // All are there when it is killed; a reader may take its time to come back.
            let readers = |progress: &Progress| progress.connected.len() == READERS.len();
            self.stage.far_enough(readers).await;
        }
        self.expect_answers(u64::MAX);
        let answers = self.rng.u64(..ANSWERS_MAX);
        self.stage.far_enough(|progress| progress.answered >= answers).await;
        self.dither().await;
        self.life.send_replace(Life::Away);
        self.stage.progress.send_modify(|progress| progress.connected.clear());
        if self.rng.u8(..8) == 0 {
            let ended = hub.terminate().await;
            assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
            self.ends.terminated += 1;
        } else {
            hub.kill().await;
            self.ends.killed += 1;
        }
    }

    /// Begins to count anew, up to so many.
    fn expect_answers(&self, answers_max: u64) {
        self.stage
            .progress
            .send_modify(|progress| (progress.answered, progress.answers_max) = (0, answers_max));
    }

    /// Lets the others go on for a little, and never for the same.
    async fn dither(&mut self) {
        for _ in 0..self.rng.u32(..500) {
            tokio::task::yield_now().await;
        }
    }
}

fn number<T: FromStr>(variable: &str, default: T) -> T {
    env::var(variable).ok().map_or(default, |value| value.parse().ok().expect("the variable is a number"))
}

/// Waits for everything that was spawned; the longest run has its reads still before it.
async fn all<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut results = Vec::new();
    for task in tasks {
        results
            .push(timeout(2 * PATIENCE, task).await.expect("it comes to its end").expect("it does not fail"));
    }
    results
}

#[tokio::test]
async fn nothing_that_was_answered_is_lost_doubled_or_reordered_by_kills() {
    let (cycles, seed) = (number("ERIC_TEST_KILLS", 20), number("ERIC_TEST_SEED", fastrand::u64(..)));
    println!("ERIC_TEST_SEED={seed}");
    let (folder, started) = (Folder::create(), Instant::now());
    let (stage, life) = Stage::new().await;
    let mut rng = Rng::with_seed(seed);
    let engine = format!("file:{}", folder.file("data"));
    let mut director =
        Director { stage: stage.clone(), life, rng: rng.fork(), engine, ends: Ends::default() };
    let hub = director.start().ready().await;
    set_up(&stage.client()).await;
    hub.kill().await;

    let mut publishers = Vec::new();
    for manner in Manner::ALL {
        for number in 0..PUBLISHERS {
            let name = format!("{manner:?}-{number}");
            publishers.push(tokio::spawn(publish(stage.clone(), manner, name, rng.u64(..))));
        }
    }
    let numbers = 0..READERS.len();
    let readers =
        numbers.clone().map(|number| tokio::spawn(read(stage.clone(), number, rng.u64(..)))).collect();
    let remaker = tokio::spawn(remake(stage.clone(), rng.u64(..)));
    for _ in 0..cycles {
        director.cycle().await;
    }

    let hub = director.start().ready().await;
    director.expect_answers(u64::MAX);
    director.life.send_replace(Life::Ending);
    let published: Vec<Published> = all(publishers).await;
    let generations = all(vec![remaker]).await[0];
    let mut end = Attempt::of(END);
    end.answer = Some(end.send(&stage.client()).await.expect("the hub is there").0);
    let read: Vec<Vec<Session>> = all(readers).await;
    let mut mail = Vec::new();
    for number in numbers {
        mail.push(Mail::new(number, everything(&stage, number).await));
    }
    assert_eq!(hub.terminate().await.status.code(), Some(0));

    let repetitions: u64 = published.iter().map(|published| published.repetitions).sum();
    let attempts: Vec<Attempt> =
        published.into_iter().flat_map(|published| published.attempts).chain([end]).collect();
    let figures = judge(&mail, &attempts, &read);
    let (ends, elapsed) = (director.ends, started.elapsed());
    println!(
        "{cycles} cycles in {elapsed:.1?}, {ends:?}, {figures:?}, repetitions: {repetitions}, generations: {generations}"
    );
}

async fn set_up(client: &HttpClient) {
    let news = channel(NEWS);
    // Whoever resumes goes back beyond what its kernel had taken, and nothing is let go meanwhile.
    let settings = SettingsPatch {
        retry_ms: Some(100),
        max_messages: Some(10_000_000),
        history: Some(10_000_000),
        max_unread_per_listener: Some(10_000_000),
        ..SettingsPatch::default()
    };
    client.ensure_channel(&news, &settings).await.expect("it is made");
    for name in READERS.iter().filter_map(|(name, _)| *name) {
        client.ensure_listener(&news, &listener(name)).await.expect("it is added");
    }
}
