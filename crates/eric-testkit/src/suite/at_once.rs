//! Checks of what an engine may do in one step: it is what the same does in several.

use std::time::Duration;

use eric_sse::cursor::{Authority, Conflict, Next};
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::log::{Budget, NewEntry};
use eric_sse::{Entry, ErrorKind};

use super::rig::{Checked, Rig, Seam, checks, ensure, ensure_eq, message, offsets, roomy};

/// What is done to both engines of a check, one after the other.
const STEPS: u64 = 300;

checks![
    one_message_is_taken_as_a_batch_of_one,
    one_message_that_nobody_reads_goes_as_a_batch_of_one_does,
    the_next_is_taken_as_in_steps,
    nobody_takes_the_next_from_a_live_reader,
];

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Retention that has something to let go of all the time.
fn tight(overflow: Overflow) -> Retention {
    Retention {
        max_messages: 7,
        max_age_s: 50,
        history: 2,
        max_unread_per_listener: 4,
        max_unread_bytes_per_listener: 12,
        overflow,
        ..roomy()
    }
}

async fn ensure_same(one: &Seam, other: &Seam, lanes: [Lane; 2]) -> Checked {
    ensure_eq!(offsets(&one.recorder.entries()), offsets(&other.recorder.entries()), "what was reported");
    for lane in lanes {
        ensure_eq!(one.kept(lane).await?, other.kept(lane).await?, "what is kept");
        ensure_eq!(one.recorder.evicted(lane), other.recorder.evicted(lane), "what went unread");
        let (info, expected) = (one.engine.lane(lane).await?, other.engine.lane(lane).await?);
        ensure_eq!(info, expected, "what a lane tells of itself");
    }
    Ok(())
}

async fn one_message_is_taken_as_a_batch_of_one(rig: &Rig<'_>) -> Checked {
    for overflow in [Overflow::DropOldest, Overflow::Reject] {
        let (one, batch) = (rig.engine(), rig.engine());
        let mut lanes = [Lane::new(0); 2];
        for seam in [&one, &batch] {
            let channel = seam.engine.open(tight(overflow)).await?;
            lanes = [channel, seam.join(channel).await?];
        }
        let gone = one.engine.open(roomy()).await?;
        ensure_eq!(batch.engine.open(roomy()).await?, gone, "the number of the same lane");
        one.engine.close(gone).await?;
        batch.engine.close(gone).await?;
        let mut dice = Dice(17);
        for step in 0..STEPS {
            let lane = [lanes[0], lanes[1], lanes[1], gone][usize::try_from(dice.below(4)).expect("small")];
            // Now and then with a key that was used, for the same content or another; now and then too large.
            let key = (dice.below(2) == 0).then(|| format!("key-{}", dice.below(40)).parse()).transpose()?;
            let n = if dice.below(20) == 0 { u64::MAX } else { dice.below(2) };
            let new = NewEntry { lane, message: message(n), key, taken_at: rig.now() };
            let taken = one.engine.submit_one(new.clone()).await.map_err(|error| error.kind());
            let expected = batch.engine.submit(vec![new]).await.map_err(|error| error.kind());
            let [taken, expected] = [taken, expected.map(|taken| taken[0])]
                .map(|answer| answer.map(|taken| (taken.position.offset, taken.first)));
            ensure_eq!(taken, expected, format!("the answer in step {step}"));
            if dice.below(3) == 0 {
                rig.clock.advance(Duration::from_secs(dice.below(30)));
            }
            if dice.below(4) == 0 {
                let tail = one.engine.tail().offset.get();
                let acked = one.ack(lanes[1], tail).await?;
                ensure_eq!(acked, batch.ack(lanes[1], tail).await?, "an acknowledgement");
            }
            ensure_same(&one, &batch, lanes).await?;
        }
    }
    Ok(())
}

async fn one_message_that_nobody_reads_goes_as_a_batch_of_one_does(rig: &Rig<'_>) -> Checked {
    for history in [0, 2] {
        let (one, batch) = (rig.engine(), rig.engine());
        let mut lane = Lane::new(0);
        for seam in [&one, &batch] {
            lane = seam.engine.open(Retention { history, ..roomy() }).await?;
        }
        for n in 1..=5 {
            let new = NewEntry { taken_at: rig.now(), ..one.new_entry(lane, n) };
            one.engine.submit_one(new.clone()).await?;
            batch.engine.submit(vec![new]).await?;
            // Before anybody looks: to look lets go of what is due.
            ensure_eq!(
                one.recorder.told(),
                batch.recorder.told(),
                format!("what has gone after {n} messages")
            );
        }
        let kept: Vec<u64> = (1..=5).skip(5 - usize::try_from(history).expect("small")).collect();
        ensure_eq!(one.kept(lane).await?, kept, "what is kept of what nobody reads");
    }
    Ok(())
}

/// The next entry of `listener`, taken in steps.
async fn next_in_steps(seam: &Seam, channel: Lane, listener: Lane) -> Checked<Option<Entry>> {
    let lease = seam.engine.lease(listener, Conflict::Refuse).await?;
    let after = lease.cursor.position.offset;
    let mut unread = Vec::new();
    for lane in [channel, listener] {
        unread.extend(seam.engine.read(lane, after, Budget::default()).await?.entries);
    }
    let next = unread.into_iter().min_by_key(Entry::offset);
    if let Some(next) = &next {
        seam.commit(listener, next.position(), Authority::Reader(lease.fence)).await?;
    }
    seam.engine.release(listener, lease.fence).await?;
    Ok(next)
}

async fn the_next_is_taken_as_in_steps(rig: &Rig<'_>) -> Checked {
    let (one, steps) = (rig.engine(), rig.engine());
    let mut lanes = [Lane::new(0); 2];
    for seam in [&one, &steps] {
        let channel = seam.engine.open(tight(Overflow::DropOldest)).await?;
        seam.put(rig, channel, 0).await?;
        lanes = [channel, seam.join(channel).await?];
        seam.join(channel).await?;
    }
    let [channel, bob] = lanes;
    let mut dice = Dice(23);
    for step in 0..STEPS {
        match dice.below(5) {
            0 | 1 => {
                let (lane, n) = ([channel, bob][usize::from(dice.below(2) == 0)], dice.below(10));
                one.put(rig, lane, n).await?;
                steps.put(rig, lane, n).await?;
            }
            2 | 3 => {
                let next = match one.engine.take_next(bob, rig.now())? {
                    Next::Entry(entry) => Some(entry),
                    Next::Nothing => None,
                    Next::InSteps => next_in_steps(&one, channel, bob).await?,
                };
                let expected = next_in_steps(&steps, channel, bob).await?;
                let [next, expected] = [next, expected]
                    .map(|entry| entry.map(|entry| (entry.offset(), entry.message().clone())));
                ensure_eq!(next, expected, format!("the next in step {step}"));
            }
            _ => rig.clock.advance(Duration::from_secs(dice.below(20))),
        }
        ensure_eq!(one.cursor(bob).await?, steps.cursor(bob).await?, format!("the cursor in step {step}"));
        ensure_same(&one, &steps, lanes).await?;
    }
    Ok(())
}

async fn nobody_takes_the_next_from_a_live_reader(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    seam.put(rig, bob, 1).await?;
    let take = || seam.engine.take_next(bob, rig.now());
    let lease = seam.engine.lease(bob, Conflict::Refuse).await?;
    for _ in 0..2 {
        match take() {
            Ok(Next::InSteps) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            other => ensure!(false, "taken beside a live reader: {other:?}"),
        }
    }
    ensure_eq!(seam.cursor(bob).await?, 0, "the cursor of a live reader");
    ensure!(seam.engine.load(bob).await?.leased, "the reader lost its lease");
    seam.engine.release(bob, lease.fence).await?;
    ensure!(matches!(take()?, Next::InSteps | Next::Entry(_)), "nothing is there after the reader left");
    seam.engine.leave(bob).await?;
    match take() {
        Ok(Next::InSteps) => {}
        Err(error) if error.kind() == ErrorKind::UnknownListener => {}
        other => ensure!(false, "taken for a listener that left: {other:?}"),
    }
    Ok(())
}
