//! Who asks, and is done once every answer is on the disk.
//!
//! What has no answer is asked again after a restart, under the same id, so that the hub takes it once. An action takes
//! the answers and not `Application::request`: who waits for that dies with the process, and the answer would come when
//! nobody does.

use std::sync::Arc;

use eric_sse::Message;
use eric_sse::persist::KvStore as _;
use eric_sse::prefab::distributed::Application;
use eric_store::Store;
use tokio::sync::watch;

use crate::Outcome;

/// Asks for the double of every number up to `numbers`, one after the other.
pub async fn ask(bob: &Application, store: Arc<Store>, numbers: u64) -> Outcome {
    let (news, mut answered) = watch::channel(());
    let answers = store.clone();
    bob.set_async_action("doubled", move |answer| {
        let (answers, news) = (answers.clone(), news.clone());
        async move {
            let [number, double]: [u64; 2] = serde_json::from_str(answer.payload().as_json())?;
            if let Err(error) = answers.upsert(&place(number), double.to_string().into()).await {
                // An action that fails counts as handled; what is not kept must come again.
                eprintln!("{error}");
                std::process::exit(1);
            }
            println!("{number} {double}");
            news.send_replace(());
            Ok(Vec::new())
        }
    })?;
    let asking = async {
        for number in 1..=numbers {
            while store.fetch_one(&place(number)).await?.is_none() {
                let question = Message::of("double", &number)?.with_id(format!("double {number}").parse()?);
                bob.dispatch_to(&"alice".parse()?, question).await?;
                answered.changed().await?;
            }
        }
        Ok(())
    };
    tokio::select! {
        asked = asking => asked,
        over = bob.run(|_| ()) => Err(format!("over: {:?}", over?).into()),
    }
}

/// Where the answer to `number` is kept.
fn place(number: u64) -> String {
    format!("answer/{number}")
}
