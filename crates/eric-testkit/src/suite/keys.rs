//! Checks of idempotent publishing: a key makes a repetition recognisable, in its lane, for a while.

use std::time::Duration;

use eric_sse::lane::{Lane, Retention};
use eric_sse::limits::DEDUP_WINDOW_S;
use eric_sse::log::NewEntry;

use super::rig::{Checked, Rig, Seam, checks, ensure, ensure_eq, ensure_kind, offsets, on_threads, roomy};

checks![
    a_repetition_answers_with_the_first_position,
    a_repetition_within_a_batch_is_recognised,
    a_key_with_other_content_is_refused_and_nothing_is_appended,
    keys_are_scoped_to_their_lane,
    a_key_is_remembered_for_the_window_and_no_longer,
    a_repetition_in_flight_gets_the_first_position,
    repetitions_from_many_threads_are_taken_once,
    a_key_outlives_its_entry,
    a_lane_that_is_made_again_knows_no_keys,
];

impl Seam {
    fn keyed(&self, lane: Lane, n: u64, key: &str) -> Checked<NewEntry> {
        Ok(NewEntry { key: Some(key.parse()?), ..self.new_entry(lane, n) })
    }
}

async fn a_repetition_answers_with_the_first_position(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let first = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
    ensure!(first.first, "the first with a key is new");
    seam.put(rig, lane, 2).await?;
    let again = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
    ensure!(!again.first, "a repetition is not new");
    ensure_eq!(again.position, first.position, "the position of a repetition");
    ensure_eq!(seam.kept(lane).await?, [1, 2], "what was appended");
    ensure_eq!(offsets(&seam.recorder.entries()), [1, 2], "what was reported");
    let mixed = vec![seam.new_entry(lane, 3), seam.keyed(lane, 1, "k")?, seam.keyed(lane, 4, "l")?];
    let taken = seam.engine.submit(mixed).await?;
    let found: Vec<(u64, bool)> = taken.iter().map(|it| (it.position.offset.get(), it.first)).collect();
    ensure_eq!(found, [(3, true), (1, false), (4, true)], "a batch with a repetition in it");
    Ok(())
}

async fn a_repetition_within_a_batch_is_recognised(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let batch = vec![seam.keyed(lane, 1, "k")?, seam.new_entry(lane, 2), seam.keyed(lane, 1, "k")?];
    let taken = seam.engine.submit(batch).await?;
    let found: Vec<(u64, bool)> = taken.iter().map(|it| (it.position.offset.get(), it.first)).collect();
    ensure_eq!(found, [(1, true), (2, true), (1, false)], "a batch with a repetition of its own");
    ensure_eq!(seam.kept(lane).await?, [1, 2], "what was appended");
    Ok(())
}

async fn a_key_with_other_content_is_refused_and_nothing_is_appended(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?;
    let other = vec![seam.keyed(lane, 2, "k")?];
    ensure_kind!(seam.engine.submit(other).await, KeyReused, "other content under a key");
    let late = vec![seam.new_entry(lane, 3), seam.keyed(lane, 4, "k")?];
    ensure_kind!(seam.engine.submit(late).await, KeyReused, "other content at the end of a batch");
    let within = vec![seam.keyed(lane, 5, "l")?, seam.keyed(lane, 6, "l")?];
    ensure_kind!(seam.engine.submit(within).await, KeyReused, "two contents in a batch");
    ensure_eq!(seam.kept(lane).await?, [1], "what was appended");
    ensure_eq!(seam.engine.tail(), seam.at(1), "the tail");
    let after = seam.engine.submit(vec![seam.keyed(lane, 7, "l")?]).await?[0];
    ensure!(after.first, "the key of a refused batch is free");
    Ok(())
}

async fn keys_are_scoped_to_their_lane(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let lanes = [channel, seam.join(channel).await?, seam.join(channel).await?, seam.open().await?];
    for (expected, lane) in (1..).zip(lanes) {
        let taken = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
        ensure!(taken.first, "a key of another lane was taken for this one's");
        ensure_eq!(taken.position, seam.at(expected), "the position in a lane of its own");
    }
    for (n, lane) in (2..).zip(lanes) {
        let other = seam.engine.submit(vec![seam.keyed(lane, n, "l")?]).await?[0];
        ensure!(other.first, "other content in another lane is no repetition");
    }
    Ok(())
}

async fn a_key_is_remembered_for_the_window_and_no_longer(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let first = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
    rig.clock.advance(Duration::from_secs(DEDUP_WINDOW_S));
    let again = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
    ensure!(!again.first, "a key is forgotten within the window");
    ensure_eq!(again.position, first.position, "the position of a late repetition");
    rig.clock.advance(Duration::from_secs(1));
    let late = seam.engine.submit(vec![seam.keyed(lane, 2, "k")?]).await?[0];
    ensure!(late.first, "a key is remembered beyond the window");
    Ok(())
}

async fn a_repetition_in_flight_gets_the_first_position(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let first = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]);
    let second = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]);
    let other = seam.engine.submit(vec![seam.keyed(lane, 2, "k")?]);
    let (second, first) = (second.await?[0], first.await?[0]);
    ensure!(first.first && !second.first, "which was first is decided by the calls");
    ensure_eq!(second.position, first.position, "the position of a repetition in flight");
    ensure_kind!(other.await, KeyReused, "other content under a key in flight");
    ensure_eq!(seam.kept(lane).await?, [1], "what was appended");
    Ok(())
}

async fn repetitions_from_many_threads_are_taken_once(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let publisher = seam.clone();
    let taken = on_threads(4, move |_| {
        let seam = publisher.clone();
        async move {
            let mut taken = Vec::new();
            for n in 0..30 {
                taken.push(seam.engine.submit(vec![seam.keyed(lane, n, &n.to_string())?]).await?[0]);
            }
            Ok(taken)
        }
    });
    let taken = taken.await?;
    for n in 0..30 {
        let of_key: Vec<_> = taken.iter().map(|thread| thread[n]).collect();
        ensure_eq!(of_key.iter().filter(|it| it.first).count(), 1, "threads that were first with a key");
        let position = of_key[0].position;
        ensure!(of_key.iter().all(|it| it.position == position), "a key has two positions");
    }
    ensure_eq!(seam.kept(lane).await?.len(), 30, "what was appended");
    Ok(())
}

async fn a_key_outlives_its_entry(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.engine.open(Retention { max_messages: 1, ..roomy() }).await?;
    let first = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
    seam.put(rig, lane, 2).await?;
    ensure_eq!(seam.kept(lane).await?, [2], "what is kept");
    let again = seam.engine.submit(vec![seam.keyed(lane, 1, "k")?]).await?[0];
    ensure!(!again.first && again.position == first.position, "a key went with its entry: {again:?}");
    Ok(())
}

async fn a_lane_that_is_made_again_knows_no_keys(rig: &Rig<'_>) -> Checked {
    let hub = rig.hub();
    let settings = hub.channels().default_settings();
    for round in 0..2 {
        let channel = hub.channels().create("c".parse()?, settings.clone()).await?;
        let (bob, _) = channel.ensure_listener(super::rig::id("bob")).await?;
        // The content differs from round to round: a key that survived would refuse it.
        let taken = channel.broadcast(super::rig::keyed(round, "k")?).await?;
        ensure!(taken.first, "the key of a removed channel is remembered");
        for again in 0..2 {
            let taken = channel.dispatch(bob.id(), super::rig::keyed(10 + round * 2 + again, "k")?).await?;
            ensure!(taken.first, "the key of a removed listener is remembered");
            channel.remove_listener(bob.id()).await?;
            channel.ensure_listener(super::rig::id("bob")).await?;
        }
        hub.channels().remove(channel.id()).await?;
    }
    Ok(())
}
