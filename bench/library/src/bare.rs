//! Bare channels, where they do something of the same kind.

use std::sync::Arc;

use crate::job::{Job, LISTENERS};
use crate::stopwatch::Stopwatch;

/// What is sent: shared, as ours is.
type Message = Arc<(&'static str, &'static str)>;

/// Messages a second through `tokio::sync::broadcast`.
pub(crate) async fn tokio_broadcast(job: Job) -> anyhow::Result<Option<f64>> {
    let Some(count) = receivers(job) else { return Ok(None) };
    let (sender, first) = tokio::sync::broadcast::channel(job.at_once());
    let mut receivers: Vec<_> = (1..count).map(|_| sender.subscribe()).chain([first]).collect();
    let send = async |message: Message| Ok(sender.send(message).map(drop)?);
    let receive =
        async |receiver: &mut tokio::sync::broadcast::Receiver<Message>| Ok(receiver.recv().await?);
    run(job, &mut receivers, send, receive).await.map(Some)
}

/// Messages a second through `async-broadcast`, which waits where a receiver is slow.
pub(crate) async fn async_broadcast(job: Job) -> anyhow::Result<Option<f64>> {
    let Some(count) = receivers(job) else { return Ok(None) };
    let (sender, first) = async_broadcast::broadcast(job.at_once());
    let mut receivers: Vec<_> = (1..count).map(|_| sender.new_receiver()).chain([first]).collect();
    let send = async |message: Message| Ok(sender.broadcast_direct(message).await.map(drop)?);
    let receive =
        async |receiver: &mut async_broadcast::Receiver<Message>| Ok(receiver.recv_direct().await?);
    run(job, &mut receivers, send, receive).await.map(Some)
}

/// Messages a second through `flume`, one queue; it has no broadcast.
pub(crate) async fn flume(job: Job) -> anyhow::Result<Option<f64>> {
    let Some(1) = receivers(job) else { return Ok(None) };
    let (sender, receiver) = flume::bounded(job.at_once());
    let send = async |message: Message| Ok(sender.send_async(message).await?);
    let receive = async |receiver: &mut flume::Receiver<Message>| Ok(receiver.recv_async().await?);
    run(job, &mut [receiver], send, receive).await.map(Some)
}

/// How a job is done with a channel: how many receivers there are, where it can be done.
fn receivers(job: Job) -> Option<usize> {
    match job {
        Job::Next | Job::Batches(_) | Job::Drain => Some(1),
        Job::Broadcast | Job::Broadcasts => Some(LISTENERS),
        Job::DeliverNext
        | Job::DeliverNextById
        | Job::NextById
        | Job::NextWithIds
        | Job::BatchesWithIds
        | Job::BroadcastDeliverNext
        | Job::Process => None,
    }
}

async fn run<R>(
    job: Job,
    receivers: &mut [R],
    send: impl AsyncFn(Message) -> anyhow::Result<()>,
    receive: impl AsyncFn(&mut R) -> anyhow::Result<Message>,
) -> anyhow::Result<f64> {
    let message = Message::new(("greeting", "\"hello, world\""));
    let mut watch = Stopwatch::default();
    watch.start();
    for _ in 0..job.repetitions() {
        if job == Job::Drain {
            watch.stop();
        }
        for _ in 0..job.at_once() {
            send(message.clone()).await?;
        }
        if job == Job::Drain {
            watch.start();
        }
        for receiver in &mut *receivers {
            for _ in 0..job.at_once() {
                receive(receiver).await?;
            }
        }
    }
    watch.stop();
    Ok(watch.rate(job.repetitions() * job.messages()))
}
