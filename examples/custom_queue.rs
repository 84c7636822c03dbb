//! A queue of your own between the hub and a listener: here the most urgent is next, not the oldest.
//!
//! `cargo run --example custom-queue`
//!
//! A `Pump` pushes what the listener is sent into the queue; `deliver_next` pops it and runs the listener's callback.
//! The log is the truth: a queue that is a table or a broker may be away for a while, and misses nothing.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use eric_sse::listener::{CallbackError, FnListener};
use eric_sse::log::BoxFuture;
use eric_sse::queue::{Pump, Queue, QueueResult};
use eric_sse::{ChannelSettings, Hub, Message, Offset, Position};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Who waits: the most urgent first, and among equals who came first.
#[derive(Default)]
struct WaitingRoom {
    patients: Mutex<BTreeMap<(Reverse<u8>, Offset), Message>>,
    arrived: Notify,
}

impl Queue for WaitingRoom {
    fn id(&self) -> &str {
        "waiting room"
    }

    fn push(&self, position: Position, message: Message) -> BoxFuture<'_, QueueResult<()>> {
        // An error would mean "not now": the pump would push it again, and again. Who has no urgency comes last.
        let (urgency, _name): (u8, String) = message.payload().parse().unwrap_or_default();
        // After a crash the last ones come again, at the same positions: here that doubles nobody.
        self.patients.lock().insert((Reverse(urgency), position.offset), message);
        self.arrived.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }

    fn pop(&self) -> BoxFuture<'_, QueueResult<Option<Message>>> {
        let next = self.patients.lock().pop_first().map(|(_, message)| message);
        Box::pin(std::future::ready(Ok(next)))
    }
}

/// Treats whoever is next, until the evening.
async fn treat(room: &WaitingRoom, pump: &Pump) -> QueueResult<()> {
    loop {
        room.arrived.notified().await;
        while let Some((message, outcome)) = pump.deliver_next().await? {
            match outcome {
                Ok(()) if message.kind().as_str() == "evening" => return Ok(()),
                Ok(()) => {}
                Err(error) => println!("not treated: {error}"),
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), CallbackError> {
    let hub = Hub::in_memory();
    let clinic = hub.channels().create("clinic".parse()?, ChannelSettings::default()).await?;
    let doctor = FnListener::new("doctor".parse()?, |message| {
        println!("{}", message.payload().as_json());
        Ok(())
    });
    let room = Arc::new(WaitingRoom::default());
    let pump = Pump::connect(&clinic, Arc::new(doctor), room.clone()).await?;
    for patient in [(2, "cough"), (5, "heart attack"), (2, "cold"), (4, "broken leg")] {
        clinic.broadcast(Message::of("patient", &patient)?).await?;
    }
    clinic.broadcast(Message::of("evening", &(0, "the doctor goes home"))?).await?;
    tokio::select! {
        end = pump.run() => println!("the pump ended: {:?}", end?),
        treated = treat(&room, &pump) => treated?,
    }
    Ok(())
}
