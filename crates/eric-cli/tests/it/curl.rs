//! The hub as one meets it first: with `curl`, and with the lines that `eric serve` prints to be tried.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::hub::{Hub, PATIENCE};
use crate::tools::program;

#[tokio::test]
async fn curl_shows_an_event_at_once_while_the_stream_stays_open() {
    let Some(_curl) = program("curl") else { return };
    let hub = Hub::start(&[]).await;
    hub.json("PUT", "/v1/channels/news", &json!({})).await;
    hub.json("PUT", "/v1/channels/news/listeners/reader", &json!({})).await;
    let line = format!("curl -N -sS {}/v1/channels/news/listeners/reader/events", hub.url());
    let mut stream = Stream::open(&line);
    stream.until(":ok\n").await;

    for n in 1..=3 {
        hub.json("POST", "/v1/channels/news/messages", &json!({"type": "greeting", "payload": {"n": n}}))
            .await;
        stream.until(&format!("event: greeting\ndata: {{\"n\":{n}}}\n\n")).await;
        assert!(stream.is_open(), "the stream ended after {:?}", stream.seen);
    }
}

#[tokio::test]
async fn every_curl_line_that_serve_prints_works_as_it_stands() {
    let (Some(_curl), Some(_bash)) = (program("curl"), program("bash")) else { return };
    // A hub that has ended in order has printed all it had to say: so many lines the next one will print too.
    let ended = Hub::start(&[]).await.terminate().await;
    assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:#?}");
    let printed = hints(&ended.stderr).count();
    assert!(printed >= 2, "a stream to open and something to publish: {:#?}", ended.stderr);

    let mut hub = Hub::start(&[]).await;
    let stderr = hub.stderr_when(|lines| hints(lines).count() == printed).await;
    let mut streams = Vec::new();
    for line in hints(&stderr) {
        if line.contains(" -N ") {
            let mut stream = Stream::open(line);
            stream.until(":ok\n").await;
            streams.push(stream);
        } else {
            succeed(line).await;
        }
    }
    assert!(!streams.is_empty(), "one of the lines opens a stream: {stderr:#?}");
    for stream in &mut streams {
        stream.until("\ndata: ").await;
    }
}

/// The commands among the lines, which are printed with two spaces before them, to be copied.
fn hints(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with("curl "))
}

/// The line, so that an answer of 400 and above is a failure too.
fn strict(line: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(line.replacen("curl ", "curl --fail-with-body -sS --max-time 20 ", 1));
    bash.stdin(Stdio::null()).kill_on_drop(true);
    bash
}

async fn succeed(line: &str) {
    let output = timeout(PATIENCE, strict(line).output()).await.expect("an answer in time");
    let output = output.expect("bash starts");
    assert!(output.status.success(), "{line}: {output:?}");
}

/// A `curl -N` that runs, and what it has printed so far.
#[derive(Debug)]
struct Stream {
    process: Child,
    stdout: ChildStdout,
    seen: String,
}

impl Stream {
    fn open(line: &str) -> Self {
        let mut process = strict(line).stdout(Stdio::piped()).spawn().expect("bash starts");
        let stdout = process.stdout.take().expect("standard output is piped");
        Self { process, stdout, seen: String::new() }
    }

    /// Reads until the text has been printed.
    async fn until(&mut self, wanted: &str) {
        let mut buffer = [0; 4_096];
        while !self.seen.contains(wanted) {
            let read = timeout(PATIENCE, self.stdout.read(&mut buffer)).await;
            let size = read.unwrap_or_else(|_| panic!("no {wanted:?} in {:?}", self.seen));
            let size = size.expect("a pipe can be read");
            assert!(size > 0, "the stream ended without {wanted:?}: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..size]));
        }
    }

    fn is_open(&mut self) -> bool {
        self.process.try_wait().expect("a process of our own can be waited for").is_none()
    }
}
