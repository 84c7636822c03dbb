//! Checks of retention: what a lane keeps, what it lets go of first, and what it tells of that.

use std::time::Duration;

use eric_sse::cursor::{Authority, Conflict};
use eric_sse::lane::Retention;
use eric_sse::log::Budget;
use eric_sse::{EvictedBy, Offset};

use super::rig::{Checked, Rig, Told, checks, ensure, ensure_eq, ensure_kind, roomy};

checks![
    the_oldest_go_when_there_are_too_many,
    the_oldest_go_when_they_have_too_many_bytes,
    entries_go_when_they_are_too_old,
    unread_entries_are_kept_whatever_the_history,
    consumed_entries_are_kept_as_history,
    the_slowest_listener_holds_the_lane_until_it_leaves,
    a_channel_without_listeners_keeps_history,
    a_flooded_mailbox_evicts_only_its_own,
    a_flooded_mailbox_is_bounded_by_bytes_too,
    a_mailbox_counts_only_what_is_unread,
    new_retention_is_in_force_at_once,
    what_was_trimmed_is_counted_exactly,
    what_went_unread_is_counted_by_the_limit_that_let_it_go,
];

async fn the_oldest_go_when_there_are_too_many(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { max_messages: 3, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    for n in 1..=3 {
        seam.put(rig, channel, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [1, 2, 3], "what is kept exactly at the limit");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 0, "what was trimmed exactly at the limit");
    for n in 4..=5 {
        seam.put(rig, channel, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [3, 4, 5], "what is kept past the limit");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 2, "unread entries that were reported as gone");
    let info = seam.engine.lane(channel).await?;
    ensure_eq!((info.messages, info.trimmed_to), (3, Offset::new(2)), "what the lane tells");
    let page = seam.engine.read(channel, Offset::ZERO, Budget::default()).await?;
    ensure_eq!(page.trimmed_to, Offset::new(2), "what a page tells of what is gone");
    let told = seam.recorder.told();
    let to = told.iter().rev().find_map(|told| match told {
        Told::Trimmed { lane, to, .. } if *lane == channel => Some(*to),
        _ => None,
    });
    ensure_eq!(to, Some(Offset::new(2)), "the last report of what is gone");
    ensure_eq!(seam.cursor(bob).await?, 0, "the cursor of who missed it");
    Ok(())
}

async fn the_oldest_go_when_they_have_too_many_bytes(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    // An entry of one digit has two bytes: its type and its payload.
    let channel = seam.engine.open(Retention { max_bytes: 6, ..roomy() }).await?;
    seam.join(channel).await?;
    for n in 1..=3 {
        seam.put(rig, channel, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [1, 2, 3], "what is kept exactly at the limit");
    seam.put(rig, channel, 4).await?;
    ensure_eq!(seam.kept(channel).await?, [2, 3, 4], "what is kept past the limit");
    seam.put(rig, channel, 55_555).await?;
    ensure_eq!(seam.kept(channel).await?, [5], "what is kept beside an entry that fills the lane");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 4, "unread entries that were reported as gone");
    ensure_eq!(seam.engine.lane(channel).await?.bytes, 6, "the bytes of the lane");
    Ok(())
}

async fn entries_go_when_they_are_too_old(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { max_age_s: 10, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    seam.put(rig, channel, 1).await?;
    seam.put(rig, bob, 2).await?;
    rig.clock.advance(Duration::from_secs(5));
    seam.put(rig, channel, 3).await?;
    rig.clock.advance(Duration::from_secs(5));
    ensure_eq!(seam.kept(channel).await?, [1, 3], "what is kept exactly at the limit");
    rig.clock.advance(Duration::from_secs(1));
    ensure_eq!(seam.kept(channel).await?, [3], "what is kept past the limit");
    ensure_eq!(seam.kept(bob).await?.len(), 0, "what is kept of a listener's lane");
    ensure_eq!(seam.engine.lane(channel).await?.messages, 1, "what the lane tells");
    Ok(())
}

async fn unread_entries_are_kept_whatever_the_history(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { history: 0, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    for n in 1..=6 {
        seam.put(rig, if n % 2 == 0 { bob } else { channel }, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [1, 3, 5], "what is kept for who has not read it");
    ensure_eq!(seam.kept(bob).await?, [2, 4, 6], "its own mail");
    seam.ack(bob, 3).await?;
    ensure_eq!(seam.kept(channel).await?, [5], "what is kept after an acknowledgement");
    ensure_eq!(seam.kept(bob).await?, [4, 6], "its own mail after an acknowledgement");
    seam.ack(bob, 6).await?;
    ensure_eq!(seam.kept(channel).await?.len() + seam.kept(bob).await?.len(), 0, "what is kept in the end");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 0, "unread entries of the channel that went");
    ensure_eq!(seam.recorder.unread_trimmed(bob), 0, "unread entries of the listener that went");
    Ok(())
}

async fn consumed_entries_are_kept_as_history(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { history: 2, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    for n in 1..=5 {
        seam.put(rig, channel, n).await?;
    }
    seam.ack(bob, 2).await?;
    ensure_eq!(seam.kept(channel).await?, [1, 2, 3, 4, 5], "what is kept with as much history as is allowed");
    seam.ack(bob, 3).await?;
    ensure_eq!(seam.kept(channel).await?, [2, 3, 4, 5], "what is kept with too much history");
    seam.ack(bob, 5).await?;
    ensure_eq!(seam.kept(channel).await?, [4, 5], "what is kept when all was consumed");
    // The reader goes back over its history, and it counts as unread again.
    let by = Authority::Reader(seam.engine.lease(bob, Conflict::Replace).await?.fence);
    seam.commit(bob, seam.at(3), by).await?;
    seam.put(rig, channel, 6).await?;
    ensure_eq!(seam.kept(channel).await?, [4, 5, 6], "what is kept after going back");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 0, "unread entries that went");
    Ok(())
}

async fn the_slowest_listener_holds_the_lane_until_it_leaves(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { history: 0, ..roomy() }).await?;
    let (fast, slow) = (seam.join(channel).await?, seam.join(channel).await?);
    for n in 1..=4 {
        seam.put(rig, channel, n).await?;
    }
    seam.ack(fast, 4).await?;
    ensure_eq!(seam.kept(channel).await?, [1, 2, 3, 4], "what is kept for the slowest");
    seam.ack(slow, 2).await?;
    ensure_eq!(seam.kept(channel).await?, [3, 4], "what is kept after it moved");
    seam.engine.leave(slow).await?;
    ensure_eq!(seam.kept(channel).await?.len(), 0, "what is kept after it left");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 0, "unread entries that went");
    Ok(())
}

async fn a_channel_without_listeners_keeps_history(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { history: 2, ..roomy() }).await?;
    for n in 1..=5 {
        seam.put(rig, channel, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [4, 5], "what is kept for nobody");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 0, "unread entries that went");
    Ok(())
}

async fn a_flooded_mailbox_evicts_only_its_own(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { max_unread_per_listener: 2, ..roomy() }).await?;
    let (bob, eve) = (seam.join(channel).await?, seam.join(channel).await?);
    for (n, lane) in (1..).zip([channel, channel, channel, eve, eve]) {
        seam.put(rig, lane, n).await?;
    }
    for n in 6..=15 {
        seam.put(rig, bob, n).await?;
    }
    ensure_eq!(seam.kept(bob).await?, [14, 15], "the flooded mailbox");
    ensure_eq!(seam.kept(eve).await?, [4, 5], "the other mailbox");
    ensure_eq!(seam.kept(channel).await?, [1, 2, 3], "the channel");
    let unread = [bob, eve, channel].map(|lane| seam.recorder.unread_trimmed(lane));
    ensure_eq!(unread, [8, 0, 0], "unread entries that went, by lane");
    Ok(())
}

async fn a_flooded_mailbox_is_bounded_by_bytes_too(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { max_unread_bytes_per_listener: 4, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    for n in 1..=3 {
        seam.put(rig, channel, n).await?;
        seam.put(rig, bob, n).await?;
    }
    ensure_eq!(seam.kept(bob).await?, [4, 6], "the flooded mailbox");
    ensure_eq!(seam.kept(channel).await?, [1, 3, 5], "the channel");
    let huge = seam.new_entry(bob, 4_444);
    ensure_kind!(seam.engine.submit(vec![huge]).await, LimitExceeded, "a message larger than the mailbox");
    ensure_eq!(seam.kept(bob).await?, [4, 6], "the mailbox after a refusal");
    Ok(())
}

async fn a_mailbox_counts_only_what_is_unread(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let retention = Retention { max_unread_per_listener: 2, history: 2, ..roomy() };
    let channel = seam.engine.open(retention).await?;
    let bob = seam.join(channel).await?;
    for n in 1..=2 {
        seam.put(rig, bob, n).await?;
    }
    seam.ack(bob, 2).await?;
    for n in 3..=4 {
        seam.put(rig, bob, n).await?;
    }
    ensure_eq!(seam.kept(bob).await?, [1, 2, 3, 4], "history and unread entries");
    seam.put(rig, bob, 5).await?;
    ensure_eq!(seam.kept(bob).await?, [4, 5], "what is kept past the limit");
    ensure_eq!(seam.recorder.unread_trimmed(bob), 1, "unread entries that went");
    Ok(())
}

async fn new_retention_is_in_force_at_once(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    for n in 1..=10 {
        seam.put(rig, if n > 5 { bob } else { channel }, n).await?;
    }
    let narrow = Retention { max_messages: 2, max_unread_per_listener: 1, ..roomy() };
    seam.engine.retain(channel, narrow).await?;
    ensure_eq!(seam.engine.lane(channel).await?.messages, 2, "what the channel's lane keeps");
    ensure_eq!(seam.kept(channel).await?, [4, 5], "the channel's lane");
    ensure_eq!(seam.kept(bob).await?, [10], "the listener's lane");
    ensure_eq!(seam.recorder.unread_trimmed(channel), 3, "unread entries of the channel that went");
    ensure_eq!(seam.recorder.unread_trimmed(bob), 4, "unread entries of the listener that went");
    Ok(())
}

async fn what_was_trimmed_is_counted_exactly(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { max_messages: 2, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    // The channel's entries are 1, 2, 4, 5, 7, 8, of which 7 and 8 are kept.
    for n in 1..=9 {
        seam.put(rig, if n % 3 == 0 { bob } else { channel }, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [7, 8], "what is kept");
    for (after, to, expected) in [(0, 6, 4), (0, 5, 4), (1, 5, 3), (2, 5, 2), (3, 5, 2), (4, 9, 3), (0, 9, 6)]
    {
        let span = seam.engine.span(channel, Offset::new(after), Offset::new(to)).await?;
        ensure_eq!(span.entries, Some(expected), format!("what was in the lane after {after} up to {to}"));
    }
    let span = seam.engine.span(channel, Offset::ZERO, Offset::new(3)).await?;
    ensure_eq!((span.last, span.bytes), (Some(Offset::new(2)), 0), "a stretch that is gone");
    let info = seam.engine.lane(bob).await?;
    ensure!(info.trimmed_to == Offset::ZERO && info.messages == 3, "another lane was trimmed: {info:?}");
    Ok(())
}

async fn what_went_unread_is_counted_by_the_limit_that_let_it_go(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(Retention { max_age_s: 10, history: 0, ..roomy() }).await?;
    let bob = seam.join(channel).await?;
    let retain = |retention: Retention| seam.engine.retain(channel, Retention { max_age_s: 10, ..retention });
    // Of ten entries of two bytes each limit takes some, exactly at it none; in the order of `EvictedBy::ALL`.
    for lane in [channel, bob] {
        for n in 0..10 {
            seam.put(rig, lane, n).await?;
        }
    }
    let evicted = |lane| {
        let evicted = seam.recorder.evicted(lane);
        EvictedBy::ALL.map(|by| evicted.by(by))
    };
    for (retention, of_channel, of_bob) in [
        (Retention { max_messages: 10, max_unread_per_listener: 10, ..roomy() }, [0; 5], [0; 5]),
        (Retention { max_messages: 8, ..roomy() }, [2, 0, 0, 0, 0], [0; 5]),
        (Retention { max_bytes: 10, ..roomy() }, [2, 3, 0, 0, 0], [0; 5]),
        (Retention { max_unread_per_listener: 6, ..roomy() }, [2, 3, 0, 0, 0], [0, 0, 0, 4, 0]),
        (Retention { max_unread_bytes_per_listener: 10, ..roomy() }, [2, 3, 0, 0, 0], [0, 0, 0, 4, 1]),
    ] {
        retain(retention).await?;
        ensure_eq!(evicted(channel), of_channel, format!("of the channel after {retention:?}"));
        ensure_eq!(evicted(bob), of_bob, format!("of the listener after {retention:?}"));
    }
    // What was finished is history, and nobody's loss.
    seam.ack(bob, 6).await?;
    retain(Retention { history: 0, ..roomy() }).await?;
    seam.ack(bob, 7).await?;
    rig.clock.advance(Duration::from_secs(11));
    ensure_eq!(seam.kept(channel).await?.len() + seam.kept(bob).await?.len(), 0, "what is kept in the end");
    ensure_eq!(evicted(channel), [2, 3, 3, 0, 0], "of the channel after what was too old");
    ensure_eq!(evicted(bob), [0, 0, 5, 4, 1], "of the listener after what was too old");
    Ok(())
}
