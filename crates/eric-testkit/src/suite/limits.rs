//! Checks of overflow `reject`: the refusal names the limit, and changes nothing.

use eric_sse::cursor::Conflict;
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::{ChannelSettings, ErrorKind};

use super::rig::{Checked, Rig, Seam, checks, ensure, ensure_eq, ensure_kind, id, message, offsets, roomy};

checks![
    a_full_channel_rejects_and_names_the_limit,
    a_full_mailbox_rejects_and_names_the_limit,
    a_batch_is_rejected_whole,
    reject_makes_room_of_what_was_consumed,
    a_message_that_no_limit_lets_in_is_refused,
    the_refusal_names_the_listener_that_holds_the_limit,
];

const REJECT: Retention = Retention {
    max_messages: 3,
    max_bytes: 1 << 30,
    max_age_s: 1 << 40,
    history: 0,
    max_unread_per_listener: 2,
    max_unread_bytes_per_listener: 1 << 30,
    overflow: Overflow::Reject,
};

/// One more message to `lane` is refused by `limit`, and nothing changes.
async fn refuses(seam: &Seam, lane: Lane, limit: &str) -> Checked {
    let (kept, tail) = (seam.kept(lane).await?, seam.engine.tail());
    let told = (seam.recorder.told(), offsets(&seam.recorder.entries()));
    match seam.engine.submit(vec![seam.new_entry(lane, 9)]).await {
        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
            ensure_eq!(error.limit(), Some(limit), "the name of the limit");
            ensure!(error.to_string().contains(limit), "the text does not name {limit}: {error}");
        }
        other => return Err(format!("past {limit}: {other:?}").into()),
    }
    ensure_eq!(seam.kept(lane).await?, kept, "what is kept after a refusal");
    ensure_eq!(seam.engine.tail(), tail, "the tail after a refusal");
    let told_now = (seam.recorder.told(), offsets(&seam.recorder.entries()));
    ensure_eq!(told_now, told, "what is reported after a refusal");
    Ok(())
}

async fn a_full_channel_rejects_and_names_the_limit(rig: &Rig<'_>) -> Checked {
    for (retention, limit) in
        [(REJECT, "max_messages"), (Retention { max_bytes: 7, max_messages: 9, ..REJECT }, "max_bytes")]
    {
        let seam = rig.engine();
        let channel = seam.engine.open(retention).await?;
        let bob = seam.join(channel).await?;
        for n in 1..=3 {
            seam.put(rig, channel, n).await?;
        }
        refuses(&seam, channel, limit).await?;
        seam.put(rig, bob, 4).await?;
        seam.ack(bob, 1).await?;
        ensure_eq!(seam.put(rig, channel, 5).await?.position, seam.at(5), "after an acknowledgement");
        refuses(&seam, channel, limit).await?;
    }
    Ok(())
}

async fn a_full_mailbox_rejects_and_names_the_limit(rig: &Rig<'_>) -> Checked {
    for (retention, limit) in [
        (REJECT, "max_unread_per_listener"),
        (
            Retention { max_unread_bytes_per_listener: 5, max_unread_per_listener: 9, ..REJECT },
            "max_unread_bytes_per_listener",
        ),
    ] {
        let seam = rig.engine();
        let channel = seam.engine.open(retention).await?;
        let (bob, eve) = (seam.join(channel).await?, seam.join(channel).await?);
        for n in 1..=2 {
            seam.put(rig, bob, n).await?;
        }
        refuses(&seam, bob, limit).await?;
        seam.put(rig, eve, 3).await?;
        seam.put(rig, channel, 4).await?;
        seam.ack(bob, 1).await?;
        seam.put(rig, bob, 5).await?;
        refuses(&seam, bob, limit).await?;
    }
    Ok(())
}

async fn a_batch_is_rejected_whole(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.engine.open(REJECT).await?;
    let bob = seam.join(channel).await?;
    let batch = |numbers: std::ops::Range<u64>| numbers.map(|n| seam.new_entry(channel, n)).collect();
    ensure_kind!(seam.engine.submit(batch(1..5)).await, LimitExceeded, "a batch one larger than the limit");
    ensure_eq!(seam.kept(channel).await?.len(), 0, "what is kept of a rejected batch");
    let mixed = vec![
        seam.new_entry(channel, 1),
        seam.new_entry(bob, 2),
        seam.new_entry(bob, 3),
        seam.new_entry(bob, 4),
    ];
    ensure_kind!(seam.engine.submit(mixed).await, LimitExceeded, "a batch that one of its lanes rejects");
    ensure_eq!(seam.kept(channel).await?.len() + seam.kept(bob).await?.len(), 0, "what is kept of it");
    seam.engine.submit(batch(1..4)).await?;
    ensure_eq!(seam.kept(channel).await?, [1, 2, 3], "a batch exactly at the limit");
    Ok(())
}

async fn reject_makes_room_of_what_was_consumed(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let retention = Retention { history: 100, ..REJECT };
    let channel = seam.engine.open(retention).await?;
    let bob = seam.join(channel).await?;
    for n in 1..=10 {
        seam.put(rig, channel, n).await?;
        seam.ack(bob, n).await?;
    }
    ensure_eq!(seam.kept(channel).await?, [8, 9, 10], "history gives way to what is new");
    seam.engine.lease(bob, Conflict::Replace).await?;
    ensure_eq!(seam.recorder.unread_trimmed(channel), 0, "unread entries that went");
    Ok(())
}

async fn a_message_that_no_limit_lets_in_is_refused(rig: &Rig<'_>) -> Checked {
    for overflow in [Overflow::DropOldest, Overflow::Reject] {
        let seam = rig.engine();
        let channel = seam.engine.open(Retention { max_bytes: 3, overflow, ..roomy() }).await?;
        seam.put(rig, channel, 1).await?;
        let huge = vec![seam.new_entry(channel, 222)];
        ensure_kind!(seam.engine.submit(huge).await, LimitExceeded, "a message larger than its lane");
        ensure_eq!(seam.kept(channel).await?, [1], "what is kept after a refusal");
    }
    Ok(())
}

async fn the_refusal_names_the_listener_that_holds_the_limit(rig: &Rig<'_>) -> Checked {
    let settings = ChannelSettings {
        max_messages: 2,
        max_unread_per_listener: 1,
        overflow: Overflow::Reject,
        ..ChannelSettings::default()
    };
    let (_hub, channel) = rig.channel(settings).await?;
    for name in ["fast", "slow"] {
        channel.ensure_listener(id(name)).await?;
    }
    let first = channel.broadcast(message(1)).await?;
    channel.broadcast(message(2)).await?;
    channel.ack(&id("fast"), first.position).await?;
    match channel.broadcast(message(3)).await {
        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
            ensure!(error.to_string().contains("slow"), "who holds the limit is not named: {error}");
        }
        other => return Err(format!("a broadcast past the limit: {other:?}").into()),
    }
    channel.dispatch(&id("fast"), message(4)).await?;
    match channel.dispatch(&id("fast"), message(5)).await {
        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
            ensure!(error.to_string().contains("fast"), "whose mailbox is full is not named: {error}");
        }
        other => return Err(format!("a dispatch past the limit: {other:?}").into()),
    }
    Ok(())
}
