//! Checks of delivery through a hub: order, at least once, acknowledging, resuming.

use eric_sse::{Ack, Channel, ChannelSettings, Limits, ReadFrom, Subscribe, Subscription};

use super::rig::{
    Checked, Rig, checks, consume, drain, drain_to, ensure, ensure_eq, ensure_kind, id, message, on_threads,
    seen,
};

checks![
    a_listener_sees_its_lanes_merged_in_log_order,
    live_and_away_readers_see_the_same,
    what_was_not_consumed_is_delivered_again,
    manual_acknowledgement_delivers_again_until_it_is_given,
    a_stream_resumes_after_its_last_position_in_both_directions,
    a_manual_stream_begins_where_it_asks_and_moves_nothing,
    nothing_before_the_join_is_delivered,
    a_live_watcher_sees_what_is_not_kept_for_anybody,
    a_reader_that_falls_behind_the_window_loses_nothing,
    a_live_reader_sees_all_that_is_published_concurrently,
    a_join_among_publishers_sees_all_that_began_after,
];

const MANUAL: Subscribe =
    Subscribe { from: ReadFrom::Cursor, ack: Ack::Manual, conflict: eric_sse::Conflict::Replace };

async fn a_listener_sees_its_lanes_merged_in_log_order(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    for name in ["bob", "eve"] {
        channel.ensure_listener(id(name)).await?;
    }
    let other = hub.channels().create("other".parse()?, ChannelSettings::default()).await?;
    other.ensure_listener(id("bob")).await?;
    let mut watcher = channel.watch(ReadFrom::Cursor)?;
    let mut expected = [vec![], vec![], vec![]];
    for n in 0..40 {
        let readers: &[usize] = match n * 7 % 5 {
            0 | 1 => {
                channel.broadcast(message(n)).await?;
                &[0, 1, 2]
            }
            2 => {
                channel.dispatch(&id("bob"), message(n)).await?;
                &[0]
            }
            3 => {
                channel.dispatch(&id("eve"), message(n)).await?;
                &[1]
            }
            _ => {
                other.dispatch(&id("bob"), message(n)).await?;
                other.broadcast(message(n)).await?;
                &[]
            }
        };
        readers.iter().for_each(|reader| expected[*reader].push(n.to_string()));
    }
    for (name, expected) in ["bob", "eve"].into_iter().zip(&expected) {
        let mut subscription = channel.subscribe(&id(name), Subscribe::default()).await?;
        ensure_eq!(&seen(&drain(&hub, &mut subscription).await?), expected, format!("what {name} saw"));
    }
    ensure_eq!(seen(&drain(&hub, &mut watcher).await?), expected[2], "what a watcher saw");
    Ok(())
}

async fn live_and_away_readers_see_the_same(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("live")).await?;
    channel.ensure_listener(id("away")).await?;
    let mut live = channel.subscribe(&id("live"), Subscribe::default()).await?;
    let mut expected = Vec::new();
    for round in 0..10 {
        let batch = (round * 3..round * 3 + 3).map(|n| message(n).into()).collect();
        channel.broadcast_batch(batch).await?;
        let items = drain(&hub, &mut live).await?;
        ensure_eq!(items.len(), 3, "what a live reader saw of a batch");
        expected.extend(seen(&items));
        consume(&mut live, &items);
    }
    let mut away = channel.subscribe(&id("away"), Subscribe::default()).await?;
    ensure_eq!(seen(&drain(&hub, &mut away).await?), expected, "what a reader saw that was away");
    let numbers: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    ensure_eq!(expected, numbers, "what a live reader saw");
    Ok(())
}

async fn what_was_not_consumed_is_delivered_again(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    for n in 1..=5 {
        channel.broadcast(message(n)).await?;
    }
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let items = drain(&hub, &mut bob).await?;
    ensure_eq!(seen(&items), ["1", "2", "3", "4", "5"], "the first time");
    consume(&mut bob, &items[..2]);
    drop(bob);
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let items = drain(&hub, &mut bob).await?;
    ensure_eq!(seen(&items), ["3", "4", "5"], "after two were consumed");
    consume(&mut bob, &items);
    bob.commit();
    drop(bob);
    channel.dispatch(&id("bob"), message(6)).await?;
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["6"], "after all were consumed");
    Ok(())
}

async fn manual_acknowledgement_delivers_again_until_it_is_given(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut positions = Vec::new();
    for n in 1..=4 {
        positions.push(channel.broadcast(message(n)).await?.position);
    }
    let again = async || -> Checked<Vec<String>> {
        let mut bob = channel.subscribe(&id("bob"), MANUAL).await?;
        let items = drain(&hub, &mut bob).await?;
        consume(&mut bob, &items);
        Ok(seen(&items))
    };
    for _ in 0..2 {
        ensure_eq!(again().await?, ["1", "2", "3", "4"], "without an acknowledgement");
    }
    channel.ack(&id("bob"), positions[1]).await?;
    ensure_eq!(again().await?, ["3", "4"], "after an acknowledgement");
    channel.ack(&id("bob"), positions[0]).await?;
    ensure_eq!(again().await?, ["3", "4"], "after a lower acknowledgement");
    let tail = hub.tail();
    let beyond = eric_sse::Position { offset: tail.offset.next(), ..tail };
    ensure_kind!(channel.ack(&id("bob"), beyond).await, Conflict, "an acknowledgement beyond the tail");
    channel.ack(&id("bob"), positions[3]).await?;
    ensure_eq!(again().await?.len(), 0, "when all was acknowledged");
    Ok(())
}

async fn a_stream_resumes_after_its_last_position_in_both_directions(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut positions = Vec::new();
    for n in 1..=6 {
        positions.push(match n % 2 {
            0 => channel.dispatch(&id("bob"), message(n)).await?.position,
            _ => channel.broadcast(message(n)).await?.position,
        });
    }
    for (after, expected) in [(5, vec!["6"]), (1, vec!["2", "3", "4", "5", "6"]), (3, vec!["4", "5", "6"])] {
        let from = ReadFrom::After(positions[after - 1]);
        let mut bob = channel.subscribe(&id("bob"), Subscribe { from, ..Subscribe::default() }).await?;
        let cursor = channel.listener(&id("bob"))?.info().await?.cursor;
        ensure_eq!(cursor, positions[after - 1], "the cursor goes where the stream begins");
        ensure_eq!(seen(&drain(&hub, &mut bob).await?), expected, format!("what follows {after}"));
    }
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["4", "5", "6"], "what follows the cursor");
    Ok(())
}

async fn a_manual_stream_begins_where_it_asks_and_moves_nothing(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut positions = Vec::new();
    for n in 1..=4 {
        positions.push(channel.broadcast(message(n)).await?.position);
    }
    channel.ack(&id("bob"), positions[1]).await?;
    for (after, expected) in [(1, vec!["2", "3", "4"]), (3, vec!["4"])] {
        let from = ReadFrom::After(positions[after - 1]);
        let mut bob = channel.subscribe(&id("bob"), Subscribe { from, ..MANUAL }).await?;
        let items = drain(&hub, &mut bob).await?;
        ensure_eq!(seen(&items), expected, format!("what follows {after}"));
        consume(&mut bob, &items);
        drop(bob);
        let cursor = channel.listener(&id("bob"))?.info().await?.cursor;
        ensure_eq!(cursor, positions[1], "the cursor of a manual listener");
    }
    Ok(())
}

async fn nothing_before_the_join_is_delivered(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    for n in 1..=3 {
        channel.broadcast(message(n)).await?;
    }
    channel.ensure_listener(id("bob")).await?;
    channel.broadcast(message(4)).await?;
    for from in [ReadFrom::Earliest, ReadFrom::Cursor] {
        let mut bob = channel.subscribe(&id("bob"), Subscribe { from, ..MANUAL }).await?;
        ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["4"], format!("what was seen from {from:?}"));
    }
    let mut watcher = channel.watch(ReadFrom::Earliest)?;
    let seen = seen(&drain(&hub, &mut watcher).await?);
    ensure_eq!(seen, ["1", "2", "3", "4"], "what a watcher saw from the earliest");
    Ok(())
}

async fn a_live_watcher_sees_what_is_not_kept_for_anybody(rig: &Rig<'_>) -> Checked {
    let settings = ChannelSettings { history: 0, ..ChannelSettings::default() };
    let (hub, channel) = rig.channel(settings).await?;
    let mut watcher = channel.watch(ReadFrom::Cursor)?;
    ensure_eq!(drain(&hub, &mut watcher).await?.len(), 0, "what was seen before anything was published");
    for n in [1, 3, 5] {
        channel.broadcast_batch(vec![message(n).into(), message(n + 1).into()]).await?;
        ensure_eq!(channel.info().await?.messages, 0, "what is kept for nobody");
        let expected = [n.to_string(), (n + 1).to_string()];
        ensure_eq!(seen(&drain(&hub, &mut watcher).await?), expected, "what a live watcher saw");
    }
    Ok(())
}

async fn a_reader_that_falls_behind_the_window_loses_nothing(rig: &Rig<'_>) -> Checked {
    // The window holds three or four entries; everything else is read from the engine.
    let hub = rig.hub_with(Limits { window_bytes: 1_000, ..Limits::default() });
    let channel = hub.channels().create("c".parse()?, ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let (mut n, mut all) = (0, Vec::new());
    for burst in [1, 2, 30, 3, 4, 5, 17, 1, 1] {
        for _ in 0..burst {
            match n % 3 {
                0 => channel.dispatch(&id("bob"), message(n)).await?,
                _ => channel.broadcast(message(n)).await?,
            };
            n += 1;
        }
        all.extend(seen(&drain(&hub, &mut bob).await?));
    }
    let expected: Vec<String> = (0..n).map(|n| n.to_string()).collect();
    ensure_eq!(all, expected, "what was seen");
    Ok(())
}

async fn a_live_reader_sees_all_that_is_published_concurrently(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let shared = channel.clone();
    let publishers = on_threads(3, move |thread| {
        let channel = shared.clone();
        async move {
            for round in 0..60 {
                let n = thread * 1_000 + round;
                match round % 2 {
                    0 => channel.dispatch(&id("bob"), message(n)).await?,
                    _ => channel.broadcast(message(n)).await?,
                };
            }
            Ok(())
        }
    });
    let (published, items) = futures_util::future::join(publishers, take(&mut bob, 180)).await;
    published?;
    let mut offsets = Vec::new();
    for item in items? {
        match item {
            eric_sse::Item::Entry(framed) => offsets.push(framed.entry().offset().get()),
            eric_sse::Item::Gap(gap) => return Err(format!("a gap: {gap:?}").into()),
        }
    }
    ensure_eq!(offsets, (1..=180).collect::<Vec<u64>>(), "what was seen");
    ensure_eq!(hub.tail().offset.get(), 180, "the tail");
    Ok(())
}

/// Waits for `count` items.
async fn take(subscription: &mut Subscription, count: usize) -> Checked<Vec<eric_sse::Item>> {
    let mut items = Vec::new();
    while items.len() < count {
        let mut more = Vec::new();
        if let Some(end) = subscription.next_items(&mut more).await? {
            return Err(format!("the subscription ended: {end:?}, after {} items", items.len()).into());
        }
        items.append(&mut more);
    }
    Ok(items)
}

async fn a_join_among_publishers_sees_all_that_began_after(rig: &Rig<'_>) -> Checked {
    let (_hub, channel) = rig.channel(ChannelSettings::default()).await?;
    let shared = channel.clone();
    let publishers = on_threads(2, move |thread| {
        let channel = shared.clone();
        async move {
            for round in 0..300 {
                channel.broadcast(message(thread * 1_000 + round)).await?;
            }
            Ok(())
        }
    });
    let (published, joined) = futures_util::future::join(publishers, join_and_look(&channel)).await;
    published?;
    joined
}

async fn join_and_look(channel: &Channel) -> Checked {
    for n in 0..12 {
        let before = channel.broadcast(message(n)).await?.position.offset;
        let bob = channel.add_listener().await?;
        let after = channel.broadcast(message(n)).await?.position.offset;
        let mut reader = channel.subscribe(bob.id(), Subscribe::default()).await?;
        let items = drain_to(&mut reader, after).await?;
        let offsets: Vec<u64> = items
            .iter()
            .filter_map(|item| match item {
                eric_sse::Item::Entry(framed) => Some(framed.entry().offset().get()),
                eric_sse::Item::Gap(_) => None,
            })
            .collect();
        ensure_eq!(offsets.len(), items.len(), "gaps of a new listener");
        ensure!(offsets.contains(&after.get()), "what began after the join was not seen");
        ensure!(offsets[0] > before.get(), "what was acknowledged before the join was seen");
        let is_contiguous = offsets.windows(2).all(|two| two[0] + 1 == two[1]);
        ensure!(is_contiguous, "a new listener saw holes: {offsets:?}");
        // The other threads are let in.
        tokio::task::yield_now().await;
    }
    Ok(())
}
