//! A hub that does not sync is killed: the process dies and not the machine, so that nothing is lost; but the hub
//! cannot know that, begins a new epoch, and says so to everybody who was in the old one.

use std::pin::Pin;

use eric_client::{
    Ack, Event, Events, Gap, GapReason, HttpClient, ListenerId, Message, Position, ReadFrom, SettingsPatch,
    SubscribeOptions,
};
use eric_sse::Epoch;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::stage::{NEWS, Stage, channel, listener};
use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE};

const MESSAGES: u64 = 400;

async fn start(stage: &Stage, folder: &Folder) -> Hub {
    let (address, engine) = (stage.address.to_string(), format!("file:{}", folder.file("data")));
    Hub::serve(&["--listen", &address, "--engine", &engine, "--durability", "os"]).await
}

/// Publishes these numbers, one by one and in batches, to all or to one.
async fn publish(client: &HttpClient, numbers: std::ops::Range<u64>, to: &ListenerId) -> Vec<Position> {
    let news = channel(NEWS);
    let mut positions = Vec::new();
    for number in numbers.step_by(4) {
        let message = |number| Message::of("t", &number).expect("it is a message");
        positions.push(client.broadcast(&news, message(number)).await.expect("it is taken").id);
        positions.push(client.dispatch(&news, to, message(number + 1)).await.expect("it is taken").id);
        let batch = [message(number + 2), message(number + 3)];
        positions.extend(client.broadcast_lines(&news, &batch).await.expect("they are taken").ids);
    }
    positions
}

/// Reads up to the message `last`: the numbers with their positions, and the gaps.
async fn read(events: &mut Pin<Box<Events>>, last: u64) -> (Vec<(Position, u64)>, Vec<Gap>) {
    let (mut seen, mut gaps) = (Vec::new(), Vec::new());
    while seen.last().is_none_or(|(_, number)| *number != last) {
        let event = timeout(PATIENCE, events.next()).await.expect("it comes").expect("it goes on");
        match event.expect("it comes back") {
            Event::Message(received) => {
                seen.push((received.id, received.value().expect("it is a number")));
            }
            Event::Gap(gap) => gaps.push(gap),
            Event::Connected | Event::Disconnected { .. } => {}
            event => panic!("{event:?}"),
        }
    }
    (seen, gaps)
}

/// What is there after the kill: everything, in order and in the new epoch, after one word of what may be missing.
fn judge(seen: &[(Position, u64)], gaps: &[Gap], epoch: Epoch, wanted: &[u64]) {
    let numbers: Vec<u64> = seen.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, wanted);
    assert!(seen.iter().all(|(position, _)| position.epoch == epoch), "{seen:?}");
    assert!(seen.windows(2).all(|pair| pair[0].0.offset < pair[1].0.offset), "{seen:?}");
    let [gap] = gaps else { panic!("{gaps:?}") };
    assert_eq!((&gap.reason, gap.missed), (&GapReason::Epoch, None), "{gap:?}");
}

#[tokio::test]
async fn a_kill_without_fsync_loses_nothing_and_is_told_as_a_gap_of_a_new_epoch() {
    let (folder, (stage, _life)) = (Folder::create(), Stage::new().await);
    let hub = start(&stage, &folder).await;
    let (client, news) = (stage.patient_client(), channel(NEWS));
    let (bob, carol) = (listener("bob"), listener("carol"));
    let settings = SettingsPatch { retry_ms: Some(100), ..SettingsPatch::default() };
    client.ensure_channel(&news, &settings).await.unwrap();
    for listener in [&bob, &carol] {
        client.ensure_listener(&news, listener).await.unwrap();
    }
    let answered = publish(&client, 0..MESSAGES, &bob).await;
    let old = answered[0].epoch;
    assert!(answered.iter().all(|position| position.epoch == old));
    // Bob has seen half of it, and carol has acknowledged half of what is for her.
    let mut events = Box::pin(client.subscribe(&news, &bob, SubscribeOptions::default()));
    let (seen, gaps) = read(&mut events, MESSAGES / 2).await;
    assert_eq!((seen.len() as u64, gaps.len()), (MESSAGES / 2 + 1, 0));
    client.ack(&news, &carol, answered[answered.len() / 2]).await.unwrap();
    hub.kill().await;

    let hub = start(&stage, &folder).await;
    let next = publish(&client, MESSAGES..MESSAGES + 4, &bob).await;
    let epoch = next[0].epoch;
    assert_ne!(epoch, old);
    assert!(next[0].offset > answered[answered.len() - 1].offset, "positions are not given again");
    // What the client had taken from its connection before that was cut comes first, and is not part of the question.
    let mut seen = Vec::new();
    let mut gaps = Vec::new();
    while gaps.is_empty() {
        let event = timeout(PATIENCE, events.next()).await.expect("it comes").expect("it goes on");
        if let Event::Gap(gap) = event.expect("it comes back") {
            gaps.push(gap);
        }
    }
    let (rest, more) = read(&mut events, MESSAGES + 3).await;
    seen.extend(rest);
    gaps.extend(more);
    judge(&seen, &gaps, epoch, &(0..MESSAGES + 4).collect::<Vec<_>>());
    let options =
        SubscribeOptions { ack: Ack::Manual, after: ReadFrom::Cursor, ..SubscribeOptions::default() };
    let (seen, gaps) = read(&mut Box::pin(client.subscribe(&news, &carol, options)), MESSAGES + 3).await;
    let broadcasts: Vec<u64> = (0..MESSAGES + 4).filter(|number| number % 4 != 1).collect();
    judge(&seen, &gaps, epoch, &broadcasts);

    assert_eq!(hub.terminate().await.status.code(), Some(0));
    let _hub = start(&stage, &folder).await;
    let last = publish(&client, MESSAGES + 4..MESSAGES + 8, &bob).await;
    assert_eq!(last[0].epoch, epoch, "a hub that came to its end goes on as it was");
    let (seen, gaps) = read(&mut events, MESSAGES + 7).await;
    let numbers: Vec<u64> = seen.iter().map(|(_, number)| *number).collect();
    assert_eq!((numbers, gaps), ((MESSAGES + 4..MESSAGES + 8).collect(), Vec::new()));
}
