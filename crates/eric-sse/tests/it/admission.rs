//! Making and removing channels and listeners at once: different ids wait for nobody, one id's changes are in order,
//! limits are exact, and nothing is left over.

use eric_sse::log::Log as _;
use eric_sse::{ChannelId, ChannelSettings, ErrorKind, Limits, ListenerId, SettingsPatch};
use futures_util::FutureExt as _;
use futures_util::future::{join, join_all, join3};
use tokio::task::unconstrained;

use crate::world::{Mode, World, channel, channels, id, message};

fn ids(count: usize) -> impl Iterator<Item = ListenerId> {
    (0..count).map(|n| id(&n.to_string()))
}

fn channel_id(text: &str) -> ChannelId {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_thousand_creations_are_made_durable_together() {
    let world = World::new();
    let hub = world.hub().await;
    let news = channel(&hub, "news").await;
    world.kv.set(Mode::Wait);
    let create = |n: usize| hub.channels().create(channel_id(&n.to_string()), ChannelSettings::in_memory());
    let ensured = join_all(ids(1_000).map(|id| news.ensure_listener(id)));
    let added = join_all((0..1_000).map(|_| news.add_listener()));
    let created = join_all((0..1_000).map(create));
    let mut all = Box::pin(unconstrained(join3(ensured, added, created)));
    assert!((&mut all).now_or_never().is_none());
    assert_eq!(world.kv.waiting(), 3_000, "all wait for one and the same fsync");
    assert_eq!((news.listener_ids().len(), hub.channels().ids().len()), (0, 1), "nobody is seen before");
    world.kv.answer();
    let (ensured, added, created) = all.now_or_never().unwrap();
    assert!(ensured.into_iter().all(|made| made.unwrap().1));
    assert!(added.iter().all(Result::is_ok) && created.iter().all(Result::is_ok));
    assert_eq!((news.listener_ids().len(), hub.channels().ids().len()), (2_000, 1_001));
    world.assert_agreed(&hub, "after all of them");
}

#[tokio::test]
async fn one_id_asked_for_many_times_at_once_is_one_listener() {
    let world = World::new();
    let hub = world.slow_hub(Limits::default()).await;
    let patch = SettingsPatch::default();
    let made = join_all((0..50).map(|_| hub.channels().ensure(channel_id("news"), &patch))).await;
    assert_eq!(made.iter().filter(|made| made.as_ref().unwrap().1).count(), 1);
    let news = &made[0].as_ref().unwrap().0;
    let made = join_all((0..50).map(|_| news.ensure_listener(id("bob")))).await;
    assert_eq!(made.iter().filter(|made| made.as_ref().unwrap().1).count(), 1);
    assert_eq!(world.engine.lanes().len(), 2);
    let create = || hub.channels().create(channel_id("other"), ChannelSettings::in_memory());
    let (one, two) = join(create(), create()).await;
    assert!(one.is_ok());
    assert_eq!(two.unwrap_err().kind(), ErrorKind::AlreadyExists);
    world.assert_agreed(&hub, "after all of them");
}

#[tokio::test]
async fn changes_of_one_id_happen_in_the_order_of_asking() {
    let world = World::new();
    let hub = world.slow_hub(Limits::default()).await;
    let news = channel(&hub, "news").await;
    let bob = id("bob");
    news.ensure_listener(bob.clone()).await.unwrap();
    news.dispatch(&bob, message(1)).await.unwrap();
    let (removed, made) = join(news.remove_listener(&bob), news.ensure_listener(bob.clone())).await;
    assert!(removed.is_ok() && made.unwrap().1);
    assert_eq!(news.listener(&bob).unwrap().info().await.unwrap().backlog, 0, "it is another one");
    let (found, removed) = join(news.ensure_listener(bob.clone()), news.remove_listener(&bob)).await;
    assert!(!found.unwrap().1 && removed.is_ok());
    assert_eq!(news.listener_ids().len(), 0);

    let patch = SettingsPatch::default();
    let (removed, made) =
        join(hub.channels().remove(news.id()), hub.channels().ensure(news.id().clone(), &patch)).await;
    assert!(removed.is_ok() && made.unwrap().1);
    let (one, two) = join(hub.channels().remove(news.id()), hub.channels().remove(news.id())).await;
    assert!(one.is_ok());
    assert_eq!(two.unwrap_err().kind(), ErrorKind::UnknownChannel);
    world.assert_agreed(&hub, "after all of them");
}

#[tokio::test]
async fn limits_are_exact_whatever_happens_at_once() {
    let world = World::new();
    let limits = Limits { channels: 10, listeners_per_channel: 10, ..Limits::default() };
    let hub = world.slow_hub(limits).await;
    let create = |n: usize| hub.channels().create(channel_id(&n.to_string()), ChannelSettings::in_memory());
    let made = join_all((0..100).map(create)).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 10);
    assert!(made.iter().filter_map(|made| made.as_ref().err()).all(|e| e.limit() == Some("channels")));
    let news = channels(&hub).remove(0);
    for _ in 0..3 {
        let made = join_all(ids(100).map(|id| news.ensure_listener(id))).await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 10);
        let listeners = news.listener_ids();
        let (kept, gone) = listeners.split_at(4);
        let removed = join_all(gone.iter().map(|id| news.remove_listener(id))).await;
        assert!(removed.iter().all(Result::is_ok));
        assert_eq!(news.listener_ids(), kept);
        join_all(kept.iter().map(|id| news.remove_listener(id))).await;
    }
    world.assert_agreed(&hub, "after all of them");
}

#[tokio::test]
async fn a_channel_that_is_removed_while_listeners_are_added_leaves_nothing() {
    // The removal begins after the others have got as far as `polls`.
    for polls in 0..20 {
        let world = World::new();
        let hub = world.slow_hub(Limits::default()).await;
        let news = channel(&hub, "news").await;
        news.ensure_listener(id("old")).await.unwrap();
        let mut added = Box::pin(join_all(ids(20).map(|id| news.ensure_listener(id))));
        let _ = (0..polls).any(|_| (&mut added).now_or_never().is_some());
        let late = join_all((0..20).map(|_| news.add_listener()));
        let (removed, late) = join(hub.channels().remove(news.id()), late).await;
        removed.unwrap();
        let error = late.into_iter().filter_map(Result::err).next().unwrap();
        assert_eq!(error.kind(), ErrorKind::UnknownChannel);
        assert_eq!(news.ensure_listener(id("later")).await.unwrap_err().kind(), ErrorKind::UnknownChannel);
        drop(added);
        while !world.engine.lanes().is_empty() || !world.keys().is_empty() {
            hub.expire_listeners().await;
        }
        world.assert_agreed(&hub, "after all of them");
    }
}

#[tokio::test]
async fn settings_that_change_at_once_all_change() {
    let world = World::new();
    let hub = world.slow_hub(Limits::default()).await;
    let news = channel(&hub, "news").await;
    let patches = [
        SettingsPatch { retry_ms: Some(200), ..Default::default() },
        SettingsPatch { max_messages: Some(7), ..Default::default() },
        SettingsPatch { history: Some(3), ..Default::default() },
        SettingsPatch { stream_delay_ms: Some(9), ..Default::default() },
    ];
    let changed = join_all(patches.iter().map(|patch| news.change_settings(patch))).await;
    assert!(changed.iter().all(Result::is_ok));
    let expected = patches.iter().fold(ChannelSettings::in_memory(), |s, patch| patch.apply(s).unwrap());
    assert_eq!(*news.settings(), expected);
    drop((hub, news));
    assert_eq!(*channels(&world.hub().await)[0].settings(), expected);
}
