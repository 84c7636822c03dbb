//! Calls that nobody waits for any more, stores that fail, and processes that die between the log and the records: the
//! hub, its engine and its records agree afterwards, whenever it happens.

use eric_sse::listener::FnListener;
use eric_sse::log::BoxFuture;
use eric_sse::{ChannelSettings, ErrorKind, Hub, Limits, Result, SettingsPatch};

use crate::world::{Mode, World, channel, channels, id, poll_times};

/// Rounds of expiry within which a slow engine has answered.
const ROUNDS: usize = 20;

type Change = for<'a> fn(&'a Hub) -> BoxFuture<'a, Result<()>>;

/// Every change of what exists, each with its name.
const CHANGES: &[(&str, Change)] = &[
    ("create a channel", |hub| {
        Box::pin(async {
            hub.channels().create("new".parse()?, ChannelSettings::in_memory()).await.map(drop)
        })
    }),
    ("ensure a channel", |hub| {
        let patch = SettingsPatch { retry_ms: Some(200), ..Default::default() };
        Box::pin(async move { hub.channels().ensure("new".parse()?, &patch).await.map(drop) })
    }),
    ("remove a channel", |hub| Box::pin(async { hub.channels().remove(&"news".parse()?).await })),
    ("change settings", |hub| {
        let patch = SettingsPatch { retry_ms: Some(200), max_messages: Some(3), ..Default::default() };
        Box::pin(async move { channels(hub)[0].change_settings(&patch).await })
    }),
    ("add a listener", |hub| Box::pin(async { channels(hub)[0].add_listener().await.map(drop) })),
    ("ensure a listener", |hub| {
        Box::pin(async { channels(hub)[0].ensure_listener(id("new")).await.map(drop) })
    }),
    ("register a listener", |hub| {
        let listener = std::sync::Arc::new(FnListener::new(id("new"), |_| Ok(())));
        Box::pin(async { channels(hub)[0].register_listener(listener).await.map(drop) })
    }),
    ("remove a listener", |hub| Box::pin(async { channels(hub)[0].remove_listener(&id("bob")).await })),
];

/// What a hub has: ids, and settings that a change touches.
fn inventory(hub: &Hub) -> Vec<String> {
    let row = |channel: &eric_sse::Channel| {
        let settings = channel.settings();
        let mut listeners: Vec<String> = channel.listener_ids().iter().map(ToString::to_string).collect();
        // Generated ids are others in every world.
        listeners.iter_mut().filter(|id| id.len() == 36).for_each(|id| *id = "generated".to_owned());
        format!("{} {} {} {listeners:?}", channel.id(), settings.retry_ms, settings.max_messages)
    };
    channels(hub).iter().map(row).collect()
}

/// A world with two channels and three listeners, and a slow hub on it.
async fn scene() -> (World, Hub) {
    let world = World::new();
    let hub = world.slow_hub(Limits::default()).await;
    let news = channel(&hub, "news").await;
    news.ensure_listener(id("bob")).await.unwrap();
    news.ensure_listener(id("eve")).await.unwrap();
    channel(&hub, "other").await.ensure_listener(id("bob")).await.unwrap();
    (world, hub)
}

#[tokio::test]
async fn a_call_that_is_dropped_at_any_point_leaves_nothing_behind() {
    for (name, change) in CHANGES {
        let mut was_over = false;
        for polls in 0.. {
            let (world, hub) = scene().await;
            let mut call = change(&hub);
            was_over = poll_times(&mut call, polls);
            drop(call);
            for _ in 0..ROUNDS {
                hub.expire_listeners().await;
            }
            let when = format!("after {polls} polls of: {name}");
            world.assert_agreed(&hub, &when);
            let before = inventory(&hub);
            assert_eq!(restarted_after(*change, polls).await, before, "a restart, {when}");
            // Nobody's turn is held up.
            let again = change(&hub).await;
            assert!(
                again.is_ok() || (polls > 0 && before != inventory(&scene().await.1)),
                "{when}: {again:?}"
            );
            world.assert_agreed(&hub, &format!("after it was called again, {when}"));
            let expected = inventory(&hub);
            drop(hub);
            assert_eq!(inventory(&world.hub().await), expected, "a restart after another call, {when}");
            if was_over {
                break;
            }
        }
        assert!(was_over, "{name} comes to its end");
    }
}

/// What comes back where a change was dropped after this many polls, and the process went soon after.
async fn restarted_after(change: Change, polls: usize) -> Vec<String> {
    let (world, hub) = scene().await;
    let mut call = change(&hub);
    poll_times(&mut call, polls);
    drop(call);
    drop(hub);
    inventory(&world.hub().await)
}

/// The process dies in the middle of a change: what was begun is never continued, and never taken back either.
async fn die(change: Change, polls: usize, mode: Mode, when: &str) -> bool {
    let (world, hub) = scene().await;
    let before = inventory(&hub);
    world.kv.set(mode);
    let mut call = change(&hub);
    let was_over = poll_times(&mut call, polls);
    std::mem::forget(call);
    drop(hub);
    world.kv.set(Mode::Happen);
    let hub = world.hub().await;
    world.assert_agreed(&hub, when);
    let after = inventory(&hub);
    assert!(was_over || after.len().abs_diff(before.len()) <= 1, "{when}");
    assert!(change(&hub).await.is_ok() || after != before, "{when}: it can be done again");
    world.assert_agreed(&hub, when);
    drop(hub);
    let restored = world.hub().await.restored();
    assert_eq!((restored.swept_lanes, restored.swept_records), (0, 0), "{when}: one sweep is enough");
    was_over
}

#[tokio::test]
async fn a_process_that_dies_at_any_point_leaves_nothing_after_the_sweep() {
    for (name, change) in CHANGES {
        for polls in 0.. {
            if die(*change, polls, Mode::Happen, &format!("died after {polls} polls of: {name}")).await {
                break;
            }
        }
        // The records of the change never got to the disk.
        for polls in 0..40 {
            let when = format!("died after {polls} polls, its records lost, of: {name}");
            assert!(!die(*change, polls, Mode::Lose, &when).await, "{when}: answered before it was durable");
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_changes_nothing_and_says_so() {
    for (name, change) in CHANGES {
        let (world, hub) = scene().await;
        let before = inventory(&hub);
        world.kv.set(Mode::Fail);
        let error = change(&hub).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{name}");
        assert_eq!(inventory(&hub), before, "{name}");
        world.assert_agreed(&hub, &format!("after a failure: {name}"));
        world.kv.set(Mode::Happen);
        change(&hub).await.unwrap();
        world.assert_agreed(&hub, &format!("after a failure and a success: {name}"));
    }
}

#[tokio::test]
async fn a_listener_that_could_not_be_removed_is_still_there_to_be_read_for() {
    let (world, hub) = scene().await;
    let news = channels(&hub).remove(0);
    let mut stream = news.subscribe(&id("bob"), Default::default()).await.unwrap();
    world.kv.set(Mode::Fail);
    news.remove_listener(&id("bob")).await.unwrap_err();
    hub.channels().remove(news.id()).await.unwrap_err();
    news.dispatch(&id("bob"), crate::world::message(1)).await.unwrap();
    let mut items = Vec::new();
    assert_eq!(stream.next_items(&mut items).await.unwrap(), None, "its stream goes on");
    assert_eq!(items.len(), 1);
}
