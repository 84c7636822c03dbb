//! A hub that is restored has the channels, listeners, settings and queues that it had, in their order.

use eric_sse::cursor::Cursors as _;
use eric_sse::lane::{Overflow, Retention};
use eric_sse::limits::ID_BYTES_MAX;
use eric_sse::log::Log as _;
use eric_sse::persist::KvStore as _;
use eric_sse::{Channel, ChannelSettings, ErrorKind, Hub, Limits, ListenerOrder, Restored, SettingsPatch};
use futures_util::StreamExt as _;

use crate::world::{World, channel, channels, id, message};

/// What a hub consists of, in the order of listing.
fn inventory(hub: &Hub) -> Vec<(String, ChannelSettings, Vec<String>)> {
    let listeners =
        |channel: &Channel| channel.listener_ids().iter().map(ToString::to_string).collect::<Vec<_>>();
    let row =
        |channel: &Channel| (channel.id().to_string(), (*channel.settings()).clone(), listeners(channel));
    channels(hub).iter().map(row).collect()
}

fn counts(hub: &Hub) -> (usize, usize, usize, usize) {
    let Restored { channels, listeners, swept_lanes, swept_records, .. } = hub.restored();
    (channels, listeners, swept_lanes, swept_records)
}

#[tokio::test]
async fn ids_of_odd_characters_come_back_in_their_order() {
    let world = World::new();
    let hub = world.hub().await;
    let long = "é".repeat(ID_BYTES_MAX / 2);
    let odd = ["z/y", "a", "%2F", "a/b/../c", "🙂", "\"quoted\\", " ", "ünï", &long, "channel/1", "\u{2028}"];
    for id in odd {
        let channel = channel(&hub, id).await;
        for id in odd.iter().rev() {
            channel.ensure_listener(id.parse().unwrap()).await.unwrap();
        }
        channel.add_listener().await.unwrap();
    }
    let before = inventory(&hub);
    drop(hub);
    let hub = world.hub().await;
    assert_eq!(inventory(&hub), before);
    assert_eq!(counts(&hub), (odd.len(), odd.len() * (odd.len() + 1), 0, 0));
    let channel = hub.channels().get(&"🙂".parse().unwrap()).unwrap();
    let page = channel.listeners(Some(&id("🙂")), 2, ListenerOrder::Age).await.unwrap();
    assert_eq!(page.iter().map(|info| info.id.as_str()).collect::<Vec<_>>(), ["a/b/../c", "%2F"]);
    world.assert_agreed(&hub, "after a restart");
}

#[tokio::test]
async fn every_setting_comes_back_and_rules() {
    let world = World::new();
    let hub = world.hub().await;
    let settings = ChannelSettings {
        retry_ms: 100,
        stream_delay_ms: 60_000,
        max_messages: 2,
        max_bytes: u64::MAX,
        max_age_s: 1,
        history: 0,
        max_unread_per_listener: 3,
        max_unread_bytes_per_listener: 1_000_000,
        listener_expires_s: Some(4),
        generated_listener_expires_s: None,
        overflow: Overflow::Reject,
    };
    hub.channels().create("made".parse().unwrap(), settings.clone()).await.unwrap();
    let changed = channel(&hub, "changed").await;
    let patch = SettingsPatch { max_messages: Some(5), listener_expires_s: Some(None), ..Default::default() };
    changed.change_settings(&patch).await.unwrap();
    let expected = vec![
        ("made".to_owned(), settings, vec![]),
        ("changed".to_owned(), patch.apply(ChannelSettings::in_memory()).unwrap(), vec![]),
    ];
    assert_eq!(inventory(&hub), expected);
    drop((hub, changed));
    // The engine missed a change of settings: the record's win.
    let lane = world.engine.lanes()[1].lane;
    world.engine.retain(lane, narrow()).await.unwrap();
    let hub = world.hub().await;
    assert_eq!(inventory(&hub), expected);
    let changed = hub.channels().get(&"changed".parse().unwrap()).unwrap();
    changed.add_listener().await.unwrap();
    for n in 0..9 {
        changed.broadcast(message(n)).await.unwrap();
    }
    assert_eq!(changed.info().await.unwrap().messages, 5);
}

/// A retention that is none of the tests' channels'.
fn narrow() -> Retention {
    Retention {
        max_messages: 1,
        max_bytes: 1_000,
        max_age_s: 1_000,
        history: 0,
        max_unread_per_listener: 1,
        max_unread_bytes_per_listener: 1_000,
        overflow: Overflow::DropOldest,
    }
}

#[tokio::test]
async fn queues_go_on_where_they_were() {
    let world = World::new();
    let hub = world.hub().await;
    let news = channel(&hub, "news").await;
    let bob = news.ensure_listener(id("bob")).await.unwrap().0;
    bob.start();
    for n in 1..=3 {
        news.broadcast(message(n)).await.unwrap();
    }
    news.dispatch(bob.id(), message(4)).await.unwrap();
    assert!(news.deliver_next(bob.id()).await.unwrap().is_some());
    drop((hub, news, bob));
    let hub = world.hub().await;
    let news = hub.channels().get(&"news".parse().unwrap()).unwrap();
    let (bob, is_new) = news.ensure_listener(id("bob")).await.unwrap();
    assert!(!is_new && !bob.is_running());
    assert_eq!(bob.info().await.unwrap().backlog, 3);
    bob.start();
    news.broadcast(message(5)).await.unwrap();
    let stream = news.message_stream(&bob).await.unwrap();
    let seen: Vec<String> = stream
        .take(4)
        .map(|event| event.unwrap().message().unwrap().message().payload().as_json().to_owned())
        .collect()
        .await;
    assert_eq!(seen, ["2", "3", "4", "5"]);
}

#[tokio::test]
async fn what_was_removed_and_made_again_is_another() {
    let world = World::new();
    let hub = world.hub().await;
    let (kept, made_again) = (channel(&hub, "kept").await, channel(&hub, "again").await);
    for channel in [&kept, &made_again] {
        channel.ensure_listener(id("bob")).await.unwrap();
        channel.ensure_listener(id("eve")).await.unwrap();
        channel.dispatch(&id("bob"), message(1)).await.unwrap();
    }
    kept.remove_listener(&id("bob")).await.unwrap();
    kept.ensure_listener(id("bob")).await.unwrap();
    hub.channels().remove(made_again.id()).await.unwrap();
    channel(&hub, "again").await.ensure_listener(id("bob")).await.unwrap();
    world.assert_agreed(&hub, "before the restart");
    drop(hub);
    let hub = world.hub().await;
    assert_eq!(counts(&hub), (2, 3, 0, 0));
    for (channel, listeners) in channels(&hub).iter().zip([&["eve", "bob"][..], &["bob"]]) {
        assert_eq!(channel.listener_ids(), listeners.iter().map(|text| id(text)).collect::<Vec<_>>());
        let bob = channel.listener(&id("bob")).unwrap();
        assert_eq!(bob.info().await.unwrap().backlog, 0, "its predecessor's mail is not its");
    }
}

#[tokio::test]
async fn what_is_in_the_log_or_in_the_records_alone_goes() {
    let world = World::new();
    let hub = world.hub().await;
    let (news, other) = (channel(&hub, "news").await, channel(&hub, "other").await);
    for channel in [&news, &other] {
        for name in ["bob", "eve"] {
            channel.ensure_listener(id(name)).await.unwrap();
        }
    }
    drop((hub, news, other));
    let lanes = world.engine.lanes();
    let (news, other, bob) = (lanes[0].lane, lanes[1].lane, lanes[2].lane);
    // A listener without a lane, a channel without one, a lane of each kind without a record, and one of a listener
    // whose channel has none.
    world.engine.leave(bob).await.unwrap();
    world.engine.close(other).await.unwrap();
    world.engine.join(news).await.unwrap();
    let stray = world.engine.open(narrow()).await.unwrap();
    world.engine.join(stray).await.unwrap();
    let hub = world.hub().await;
    assert_eq!(counts(&hub), (1, 1, 3, 4));
    assert_eq!(channels(&hub)[0].listener_ids(), [id("eve")]);
    world.assert_agreed(&hub, "after the sweep");
    drop(hub);
    assert_eq!(counts(&world.hub().await), (1, 1, 0, 0), "there is nothing left to sweep");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_start_and_is_named() {
    let world = World::new();
    channel(&world.hub().await, "news").await;
    let key = world.keys().remove(0);
    let value = world.kv.fetch_one(&key).await.unwrap().unwrap();
    let later = String::from_utf8(value.to_vec()).unwrap().replace("\"version\":1", "\"version\":2");
    world.kv.upsert(&key, later.into()).await.unwrap();
    let restored = world.hub_on(world.engine.clone(), world.kv.clone(), Limits::default()).await;
    let error = restored.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&key), "{error}");
    assert_eq!(world.engine.lanes().len(), 1, "nothing was swept");
    world.kv.upsert(&key, value).await.unwrap();
    assert_eq!(counts(&world.hub().await), (1, 0, 0, 0), "the next start finds everything");
}

#[tokio::test]
async fn keys_of_others_in_the_store_are_left_alone() {
    let world = World::new();
    for key in ["channel", "channels/1", "listener", "a", "z"] {
        world.kv.upsert(key, "others'".into()).await.unwrap();
    }
    channel(&world.hub().await, "news").await;
    assert_eq!(counts(&world.hub().await), (1, 0, 0, 0));
    assert_eq!(world.keys().len(), 6);
}

#[tokio::test]
async fn limits_that_became_smaller_let_everybody_back_in_and_nobody_new() {
    let world = World::new();
    let hub = world.hub().await;
    for name in ["a", "b"] {
        let channel = channel(&hub, name).await;
        channel.add_listener().await.unwrap();
        channel.add_listener().await.unwrap();
    }
    drop(hub);
    let limits = Limits { channels: 1, listeners_per_channel: 1, ..Limits::default() };
    let hub = world.hub_on(world.engine.clone(), world.kv.clone(), limits).await.unwrap();
    assert_eq!(counts(&hub), (2, 4, 0, 0));
    let error = hub.channels().create("c".parse().unwrap(), ChannelSettings::default()).await.unwrap_err();
    assert_eq!(error.limit(), Some("channels"));
    let error = channels(&hub)[0].add_listener().await.unwrap_err();
    assert_eq!(error.limit(), Some("listeners_per_channel"));
}

#[tokio::test]
async fn a_slow_engine_and_a_slow_store_bring_back_the_same() {
    let world = World::new();
    let hub = world.slow_hub(Limits::default()).await;
    for name in ["b", "a"] {
        let channel = channel(&hub, name).await;
        channel.ensure_listener(id("bob")).await.unwrap();
    }
    let before = inventory(&hub);
    drop(hub);
    assert_eq!(inventory(&world.slow_hub(Limits::default()).await), before);
}

#[tokio::test]
async fn a_hub_that_is_opened_without_records_remembers_nothing() {
    let world = World::new();
    let hub = Hub::builder(world.engine.clone()).open();
    channel(&hub, "news").await.add_listener().await.unwrap();
    drop(hub);
    assert_eq!(counts(&world.hub().await), (0, 0, 2, 0));
}

#[tokio::test]
async fn ten_thousand_channels_with_100_000_listeners_come_back() {
    let world = World::new();
    let hub = world.hub().await;
    for n in 0..10_000_u64 {
        let channel = channel(&hub, &format!("channel {n}")).await;
        for n in 0..10_u64 {
            channel.ensure_listener(id(&n.to_string())).await.unwrap();
        }
    }
    drop(hub);
    let hub = world.hub().await;
    assert_eq!(counts(&hub), (10_000, 100_000, 0, 0));
    assert_eq!(channels(&hub)[9_999].listener_ids().len(), 10);
}
