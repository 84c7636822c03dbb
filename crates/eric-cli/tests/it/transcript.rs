//! The transcript in `docs/from-eric-api.md`: every `curl` line is run, and what it says of Eric must be what comes.

use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use crate::hub::{Hub, PATIENCE};
use crate::tools::program;

const DOCUMENT: &str = include_str!("../../../../docs/from-eric-api.md");

/// A command, and what Eric answers: its status, a line break, the body.
#[derive(Debug)]
struct Exchange {
    command: String,
    expected: String,
}

fn exchanges() -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut is_ours = false;
    for line in DOCUMENT.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            exchanges.push(Exchange { command: command.to_owned(), expected: String::new() });
            is_ours = false;
            continue;
        }
        let Some(exchange) = exchanges.last_mut() else { continue };
        if line.starts_with("```") || line.starts_with("eric-api ") {
            is_ours = false;
        } else if let Some(answer) = line.strip_prefix("both ").or(line.strip_prefix("Eric ")) {
            is_ours = true;
            let (status, body) = answer.trim_start().split_once(' ').unwrap_or((answer.trim_start(), ""));
            exchange.expected = format!("{status}\n{body}");
        } else if is_ours {
            exchange.expected.push_str(line.trim_start());
            exchange.expected.push('\n');
        }
    }
    exchanges
}

/// `text` with everything that is made up each time as `…`, and without blank lines at its ends.
fn masked(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && uuid_parts(word) == [8, 4, 4, 4, 12];
    let mut masked = String::new();
    for line in text.trim().lines() {
        let line = if line.starts_with("id: ") { "id: …" } else { line };
        for word in line.split_inclusive(|char: char| !char.is_ascii_alphanumeric() && char != '-') {
            let (word, end) =
                word.split_at(word.trim_end_matches(|char: char| !char.is_ascii_alphanumeric()).len());
            masked.push_str(if is_id(word) { "…" } else { word });
            masked.push_str(end);
        }
        masked.push('\n');
    }
    masked
}

fn uuid_parts(word: &str) -> Vec<usize> {
    word.split('-').map(str::len).collect()
}

#[tokio::test]
async fn every_route_answers_as_the_transcript_beside_the_old_one_says() {
    let (Some(_curl), Some(_bash)) = (program("curl"), program("bash")) else { return };
    let hub = Hub::start(&[]).await;
    let exchanges = exchanges();
    assert!(exchanges.len() > 25, "the transcript was found: {} lines", exchanges.len());
    let mut bob = String::new();
    for Exchange { command, expected } in exchanges {
        // The status comes last, whatever the body is.
        let line = command.replacen("curl ", "curl -sS -w '\\n%{http_code}' ", 1);
        let mut bash = Command::new("bash");
        bash.args(["-c", &line]).stdin(Stdio::null()).kill_on_drop(true);
        bash.env("HUB", hub.url()).env("JSON", "Content-Type: application/json").env("BOB", &bob);
        let output = timeout(PATIENCE, bash.output()).await.expect("it ends").expect("bash runs");
        let said = String::from_utf8(output.stdout).expect("answers are UTF-8");
        let (body, status) = said.rsplit_once('\n').expect("the status is last");
        if let Some(rest) = body.strip_prefix("{\"listener_id\":\"") {
            bob = rest.trim_end_matches("\"}").to_owned();
        }
        assert_eq!(masked(&format!("{status}\n{body}")), masked(&expected), "{command}");
    }
}
