//! Processing a queue with several workers: nothing is lost, nothing is acknowledged that was not processed, and one
//! message's failure is its own.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use eric_sse::limits::PROCESSED_AHEAD_MAX;
use eric_sse::listener::FnListener;
use eric_sse::prefab::executor::{Executor, Job, Threads};
use eric_sse::prefab::processing::{CLOSED, Order, Processed, Processing, Until};
use eric_sse::{Channel, ChannelSettings, Connection, End, ErrorKind, Hub, Message, Result, SettingsPatch};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::oneshot;

async fn channel_with(messages: u64) -> (Hub, Channel, Connection) {
    let hub = Hub::in_memory();
    let jobs = hub.channels().create("jobs".parse().unwrap(), ChannelSettings::default()).await.unwrap();
    let worker = jobs.add_listener().await.unwrap();
    publish(&jobs, 0..messages).await;
    (hub, jobs, worker)
}

async fn publish(jobs: &Channel, numbers: std::ops::Range<u64>) {
    for n in numbers {
        jobs.broadcast(Message::of("job", &n).unwrap()).await.unwrap();
    }
}

fn number(message: &Message) -> u64 {
    serde_json::from_str(message.payload().as_json()).unwrap()
}

fn of<T>(processed: &Result<Processed<T>>) -> u64 {
    number(processed.as_ref().unwrap().delivery.message())
}

async fn backlog(worker: &Connection) -> u64 {
    worker.info().await.unwrap().backlog
}

fn executors() -> Vec<(&'static str, Arc<dyn Executor>)> {
    vec![
        ("threads", Arc::new(Threads::new(3).unwrap())),
        ("blocking", Arc::new(tokio::runtime::Handle::current())),
        ("one's own", Arc::new(|job: Job| drop(std::thread::spawn(job)))),
    ]
}

#[tokio::test]
async fn every_message_is_processed_once_on_every_executor() {
    for (name, executor) in executors() {
        let (_hub, jobs, worker) = channel_with(500).await;
        let double = |message: &Message| Ok(number(message) * 2);
        let results = jobs.process_with(&worker, Processing::with(4), executor, double).await.unwrap();
        let results: Vec<_> = results.collect().await;
        let doubled: HashSet<u64> =
            results.iter().map(|processed| *processed.as_ref().unwrap().result.as_ref().unwrap()).collect();
        assert_eq!(doubled, (0..500).map(|n| n * 2).collect(), "{name}");
        assert_eq!((results.len(), backlog(&worker).await), (500, 0), "{name}");
    }
}

#[tokio::test]
async fn a_listener_s_own_callback_is_run() {
    let hub = Hub::in_memory();
    let jobs = hub.channels().create("jobs".parse().unwrap(), ChannelSettings::default()).await.unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let listener = FnListener::new("worker".parse().unwrap(), move |_: &Message| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let worker = jobs.register_listener(Arc::new(listener)).await.unwrap();
    publish(&jobs, 0..50).await;
    let pool = Arc::new(Threads::new(2).unwrap());
    assert_eq!(jobs.process(&worker, Processing::with(2), pool).await.unwrap().count().await, 50);
    assert_eq!(seen.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn as_many_run_at_once_as_there_are_workers_and_no_more() {
    let (_hub, jobs, worker) = channel_with(20).await;
    let running = Arc::new(Mutex::new(Vec::new()));
    let begun = running.clone();
    let wait = move |_| {
        let (sender, receiver) = oneshot::channel::<()>();
        begun.lock().unwrap().push(sender);
        async move { Ok(receiver.await?) }
    };
    let mut results = jobs.process_async(&worker, Processing::with(3), wait).await.unwrap();
    let mut done = 0;
    while done < 20 {
        assert!(results.next().now_or_never().is_none(), "all of them wait");
        let waiting = std::mem::take(&mut *running.lock().unwrap());
        assert_eq!(waiting.len(), 3.min(20 - done));
        for sender in waiting {
            sender.send(()).unwrap();
            assert!(results.next().now_or_never().unwrap().unwrap().unwrap().result.is_ok());
            done += 1;
            // Another one has begun in its place.
        }
    }
    assert!(results.next().await.is_none());
}

#[tokio::test]
async fn results_come_as_they_complete_or_in_the_order_of_the_queue() {
    for order in [Order::Completion, Order::Queue] {
        let (_hub, jobs, worker) = channel_with(3).await;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<()>()).unzip();
        let receivers = Mutex::new(receivers.into_iter().map(Some).collect::<Vec<_>>());
        let wait = move |message: Message| {
            let receiver = receivers.lock().unwrap()[number(&message) as usize].take().unwrap();
            async move { Ok(receiver.await?) }
        };
        let options = Processing { order, ..Processing::with(3) };
        let mut results = jobs.process_async(&worker, options, wait).await.unwrap();
        assert!(results.next().now_or_never().is_none());
        let mut seen = Vec::new();
        for sender in senders.into_iter().rev() {
            sender.send(()).unwrap();
            while let Some(Some(processed)) = results.next().now_or_never() {
                seen.push(of(&processed));
            }
        }
        let expected = if order == Order::Queue { [0, 1, 2] } else { [2, 1, 0] };
        assert_eq!(seen, expected, "{order:?}");
    }
}

#[tokio::test]
async fn what_fails_or_panics_is_an_error_of_its_own_and_nothing_else_is_lost() {
    let (hub, jobs, worker) = channel_with(30).await;
    let fussy = |message: &Message| match number(message) % 10 {
        3 => Err("three".into()),
        7 => panic!("seven"),
        n => Ok(n),
    };
    let pool = Arc::new(Threads::new(2).unwrap());
    let in_order = Processing { order: Order::Queue, ..Processing::with(4) };
    let results: Vec<_> =
        jobs.process_with(&worker, in_order, pool.clone(), fussy).await.unwrap().collect().await;
    for (n, processed) in results.iter().enumerate() {
        assert_eq!(of(processed), n as u64);
        let result = &processed.as_ref().unwrap().result;
        match n % 10 {
            3 => assert_eq!(result.as_ref().unwrap_err().to_string(), "three"),
            7 => assert_eq!(result.as_ref().unwrap_err().to_string(), "the callback panicked: seven"),
            n => assert_eq!(*result.as_ref().unwrap(), n as u64),
        }
    }
    assert_eq!((results.len(), hub.stats().deliveries_failed.count()), (30, 6));

    publish(&jobs, 0..10).await;
    let panics = |message: Message| async move {
        assert_ne!(number(&message), 7, "seven");
        Ok(())
    };
    let results: Vec<_> =
        jobs.process_async(&worker, Processing::with(4), panics).await.unwrap().collect().await;
    let failed = |processed: &Result<Processed<()>>| processed.as_ref().unwrap().result.is_err();
    assert_eq!(results.iter().filter(|processed| failed(processed)).map(of).collect::<Vec<_>>(), [7]);
    assert_eq!(results.len(), 10);
}

#[tokio::test]
async fn a_pool_that_drops_its_jobs_fails_each_of_them() {
    let (_hub, jobs, worker) = channel_with(5).await;
    let results = jobs.process(&worker, Processing::with(2), Arc::new(drop::<Job>)).await.unwrap();
    let results: Vec<_> = results.collect().await;
    assert!(results.iter().all(|processed| processed.as_ref().unwrap().result.is_err()));
    assert_eq!(results.len(), 5);
}

#[tokio::test]
async fn leaving_early_waits_for_nobody_and_what_was_not_handed_out_comes_again() {
    let (_hub, jobs, worker) = channel_with(10).await;
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let callback = move |message: &Message| {
        if number(message) == 4 {
            // Until the test lets go of its end.
            let _ = blocked.lock().unwrap().recv();
        }
        Ok(())
    };
    let pool = Arc::new(Threads::new(3).unwrap());
    let in_order = Processing { order: Order::Queue, ..Processing::with(3) };
    let mut results = jobs.process_with(&worker, in_order, pool, callback).await.unwrap();
    for n in 0..4 {
        assert_eq!(of(&results.next().await.unwrap()), n);
    }
    drop(results);
    assert_eq!(backlog(&worker).await, 6, "the fourth blocks, and nobody waited");
    let again = |message: Message| async move { Ok(number(&message)) };
    let results: Vec<_> =
        jobs.process_async(&worker, Processing::with(1), again).await.unwrap().collect().await;
    assert_eq!(results.iter().map(of).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    drop(release);
}

#[tokio::test]
async fn what_ran_ahead_of_an_unfinished_message_is_not_acknowledged() {
    let (_hub, jobs, worker) = channel_with(4).await;
    let callback = |message: Message| async move {
        if number(&message) == 1 {
            std::future::pending::<()>().await
        }
        Ok(())
    };
    let mut results = jobs.process_async(&worker, Processing::with(2), callback).await.unwrap();
    let mut seen = Vec::new();
    while let Some(Some(processed)) = results.next().now_or_never() {
        seen.push(of(&processed));
    }
    assert_eq!(seen, [0, 2, 3]);
    drop(results);
    assert_eq!(backlog(&worker).await, 3, "the first alone is done with all before it");
}

#[tokio::test]
async fn no_more_than_1_024_messages_are_ahead_of_one_that_is_not_finished() {
    let (_hub, jobs, worker) = channel_with(PROCESSED_AHEAD_MAX as u64 + 10).await;
    let (sender, receiver) = oneshot::channel::<()>();
    let first = Mutex::new(Some(receiver));
    let callback = move |_| {
        let first = first.lock().unwrap().take();
        async move {
            if let Some(first) = first {
                first.await?;
            }
            Ok(())
        }
    };
    let mut results = jobs.process_async(&worker, Processing::with(2), callback).await.unwrap();
    let mut seen = 0;
    while let Some(Some(processed)) = results.next().now_or_never() {
        processed.unwrap();
        seen += 1;
    }
    assert_eq!(seen, PROCESSED_AHEAD_MAX - 1, "and the one that is not finished");
    sender.send(()).unwrap();
    assert_eq!(results.count().await, 11);
    assert_eq!(backlog(&worker).await, 0);
}

#[tokio::test]
async fn the_closing_message_is_the_last_and_what_comes_after_it_stays() {
    let (_hub, jobs, worker) = channel_with(5).await;
    jobs.broadcast(Message::of(CLOSED, &5).unwrap()).await.unwrap();
    publish(&jobs, 6..8).await;
    for options in [
        Processing { until: Until::Stopped, ..Processing::with(4) },
        Processing { order: Order::Queue, ..Processing::with(4) },
    ] {
        let echo = |message: Message| async move { Ok(number(&message)) };
        let results: Vec<_> = jobs.process_async(&worker, options, echo).await.unwrap().collect().await;
        let expected = if options.until == Until::Stopped { vec![0, 1, 2, 3, 4, 5] } else { vec![6, 7] };
        assert_eq!(results.iter().map(of).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_processing_that_goes_on_takes_what_comes_later_until_the_listener_is_stopped() {
    let (_hub, jobs, worker) = channel_with(2).await;
    let echo = |message: Message| async move { Ok(number(&message)) };
    let options = Processing { until: Until::Stopped, ..Processing::with(2) };
    let mut results = jobs.process_async(&worker, options, echo).await.unwrap();
    for n in 0..2 {
        assert_eq!(of(&results.next().await.unwrap()), n);
    }
    assert!(results.next().now_or_never().is_none());
    publish(&jobs, 2..3).await;
    assert_eq!(of(&results.next().await.unwrap()), 2);
    worker.stop();
    assert!(results.next().await.is_none());
    assert_eq!(results.end(), Some(End::Stopped));
}

#[tokio::test]
async fn a_queue_is_processed_by_one_at_a_time() {
    let (_hub, jobs, worker) = channel_with(1).await;
    let echo = |message: Message| async move { Ok(number(&message)) };
    let first = jobs.process_async(&worker, Processing::with(1), echo).await.unwrap();
    let second = jobs.process_async(&worker, Processing::with(1), echo).await;
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Conflict);
    drop(first);
    let none = jobs.process_async(&worker, Processing::with(0), echo).await.unwrap_err();
    assert_eq!((none.kind(), backlog(&worker).await), (ErrorKind::InvalidValue, 1));
}

#[tokio::test]
async fn what_was_missed_is_told_with_the_message_after_it() {
    let (_hub, jobs, worker) = channel_with(0).await;
    let patch = SettingsPatch { max_messages: Some(2), ..SettingsPatch::default() };
    jobs.change_settings(&patch).await.unwrap();
    publish(&jobs, 0..5).await;
    let echo = |message: Message| async move { Ok(number(&message)) };
    let results: Vec<_> =
        jobs.process_async(&worker, Processing::with(2), echo).await.unwrap().collect().await;
    let missed: Vec<_> = results
        .iter()
        .map(|processed| processed.as_ref().unwrap().delivery.missed().and_then(|gap| gap.missed))
        .collect();
    assert_eq!((results.iter().map(of).collect::<Vec<_>>(), missed), (vec![3, 4], vec![Some(3), None]));
}

#[tokio::test(start_paused = true)]
async fn results_are_as_far_apart_as_is_asked_for() {
    let (_hub, jobs, worker) = channel_with(4).await;
    let echo = |message: Message| async move { Ok(number(&message)) };
    let options = Processing { pause: Duration::from_secs(2), ..Processing::with(4) };
    let begin = tokio::time::Instant::now();
    let results = jobs.process_async(&worker, options, echo).await.unwrap();
    assert_eq!(results.count().await, 4);
    assert_eq!(begin.elapsed().as_secs(), 6);
}
