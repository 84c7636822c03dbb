//! Checks of wake-ups: who is concerned is woken, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use eric_sse::log::Budget;
use eric_sse::{Channel, ChannelSettings, Hub, ReadFrom, Subscribe, Subscription};
use tokio::sync::Notify;

use super::rig::{Checked, Rig, checks, drain, ensure, ensure_eq, message, seen};

checks![a_dispatch_wakes_its_addressee_alone, a_broadcast_wakes_everybody_of_the_channel];

/// A waker that counts, and can be waited for.
#[derive(Default)]
struct Bell {
    wakes: AtomicUsize,
    rung: Notify,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.rung.notify_waiters();
    }
}

/// A subscription that waits, and how often it was woken.
struct Waiting {
    subscription: Subscription,
    bell: Arc<Bell>,
}

impl Waiting {
    /// Lets the subscription catch up with `hub`, then wait.
    async fn new(hub: &Hub, mut subscription: Subscription) -> Checked<Self> {
        drain(hub, &mut subscription).await?;
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let mut items = Vec::new();
        let polled = subscription.poll_items(&mut Context::from_waker(&waker), Budget::default(), &mut items);
        ensure!(matches!(polled, Poll::Pending), "a subscription that caught up found {items:?}");
        Ok(Self { subscription, bell })
    }

    fn wakes(&self) -> usize {
        self.bell.wakes.load(Ordering::SeqCst)
    }
}

const LISTENERS: usize = 20;

async fn waiting(hub: &Hub, channel: &Channel) -> Checked<Vec<Waiting>> {
    let mut waiting = Vec::new();
    for _ in 0..LISTENERS {
        let listener = channel.add_listener().await?;
        let subscription = channel.subscribe(listener.id(), Subscribe::default()).await?;
        waiting.push(Waiting::new(hub, subscription).await?);
    }
    Ok(waiting)
}

/// Waits until whoever is to be woken was: the engine may answer before it wakes.
async fn rings(bell: &Bell) {
    loop {
        let rung = bell.rung.notified();
        if bell.wakes.load(Ordering::SeqCst) > 0 {
            return;
        }
        rung.await;
    }
}

async fn a_dispatch_wakes_its_addressee_alone(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    let mut listeners = waiting(&hub, &channel).await?;
    let watcher = Waiting::new(&hub, channel.watch(ReadFrom::Cursor)?).await?;
    let id = listeners[7].subscription.listener().ok_or("a listener has an id")?.clone();
    channel.dispatch(&id, message(1)).await?;
    rings(&listeners[7].bell).await;
    let woken: Vec<usize> = (0..LISTENERS).filter(|index| listeners[*index].wakes() > 0).collect();
    ensure_eq!(woken, [7], "who was woken");
    ensure_eq!(watcher.wakes(), 0, "how often a watcher was woken");
    let items = drain(&hub, &mut listeners[7].subscription).await?;
    ensure_eq!(seen(&items), ["1"], "what the addressee saw");
    Ok(())
}

async fn a_broadcast_wakes_everybody_of_the_channel(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    let other = hub.channels().create("other".parse()?, ChannelSettings::default()).await?;
    let elsewhere = waiting(&hub, &other).await?;
    let mut listeners = waiting(&hub, &channel).await?;
    listeners.push(Waiting::new(&hub, channel.watch(ReadFrom::Cursor)?).await?);
    channel.broadcast(message(1)).await?;
    for listener in &mut listeners {
        rings(&listener.bell).await;
        ensure_eq!(listener.wakes(), 1, "how often a listener was woken");
        let items = drain(&hub, &mut listener.subscription).await?;
        ensure_eq!(seen(&items), ["1"], "what a listener saw");
    }
    ensure!(
        elsewhere.iter().all(|listener| listener.wakes() == 0),
        "listeners of another channel were woken"
    );
    Ok(())
}
