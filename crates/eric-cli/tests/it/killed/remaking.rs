//! A channel and a listener that are removed and made again under the same ids, over kills: what was there before is
//! never seen again.

use eric_client::{
    Ack, Code, Error, Event, Message, Paging, Position, ReadFrom, SettingsPatch, SubscribeOptions,
};
use fastrand::Rng;
use futures_util::StreamExt as _;

use super::stage::{Life, Stage, channel, listener};

/// Removes, makes again, writes and reads until the run comes to its end; says how often.
pub(super) async fn remake(stage: Stage, seed: u64) -> u64 {
    let mut rng = Rng::with_seed(seed);
    let client = stage.patient_client();
    let (passing, guest) = (channel("passing"), listener("guest"));
    let settings = SettingsPatch { retry_ms: Some(100), ..SettingsPatch::default() };
    let mut generation = 0;
    while !stage.is_ending() {
        generation += 1;
        let takes_all = rng.bool();
        let removed = stage.until_answered(|| async {
            match takes_all {
                true => client.remove_channel(&passing).await,
                false => client.remove_listener(&passing, &guest).await,
            }
        });
        is_gone(removed.await);
        let made = stage.until_answered(|| async {
            client.ensure_channel(&passing, &settings).await?;
            client.ensure_listener(&passing, &guest).await
        });
        made.await.expect("they are made again");
        let (mut written, mut broadcasts) = (Vec::<(Position, String)>::new(), Vec::new());
        for number in 0..rng.u8(1..8) {
            let text = format!("{generation}/{number}");
            let message = Message::of("t", &text).expect("it is a message");
            let taken = if rng.bool() {
                broadcasts.push(text.clone());
                client.broadcast(&passing, message).await
            } else {
                client.dispatch(&passing, &guest, message).await
            };
            written.push((taken.expect("it is taken in the end").id, text));
        }
        if rng.bool() && !stage.is_ending() {
            stage.when(|life| life != Life::Here).await;
            stage.back().await;
        }
        let options =
            SubscribeOptions { after: ReadFrom::Earliest, ack: Ack::Manual, ..SubscribeOptions::default() };
        let mut events = Box::pin(client.subscribe(&passing, &guest, options));
        let mut seen = Vec::new();
        while seen.len() < written.len() {
            match events.next().await.expect("it goes on").expect("it comes back") {
                Event::Message(received) => {
                    seen.push((received.id, received.value::<String>().expect("it is a text")));
                }
                Event::Connected | Event::Disconnected { .. } => {}
                event => panic!("{event:?}"),
            }
        }
        assert_eq!(seen, written, "generation {generation}");
        drop(events);
        let guest = stage.until_answered(|| client.listener(&passing, &guest)).await;
        assert_eq!(guest.expect("it is there").backlog, written.len() as u64, "generation {generation}");
        if takes_all {
            let page = Paging::default();
            let kept = stage.until_answered(|| client.history(&passing, &page)).await;
            let kept = kept.expect("it is there").items;
            let kept: Vec<String> = kept.iter().map(|row| row.value().expect("it is a text")).collect();
            assert_eq!(kept, broadcasts, "generation {generation}");
        }
    }
    generation
}

/// Removed now, or by an attempt that was not answered, or never there.
fn is_gone(removed: Result<(), Error>) {
    if let Err(error) = removed {
        assert!(matches!(error.code(), Some(Code::UnknownChannel | Code::UnknownListener)), "{error}");
    }
}
