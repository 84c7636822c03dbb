//! A disk without room: what cannot be kept is refused, what was kept stays, and everything else goes on.

use std::fs;

use eric_client::{
    Ack, ChannelId, Code, Event, HttpClient, ListenerId, Message, Position, ReadFrom, RetryPolicy,
    SettingsPatch, SubscribeOptions,
};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::hub::{Answer, Hub, PATIENCE, Serving};
use crate::small_disk::SmallDisk;

/// Room on the disk: a few segments, and not a byte beside them.
const DISK_MIB: usize = 24;
const BALLAST_MIB: usize = 8;
/// Bytes of a payload: many fit a segment.
const PAYLOAD_BYTES: usize = 60_000;

/// A hub on the disk, a channel with a listener, and what was acknowledged.
struct Bench {
    disk: SmallDisk,
    hub: Hub,
    client: HttpClient,
    news: ChannelId,
    bob: ListenerId,
    acknowledged: Vec<(Position, String)>,
    tried: usize,
    /// Whether messages have idempotency keys.
    has_keys: bool,
}

async fn start(disk: &SmallDisk) -> (Hub, HttpClient) {
    let hub = Serving::start(disk.serve(&[])).ready().await;
    let client = HttpClient::new(&hub.url()).unwrap().with_retry(RetryPolicy::never());
    (hub, client)
}

impl Bench {
    async fn new(settings: &SettingsPatch) -> Self {
        Self::on(SmallDisk::mount(DISK_MIB).await, settings).await
    }

    async fn on(disk: SmallDisk, settings: &SettingsPatch) -> Self {
        disk.put_ballast(BALLAST_MIB);
        let (hub, client) = start(&disk).await;
        let (news, bob): (ChannelId, ListenerId) = ("news".parse().unwrap(), "bob".parse().unwrap());
        client.ensure_channel(&news, settings).await.unwrap();
        client.ensure_listener(&news, &bob).await.unwrap();
        Self { disk, hub, client, news, bob, acknowledged: Vec::new(), tried: 0, has_keys: false }
    }

    /// Publishes one message. An answer other than success says that there is no room, and is returned.
    async fn publish(&mut self) -> Result<(), Answer> {
        let payload = format!("{} {}", self.tried, "x".repeat(PAYLOAD_BYTES));
        self.tried += 1;
        let body = json!({"type": "t", "payload": payload}).to_string();
        let key = self.tried.to_string();
        let headers = [("content-type", "application/json"), ("idempotency-key", &key)];
        let headers = if self.has_keys { &headers[..] } else { &headers[..1] };
        let answer = self.hub.request("POST", "/v1/channels/news/messages", headers, body).await;
        if answer.status != 201 {
            assert_eq!((answer.status, &answer.json()["code"]), (507, &json!("no_space")), "{answer:?}");
            return Err(answer);
        }
        let position = answer.json()["id"].as_str().unwrap().parse().unwrap();
        self.acknowledged.push((position, payload));
        Ok(())
    }

    /// Publishes until there is no room, and returns what the hub says then.
    async fn fill(&mut self) -> Answer {
        self.publish().await.expect("there is room");
        while self.publish().await.is_ok() {}
        // It stays so, and nothing is lost by trying.
        self.publish().await.expect_err("there is no room")
    }

    /// The same after the hub was killed and started again.
    async fn killed(self) -> Self {
        self.hub.kill().await;
        let (hub, client) = start(&self.disk).await;
        Self { hub, client, ..self }
    }

    /// Everything that was acknowledged is there, and nothing else, wherever one looks.
    async fn check_all_is_there(&self) {
        let options =
            SubscribeOptions { after: ReadFrom::Earliest, ack: Ack::Manual, ..SubscribeOptions::default() };
        let mut events = Box::pin(self.client.subscribe(&self.news, &self.bob, options));
        let mut seen = Vec::new();
        while seen.len() < self.acknowledged.len() {
            match timeout(PATIENCE, events.next()).await.expect("it comes").unwrap().unwrap() {
                Event::Message(received) => seen.push((received.id, received.value::<String>().unwrap())),
                Event::Connected => {}
                event => panic!("{event:?}"),
            }
        }
        assert!(seen == self.acknowledged, "{} messages are those that were acknowledged", seen.len());
        let channel = self.client.channel(&self.news).await.unwrap();
        assert_eq!(channel.messages as usize, self.acknowledged.len());
        assert_eq!(channel.tail, self.acknowledged.last().map(|(position, _)| *position));
    }

    /// The names of the store's files.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.disk.path("data")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_full_disk_refuses_publishes_loses_nothing_and_everything_else_goes_on() {
    let mut bench = Bench::new(&SettingsPatch::default()).await;
    let carol = "carol".parse().unwrap();
    bench.client.ensure_listener(&bench.news, &carol).await.unwrap();
    let answer = bench.fill().await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("no room for another segment"), "{detail}");
    let large = Message::of("t", &"x".repeat(PAYLOAD_BYTES)).unwrap();
    let error = bench.client.broadcast(&bench.news, large).await.unwrap_err();
    assert_eq!((error.code(), error.is_temporary()), (Some(Code::NoSpace), true));

    bench.check_all_is_there().await;
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(bench.hub.request("GET", path, &[], "").await.status, 200, "{path}");
    }
    // What takes next to no room, or gives some back, is still taken.
    let (middle, _) = bench.acknowledged[bench.acknowledged.len() / 2];
    bench.client.ack(&bench.news, &bench.bob, middle).await.unwrap();
    bench.client.remove_listener(&bench.news, &carol).await.unwrap();

    bench.disk.remove_ballast();
    bench.publish().await.expect("there is room again");
    bench.fill().await;
    let mut bench = bench.killed().await;
    bench.check_all_is_there().await;
    bench.publish().await.expect_err("there is no room yet");
    let bob = bench.client.listener(&bench.news, &bench.bob).await.unwrap();
    assert_eq!(bob.cursor, middle, "acknowledgements are kept as well");
    let error = bench.client.listener(&bench.news, &carol).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::UnknownListener));
}

#[tokio::test]
async fn room_comes_back_when_listeners_have_read_and_retention_lets_go() {
    let settings = SettingsPatch { history: Some(0), ..SettingsPatch::default() };
    let mut bench = Bench::new(&settings).await;
    for round in 0..3 {
        bench.fill().await;
        let (last, _) = bench.acknowledged[bench.acknowledged.len() - 1];
        bench.client.ack(&bench.news, &bench.bob, last).await.unwrap();
        bench.acknowledged.clear();
        // What is released becomes the room for what comes.
        let start = Instant::now();
        while !bench.files().iter().any(|name| name.starts_with("spare-")) {
            assert!(start.elapsed() < PATIENCE, "round {round}: {:?}", bench.files());
            tokio::task::yield_now().await;
        }
        bench.publish().await.expect("there is room again");
    }
    let bench = bench.killed().await;
    bench.check_all_is_there().await;
}

#[tokio::test]
async fn idempotency_keys_do_not_hold_the_room_of_their_messages() {
    let settings = SettingsPatch { history: Some(0), ..SettingsPatch::default() };
    // What is left of the segments' room is enough to write the keys elsewhere.
    let mut bench = Bench::on(SmallDisk::mount(DISK_MIB + 1).await, &settings).await;
    bench.has_keys = true;
    for round in 0..3 {
        bench.fill().await;
        let (last, _) = bench.acknowledged[bench.acknowledged.len() - 1];
        bench.client.ack(&bench.news, &bench.bob, last).await.unwrap();
        bench.acknowledged.clear();
        let start = Instant::now();
        while bench.publish().await.is_err() {
            assert!(start.elapsed() < PATIENCE, "round {round}: {:?}", bench.files());
        }
    }
    let first = json!({"type": "t", "payload": "another"}).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "1")];
    let answer = bench.hub.request("POST", "/v1/channels/news/messages", &headers, first).await;
    assert_eq!(answer.json()["code"], "key_reused", "keys are remembered: {answer:?}");
    let bench = bench.killed().await;
    bench.check_all_is_there().await;
}
