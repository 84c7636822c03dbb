//! Applications that answer each other: every message is handled, what was recorded is not done again, and every answer
//! arrives once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eric_sse::limits::REQUESTS_MAX;
use eric_sse::log::BoxFuture;
use eric_sse::persist::MemoryKv;
use eric_sse::prefab::distributed::{Answers, Application, Messages, Over, START, STOP, Told, Wire};
use eric_sse::{
    Channel, ChannelId, ChannelSettings, Error, ErrorKind, Hub, ListenerId, Message, Position, Result,
    SystemClock,
};
use futures_util::FutureExt as _;
use tokio::join;

use crate::world::id;

const SOON: Duration = Duration::from_secs(5);

async fn channel() -> Channel {
    let hub = Hub::in_memory();
    hub.channels().create("talk".parse().unwrap(), ChannelSettings::default()).await.unwrap()
}

async fn application(channel: &Channel, name: &str) -> Application {
    Application::new(channel.wire(id(name)).await.unwrap())
}

fn text(kind: &str) -> Message {
    Message::of(kind, &()).unwrap()
}

/// What was told of each message: its type and what came of it, in words.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, told: &Told) {
        let line = match told {
            Told::Handled(happening) => {
                let undelivered = match happening.undelivered.len() {
                    0 => String::new(),
                    n => format!(", {n} undelivered"),
                };
                format!("{} {:?}{undelivered}", happening.message.kind(), happening.outcome)
            }
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

async fn run(application: &Application) -> Vec<String> {
    let diary = Diary::default();
    assert_eq!(application.run(|told| diary.note(told)).await.unwrap(), Over::Stopped);
    diary.lines()
}

#[tokio::test]
async fn the_dialogue_of_the_reference() {
    let channel = channel().await;
    let (alice, bob) = (application(&channel, "alice").await, application(&channel, "bob").await);
    let answer = |_: &Message| -> Answers { Ok(vec![text("hello_ack"), text(STOP)]) };
    alice.set_action("hello", answer).unwrap();
    bob.dispatch_to(alice.id(), text("hello")).await.unwrap();
    bob.dispatch_to(alice.id(), text(STOP)).await.unwrap();
    let (alice, bob) = join!(run(&alice), run(&bob));
    assert_eq!(alice, ["hello Answered(2)", "stop Stopped"]);
    assert_eq!(bob, ["hello_ack Unknown", "stop Stopped"]);
}

#[tokio::test]
async fn reserved_names_are_refused_and_their_messages_start_and_stop() {
    let channel = channel().await;
    let alice = application(&channel, "alice").await;
    for name in [START, STOP] {
        let refused = alice.set_action(name, |_| Ok(Vec::new())).unwrap_err();
        assert_eq!((refused.kind(), refused.to_string().contains(name)), (ErrorKind::InvalidValue, true));
    }
    for kind in [START, "what", STOP, "after"] {
        alice.dispatch_to(alice.id(), text(kind)).await.unwrap();
    }
    assert_eq!(run(&alice).await, ["start Started", "what Unknown", "stop Stopped"]);
    let backlog = channel.listener(alice.id()).unwrap().info().await.unwrap().backlog;
    assert_eq!(backlog, 1, "what comes after the end stays");
}

#[tokio::test]
async fn what_fails_is_told_and_the_next_is_handled() {
    let channel = channel().await;
    let alice = application(&channel, "alice").await;
    alice.set_action("fails", |_| Err("no".into())).unwrap();
    alice.set_action("panics", |_| panic!("no")).unwrap();
    alice.set_async_action("panics later", |_| async { panic!("no") }).unwrap();
    alice.set_action("answers", |_| Ok(vec![text("answer")])).unwrap();
    for kind in ["fails", "panics", "panics later", "answers"] {
        alice.dispatch_to(alice.id(), text(kind)).await.unwrap();
    }
    // Nobody signed it, and somebody who is gone did.
    channel.dispatch(alice.id(), text("answers")).await.unwrap();
    let gone = text("answers").with_sender("gone".parse().unwrap());
    channel.dispatch(alice.id(), gone).await.unwrap();
    channel.dispatch(alice.id(), text(STOP)).await.unwrap();
    assert_eq!(
        run(&alice).await,
        [
            "fails Failed(\"no\")",
            "panics Failed(\"the callback panicked: no\")",
            "panics later Failed(\"the callback panicked: no\")",
            "answers Answered(1)",
            "answers Answered(1), 1 undelivered",
            "answers Answered(1), 1 undelivered",
            "stop Stopped",
        ]
    );
}

#[tokio::test]
async fn a_request_gets_the_answer_to_itself() {
    let channel = channel().await;
    let (alice, bob) = (application(&channel, "alice").await, application(&channel, "bob").await);
    let echo = |message: &Message| -> Answers {
        Ok(vec![Message::new("echo".parse()?, message.payload().clone())?])
    };
    alice.set_action("say", echo).unwrap();
    let talk = async {
        let asked = (0..100_u64).map(|n| {
            let (bob, alice) = (&bob, &alice);
            async move {
                let said = bob.request(alice.id(), Message::of("say", &n).unwrap(), SOON).await.unwrap();
                assert_eq!(said.payload().as_json(), n.to_string());
                assert_eq!(said.sender().unwrap().as_str(), "alice");
            }
        });
        futures_util::future::join_all(asked).await;
        for application in [&alice, &bob] {
            bob.dispatch_to(application.id(), text(STOP)).await.unwrap();
        }
    };
    let ((), _, heard) = join!(talk, run(&alice), run(&bob));
    assert_eq!(heard.iter().filter(|line| *line == "echo Response").count(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_answers_ends_in_time() {
    let channel = channel().await;
    let (alice, bob) = (application(&channel, "alice").await, application(&channel, "bob").await);
    let begin = tokio::time::Instant::now();
    let error = bob.request(alice.id(), text("hello"), SOON).await.unwrap_err();
    assert_eq!((error.kind(), begin.elapsed()), (ErrorKind::Unavailable, SOON));
    assert!(error.to_string().contains("alice"), "{error}");
    let unknown = bob.request(&id("carol"), text("hello"), SOON).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownListener);
}

#[tokio::test]
async fn as_many_requests_wait_as_may_and_no_more() {
    let channel = channel().await;
    let (alice, bob) = (application(&channel, "alice").await, application(&channel, "bob").await);
    let mut waiting: Vec<_> =
        (0..REQUESTS_MAX).map(|_| Box::pin(bob.request(alice.id(), text("hello"), SOON))).collect();
    for request in &mut waiting {
        assert!(request.as_mut().now_or_never().is_none());
    }
    let refused = bob.request(alice.id(), text("hello"), SOON).await.unwrap_err();
    assert_eq!(refused.limit(), Some("requests_max"));
    drop(waiting);
    assert!(bob.request(alice.id(), text("hello"), SOON).now_or_never().is_none());
}

/// Where a crash comes: the wire fails from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Crash {
    Answering,
    Acknowledging,
}

/// A wire whose process ends at a moment.
struct Cut {
    wire: Arc<dyn Wire>,
    at: Option<Crash>,
    is_cut: AtomicBool,
}

impl Cut {
    fn fail(&self, here: Crash) -> Result<()> {
        if self.at == Some(here) {
            self.is_cut.store(true, Ordering::SeqCst);
        }
        match self.is_cut.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::Unavailable, "the process is gone")),
            false => Ok(()),
        }
    }
}

impl Wire for Cut {
    fn channel(&self) -> &ChannelId {
        self.wire.channel()
    }

    fn listener(&self) -> &ListenerId {
        self.wire.listener()
    }

    fn receive(&self) -> BoxFuture<'_, Result<Messages>> {
        self.wire.receive()
    }

    fn dispatch<'a>(&'a self, receiver: &'a ListenerId, message: Message) -> BoxFuture<'a, Result<()>> {
        match self.fail(Crash::Answering) {
            Ok(()) => self.wire.dispatch(receiver, message),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn acknowledge(&self, position: Position) -> BoxFuture<'_, Result<()>> {
        match self.fail(Crash::Acknowledging) {
            Ok(()) => self.wire.acknowledge(position),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

#[tokio::test]
async fn what_was_recorded_is_not_done_again_and_its_answers_arrive_once() {
    for at in [Crash::Answering, Crash::Acknowledging] {
        let channel = channel().await;
        let bob = application(&channel, "bob").await;
        let record = Arc::new(MemoryKv::default());
        let done = Arc::new(AtomicUsize::new(0));
        let start = |at| {
            let (channel, record, done) = (channel.clone(), record.clone(), done.clone());
            async move {
                let wire = channel.wire(id("alice")).await.unwrap();
                let wire = Arc::new(Cut { wire, at, is_cut: AtomicBool::new(false) });
                let alice = Application::with(wire, record, Arc::new(SystemClock));
                let answer = move |_: &Message| -> Answers {
                    let n = done.fetch_add(1, Ordering::SeqCst);
                    Ok(vec![Message::of("answer", &n)?, Message::of("answer", "second")?])
                };
                alice.set_action("hello", answer).unwrap();
                alice
            }
        };
        let crashes = start(Some(at)).await;
        bob.dispatch_to(crashes.id(), text("hello")).await.unwrap();
        assert_eq!(crashes.run(|_| ()).await.unwrap_err().kind(), ErrorKind::Unavailable, "{at:?}");
        let alice = start(None).await;
        channel.dispatch(alice.id(), text(STOP)).await.unwrap();
        assert_eq!(run(&alice).await, ["hello Repeated(2)", "stop Stopped"], "{at:?}");
        assert_eq!(done.load(Ordering::SeqCst), 1, "{at:?}: the action ran once");
        bob.dispatch_to(bob.id(), text(STOP)).await.unwrap();
        assert_eq!(run(&bob).await, ["answer Unknown", "answer Unknown", "stop Stopped"], "{at:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_halfway_handles_the_message_again() {
    let channel = channel().await;
    let alice = application(&channel, "alice").await;
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let hangs_once = move |_: Message| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if n == 0 {
                std::future::pending::<()>().await;
            }
            Ok(Vec::new())
        }
    };
    alice.set_async_action("hello", hangs_once).unwrap();
    alice.dispatch_to(alice.id(), text("hello")).await.unwrap();
    alice.dispatch_to(alice.id(), text(STOP)).await.unwrap();
    assert!(Box::pin(alice.run(|_| ())).now_or_never().is_none());
    assert_eq!(run(&alice).await, ["hello Answered(0)", "stop Stopped"]);
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn applications_that_share_a_store_do_not_mistake_each_other() {
    let channel = channel().await;
    let record = Arc::new(MemoryKv::default());
    let make = |name: &'static str| {
        let (channel, record) = (channel.clone(), record.clone());
        async move {
            let wire = channel.wire(id(name)).await.unwrap();
            Application::with(wire, record, Arc::new(SystemClock))
        }
    };
    let (alice, bob) = (make("alice").await, make("bob").await);
    channel.broadcast(text("hello")).await.unwrap();
    channel.broadcast(text(STOP)).await.unwrap();
    for application in [&alice, &bob] {
        let lines = run(application).await;
        assert_eq!(lines, ["hello Unknown", "stop Stopped"]);
    }
}
