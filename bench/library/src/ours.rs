//! The library's side: a hub in memory with the settings that it has by default, every limit in force.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use eric_sse::prefab::executor::Threads;
use eric_sse::prefab::processing::Processing;
use eric_sse::{Channel, ChannelSettings, Connection, Hub, Message, MessageId, MessageStream, Publish};
use futures_util::StreamExt as _;

use crate::job::{Job, LISTENERS, QUEUED, WORKERS};
use crate::stopwatch::Stopwatch;

/// Messages a second.
pub(crate) async fn measure(job: Job) -> anyhow::Result<f64> {
    let hub = Hub::in_memory();
    let channel = hub.channels().create("bench".parse()?, ChannelSettings::in_memory()).await?;
    let scene = Scene { channel, message: Message::of("greeting", "hello, world")? };
    let mut watch = Stopwatch::default();
    match job {
        Job::DeliverNext => scene.deliver_next(job, &mut watch).await?,
        Job::DeliverNextById => scene.deliver_next_by_id(job, &mut watch).await?,
        Job::Next => scene.next(job, &mut watch).await?,
        Job::NextById => scene.next_by_id(job, &mut watch).await?,
        Job::NextWithIds => scene.next_with_ids(job, &mut watch).await?,
        Job::Batches(_) => scene.batches(job, &mut watch).await?,
        Job::BatchesWithIds => scene.batches_with_ids(job, &mut watch).await?,
        Job::BroadcastDeliverNext => scene.broadcast_deliver_next(job, &mut watch).await?,
        Job::Broadcast | Job::Broadcasts => scene.broadcasts(job, &mut watch).await?,
        Job::Drain => scene.drain(job, &mut watch).await?,
        Job::Process => scene.process(job, &mut watch).await?,
    }
    Ok(watch.rate(job.repetitions() * job.messages()))
}

struct Scene {
    channel: Channel,
    message: Message,
}

impl Scene {
    async fn listener(&self) -> anyhow::Result<Connection> {
        let listener = self.channel.add_listener().await?;
        listener.start();
        Ok(listener)
    }

    async fn deliver_next(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        watch.start();
        for _ in 0..job.repetitions() {
            bob.dispatch(self.message.clone()).await?;
            bob.deliver_next().await?.context("it was dispatched")?;
        }
        watch.stop();
        Ok(())
    }

    async fn deliver_next_by_id(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        watch.start();
        for _ in 0..job.repetitions() {
            self.channel.dispatch(bob.id(), self.message.clone()).await?;
            self.channel.deliver_next(bob.id()).await?.context("it was dispatched")?;
        }
        watch.stop();
        Ok(())
    }

    async fn next_by_id(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        let mut stream = self.channel.message_stream(&bob).await?;
        watch.start();
        for _ in 0..job.repetitions() {
            self.channel.dispatch(bob.id(), self.message.clone()).await?;
            take(&mut stream, 1).await?;
        }
        watch.stop();
        Ok(())
    }

    async fn next(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        let mut stream = self.channel.message_stream(&bob).await?;
        watch.start();
        for _ in 0..job.repetitions() {
            bob.dispatch(self.message.clone()).await?;
            take(&mut stream, 1).await?;
        }
        watch.stop();
        Ok(())
    }

    async fn next_with_ids(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        let mut stream = self.channel.message_stream(&bob).await?;
        let ids = ids(job.repetitions())?;
        watch.start();
        for id in ids {
            bob.dispatch(self.message.clone().with_id(id)).await?;
            take(&mut stream, 1).await?;
        }
        watch.stop();
        Ok(())
    }

    async fn batches(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        let mut stream = self.channel.message_stream(&bob).await?;
        watch.start();
        for _ in 0..job.repetitions() {
            let batch = (0..job.at_once()).map(|_| Publish::from(self.message.clone())).collect();
            self.channel.dispatch_batch(bob.id(), batch).await?;
            take(&mut stream, job.at_once()).await?;
        }
        watch.stop();
        Ok(())
    }

    async fn batches_with_ids(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        let mut stream = self.channel.message_stream(&bob).await?;
        let mut ids = ids(job.repetitions() * job.at_once())?.into_iter();
        watch.start();
        for _ in 0..job.repetitions() {
            let batch = ids.by_ref().take(job.at_once()).map(|id| self.message.clone().with_id(id).into());
            self.channel.dispatch_batch(bob.id(), batch.collect()).await?;
            take(&mut stream, job.at_once()).await?;
        }
        watch.stop();
        Ok(())
    }

    async fn broadcast_deliver_next(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let mut listeners = Vec::new();
        for _ in 0..LISTENERS {
            listeners.push(self.listener().await?);
        }
        watch.start();
        for _ in 0..job.repetitions() {
            self.channel.broadcast(self.message.clone()).await?;
            for listener in &listeners {
                listener.deliver_next().await?.context("it was broadcast")?;
            }
        }
        watch.stop();
        Ok(())
    }

    async fn broadcasts(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let mut streams = Vec::new();
        for _ in 0..LISTENERS {
            streams.push(self.channel.message_stream(&self.listener().await?).await?);
        }
        watch.start();
        for _ in 0..job.repetitions() {
            for _ in 0..job.at_once() {
                self.channel.broadcast(self.message.clone()).await?;
            }
            for stream in &mut streams {
                take(stream, job.at_once()).await?;
            }
        }
        watch.stop();
        Ok(())
    }

    async fn drain(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        for _ in 0..job.repetitions() {
            self.fill(&bob).await?;
            watch.start();
            let mut stream = self.channel.message_stream(&bob).await?;
            take(&mut stream, QUEUED).await?;
            drop(stream);
            watch.stop();
        }
        Ok(())
    }

    async fn process(&self, job: Job, watch: &mut Stopwatch) -> anyhow::Result<()> {
        let bob = self.listener().await?;
        let workers = Arc::new(Threads::new(WORKERS)?);
        for _ in 0..job.repetitions() {
            self.fill(&bob).await?;
            watch.start();
            let mut results = self.channel.process(&bob, Processing::with(WORKERS), workers.clone()).await?;
            let mut count = 0;
            while let Some(result) = results.next().await {
                result?;
                count += 1;
            }
            watch.stop();
            ensure!(count == QUEUED, "{count} results of {QUEUED}");
        }
        Ok(())
    }

    async fn fill(&self, listener: &Connection) -> anyhow::Result<()> {
        let batch = (0..QUEUED).map(|_| Publish::from(self.message.clone())).collect();
        self.channel.dispatch_batch(listener.id(), batch).await?;
        Ok(())
    }
}

fn ids(count: usize) -> Result<Vec<MessageId>, eric_sse::Error> {
    (0..count).map(|number| format!("message-{number}").parse()).collect()
}

/// So many messages of a stream, without a gap.
async fn take(stream: &mut MessageStream, count: usize) -> anyhow::Result<()> {
    for _ in 0..count {
        let event = stream.next().await.context("the stream ended")??;
        event.message().context("something was missed")?;
    }
    Ok(())
}
