//! Listeners and queues of the user's own that come back after a restart, by their kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use eric_sse::listener::CallbackError;
use eric_sse::log::BoxFuture;
use eric_sse::persist::{Kinds, Recipe};
use eric_sse::profile::Profile;
use eric_sse::queue::{MemoryQueue, Pump, Queue, QueueResult};
use eric_sse::{Channel, ErrorKind, Hub, Listener, ListenerId, Message, Position, Result, SettingsPatch};
use futures_util::FutureExt as _;

use crate::world::{World, id};

/// Adds up what it hears, in steps.
struct Adder {
    id: ListenerId,
    step: i64,
    sum: AtomicI64,
}

impl Adder {
    fn new(name: &str, step: i64) -> Arc<Self> {
        Arc::new(Self { id: id(name), step, sum: AtomicI64::new(0) })
    }
}

impl Listener for Adder {
    fn id(&self) -> &ListenerId {
        &self.id
    }

    fn recipe(&self) -> Option<Recipe> {
        let sum = self.sum.load(Ordering::Relaxed);
        Some(Recipe { kind: "adder".to_owned(), parameters: self.step.into(), values: sum.into() })
    }

    fn on_message(&self, _: &Message) -> Result<(), CallbackError> {
        self.sum.fetch_add(self.step, Ordering::Relaxed);
        Ok(())
    }
}

fn number(value: &serde_json::Value) -> Result<i64, CallbackError> {
    value.as_i64().ok_or_else(|| "it is no number".into())
}

fn kinds() -> Kinds {
    Kinds::default().listener("adder", |id, recipe| {
        let adder = Adder { id: id.clone(), step: number(&recipe.parameters)?, sum: AtomicI64::new(0) };
        adder.sum.store(number(&recipe.values)?, Ordering::Relaxed);
        Ok(Arc::new(adder))
    })
}

async fn hub(world: &World, kinds: Kinds) -> Result<Hub> {
    let builder = Hub::builder(world.engine.clone()).clock(Arc::new(world.clock.clone()));
    builder.kinds(kinds).restore(world.kv.clone()).await
}

/// The channel, made if it is not there.
async fn news(hub: &Hub) -> Channel {
    hub.channels().ensure("news".parse().unwrap(), &SettingsPatch::default()).await.unwrap().0
}

fn sum(listener: &Arc<dyn Listener>) -> i64 {
    number(&listener.recipe().unwrap().values).unwrap()
}

#[tokio::test]
async fn a_listener_comes_back_with_its_parameters_values_and_mail() {
    let world = World::new();
    let channel = news(&hub(&world, kinds()).await.unwrap()).await;
    let bob = channel.register_listener(Adder::new("bob", 5)).await.unwrap();
    bob.start();
    for _ in 0..3 {
        channel.broadcast(Message::of("t", &()).unwrap()).await.unwrap();
    }
    channel.deliver_next(&id("bob")).await.unwrap();
    bob.remember().await.unwrap();
    drop((channel, bob));

    let hub = hub(&world, kinds()).await.unwrap();
    let channel = news(&hub).await;
    let bob = channel.listener(&id("bob")).unwrap();
    let listener = bob.listener().expect("it was made again");
    assert_eq!((sum(&listener), bob.is_running(), bob.info().await.unwrap().backlog), (5, false, 2));
    bob.start();
    while channel.deliver_next(&id("bob")).await.unwrap().is_some() {}
    assert_eq!(sum(&listener), 15, "in its own steps");
    let again = channel.register_listener(Adder::new("bob", 1)).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists, "it is there");
}

#[tokio::test]
async fn a_listener_that_is_profiled_comes_back_as_it_was() {
    let world = World::new();
    let channel = news(&hub(&world, kinds()).await.unwrap()).await;
    let profile = Arc::new(Profile::default());
    channel.register_listener(profile.wrap(Adder::new("bob", 5))).await.unwrap();
    drop(channel);
    let channel = news(&hub(&world, kinds()).await.unwrap()).await;
    let bob = channel.listener(&id("bob")).unwrap().listener().expect("it was made again");
    assert_eq!(bob.recipe().unwrap().parameters, 5);
}

#[tokio::test]
async fn when_it_was_seen_is_recorded_and_its_recipe_stays() {
    let world = World::new();
    let first = hub(&world, kinds()).await.unwrap();
    let channel = news(&first).await;
    let bob = channel.register_listener(Adder::new("bob", 5)).await.unwrap();
    world.clock.advance(Duration::from_secs(7_200));
    channel.ack(bob.id(), first.tail()).await.unwrap();
    first.expire_listeners().await;
    drop((first, channel, bob));
    let bob = news(&hub(&world, kinds()).await.unwrap()).await.listener(&id("bob")).unwrap();
    assert_eq!(bob.listener().unwrap().recipe().unwrap().parameters, 5);
}

#[tokio::test]
async fn who_comes_back_without_a_recipe_and_is_adopted_by_one_with_it_keeps_it() {
    let world = World::new();
    news(&hub(&world, kinds()).await.unwrap()).await.ensure_listener(id("bob")).await.unwrap();
    let channel = news(&hub(&world, kinds()).await.unwrap()).await;
    channel.register_listener(Adder::new("bob", 2)).await.unwrap();
    let bob = news(&hub(&world, kinds()).await.unwrap()).await.listener(&id("bob")).unwrap();
    assert!(bob.listener().is_some());
}

#[tokio::test]
async fn what_cannot_be_made_again_stops_the_start_and_says_why() {
    let world = World::new();
    let channel = news(&hub(&world, kinds()).await.unwrap()).await;
    channel.register_listener(Adder::new("bob", 5)).await.unwrap();
    let fails = Kinds::default().listener("adder", |_, _| Err("no more adders".into()));
    let other = Kinds::default().listener("adder", |_, _| Ok(Adder::new("eve", 1)));
    for (kinds, reason) in [
        (Kinds::default(), "listener id=bob is of an unknown kind=adder"),
        (fails, "listener id=bob of kind=adder cannot be made again: no more adders"),
        (other, "listener id=bob was made again with another id=eve"),
    ] {
        let error = hub(&world, kinds).await.unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::Corrupt, reason));
    }
    assert!(hub(&world, kinds()).await.is_ok(), "nothing was lost by trying");
}

/// A queue in memory that outlives the hub, as one in a broker does.
struct Lasting(Arc<MemoryQueue>);

impl Queue for Lasting {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn recipe(&self) -> Option<Recipe> {
        Some(Recipe { parameters: self.id().into(), ..Recipe::of("lasting") })
    }

    fn push(&self, position: Position, message: Message) -> BoxFuture<'_, QueueResult<()>> {
        self.0.push(position, message)
    }

    fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>> {
        self.0.pop()
    }
}

#[tokio::test]
async fn a_queue_comes_back_with_its_listener_and_its_pump_goes_on() {
    let world = World::new();
    let inbox = Arc::new(MemoryQueue::new("inbox", 100));
    let known = inbox.clone();
    let kinds = kinds().queue("lasting", move |id, recipe| {
        assert_eq!((id.as_str(), recipe.parameters.as_str()), ("bob", Some("inbox")));
        Ok(Arc::new(Lasting(known.clone())))
    });
    let channel = news(&hub(&world, kinds.clone()).await.unwrap()).await;
    let pump = Pump::connect(&channel, Adder::new("bob", 5), Arc::new(Lasting(inbox.clone()))).await.unwrap();
    channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    assert!(Box::pin(pump.run()).now_or_never().is_none());
    channel.broadcast(Message::of("t", &2).unwrap()).await.unwrap();
    drop((channel, pump));

    let channel = news(&hub(&world, kinds).await.unwrap()).await;
    let pump = Pump::resume(&channel, &id("bob")).unwrap();
    assert!(Box::pin(pump.run()).now_or_never().is_none());
    let mut delivered = Vec::new();
    while let Some((message, result)) = pump.deliver_next().await.unwrap() {
        result.unwrap();
        delivered.push(message.payload().as_json().to_owned());
    }
    assert_eq!((delivered, sum(&pump.connection().listener().unwrap())), (vec!["1".into(), "2".into()], 10));
    channel.ensure_listener(id("plain")).await.unwrap();
    assert_eq!(Pump::resume(&channel, &id("plain")).unwrap_err().kind(), ErrorKind::Conflict);
}
