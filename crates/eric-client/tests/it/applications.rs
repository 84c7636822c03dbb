//! An application whose listener is here and whose hub is elsewhere, over cuts and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use eric_client::{HttpClient, ListenerId, Message};
use eric_sse::persist::MemoryKv;
use eric_sse::prefab::distributed::{Answers, Application, Over};
use eric_sse::{ErrorKind, SystemClock};
use tokio::time::timeout;

use crate::hub::{SOON, TestHub, id, listener};

async fn application(client: &HttpClient, name: &str, record: &Arc<MemoryKv>) -> Application {
    let wire = client.wire(id("c"), listener(name)).await.unwrap();
    Application::with(Arc::new(wire), record.clone(), Arc::new(SystemClock))
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

#[tokio::test]
async fn requests_are_answered_from_the_other_side_of_a_hub() {
    let hub = TestHub::start();
    let (client, _, _) = hub.with_listener().await;
    let record = Arc::default();
    let (alice, bob) =
        (application(&client, "alice", &record).await, application(&client, "bob", &record).await);
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
async fn every_request_is_answered_although_who_answers_is_killed_all_the_time() {
    let hub = TestHub::start();
    let (client, _, _) = hub.with_listener().await;
    let record: Arc<MemoryKv> = Arc::default();
    let bob = application(&client, "bob", &Arc::default()).await;
    let alice = listener("alice");
    client.ensure_listener(&id("c"), &alice).await.unwrap();
    let kills = Arc::new(AtomicUsize::new(0));
    let talk = async {
        for n in 0..100 {
            ask(&bob, &alice, n).await;
        }
    };
    let service = async {
        loop {
            let mut left = 1 + kills.fetch_add(1, Ordering::Relaxed) % 7;
            let worker = application(&client, "alice", &record).await;
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
    let all = async {
        tokio::select! {
            () = talk => (),
            () = service => (),
            over = bob.run(|_| ()) => panic!("{over:?}"),
        }
    };
    timeout(SOON, all).await.unwrap();
    assert!(kills.load(Ordering::Relaxed) > 20);
}

#[tokio::test]
async fn a_hub_that_is_gone_is_an_error_that_may_be_tried_again() {
    let mut hub = TestHub::start();
    let (client, _, _) = hub.with_listener().await;
    let client = client.with_retry(eric_client::RetryPolicy::never());
    let bob = application(&client, "bob", &Arc::default()).await;
    let unknown = bob.dispatch_to(&listener("nobody"), Message::of("t", &()).unwrap()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownListener);
    hub.stop().await;
    let error = bob.dispatch_to(&listener("l"), Message::of("t", &()).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
