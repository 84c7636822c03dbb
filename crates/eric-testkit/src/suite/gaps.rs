//! Checks of gaps: told when something of the reader's was missed, exactly, once, and never otherwise.

use std::future::poll_fn;
use std::time::Duration;

use eric_sse::limits::TRIMMED_RUNS_MAX;
use eric_sse::log::Budget;
use eric_sse::{Ack, Channel, ChannelSettings, EvictedBy, Hub, Position, ReadFrom, SettingsPatch, Subscribe};

use super::rig::{Checked, Rig, checks, consume, drain, ensure, ensure_eq, id, message, seen};

checks![
    a_gap_tells_exactly_what_was_missed_and_once,
    a_live_reader_is_told_of_what_it_missed,
    a_gap_sums_what_was_missed_in_both_lanes,
    what_shrinks_under_a_reader_is_told_where_it_stands,
    nobody_is_told_of_what_others_missed,
    what_was_consumed_leaves_no_gap,
    going_back_beyond_what_is_kept_is_told,
    going_back_beyond_what_is_counted_is_told,
    acknowledging_among_what_is_gone_leaves_the_rest_to_be_told,
    a_position_before_the_join_is_told_only_if_there_was_something,
    a_position_of_another_epoch_is_told_and_goes_on_at_the_earliest,
    a_position_beyond_the_tail_is_told_and_goes_on_at_the_cursor,
    entries_that_grew_too_old_are_told_as_missed,
];

fn of_messages(max_messages: u64) -> ChannelSettings {
    ChannelSettings { max_messages, ..ChannelSettings::default() }
}

/// What `bob` sees, from `from`, with manual acknowledgement.
async fn look(hub: &Hub, channel: &Channel, from: ReadFrom) -> Checked<Vec<String>> {
    let options = Subscribe { from, ack: Ack::Manual, ..Subscribe::default() };
    let mut bob = channel.subscribe(&id("bob"), options).await?;
    Ok(seen(&drain(hub, &mut bob).await?))
}

async fn a_gap_tells_exactly_what_was_missed_and_once(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(of_messages(3)).await?;
    channel.ensure_listener(id("bob")).await?;
    for n in 1..=10 {
        channel.broadcast(message(n)).await?;
    }
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    let items = drain(&hub, &mut bob).await?;
    ensure_eq!(seen(&items), ["gap trimmed 7", "8", "9", "10"], "what was seen");
    let Some(eric_sse::Item::Gap(gap)) = items.first() else { return Err("no gap".into()) };
    let offsets = [gap.from, gap.to].map(|position| position.map(|position| position.offset.get()));
    ensure_eq!(offsets, [Some(0), Some(7)], "where the gap is");
    consume(&mut bob, &items[..2]);
    drop(bob);
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["9", "10"], "what was seen afterwards");
    ensure_eq!(hub.stats().entries_evicted.count(), 7, "entries that were counted as evicted");
    ensure_eq!(hub.stats().gaps_told.count(), 1, "gaps that were told");
    Ok(())
}

async fn a_live_reader_is_told_of_what_it_missed(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(of_messages(2)).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
    channel.broadcast(message(1)).await?;
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["1"], "what was seen at first");
    for n in 2..=6 {
        channel.broadcast(message(n)).await?;
    }
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["gap trimmed 3", "5", "6"], "after falling behind");
    for n in 7..=8 {
        channel.broadcast(message(n)).await?;
    }
    ensure_eq!(seen(&drain(&hub, &mut bob).await?), ["7", "8"], "after catching up");
    for n in 9..=11 {
        channel.broadcast(message(n)).await?;
    }
    ensure_eq!(
        seen(&drain(&hub, &mut bob).await?),
        ["gap trimmed 1", "10", "11"],
        "after falling behind again"
    );
    Ok(())
}

async fn a_gap_sums_what_was_missed_in_both_lanes(rig: &Rig<'_>) -> Checked {
    let settings = ChannelSettings { max_unread_per_listener: 1, ..of_messages(2) };
    let (hub, channel) = rig.channel(settings).await?;
    channel.ensure_listener(id("bob")).await?;
    for n in 1..=9 {
        match n % 3 {
            0 => channel.dispatch(&id("bob"), message(n)).await?,
            _ => channel.broadcast(message(n)).await?,
        };
    }
    // Kept are the broadcasts 7 and 8 and the dispatch 9; missed were four broadcasts and two dispatches.
    ensure_eq!(
        look(&hub, &channel, ReadFrom::Cursor).await?,
        ["gap trimmed 6", "7", "8", "9"],
        "what was seen"
    );
    Ok(())
}

async fn what_shrinks_under_a_reader_is_told_where_it_stands(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(of_messages(100)).await?;
    channel.ensure_listener(id("bob")).await?;
    for n in 1..=20 {
        match n % 2 {
            0 => channel.dispatch(&id("bob"), message(n)).await?,
            _ => channel.broadcast(message(n)).await?,
        };
    }
    let mut bob =
        channel.subscribe(&id("bob"), Subscribe { ack: Ack::Manual, ..Subscribe::default() }).await?;
    let (mut items, budget) = (Vec::new(), Budget { entries: 3, bytes: 1 << 20 });
    poll_fn(|context| bob.poll_items(context, budget, &mut items)).await?;
    let seen_before = items.len() as u64;
    ensure!((1..=6).contains(&seen_before), "a page of {} was seen", seen_before);
    let last = |n| (1..=seen_before).map(|n| n.to_string()).chain(n).collect::<Vec<_>>();
    // Of ten broadcasts, the last is 19, and as many dispatches, the last is 20, two and one stay.
    let shrink =
        SettingsPatch { max_messages: Some(2), max_unread_per_listener: Some(1), ..SettingsPatch::default() };
    channel.change_settings(&shrink).await?;
    let grow = SettingsPatch {
        max_messages: Some(100),
        max_unread_per_listener: Some(100),
        ..SettingsPatch::default()
    };
    channel.change_settings(&grow).await?;
    channel.broadcast(message(21)).await?;
    items.extend(drain(&hub, &mut bob).await?);
    let gap = format!("gap trimmed {}", 17 - seen_before);
    let expected = last([gap, "17".into(), "19".into(), "20".into(), "21".into()].to_vec());
    ensure_eq!(seen(&items), expected, "what was seen");
    ensure_eq!(hub.stats().entries_evicted.by(EvictedBy::Messages), 8, "broadcasts that went");
    ensure_eq!(hub.stats().entries_evicted.by(EvictedBy::Unread), 9, "dispatches that went");
    Ok(())
}

async fn nobody_is_told_of_what_others_missed(rig: &Rig<'_>) -> Checked {
    let settings = ChannelSettings { max_unread_per_listener: 1, ..ChannelSettings::default() };
    let (hub, channel) = rig.channel(settings).await?;
    for name in ["bob", "eve"] {
        channel.ensure_listener(id(name)).await?;
    }
    let mut watcher = channel.watch(ReadFrom::Cursor)?;
    let other = hub.channels().create("other".parse()?, of_messages(1)).await?;
    channel.dispatch(&id("bob"), message(1)).await?;
    channel.broadcast(message(2)).await?;
    for n in 10..=20 {
        channel.dispatch(&id("eve"), message(n)).await?;
        other.broadcast(message(n)).await?;
    }
    channel.broadcast(message(3)).await?;
    ensure_eq!(look(&hub, &channel, ReadFrom::Cursor).await?, ["1", "2", "3"], "what bob saw");
    ensure_eq!(
        look(&hub, &channel, ReadFrom::Earliest).await?,
        ["1", "2", "3"],
        "what bob saw from the earliest"
    );
    ensure_eq!(seen(&drain(&hub, &mut watcher).await?), ["2", "3"], "what a watcher saw");
    ensure_eq!(hub.stats().gaps_told.count(), 0, "gaps that were told");
    Ok(())
}

async fn what_was_consumed_leaves_no_gap(rig: &Rig<'_>) -> Checked {
    let settings = ChannelSettings { history: 0, ..ChannelSettings::default() };
    let (hub, channel) = rig.channel(settings).await?;
    channel.ensure_listener(id("bob")).await?;
    for n in 1..=6 {
        channel.broadcast(message(n)).await?;
        channel.dispatch(&id("bob"), message(n + 10)).await?;
        let mut bob = channel.subscribe(&id("bob"), Subscribe::default()).await?;
        let items = drain(&hub, &mut bob).await?;
        ensure_eq!(seen(&items), [n.to_string(), (n + 10).to_string()], "what was seen");
        consume(&mut bob, &items);
    }
    // This is ordered after the last commit, so that is done too.
    drop(channel.subscribe(&id("bob"), Subscribe::default()).await?);
    let lane = channel.info().await?;
    ensure_eq!(lane.messages, 0, "what is kept of what was consumed");
    ensure_eq!(hub.stats().entries_evicted.count(), 0, "entries that were counted as evicted");
    Ok(())
}

async fn going_back_beyond_what_is_kept_is_told(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(of_messages(3)).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut positions: Vec<Position> = Vec::new();
    for n in 1..=8 {
        positions.push(channel.broadcast(message(n)).await?.position);
    }
    channel.ack(&id("bob"), positions[7]).await?;
    for (after, expected) in [
        (8, vec![]),
        (6, vec!["7", "8"]),
        (5, vec!["6", "7", "8"]),
        (4, vec!["gap trimmed 1", "6", "7", "8"]),
        (2, vec!["gap trimmed 3", "6", "7", "8"]),
    ] {
        let found = look(&hub, &channel, ReadFrom::After(positions[after - 1])).await?;
        ensure_eq!(found, expected, format!("what was seen after {after}"));
    }
    ensure_eq!(look(&hub, &channel, ReadFrom::Earliest).await?, ["6", "7", "8"], "from the earliest");
    Ok(())
}

/// Publishes numbers from `first` on to the channel, each followed by one that is not its listeners', until more
/// stretches were trimmed than are remembered; returns the last position.
async fn flood(channel: &Channel, other: &Channel, first: u64) -> Checked<Position> {
    let mut last = channel.broadcast(message(first)).await?.position;
    for n in (first + 1)..=(first + 2 * TRIMMED_RUNS_MAX as u64) {
        other.broadcast(message(n)).await?;
        last = channel.broadcast(message(n)).await?.position;
    }
    Ok(last)
}

async fn going_back_beyond_what_is_counted_is_told(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(of_messages(2)).await?;
    let other = hub.channels().create("other".parse()?, ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut positions: Vec<Position> = Vec::new();
    for n in 1..=3 {
        positions.push(channel.broadcast(message(n)).await?.position);
    }
    channel.ack(&id("bob"), positions[2]).await?;
    flood(&channel, &other, 4).await?;
    let last = [131, 132].map(|n| n.to_string());
    let exact = ["gap trimmed 127", &last[0], &last[1]];
    ensure_eq!(look(&hub, &channel, ReadFrom::Cursor).await?, exact, "what was seen at the cursor");
    // The client says that it got less far than was believed: how much it missed is not remembered, that it did is.
    for after in [1, 0] {
        let from = ReadFrom::After(positions[after]);
        let mut bob = channel.subscribe(&id("bob"), Subscribe { from, ..Subscribe::default() }).await?;
        let found = seen(&drain(&hub, &mut bob).await?);
        ensure_eq!(found, ["gap trimmed ?", &last[0], &last[1]], "what was seen after going back");
    }
    let again = look(&hub, &channel, ReadFrom::Cursor).await?;
    ensure_eq!(again, ["gap trimmed ?", &last[0], &last[1]], "what was seen at the cursor that went back");
    Ok(())
}

async fn acknowledging_among_what_is_gone_leaves_the_rest_to_be_told(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(of_messages(2)).await?;
    let other = hub.channels().create("other".parse()?, ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    channel.broadcast(message(1)).await?;
    other.broadcast(message(2)).await?;
    let handled = channel.broadcast(message(3)).await?.position;
    flood(&channel, &other, 4).await?;
    channel.ack(&id("bob"), handled).await?;
    let expected = ["gap trimmed ?", "131", "132"];
    ensure_eq!(look(&hub, &channel, ReadFrom::Cursor).await?, expected, "what was seen afterwards");
    let info = channel.listener(&id("bob"))?.info().await?;
    ensure_eq!(info.backlog, 2, "the backlog");
    Ok(())
}

async fn a_position_before_the_join_is_told_only_if_there_was_something(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    let other = hub.channels().create("other".parse()?, ChannelSettings::default()).await?;
    let mut positions: Vec<Position> = Vec::new();
    for n in 1..=3 {
        positions.push(channel.broadcast(message(n)).await?.position);
    }
    for n in 4..=6 {
        positions.push(other.broadcast(message(n)).await?.position);
    }
    channel.ensure_listener(id("bob")).await?;
    channel.broadcast(message(7)).await?;
    for (after, expected) in [
        (1, vec!["gap before-join 2", "7"]),
        (2, vec!["gap before-join 1", "7"]),
        (3, vec!["7"]),
        (4, vec!["7"]),
        (6, vec!["7"]),
    ] {
        let found = look(&hub, &channel, ReadFrom::After(positions[after - 1])).await?;
        ensure_eq!(found, expected, format!("what was seen after {after}"));
    }
    Ok(())
}

async fn a_position_of_another_epoch_is_told_and_goes_on_at_the_earliest(rig: &Rig<'_>) -> Checked {
    let (_before, old) = rig.channel(ChannelSettings::default()).await?;
    let stale = old.broadcast(message(0)).await?.position;
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.broadcast(message(1)).await?;
    channel.ensure_listener(id("bob")).await?;
    let mut last = channel.broadcast(message(2)).await?.position;
    for n in 3..=4 {
        last = channel.broadcast(message(n)).await?.position;
    }
    channel.ack(&id("bob"), last).await?;
    ensure!(stale.epoch != last.epoch, "two engines share an epoch");
    let found = look(&hub, &channel, ReadFrom::After(stale)).await?;
    ensure_eq!(found, ["gap epoch ?", "2", "3", "4"], "what was seen after a position of another epoch");
    Ok(())
}

async fn a_position_beyond_the_tail_is_told_and_goes_on_at_the_cursor(rig: &Rig<'_>) -> Checked {
    let (hub, channel) = rig.channel(ChannelSettings::default()).await?;
    channel.ensure_listener(id("bob")).await?;
    let first = channel.broadcast(message(1)).await?.position;
    for n in 2..=3 {
        channel.broadcast(message(n)).await?;
    }
    channel.ack(&id("bob"), first).await?;
    let beyond = Position { offset: hub.tail().offset.next(), ..hub.tail() };
    let found = look(&hub, &channel, ReadFrom::After(beyond)).await?;
    ensure_eq!(found, ["gap ahead ?", "2", "3"], "what was seen after a position beyond the tail");
    let found = look(&hub, &channel, ReadFrom::After(hub.tail())).await?;
    ensure_eq!(found.len(), 0, "what was seen after the tail itself");
    Ok(())
}

async fn entries_that_grew_too_old_are_told_as_missed(rig: &Rig<'_>) -> Checked {
    let settings = ChannelSettings { max_age_s: 10, ..ChannelSettings::default() };
    let (hub, channel) = rig.channel(settings).await?;
    channel.ensure_listener(id("bob")).await?;
    channel.broadcast(message(1)).await?;
    channel.dispatch(&id("bob"), message(2)).await?;
    rig.clock.advance(Duration::from_secs(11));
    channel.broadcast(message(3)).await?;
    let found = look(&hub, &channel, ReadFrom::Cursor).await?;
    ensure_eq!(found, ["gap trimmed 2", "3"], "what was seen after a while");
    Ok(())
}
