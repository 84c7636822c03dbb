//! An application whose listener is here and whose hub is elsewhere, over cuts and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eric_client::{ListenerId, Message, RetryPolicy};
use eric_sse::persist::MemoryKv;
use eric_sse::prefab::distributed::{Answers, Application, Over, Wire};
use eric_sse::{ErrorKind, SystemClock};
use tokio::time::timeout;

use crate::hub::{SOON, TestHub, id, listener};

/// By which door an application reaches its hub.
#[derive(Debug, Clone, Copy)]
enum Door {
    Http,
    Socket,
}

const DOORS: [Door; 2] = [Door::Http, Door::Socket];

impl Door {
    async fn wire(self, hub: &TestHub, name: &str, retry: RetryPolicy) -> Arc<dyn Wire> {
        let http = hub.http().with_retry(retry);
        let (channel, listener) = (id("c"), listener(name));
        match self {
            Self::Http => Arc::new(http.wire(channel, listener).await.unwrap()),
            Self::Socket => {
                http.ensure_listener(&channel, &listener).await.unwrap();
                Arc::new(hub.socket_client().wire(channel, listener).with_retry(retry))
            }
        }
    }

    async fn application(self, hub: &TestHub, name: &str, record: &Arc<MemoryKv>) -> Application {
        let wire = self.wire(hub, name, RetryPolicy::default()).await;
        Application::with(wire, record.clone(), Arc::new(SystemClock))
    }
}

fn square(message: &Message) -> Answers {
    let number: u64 = message.payload().parse()?;
    Ok(vec![Message::of("square", &(number * number))?])
}

async fn ask(bob: &Application, alice: &ListenerId, number: u64) {
    let answer = bob.request(alice, Message::of("square of", &number).unwrap(), SOON).await.unwrap();
    assert_eq!(answer.payload().as_json(), (number * number).to_string());
    assert_eq!(answer.sender().unwrap().as_str(), alice.as_str());
}

async fn talk(door: Door) {
    let hub = TestHub::start();
    hub.with_listener().await;
    let record = Arc::default();
    let alice = door.application(&hub, "alice", &record).await;
    let bob = door.application(&hub, "bob", &record).await;
    alice.set_action("square of", square).unwrap();
    let talk = async {
        for n in 0..50 {
            ask(&bob, alice.id(), n).await;
        }
        for application in [&alice, &bob] {
            bob.dispatch_to(application.id(), Message::of("stop", &()).unwrap()).await.unwrap();
        }
    };
    let all = async { tokio::join!(talk, alice.run(|_| ()), bob.run(|_| ())) };
    let ((), alice, bob) = timeout(SOON, all).await.unwrap();
    assert_eq!((alice.unwrap(), bob.unwrap()), (Over::Stopped, Over::Stopped));
}

#[tokio::test]
async fn requests_are_answered_from_the_other_side_of_a_hub() {
    talk(Door::Http).await;
}

#[tokio::test]
async fn requests_are_answered_over_the_socket() {
    talk(Door::Socket).await;
}

/// A hundred requests, while who answers dies all the time, and the hub is stopped and started so many times.
async fn talk_while_killed(door: Door, restarts: usize) {
    let mut hub = TestHub::start();
    hub.with_listener().await;
    let record: Arc<MemoryKv> = Arc::default();
    let bob = door.application(&hub, "bob", &Arc::default()).await;
    let alice = listener("alice");
    hub.http().ensure_listener(&id("c"), &alice).await.unwrap();
    let kills = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(AtomicUsize::new(0));
    let (http, socket) = (hub.http(), hub.socket_client());
    let talk = async {
        for n in 0..100 {
            ask(&bob, &alice, n).await;
            asked.fetch_add(1, Ordering::Relaxed);
        }
    };
    let service = async {
        loop {
            let mut left = 1 + kills.fetch_add(1, Ordering::Relaxed) % 7;
            let wire: Arc<dyn Wire> = match door {
                Door::Http => Arc::new(http.wire(id("c"), alice.clone()).await.unwrap()),
                Door::Socket => Arc::new(socket.wire(id("c"), alice.clone())),
            };
            let worker = Application::with(wire, record.clone(), Arc::new(SystemClock));
            worker.set_action("square of", square).unwrap();
            // It dies in the middle of things: after so many polls of its run.
            let mut run = Box::pin(worker.run(|_| ()));
            std::future::poll_fn(|context| {
                left = left.saturating_sub(1);
                match run.as_mut().poll(context) {
                    _ if left == 0 => std::task::Poll::Ready(()),
                    std::task::Poll::Ready(result) => panic!("{result:?}"),
                    std::task::Poll::Pending => std::task::Poll::Pending,
                }
            })
            .await;
        }
    };
    let restarting = async {
        for restart in 1..=restarts {
            while asked.load(Ordering::Relaxed) < restart * 100 / (restarts + 1) {
                tokio::task::yield_now().await;
            }
            let same = hub.hub.clone();
            hub.restart(same).await;
        }
        std::future::pending::<()>().await;
    };
    let all = async {
        tokio::select! {
            () = talk => (),
            () = service => (),
            () = restarting => (),
            over = bob.run(|_| ()) => panic!("{over:?}"),
        }
    };
    timeout(SOON, all).await.unwrap();
    assert!(kills.load(Ordering::Relaxed) > 20);
}

#[tokio::test]
async fn every_request_is_answered_although_who_answers_is_killed_all_the_time() {
    talk_while_killed(Door::Http, 0).await;
}

#[tokio::test]
async fn over_the_socket_too_and_over_restarts_of_the_hub() {
    talk_while_killed(Door::Socket, 3).await;
}

#[tokio::test]
async fn a_hub_that_is_gone_is_an_error_that_may_be_tried_again() {
    for door in DOORS {
        let mut hub = TestHub::start();
        hub.with_listener().await;
        let bob = Application::new(door.wire(&hub, "bob", RetryPolicy::never()).await);
        let to_nobody = bob.dispatch_to(&listener("nobody"), Message::of("t", &()).unwrap()).await;
        assert_eq!(to_nobody.unwrap_err().kind(), ErrorKind::UnknownListener, "{door:?}");
        hub.stop().await;
        let error = bob.dispatch_to(&listener("l"), Message::of("t", &()).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{door:?} {error}");
    }
}

#[tokio::test]
async fn an_application_whose_listener_is_removed_has_left() {
    for door in DOORS {
        let hub = TestHub::start();
        let (http, _, _) = hub.with_listener().await;
        let bob = door.application(&hub, "bob", &Arc::default()).await;
        bob.set_action("t", |_| Ok(Vec::new())).unwrap();
        bob.dispatch_to(bob.id(), Message::of("t", &()).unwrap()).await.unwrap();
        let (sender, mut handled) = tokio::sync::mpsc::channel(1);
        let run = bob.run(|_| sender.try_send(()).unwrap());
        let removing = async {
            handled.recv().await.unwrap();
            http.remove_listener(&id("c"), bob.id()).await.unwrap();
        };
        let (over, ()) = timeout(SOON, async { tokio::join!(run, removing) }).await.unwrap();
        assert_eq!(over.unwrap(), Over::Left, "{door:?}");
    }
}
