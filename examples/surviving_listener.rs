//! A listener of your own that comes back after a restart as what it was.
//!
//! `cargo run --example surviving-listener -- /tmp/doorbell`, several times: it counts on.
//!
//! A listener with a `Recipe` is written down beside its queue: its kind, what it is made with, and what it is set up
//! with. `Kinds` says, at the next start, who makes a kind again. (A listener without one keeps its queue too, and waits
//! for `register_listener` to give it a callback.)

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use eric_sse::listener::CallbackError;
use eric_sse::persist::{Kinds, Recipe};
use eric_sse::{Hub, Listener, ListenerId, Message, SettingsPatch, SystemClock};
use eric_store::{Store, StoreSettings};
use serde_json::json;

/// Makes its sound, and counts how often.
struct Bell {
    id: ListenerId,
    sound: String,
    rung: AtomicU64,
}

impl Bell {
    /// The bell that `recipe` describes.
    fn again(id: &ListenerId, recipe: &Recipe) -> Result<Arc<dyn Listener>, CallbackError> {
        let sound = recipe.parameters["sound"].as_str().ok_or("a bell without a sound")?.to_owned();
        let rung = recipe.values["rung"].as_u64().ok_or("a bell without a count")?.into();
        Ok(Arc::new(Self { id: id.clone(), sound, rung }))
    }
}

impl Listener for Bell {
    fn id(&self) -> &ListenerId {
        &self.id
    }

    fn recipe(&self) -> Option<Recipe> {
        let rung = self.rung.load(Ordering::Relaxed);
        Some(Recipe {
            kind: "bell".into(),
            parameters: json!({"sound": self.sound}),
            values: json!({"rung": rung}),
        })
    }

    fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
        let rung = self.rung.fetch_add(1, Ordering::Relaxed) + 1;
        println!("{} for {}, {rung} times by now", self.sound, message.payload().as_json());
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let directory = std::env::args().nth(1).context("DIR is missing")?;
    let store = Arc::new(Store::open(directory, StoreSettings::default(), Arc::new(SystemClock))?);
    let kinds = Kinds::default().listener("bell", Bell::again);
    let hub = Hub::builder(store.clone()).kinds(kinds).restore(store).await?;

    let (door, _) = hub.channels().ensure("door".parse()?, &SettingsPatch::default()).await?;
    let new = Bell { id: "bell".parse()?, sound: "ding dong".to_owned(), rung: AtomicU64::new(0) };
    let bell = match door.listener(&new.id) {
        Ok(again) => again,
        Err(_) => door.register_listener(Arc::new(new)).await?,
    };
    bell.start();
    door.broadcast(Message::of("visitor", "the postman")?).await?;
    while door.deliver_next(bell.id()).await?.is_some() {}
    // Its recipe has changed: the count is written down when you say so.
    bell.remember().await?;
    Ok(())
}
