//! The page of the token stream, in a browser.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Program, example};
use crate::tools::tool;

const ANSWER: &str = "A queue with a cursor of its own — naïve as it looks 🙂 — is all that it takes:\n\
                      whoever comes back says how far they got, and goes on \"right there\", not a token later.";
/// Whole events that the example lets through before it cuts a connection.
const EVENTS_PER_CONNECTION: usize = 4;

#[test]
fn a_page_whose_connections_are_cut_in_mid_event_shows_every_token_once() {
    let Some(chromium) = tool("ERIC_TEST_CHROMIUM") else { return };
    let app = Program::start(example("token-stream").arg("127.0.0.1:0"));
    let url = app.word("ready");
    let profile = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let browser = Program::start(
        Command::new(chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("{url}/?ask=why"))
            .stderr(Stdio::null()),
    );
    let shown: Value = serde_json::from_str(&app.word("shown")).unwrap();
    assert_eq!(shown["text"], ANSWER);
    let events = ANSWER.split(' ').count() + 1;
    let connections = shown["connections"].as_u64().unwrap();
    assert!(
        connections >= events.div_ceil(EVENTS_PER_CONNECTION) as u64,
        "{connections} for {events} events"
    );
    browser.terminate();
}
