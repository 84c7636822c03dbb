//! Checks of cursors: where a listener joins, and how acknowledgements and readers move it.

use eric_sse::cursor::{Authority, Commit, Committed, Conflict};
use eric_sse::{Epoch, Offset, Position};

use super::rig::{Checked, Rig, checks, ensure, ensure_eq, ensure_kind, on_threads};

checks![
    a_listener_joins_at_the_tail,
    an_acknowledgement_moves_forward_only,
    a_cursor_goes_neither_beyond_the_tail_nor_to_another_epoch,
    a_reader_moves_its_cursor_both_ways_but_not_below_its_floor,
    commits_answer_each_for_itself_and_in_order,
    what_was_acknowledged_before_a_join_is_not_its_and_what_begins_after_is,
];

async fn a_listener_joins_at_the_tail(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    for n in 0..4 {
        let joined = seam.engine.join(channel).await?;
        ensure_eq!(joined.floor, Offset::new(n), "the floor");
        let cursor = seam.engine.load(joined.lane).await?;
        ensure_eq!(cursor.position, seam.at(n), "the first cursor");
        ensure_eq!(cursor.floor, Offset::new(n), "the floor that is remembered");
        ensure!(!cursor.leased, "a new listener has a reader");
        seam.put(rig, channel, n).await?;
    }
    Ok(())
}

async fn an_acknowledgement_moves_forward_only(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    for n in 1..=5 {
        seam.put(rig, channel, n).await?;
    }
    for (to, answer, at) in [
        (3, Committed::Moved, 3),
        (2, Committed::Unchanged, 3),
        (3, Committed::Unchanged, 3),
        (0, Committed::Unchanged, 3),
        (5, Committed::Moved, 5),
    ] {
        ensure_eq!(seam.ack(bob, to).await?, answer, format!("the answer to an ack of {to}"));
        ensure_eq!(seam.cursor(bob).await?, at, format!("the cursor after an ack of {to}"));
    }
    let lease = seam.engine.lease(bob, Conflict::Replace).await?;
    ensure_eq!(lease.cursor.position, seam.at(5), "the cursor that a reader begins at");
    ensure_eq!(seam.ack(bob, 4).await?, Committed::Unchanged, "an ack while a reader lives");
    ensure_eq!(seam.cursor(bob).await?, 5, "the cursor while a reader lives");
    Ok(())
}

async fn a_cursor_goes_neither_beyond_the_tail_nor_to_another_epoch(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    for n in 1..=3 {
        seam.put(rig, channel, n).await?;
    }
    seam.ack(bob, 1).await?;
    let fence = seam.engine.lease(bob, Conflict::Replace).await?.fence;
    let other = Position { epoch: "elsewhere".parse::<Epoch>()?, offset: Offset::new(2) };
    for by in [Authority::Ack, Authority::Reader(fence)] {
        for to in [seam.at(4), seam.at(u64::MAX), other] {
            let answers = seam.engine.commit(vec![Commit { listener: bob, to, by }]).await?;
            ensure_eq!(answers.len(), 1, "answers to one commit");
            for answer in answers {
                ensure_kind!(answer, Conflict, format!("a commit of {to} by {by:?}"));
            }
            ensure_eq!(seam.cursor(bob).await?, 1, "the cursor after a conflict");
        }
    }
    Ok(())
}

async fn a_reader_moves_its_cursor_both_ways_but_not_below_its_floor(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    seam.put(rig, channel, 1).await?;
    seam.put(rig, channel, 2).await?;
    let bob = seam.join(channel).await?;
    for n in 3..=6 {
        seam.put(rig, channel, n).await?;
    }
    let by = Authority::Reader(seam.engine.lease(bob, Conflict::Replace).await?.fence);
    for (to, answer, at) in [
        (5, Committed::Moved, 5),
        (3, Committed::Moved, 3),
        (3, Committed::Unchanged, 3),
        (6, Committed::Moved, 6),
        (1, Committed::Moved, 2),
        (0, Committed::Unchanged, 2),
    ] {
        ensure_eq!(seam.commit(bob, seam.at(to), by).await?, answer, format!("a commit of {to}"));
        ensure_eq!(seam.cursor(bob).await?, at, format!("the cursor after a commit of {to}"));
    }
    Ok(())
}

async fn commits_answer_each_for_itself_and_in_order(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let (bob, eve, gone) = (seam.join(channel).await?, seam.join(channel).await?, seam.join(channel).await?);
    seam.engine.leave(gone).await?;
    for n in 1..=5 {
        seam.put(rig, channel, n).await?;
    }
    let ack = |listener, to| Commit { listener, to: seam.at(to), by: Authority::Ack };
    let commits = vec![ack(bob, 2), ack(gone, 2), ack(eve, 9), ack(eve, 3), ack(bob, 4), ack(bob, 1)];
    let mut answers = seam.engine.commit(commits).await?.into_iter();
    let mut answer = || answers.next().ok_or("a commit has no answer");
    ensure_eq!(answer()??, Committed::Moved, "the first");
    ensure_kind!(answer()?, UnknownListener, "a commit for a listener that is gone");
    ensure_kind!(answer()?, Conflict, "a commit beyond the tail");
    ensure_eq!(answer()??, Committed::Moved, "a commit after one that failed");
    ensure_eq!(answer()??, Committed::Moved, "a second commit for a listener");
    ensure_eq!(answer()??, Committed::Unchanged, "a third, lower one");
    ensure_eq!(seam.cursor(bob).await?, 4, "one cursor");
    ensure_eq!(seam.cursor(eve).await?, 3, "another cursor");
    Ok(())
}

/// Two threads publish while two others join: each join falls between what its thread knows to be acknowledged and
/// what it publishes next.
async fn what_was_acknowledged_before_a_join_is_not_its_and_what_begins_after_is(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let shared = seam.clone();
    on_threads(4, move |thread| {
        let seam = shared.clone();
        async move {
            for round in 0..25 {
                let n = thread * 100 + round;
                if thread < 2 {
                    seam.engine.submit(vec![seam.new_entry(channel, n)]).await?;
                    continue;
                }
                let before = seam.engine.submit(vec![seam.new_entry(channel, n)]).await?[0].position;
                let joined = seam.engine.join(channel).await?;
                let after = seam.engine.submit(vec![seam.new_entry(joined.lane, n)]).await?[0].position;
                ensure!(before.offset <= joined.floor, "what was acknowledged before is above the floor");
                ensure!(joined.floor < after.offset, "what began after is not above the floor");
                let cursor = seam.engine.load(joined.lane).await?;
                ensure_eq!(
                    cursor.position.offset,
                    joined.floor,
                    "the cursor of a listener that has just joined"
                );
                ensure_eq!(seam.kept(joined.lane).await?, [after.offset.get()], "its mail");
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}
