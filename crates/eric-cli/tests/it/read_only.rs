//! A disk that takes nothing any more while the hub runs: it says so, keeps nothing that it could not keep, and gives
//! what it has.

use std::path::Path;
use std::pin::Pin;

use eric_client::{
    Ack, ChannelId, Code, Error, ErrorKind, Event, Events, HttpClient, ListenerId, Message, Position,
    ReadFrom, RetryPolicy, SubscribeOptions, WatchOptions,
};
use futures_util::StreamExt as _;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::process::Command;
use tokio::time::timeout;

use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE, Serving, serve};
use crate::small_disk::SmallDisk;

const PAYLOAD_BYTES: usize = 60_000;

/// A channel with a listener, and what was acknowledged.
struct Bench {
    hub: Hub,
    client: HttpClient,
    news: ChannelId,
    bob: ListenerId,
    carol: ListenerId,
    acknowledged: Vec<(Position, String)>,
}

impl Bench {
    async fn start(command: Command) -> Self {
        let hub = Serving::start(command).ready().await;
        let client = HttpClient::new(&hub.url()).unwrap().with_retry(RetryPolicy::never());
        let news = "news".parse().unwrap();
        let (bob, carol) = ("bob".parse().unwrap(), "carol".parse().unwrap());
        Self { hub, client, news, bob, carol, acknowledged: Vec::new() }
    }

    async fn set_up(&mut self) {
        self.client.ensure_channel(&self.news, &Default::default()).await.unwrap();
        for listener in [&self.bob, &self.carol] {
            self.client.ensure_listener(&self.news, listener).await.unwrap();
        }
        for _ in 0..10 {
            self.publish().await.unwrap();
        }
    }

    async fn publish(&mut self) -> Result<(), Error> {
        let payload = format!("{} {}", self.acknowledged.len(), "x".repeat(PAYLOAD_BYTES));
        let taken = self.client.broadcast(&self.news, Message::of("t", &payload).unwrap()).await?;
        self.acknowledged.push((taken.id, payload));
        Ok(())
    }

    /// Publishes until the hub refuses, which says why.
    async fn publish_until_refused(&mut self) -> Error {
        loop {
            if let Err(error) = self.publish().await {
                return error;
            }
        }
    }

    /// The next of these events are the messages from `first` on that were acknowledged.
    async fn check_rest(&self, events: &mut Pin<Box<Events>>, first: usize) {
        for acknowledged in &self.acknowledged[first..] {
            loop {
                match timeout(PATIENCE, events.next()).await.expect("it comes").unwrap().unwrap() {
                    Event::Message(received) => {
                        assert!((received.id, received.value().unwrap()) == *acknowledged, "{}", received.id);
                        break;
                    }
                    Event::Connected => {}
                    event => panic!("{event:?}"),
                }
            }
        }
    }

    /// Everything that was acknowledged is there, and nothing else.
    async fn check_all_is_there(&self) {
        let all = WatchOptions { after: ReadFrom::Earliest, ..WatchOptions::default() };
        self.check_rest(&mut Box::pin(self.client.watch(&self.news, all)), 0).await;
        let channel = self.client.channel(&self.news).await.unwrap();
        assert_eq!(channel.messages, self.acknowledged.len() as u64);
        assert_eq!(channel.tail, self.acknowledged.last().map(|(position, _)| *position));
        let bob = self.client.listener(&self.news, &self.bob).await.unwrap();
        assert_eq!(bob.backlog, self.acknowledged.len() as u64);
    }

    /// Bob's stream, which has its first message and waits for whoever reads on.
    async fn listen(&self) -> Pin<Box<Events>> {
        let options = SubscribeOptions { ack: Ack::Manual, ..SubscribeOptions::default() };
        let mut events = Box::pin(self.client.subscribe(&self.news, &self.bob, options));
        while !matches!(
            timeout(PATIENCE, events.next()).await.expect("it comes"),
            Some(Ok(Event::Message(_)))
        ) {}
        events
    }

    /// The hub has stopped taking anything, for this reason, and says so wherever it is asked; the rest goes on.
    async fn check_it_only_gives(&mut self, reason: &str) {
        let changes = [
            self.publish().await.unwrap_err(),
            self.client.ack(&self.news, &self.bob, self.acknowledged[5].0).await.unwrap_err(),
            self.client.ensure_channel(&"other".parse().unwrap(), &Default::default()).await.unwrap_err(),
        ];
        for error in changes {
            assert_eq!(error.kind(), ErrorKind::Refused(Code::Unavailable), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
        let ready = self.hub.request("GET", "/health/ready", &[], "").await;
        assert_eq!((ready.status, ready.header("content-type")), (503, Some("application/problem+json")));
        assert!(ready.json()["detail"].as_str().unwrap().contains(reason), "{ready:?}");
        assert_eq!(self.hub.request("GET", "/health/live", &[], "").await.status, 200);
        self.check_all_is_there().await;
        // A stream that begins only now, elsewhere than at a cursor that does not move any more.
        let after = ReadFrom::After(self.acknowledged[2].0);
        let options = SubscribeOptions { after, ..SubscribeOptions::default() };
        self.check_rest(&mut Box::pin(self.client.subscribe(&self.news, &self.carol, options)), 3).await;
        let path = "/v1/channels/news/listeners/carol/messages?limit=2&conflict=replace";
        let pulled = self.hub.request("GET", path, &[], "").await;
        assert_eq!(pulled.json()["messages"].as_array().map(Vec::len), Some(2), "{}", pulled.status);
        let is_said =
            |lines: &[String]| lines.iter().any(|line| line.contains("ERROR") && line.contains(reason));
        self.hub.stderr_when(is_said).await;
    }

    /// The hub ends as it was asked to; then another one is started.
    async fn restarted(self, command: Command) -> Self {
        let Self { acknowledged, hub, .. } = self;
        let ended = hub.terminate().await;
        assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
        Self { acknowledged, ..Self::start(command).await }
    }
}

#[tokio::test]
async fn a_disk_that_turns_read_only_is_named_and_what_is_kept_can_be_read() {
    let disk = SmallDisk::mount(24).await;
    let mut bench = Bench::start(disk.serve(&[])).await;
    bench.set_up().await;
    let mut events = bench.listen().await;
    disk.make_read_only().await;
    let error = bench.publish_until_refused().await;
    assert_eq!(error.code(), Some(Code::Unavailable), "{error}");
    bench.check_it_only_gives("Read-only file system").await;
    bench.check_rest(&mut events, 1).await;
    disk.make_writable().await;
    // What has stopped stays so: only what is read anew is known to be what was written.
    bench.check_it_only_gives("Read-only file system").await;
    let mut bench = bench.restarted(disk.serve(&[])).await;
    bench.check_all_is_there().await;
    bench.publish().await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_stops_the_hub_from_taking_and_not_from_giving() {
    let folder = Folder::create();
    let engine = format!("file:{}", folder.file("data"));
    let flags = ["--listen", "127.0.0.1:0", "--engine", &engine];
    let mut bench = Bench::start(ignoring_the_signal(&serve(&flags))).await;
    bench.set_up().await;
    let mut events = bench.listen().await;
    let pid = i32::try_from(bench.hub.pid()).ok().and_then(Pid::from_raw).unwrap();
    // From here on the system refuses every write to a file.
    prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(0), maximum: None }).unwrap();
    let before = bench.acknowledged.len();
    let error = bench.publish_until_refused().await;
    assert_eq!((error.code(), bench.acknowledged.len()), (Some(Code::Unavailable), before), "{error}");
    bench.check_it_only_gives("File too large").await;
    bench.check_rest(&mut events, 1).await;
    let mut bench = bench.restarted(serve(&flags)).await;
    bench.check_all_is_there().await;
    bench.publish().await.unwrap();
}

/// The same command, which is not ended by the signal that goes with a file that is too large.
fn ignoring_the_signal(command: &Command) -> Command {
    let command = command.as_std();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; exec "$@""#, "sh"]).arg(Path::new(command.get_program()));
    shell.args(command.get_args());
    shell
}
