//! Who answers: every question has an effect, a line in a file.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use eric_sse::Message;
use eric_sse::prefab::distributed::Application;

use crate::Outcome;

/// Answers until somebody stops her. An effect is repeated where she dies after it and before she has recorded it.
pub async fn answer(alice: &Application, effects: &Path) -> Outcome {
    let effects = File::options().append(true).create(true).open(effects)?;
    alice.set_action("double", move |question| {
        let number: u64 = serde_json::from_str(question.payload().as_json())?;
        (&effects).write_all(format!("{number}\n").as_bytes())?;
        println!("{number}");
        Ok(vec![Message::of("doubled", &[number, 2 * number])?])
    })?;
    println!("over: {:?}", alice.run(|_| ()).await?);
    Ok(())
}
