//! Checks of removal and of making again what was removed: nobody gets a predecessor's mail.

use eric_sse::{ChannelSettings, End, Offset, ReadFrom, Subscribe};

use super::rig::{
    Checked, Rig, checks, consume, drain, end_of, ensure, ensure_eq, ensure_kind, id, message, on_threads,
    seen,
};

checks![
    a_listener_that_left_is_forgotten,
    a_channel_that_is_closed_takes_its_listeners_along,
    offsets_go_on_after_a_removal,
    streams_end_when_their_listener_is_removed,
    streams_end_when_their_channel_is_removed,
    a_listener_that_is_made_again_gets_no_mail_of_its_predecessor,
    a_channel_that_is_made_again_is_empty,
    open_lanes_are_listed_with_whose_they_are,
    dispatches_that_race_with_a_removal_are_taken_or_refused,
];

async fn a_listener_that_left_is_forgotten(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let (bob, eve) = (seam.join(channel).await?, seam.join(channel).await?);
    seam.put(rig, bob, 1).await?;
    seam.put(rig, eve, 2).await?;
    seam.engine.leave(bob).await?;
    ensure_kind!(seam.engine.submit(vec![seam.new_entry(bob, 3)]).await, Closed, "mail for who has left");
    ensure_kind!(seam.engine.read(bob, Offset::ZERO, Default::default()).await, Closed, "a read of its lane");
    ensure_kind!(seam.engine.load(bob).await, UnknownListener, "its cursor");
    ensure_kind!(seam.engine.lease(bob, Default::default()).await, UnknownListener, "a lease of it");
    ensure_eq!(seam.engine.tail(), seam.at(2), "the tail");
    seam.engine.leave(bob).await?;
    ensure_eq!(seam.kept(eve).await?, [2], "the other's mail");
    let again = seam.join(channel).await?;
    ensure!(again != bob && again != eve && again != channel, "a lane was numbered twice");
    ensure_eq!(seam.kept(again).await?.len(), 0, "the mail of who has just joined");
    ensure_eq!(seam.cursor(again).await?, 2, "the cursor of who has just joined");
    Ok(())
}

async fn a_channel_that_is_closed_takes_its_listeners_along(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let (channel, other) = (seam.open().await?, seam.open().await?);
    let (bob, eve) = (seam.join(channel).await?, seam.join(other).await?);
    for (n, lane) in (1..).zip([channel, bob, other, eve]) {
        seam.put(rig, lane, n).await?;
    }
    seam.engine.close(channel).await?;
    for lane in [channel, bob] {
        ensure_kind!(seam.engine.submit(vec![seam.new_entry(lane, 5)]).await, Closed, "a submit");
        ensure_kind!(seam.engine.read(lane, Offset::ZERO, Default::default()).await, Closed, "a read");
    }
    ensure_kind!(seam.engine.join(channel).await, Closed, "a join");
    ensure_kind!(seam.engine.load(bob).await, UnknownListener, "the cursor of a listener");
    ensure_eq!(seam.kept(other).await?, [3], "another channel");
    ensure_eq!(seam.kept(eve).await?, [4], "another channel's listener");
    let again = seam.open().await?;
    ensure!(![channel, bob, other, eve].contains(&again), "a lane was numbered twice");
    ensure_eq!(seam.kept(again).await?.len(), 0, "a new channel");
    Ok(())
}

async fn offsets_go_on_after_a_removal(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    for round in 0..4 {
        let channel = seam.open().await?;
        let bob = seam.join(channel).await?;
        let taken = seam.put(rig, bob, round).await?;
        ensure_eq!(taken.position, seam.at(round + 1), "an offset after removals");
        seam.engine.close(channel).await?;
        ensure_eq!(seam.engine.tail(), seam.at(round + 1), "the tail after a removal");
    }
    Ok(())
}

async fn streams_end_when_their_listener_is_removed(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    for name in ["bob", "eve"] {
        channel.ensure_listener(id(name)).await?;
    }
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let mut eve = channel.subscribe(&id("eve"), Subscribe::default()).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?).len(), 0, "what was seen before");
    channel.remove_listener(&id("bob")).await?;
    ensure_eq!(end_of(&mut bob).await?, End::Removed, "the end of the stream");
    channel.broadcast(message(1)).await?;
    ensure_eq!(seen(&drain(&hub, &mut eve).await?), ["1"], "what the other saw");
    ensure_kind!(channel.dispatch(&id("bob"), message(2)).await, UnknownListener, "a dispatch");
    Ok(())
}

async fn streams_end_when_their_channel_is_removed(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let mut watcher = channel.watch(ReadFrom::Cursor)?;
    hub.channels().remove(channel.id()).await?;
    ensure_eq!(end_of(&mut bob).await?, End::Removed, "the end of the listener's stream");
    ensure_eq!(end_of(&mut watcher).await?, End::Removed, "the end of the watcher's stream");
    ensure_kind!(channel.broadcast(message(1)).await, UnknownChannel, "a broadcast");
    ensure_kind!(channel.watch(ReadFrom::Cursor), UnknownChannel, "a watcher");
    Ok(())
}

async fn a_listener_that_is_made_again_gets_no_mail_of_its_predecessor(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    channel.dispatch(&id("bob"), message(1)).await?;
    let old = channel.broadcast(message(2)).await?.position;
    channel.dispatch(&id("bob"), message(3)).await?;
    channel.remove_listener(&id("bob")).await?;
    channel.ensure_listener(id("bob")).await?;
    channel.dispatch(&id("bob"), message(4)).await?;
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["4"], "what the new listener saw");
    drop(bob);
    // A position of its predecessor is a position: what lies between was its predecessor's alone.
    let after = Subscribe { from: ReadFrom::After(old), ..Subscribe::default() };
    let mut bob = channel.subscribe(&id("bob"), after).await?;
    let items = drain(&hub, &mut bob).await?;
    ensure_eq!(seen(&items), ["4"], "what it saw after an old position");
    consume(&mut bob, &items);
    Ok(())
}

async fn a_channel_that_is_made_again_is_empty(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let old = channel.broadcast(message(1)).await?.position;
    channel.dispatch(&id("bob"), message(2)).await?;
    hub.channels().remove(channel.id()).await?;
    let channel = hub.channels().create("c".parse()?, ChannelSettings::default()).await?;
    ensure_eq!(channel.info().await?.messages, 0, "what a new channel keeps");
    ensure_eq!(channel.listener_ids().len(), 0, "the listeners of a new channel");
    channel.ensure_listener(id("bob")).await?;
    let new = channel.broadcast(message(3)).await?.position;
    ensure!(new.offset > old.offset, "an offset was issued twice");
    let earliest = Subscribe { from: ReadFrom::Earliest, ..Subscribe::default() };
    let mut bob = channel.subscribe(&id("bob"), earliest).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["3"], "what a new listener saw");
    Ok(())
}

async fn open_lanes_are_listed_with_whose_they_are(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let (a, b) = (seam.open().await?, seam.open().await?);
    let (of_a, gone, of_b) = (seam.join(a).await?, seam.join(a).await?, seam.join(b).await?);
    seam.engine.leave(gone).await?;
    let mut expected = vec![(a, None), (b, None), (of_a, Some(a)), (of_b, Some(b))];
    expected.sort_unstable_by_key(|(lane, _)| *lane);
    let listed = || seam.engine.lanes().into_iter().map(|open| (open.lane, open.channel)).collect::<Vec<_>>();
    ensure_eq!(listed(), expected, "the open lanes");
    seam.engine.close(a).await?;
    expected.retain(|(lane, channel)| *lane != a && *channel != Some(a));
    ensure_eq!(listed(), expected, "the open lanes after a channel was closed");
    Ok(())
}

async fn dispatches_that_race_with_a_removal_are_taken_or_refused(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let shared = seam.clone();
    for _ in 0..10 {
        let (bob, seam) = (seam.join(channel).await?, shared.clone());
        let refused = on_threads(2, move |thread| {
            let seam = seam.clone();
            async move {
                if thread == 0 {
                    seam.engine.leave(bob).await?;
                    return Ok(0);
                }
                let mut refused = 0;
                for n in 0..20 {
                    match seam.engine.submit(vec![seam.new_entry(bob, n)]).await {
                        Ok(_) => ensure!(refused == 0, "mail was taken after it was refused"),
                        Err(_) => refused += 1,
                    }
                }
                Ok(refused)
            }
        });
        refused.await?;
    }
    let reported = seam.recorder.entries().len() as u64;
    ensure_eq!(seam.engine.tail(), seam.at(reported), "the tail, and how many were reported");
    Ok(())
}
