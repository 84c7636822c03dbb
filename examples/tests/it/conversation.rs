//! Two processes that talk over a third, killed with SIGKILL in the middle of it, again and again: in the end every
//! question has its answer, and nothing was done twice without a kill that explains it.
//!
//! `ERIC_TEST_KILLS` says how many kills of the two, `ERIC_TEST_SEED` which; it is printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use eric_client::{HttpClient, SettingsPatch};
use eric_sse::SystemClock;
use eric_sse::persist::KvStore as _;
use eric_store::{Store, StoreSettings};
use fastrand::Rng;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::program::example;

/// Longer than any one step takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest time from an answer to the kill, unless the next answer comes before: about a question.
const MOMENT_MICROS: u64 = 8_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Http,
    Socket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Alice,
    Bob,
    Both,
    Hub,
}

/// What is seen of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Alice did something, and has yet to record it.
    Effect,
    /// Bob recorded an answer, and has yet to say that he handled it.
    Answer,
    /// Bob has every answer.
    Done,
}

/// A process, killed when dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::from(example(name));
        let mut child = command.args(arguments).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Ends it in the middle of whatever it does, and returns what it had printed.
    async fn kill(&mut self) -> Vec<String> {
        self.child.kill().await.unwrap();
        let mut printed = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            printed.push(line);
        }
        printed
    }
}

struct Stage {
    folder: tempfile::TempDir,
    door: Door,
    address: String,
    numbers: u64,
    hub: Process,
    alice: Process,
    bob: Process,
    /// What bob printed, in all his lives.
    printed: Vec<String>,
    seen_at: Instant,
    longest_wait: Duration,
}

impl Stage {
    async fn set(door: Door, numbers: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (hub, address) = start_hub(folder.path(), "127.0.0.1:0").await;
        let http = HttpClient::new(&format!("http://{address}")).unwrap();
        let talk = "talk".parse().unwrap();
        // Whoever lost the hub comes back soon.
        let settings = SettingsPatch { retry_ms: Some(100), ..SettingsPatch::default() };
        http.ensure_channel(&talk, &settings).await.unwrap();
        for listener in ["alice", "bob"] {
            http.ensure_listener(&talk, &listener.parse().unwrap()).await.unwrap();
        }
        let start = |name| start(folder.path(), door, &address, name, numbers);
        let (alice, bob) = (start("alice"), start("bob"));
        let (printed, seen_at, longest_wait) = (Vec::new(), Instant::now(), Duration::ZERO);
        Self { folder, door, address, numbers, hub, alice, bob, printed, seen_at, longest_wait }
    }

    fn start(&self, name: &str) -> Process {
        start(self.folder.path(), self.door, &self.address, name, self.numbers)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The next thing that is seen. Who cannot reach the hub gives up, and is started again, as a supervisor does.
    async fn next(&mut self) -> Seen {
        loop {
            tokio::select! {
                line = self.bob.lines.next_line() => match line.unwrap() {
                    Some(line) => {
                        self.printed.push(line);
                        self.longest_wait = self.longest_wait.max(self.seen_at.elapsed());
                        self.seen_at = Instant::now();
                        return Seen::Answer;
                    }
                    None if self.bob.child.wait().await.unwrap().success() => return Seen::Done,
                    None => self.bob = self.start("bob"),
                },
                line = self.alice.lines.next_line() => match line.unwrap() {
                    Some(_) => return Seen::Effect,
                    None => {
                        assert!(!self.alice.child.wait().await.unwrap().success(), "alice never stops");
                        self.alice = self.start("alice");
                    }
                },
            }
        }
    }

    /// Waits for the next of this kind.
    async fn until(&mut self, wanted: Seen) {
        let waiting = async {
            loop {
                match self.next().await {
                    seen if seen == wanted => return,
                    Seen::Done => panic!("there are questions left"),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("no {wanted:?}"));
    }

    async fn kill(&mut self, victim: Victim) {
        if matches!(victim, Victim::Alice | Victim::Both) {
            self.alice.kill().await;
        }
        if matches!(victim, Victim::Bob | Victim::Both) {
            let printed = self.bob.kill().await;
            self.printed.extend(printed);
            self.bob = self.start("bob");
        }
        if matches!(victim, Victim::Alice | Victim::Both) {
            self.alice = self.start("alice");
        }
        if victim == Victim::Hub {
            self.hub.kill().await;
            (self.hub, _) = start_hub(self.folder.path(), &self.address).await;
        }
    }
}

async fn start_hub(folder: &Path, listen: &str) -> (Process, String) {
    let path = |name| folder.join(name).to_str().unwrap().to_owned();
    let mut hub = Process::start("hub", &[listen, &path("eric.sock"), &path("hub")]);
    let ready = timeout(PATIENCE, hub.lines.next_line()).await.expect("it starts").unwrap().unwrap();
    let address = ready.strip_prefix("ready http=").expect("the ready line").to_owned();
    (hub, address)
}

fn start(folder: &Path, door: Door, address: &str, name: &str, numbers: u64) -> Process {
    let path = |name| folder.join(name).to_str().unwrap().to_owned();
    let hub = match door {
        Door::Http => format!("http://{address}"),
        Door::Socket => path("eric.sock"),
    };
    Process::start("conversation", &[name, &hub, &path(name), &numbers.to_string()])
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Bob's records: the numbers, and the answers.
async fn answers(folder: &Path) -> Vec<(u64, u64)> {
    let store = Store::open(folder, StoreSettings::default(), Arc::new(SystemClock)).unwrap();
    let mut answers: Vec<(u64, u64)> = Vec::new();
    let mut after = None;
    loop {
        let page = store.fetch_by_prefix("answer/", after.as_deref(), 1_000).await.unwrap();
        let Some((last, _)) = page.last().cloned() else { return answers };
        after = Some(last);
        answers.extend(page.iter().map(|(key, value)| {
            let number = key.strip_prefix("answer/").unwrap().parse().unwrap();
            (number, std::str::from_utf8(value).unwrap().parse().unwrap())
        }));
    }
}

/// A conversation with kills of the two, and for so many of them one of the hub.
async fn survives(door: Door, kills_per_hub_kill: Option<u64>) {
    let (kills, seed) = (number("ERIC_TEST_KILLS", 20), number("ERIC_TEST_SEED", fastrand::u64(..)));
    println!("ERIC_TEST_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let victims = [Victim::Alice, Victim::Bob, Victim::Both];
    let mut victims: Vec<Victim> = (0..kills as usize).map(|kill| victims[kill % 3]).collect();
    let hub_kills = kills_per_hub_kill.map_or(0, |per| kills / per);
    victims.extend((0..hub_kills).map(|_| Victim::Hub));
    rng.shuffle(&mut victims);
    let (most_lines, started_at) = (6, Instant::now());
    let numbers = 2 * most_lines * victims.len() as u64;
    let mut stage = Stage::set(door, numbers).await;
    for victim in &victims {
        for _ in 0..rng.u64(0..most_lines) {
            stage.until(Seen::Answer).await;
        }
        match rng.u8(0..3) {
            // Anywhere between two answers, between an effect and its record, between an answer's record and its end.
            0 => {
                let moment = Duration::from_micros(rng.u64(0..MOMENT_MICROS));
                let _ = timeout(moment, stage.until(Seen::Answer)).await;
            }
            1 => stage.until(Seen::Effect).await,
            _ => stage.until(Seen::Answer).await,
        }
        stage.kill(*victim).await;
    }
    stage.until(Seen::Done).await;
    stage.alice.kill().await;

    let expected: Vec<(u64, u64)> = (1..=numbers).map(|number| (number, 2 * number)).collect();
    let mut answers = answers(&stage.path("bob")).await;
    answers.sort_unstable();
    assert_eq!(answers, expected, "every question is answered, and right");
    let printed: BTreeSet<&str> = stage.printed.iter().map(String::as_str).collect();
    let lines: Vec<String> = expected.iter().map(|(number, double)| format!("{number} {double}")).collect();
    assert_eq!(printed, lines.iter().map(String::as_str).collect(), "and was printed");
    let effects = fs::read_to_string(stage.path("alice").join("effects")).unwrap();
    let done: BTreeSet<u64> = effects.lines().map(|line| line.parse().unwrap()).collect();
    assert!(done.iter().copied().eq(1..=numbers), "every question has had its effect");
    let repeated = effects.lines().count() - done.len();
    let killed = |wanted: &[Victim]| victims.iter().filter(|victim| wanted.contains(victim)).count();
    let alice_kills = killed(&[Victim::Alice, Victim::Both]);
    assert!(repeated <= alice_kills, "{repeated} effects were repeated by {alice_kills} kills");
    println!(
        "{door:?}: {numbers} questions, {alice_kills} kills of alice, {} of bob, {hub_kills} of the hub; {repeated} \
         effects repeated, {} answers printed again; {:?}, at most {:?} for an answer",
        killed(&[Victim::Bob, Victim::Both]),
        stage.printed.len() - printed.len(),
        started_at.elapsed(),
        stage.longest_wait,
    );
}

#[tokio::test]
async fn a_conversation_over_http_survives_the_death_of_both() {
    survives(Door::Http, None).await;
}

#[tokio::test]
async fn a_conversation_over_the_socket_survives_the_death_of_both() {
    survives(Door::Socket, None).await;
}

#[tokio::test]
async fn a_conversation_over_http_survives_the_death_of_the_hub_too() {
    survives(Door::Http, Some(4)).await;
}

#[tokio::test]
async fn a_conversation_over_the_socket_survives_the_death_of_the_hub_too() {
    survives(Door::Socket, Some(4)).await;
}
