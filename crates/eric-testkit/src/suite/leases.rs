//! Checks of leases: one live reader per listener, and who was replaced moves nothing any more.

use eric_sse::cursor::{Authority, Committed, Conflict};
use eric_sse::{ChannelSettings, End, Subscribe};

use super::rig::{
    Checked, Rig, checks, consume, drain, end_of, ensure, ensure_eq, ensure_kind, id, message, on_threads,
    seen,
};

checks![
    a_replaced_reader_moves_nothing,
    a_lease_can_be_refused_while_another_lives,
    a_lease_that_was_taken_over_cannot_be_given_back,
    fences_grow_whoever_takes_them,
    a_replaced_subscription_ends_and_its_late_commit_is_ignored,
    a_refused_subscription_disturbs_nobody,
];

async fn a_replaced_reader_moves_nothing(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    for n in 1..=5 {
        seam.put(rig, channel, n).await?;
    }
    let old = Authority::Reader(seam.engine.lease(bob, Conflict::Replace).await?.fence);
    ensure_eq!(seam.commit(bob, seam.at(2), old).await?, Committed::Moved, "a commit by the live reader");
    let lease = seam.engine.lease(bob, Conflict::Replace).await?;
    ensure_eq!(lease.cursor.position, seam.at(2), "the cursor that the new reader begins at");
    for to in [4, 1] {
        let answer = seam.commit(bob, seam.at(to), old).await?;
        ensure_eq!(answer, Committed::Stale, "a commit by the replaced reader");
        ensure_eq!(seam.cursor(bob).await?, 2, "the cursor after a stale commit");
    }
    let new = Authority::Reader(lease.fence);
    ensure_eq!(seam.commit(bob, seam.at(3), new).await?, Committed::Moved, "a commit by the new reader");
    seam.engine.release(bob, lease.fence).await?;
    ensure_eq!(seam.commit(bob, seam.at(5), new).await?, Committed::Stale, "a commit after a release");
    ensure_eq!(seam.cursor(bob).await?, 3, "the cursor in the end");
    Ok(())
}

async fn a_lease_can_be_refused_while_another_lives(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let (bob, eve) = (seam.join(channel).await?, seam.join(channel).await?);
    let first = seam.engine.lease(bob, Conflict::Refuse).await?;
    ensure!(seam.engine.load(bob).await?.leased, "a leased listener is not known as such");
    ensure_kind!(seam.engine.lease(bob, Conflict::Refuse).await, Conflict, "a second lease");
    seam.engine.lease(eve, Conflict::Refuse).await?;
    seam.put(rig, channel, 1).await?;
    let by = Authority::Reader(first.fence);
    ensure_eq!(seam.commit(bob, seam.at(1), by).await?, Committed::Moved, "a commit after a refusal");
    seam.engine.release(bob, first.fence).await?;
    ensure!(!seam.engine.load(bob).await?.leased, "a lease that was given back is still there");
    seam.engine.lease(bob, Conflict::Refuse).await?;
    Ok(())
}

async fn a_lease_that_was_taken_over_cannot_be_given_back(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    let old = seam.engine.lease(bob, Conflict::Replace).await?.fence;
    let new = seam.engine.lease(bob, Conflict::Replace).await?.fence;
    seam.engine.release(bob, old).await?;
    ensure!(seam.engine.load(bob).await?.leased, "a stale release ended the new lease");
    ensure_kind!(seam.engine.lease(bob, Conflict::Refuse).await, Conflict, "a lease after a stale release");
    seam.engine.release(bob, new).await?;
    let last = seam.engine.lease(bob, Conflict::Refuse).await?.fence;
    seam.engine.release(bob, new).await?;
    ensure!(seam.engine.load(bob).await?.leased, "a second release ended a later lease");
    ensure!(old < new && new < last, "fences do not grow: {old:?} {new:?} {last:?}");
    Ok(())
}

async fn fences_grow_whoever_takes_them(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    let shared = seam.clone();
    let fences = on_threads(4, move |_| {
        let seam = shared.clone();
        async move {
            let mut fences = Vec::new();
            for _ in 0..25 {
                fences.push(seam.engine.lease(bob, Conflict::Replace).await?.fence);
            }
            Ok(fences)
        }
    });
    let fences = fences.await?;
    ensure!(fences.iter().all(|thread| thread.is_sorted()), "fences do not grow");
    let mut all: Vec<_> = fences.into_iter().flatten().collect();
    all.sort_unstable();
    all.dedup();
    ensure_eq!(all.len(), 100, "distinct fences");
    Ok(())
}

async fn a_replaced_subscription_ends_and_its_late_commit_is_ignored(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    for n in 1..=3 {
        channel.broadcast(message(n)).await?;
    }
    let mut old = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let items = drain(&hub, &mut old).await?;
    ensure_eq!(seen(&items), ["1", "2", "3"], "what the first subscription saw");
    let mut new = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    ensure_eq!(end_of(&mut old).await?, End::Replaced, "the end of the first subscription");
    consume(&mut old, &items);
    drop(old);
    let cursor = channel.listener(&id("bob"))?.info().await?.cursor.offset.get();
    ensure_eq!(cursor, 0, "the cursor after the late commit");
    let items = drain(&hub, &mut new).await?;
    ensure_eq!(seen(&items), ["1", "2", "3"], "what the second subscription saw");
    channel.broadcast(message(4)).await?;
    ensure_eq!(seen(&drain(&hub, &mut new).await?), ["4"], "what the second subscription saw later");
    Ok(())
}

async fn a_refused_subscription_disturbs_nobody(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut first = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let refuse = Subscribe { conflict: Conflict::Refuse, ..Subscribe::default() };
    ensure_kind!(channel.subscribe(&id("bob"), refuse).await, Conflict, "a second subscription");
    channel.broadcast(message(1)).await?;
    let items = drain(&hub, &mut first).await?;
    ensure_eq!(seen(&items), ["1"], "what the first subscription saw");
    consume(&mut first, &items);
    drop(first);
    let mut again = channel.subscribe(&id("bob"), refuse).await?;
    channel.broadcast(message(2)).await?;
    ensure_eq!(seen(&drain(&hub, &mut again).await?), ["2"], "what a later subscription saw");
    Ok(())
}
