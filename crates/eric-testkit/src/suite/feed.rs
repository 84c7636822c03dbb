//! Checks of what an engine reports: everything once, in order, in the right lane, before its ticket resolves.

use eric_sse::Offset;
use eric_sse::cursor::Conflict;
use eric_sse::lane::Lane;
use eric_sse::log::Budget;

use super::rig::{Checked, Rig, Told, checks, ensure, ensure_eq, offsets, on_threads};

checks![
    every_entry_is_reported_once_in_order_and_in_its_lane,
    concurrent_entries_are_reported_once_and_in_order,
    an_entry_is_reported_before_its_ticket_resolves,
    what_was_reported_can_be_read,
    whatever_is_reported_is_settled,
    leases_and_removals_are_reported,
];

async fn every_entry_is_reported_once_in_order_and_in_its_lane(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let lanes = [channel, seam.join(channel).await?, seam.join(channel).await?];
    let mut expected: Vec<(u64, Lane, String)> = Vec::new();
    for round in 0..10_u64 {
        let numbers = round * 10..round * 10 + 1 + round % 4;
        let batch: Vec<_> = numbers.map(|n| seam.new_entry(lanes[n as usize % 3], n)).collect();
        for new in &batch {
            let number = new.message.payload().as_json().to_owned();
            expected.push((expected.len() as u64 + 1, new.lane, number));
        }
        seam.engine.submit(batch).await?;
    }
    let reported: Vec<(u64, Lane, String)> = seam
        .recorder
        .entries()
        .iter()
        .map(|it| (it.offset().get(), it.lane(), it.message().payload().as_json().to_owned()))
        .collect();
    ensure_eq!(reported, expected, "what was reported");
    let epoch = seam.engine.tail().epoch;
    let entries = seam.recorder.entries();
    ensure!(entries.iter().all(|it| it.position().epoch == epoch), "a report is of another epoch");
    Ok(())
}

async fn concurrent_entries_are_reported_once_and_in_order(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let publisher = seam.clone();
    let taken = on_threads(4, move |thread| {
        let seam = publisher.clone();
        async move {
            let mut taken = Vec::new();
            for round in 0..25 {
                let batch = (0..1 + round % 3).map(|i| seam.new_entry(lane, thread * 1_000 + round * 10 + i));
                taken.extend(seam.engine.submit(batch.collect()).await?);
            }
            Ok(taken)
        }
    });
    let taken = taken.await?.into_iter().flatten().count() as u64;
    ensure_eq!(offsets(&seam.recorder.entries()), (1..=taken).collect::<Vec<_>>(), "what was reported");
    Ok(())
}

async fn an_entry_is_reported_before_its_ticket_resolves(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    for n in 1..=10 {
        let taken = seam.put(rig, lane, n).await?;
        let last = seam.recorder.entries().last().map(|entry| entry.position());
        ensure_eq!(last, Some(taken.position), "the last report when a ticket resolved");
    }
    Ok(())
}

/// While others publish, a reader finds at any moment all that was reported until then.
async fn what_was_reported_can_be_read(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let shared = seam.clone();
    on_threads(3, move |thread| {
        let seam = shared.clone();
        async move {
            for round in 0..40 {
                if thread < 2 {
                    let new = seam.new_entry(lane, thread * 100 + round);
                    seam.engine.submit(vec![new.clone(), new]).await?;
                    continue;
                }
                let reported = seam.recorder.entries().len();
                let read = seam.read_all(lane, Budget::default()).await?;
                ensure!(read.len() >= reported, "{reported} were reported and {} can be read", read.len());
                let contiguous: Vec<u64> = (1..=read.len() as u64).collect();
                ensure_eq!(offsets(&read), contiguous, "what can be read meanwhile");
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

async fn whatever_is_reported_is_settled(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    seam.put(rig, channel, 1).await?;
    seam.recorder.settled().await;
    let lease = seam.engine.lease(bob, Conflict::Replace).await?;
    seam.recorder.settled().await;
    seam.engine.release(bob, lease.fence).await?;
    seam.engine.leave(bob).await?;
    seam.recorder.settled().await;
    seam.engine.close(channel).await?;
    seam.recorder.settled().await;
    ensure_eq!(seam.engine.tail().offset, Offset::new(1), "the tail");
    Ok(())
}

async fn leases_and_removals_are_reported(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let (bob, eve) = (seam.join(channel).await?, seam.join(channel).await?);
    let first = seam.engine.lease(bob, Conflict::Replace).await?.fence;
    let second = seam.engine.lease(bob, Conflict::Replace).await?.fence;
    let told = seam.recorder.told();
    for fence in [first, second] {
        let taken = Told::LeaseTaken { listener: bob, fence };
        ensure_eq!(told.iter().filter(|told| **told == taken).count(), 1, "reports of a lease");
    }
    seam.engine.leave(bob).await?;
    ensure!(seam.recorder.told().contains(&Told::Removed { lane: bob }), "a removal was not reported");
    seam.engine.close(channel).await?;
    for lane in [eve, channel] {
        let removed = Told::Removed { lane };
        ensure!(seam.recorder.told().contains(&removed), "the end of lane {lane} was not reported");
    }
    Ok(())
}
