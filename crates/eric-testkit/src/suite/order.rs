//! Checks of the log itself: one counter, lanes, batches that are contiguous and all or nothing.

use std::collections::{BTreeMap, HashSet};

use eric_sse::lane::{Lane, Retention, Span};
use eric_sse::log::{Budget, NewEntry};
use eric_sse::{Entry, Offset};

use super::rig::{Checked, Rig, checks, ensure, ensure_eq, ensure_kind, offsets, on_threads, roomy};

checks![
    offsets_count_from_one_without_a_hole,
    changes_are_ordered_by_their_calls,
    a_batch_is_contiguous_whatever_else_is_under_way,
    a_batch_is_contiguous_under_concurrent_publishers,
    a_lane_shows_its_own_entries_in_order_and_no_others,
    a_read_goes_on_where_its_page_ends,
    the_first_entry_is_read_whatever_its_size,
    nothing_is_shown_before_it_is_committed,
    a_refused_batch_leaves_nothing,
    a_span_counts_what_a_stretch_holds,
    two_engines_have_two_epochs,
    an_empty_batch_changes_nothing,
];

async fn offsets_count_from_one_without_a_hole(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    ensure_eq!(seam.engine.tail().offset, Offset::ZERO, "the tail of an empty log");
    let (one, two) = (seam.open().await?, seam.open().await?);
    for n in 1..=20 {
        let taken = seam.put(rig, if n % 3 == 0 { one } else { two }, n).await?;
        ensure_eq!(taken.position, seam.at(n), "the position of an entry");
        ensure!(taken.first, "an entry without a key is always new");
        ensure_eq!(seam.engine.tail(), taken.position, "the tail after an entry");
    }
    Ok(())
}

async fn changes_are_ordered_by_their_calls(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let tickets: Vec<_> = (1..=8).map(|n| seam.engine.submit(vec![seam.new_entry(lane, n)])).collect();
    // Awaited the other way round, which must not matter.
    for (n, ticket) in (1..=8).rev().zip(tickets.into_iter().rev()) {
        ensure_eq!(ticket.await?[0].position, seam.at(n), "the position by order of calls");
    }
    let numbers: Vec<String> = payloads(&seam.read_all(lane, Budget::default()).await?);
    ensure_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8"], "what was read");
    Ok(())
}

async fn a_batch_is_contiguous_whatever_else_is_under_way(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let batch = |first: u64| (first..first + 3).map(|n| seam.new_entry(lane, n)).collect::<Vec<_>>();
    let tickets = [1, 4, 7].map(|first| seam.engine.submit(batch(first)));
    for (ticket, first) in tickets.into_iter().zip([1, 4, 7]) {
        let taken = ticket.await?;
        let found: Vec<u64> = taken.iter().map(|taken| taken.position.offset.get()).collect();
        ensure_eq!(found, [first, first + 1, first + 2], "the offsets of a batch");
    }
    let numbers = payloads(&seam.read_all(lane, Budget::default()).await?);
    ensure_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "what was read");
    Ok(())
}

async fn a_batch_is_contiguous_under_concurrent_publishers(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let lanes = [channel, seam.join(channel).await?, seam.join(channel).await?];
    let publisher = seam.clone();
    let batches = on_threads(4, move |thread| {
        let seam = publisher.clone();
        async move {
            let mut batches = Vec::new();
            for round in 0..30_u64 {
                let numbers = (0..1 + (round + thread) % 5).map(|i| thread * 10_000 + round * 10 + i);
                let lane = |i: usize| lanes[(i + thread as usize) % lanes.len()];
                let batch: Vec<NewEntry> =
                    numbers.enumerate().map(|(i, n)| seam.new_entry(lane(i), n)).collect();
                let expected: Vec<(Lane, String)> =
                    batch.iter().map(|new| (new.lane, new.message.payload().as_json().to_owned())).collect();
                let taken = seam.engine.submit(batch).await?;
                batches.push((expected, taken));
            }
            Ok(batches)
        }
    });
    let mut by_offset: BTreeMap<u64, (Lane, String)> = BTreeMap::new();
    for (expected, taken) in batches.await?.into_iter().flatten() {
        ensure_eq!(taken.len(), expected.len(), "answers to a batch");
        for (entry, taken) in expected.into_iter().zip(&taken) {
            let other = by_offset.insert(taken.position.offset.get(), entry);
            ensure!(other.is_none(), "offset {} was issued twice", taken.position.offset);
        }
        let is_contiguous =
            taken.windows(2).all(|two| two[0].position.offset.next() == two[1].position.offset);
        ensure!(is_contiguous, "a batch is not contiguous: {taken:?}");
    }
    let all: Vec<u64> = by_offset.keys().copied().collect();
    ensure_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "all offsets");
    for lane in lanes {
        for entry in seam.read_all(lane, Budget::default()).await? {
            let found = (entry.lane(), entry.message().payload().as_json().to_owned());
            ensure_eq!(Some(found), by_offset.remove(&entry.offset().get()), "an entry as it was taken");
        }
    }
    ensure!(by_offset.is_empty(), "{} entries were taken and cannot be read", by_offset.len());
    Ok(())
}

async fn a_lane_shows_its_own_entries_in_order_and_no_others(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let (news, other) = (seam.open().await?, seam.open().await?);
    let lanes = [news, seam.join(news).await?, seam.join(news).await?, other, seam.join(other).await?];
    let distinct: HashSet<Lane> = lanes.into_iter().collect();
    ensure_eq!(distinct.len(), lanes.len(), "lanes are numbered once");
    for n in 1..=25 {
        seam.put(rig, lanes[n as usize * 7 % 5], n).await?;
    }
    for (index, lane) in lanes.into_iter().enumerate() {
        let entries = seam.read_all(lane, Budget::default()).await?;
        let expected: Vec<u64> = (1..=25).filter(|n| *n as usize * 7 % 5 == index).collect();
        ensure_eq!(offsets(&entries), expected, "the offsets in a lane");
        let numbers: Vec<String> = expected.iter().map(u64::to_string).collect();
        ensure_eq!(payloads(&entries), numbers, "the messages in a lane");
        ensure!(entries.iter().all(|entry| entry.lane() == lane), "an entry names another lane");
        ensure!(entries.iter().all(|entry| entry.taken_at() == rig.now()), "an entry names another time");
        let info = seam.engine.lane(lane).await?;
        ensure_eq!(info.messages, expected.len() as u64, "what a lane keeps");
        ensure_eq!(
            info.bytes,
            entries.iter().map(|it| it.bytes() as u64).sum::<u64>(),
            "the bytes of a lane"
        );
        ensure_eq!(info.last, entries.last().map(Entry::offset), "the last entry of a lane");
        ensure_eq!(info.trimmed_to, Offset::ZERO, "what was trimmed of a lane");
    }
    Ok(())
}

async fn a_read_goes_on_where_its_page_ends(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    for n in 100..160 {
        seam.put(rig, if n % 3 == 0 { bob } else { channel }, n).await?;
    }
    let expected: Vec<u64> = (1..=60).filter(|offset| offset % 3 != 0).collect();
    for budget in [
        Budget { entries: 1, bytes: usize::MAX },
        Budget { entries: 7, bytes: usize::MAX },
        Budget { entries: 1_000, bytes: 9 },
        Budget { entries: 1_000, bytes: 0 },
        Budget::default(),
    ] {
        ensure_eq!(offsets(&seam.read_all(channel, budget).await?), expected, "all pages together");
    }
    let page = seam.engine.read(channel, Offset::new(58), Budget::default()).await?;
    ensure_eq!(offsets(&page.entries), [59], "what follows 58");
    let page = seam.engine.read(channel, Offset::new(60), Budget::default()).await?;
    ensure!(page.entries.is_empty(), "there is nothing after the tail");
    Ok(())
}

async fn the_first_entry_is_read_whatever_its_size(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    for n in 1..=2 {
        seam.put(rig, lane, n).await?;
    }
    for after in [0, 1] {
        let page = seam.engine.read(lane, Offset::new(after), Budget { entries: 10, bytes: 0 }).await?;
        ensure_eq!(offsets(&page.entries), [after + 1], "a page of no bytes");
        ensure!(page.searched_to >= Offset::new(after + 1), "a page searched less than it holds");
    }
    Ok(())
}

async fn nothing_is_shown_before_it_is_committed(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let lane = seam.open().await?;
    let mut tickets = Vec::new();
    for n in 1..=6 {
        tickets.push(seam.engine.submit(vec![seam.new_entry(lane, n)]));
        let page = seam.engine.read(lane, Offset::ZERO, Budget::default()).await?;
        let tail = seam.engine.tail().offset;
        for entry in &page.entries {
            ensure!(entry.offset() <= tail, "entry {} is shown, the tail is {tail}", entry.offset());
        }
        ensure!(page.searched_to <= tail, "a page searched to {}, the tail is {tail}", page.searched_to);
    }
    for ticket in tickets {
        let position = ticket.await?[0].position;
        ensure!(seam.engine.tail().offset >= position.offset, "an answer is beyond the tail");
    }
    ensure_eq!(seam.kept(lane).await?, [1, 2, 3, 4, 5, 6], "what was committed in the end");
    Ok(())
}

async fn a_refused_batch_leaves_nothing(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let (lane, gone) = (seam.open().await?, seam.open().await?);
    let narrow = seam.engine.open(Retention { max_bytes: 3, ..roomy() }).await?;
    seam.engine.close(gone).await?;
    seam.put(rig, lane, 1).await?;
    let key = |new: NewEntry| NewEntry { key: "k".parse().ok(), ..new };
    for last in [seam.new_entry(gone, 4), seam.new_entry(narrow, 4_444)] {
        let batch = vec![key(seam.new_entry(lane, 2)), seam.new_entry(lane, 3), last];
        ensure!(seam.engine.submit(batch).await.is_err(), "a batch with an impossible message was taken");
        ensure_eq!(seam.engine.tail(), seam.at(1), "the tail after a refusal");
    }
    ensure_eq!(seam.kept(lane).await?, [1], "what is readable after a refusal");
    ensure_eq!(offsets(&seam.recorder.entries()), [1], "what was reported after a refusal");
    let taken = seam.engine.submit(vec![key(seam.new_entry(lane, 5))]).await?;
    ensure!(taken[0].first, "the key of a refused batch is remembered");
    ensure_eq!(taken[0].position, seam.at(2), "the offset after a refusal");
    ensure_kind!(
        seam.engine.submit(vec![seam.new_entry(gone, 6)]).await,
        Closed,
        "a submit to a lane that is gone"
    );
    Ok(())
}

async fn a_span_counts_what_a_stretch_holds(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    let channel = seam.open().await?;
    let bob = seam.join(channel).await?;
    for n in 1..=10 {
        seam.put(rig, if n % 2 == 0 { bob } else { channel }, n).await?;
    }
    for (after, to, expected, last) in [
        (0, 10, 5, Some(10)),
        (0, 9, 4, Some(8)),
        (2, 8, 3, Some(8)),
        (3, 5, 1, Some(4)),
        (4, 5, 0, None),
        (10, 10, 0, None),
        (9, u64::MAX, 1, Some(10)),
    ] {
        let span = seam.engine.span(bob, Offset::new(after), Offset::new(to)).await?;
        let bytes = (0..=10).filter(|n| n % 2 == 0 && *n > after && *n <= to);
        let bytes = bytes.map(|n| 1 + n.to_string().len() as u64).sum();
        let last: Option<Offset> = last.map(Offset::new);
        let expected = Span { entries: Some(expected), bytes, last };
        ensure_eq!(span, expected, format!("the span after {after} to {to}"));
    }
    Ok(())
}

async fn two_engines_have_two_epochs(rig: &Rig<'_>) -> Checked {
    let (one, two) = (rig.bare_engine(), rig.bare_engine());
    ensure!(one.tail().epoch != two.tail().epoch, "two engines share the epoch {}", one.tail().epoch);
    let seam = rig.engine();
    let lane = seam.open().await?;
    let taken = seam.put(rig, lane, 1).await?;
    ensure_eq!(taken.position.epoch, seam.engine.tail().epoch, "the epoch of an entry");
    Ok(())
}

async fn an_empty_batch_changes_nothing(rig: &Rig<'_>) -> Checked {
    let seam = rig.engine();
    ensure_eq!(seam.engine.submit(Vec::new()).await?.len(), 0, "answers to an empty batch");
    ensure_eq!(seam.engine.tail().offset, Offset::ZERO, "the tail");
    ensure!(seam.recorder.entries().is_empty(), "an empty batch was reported");
    Ok(())
}

fn payloads(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.message().payload().as_json().to_owned()).collect()
}
