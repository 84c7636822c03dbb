//! A client of the eric-api routes that does what it is told, so that one script of events is played by all of them.
//!
//! A command and its reply are one JSON value each: lines of a program, or posts and answers of a browser's page.
//!
//! | command `do` | with | reply |
//! |---|---|---|
//! | `request` | `method`, `path`, and perhaps `type` and `body` | `status`, `body` |
//! | `open` | `stream` (a name), `path`, `types` to listen to | as below |
//! | `next` | `stream` | `type`, `data`, `id` of an event; `{"ended": true}` |
//! | `again` | `stream`, which has ended | `{"open": true}`, `{"refused": status}`; a browser tells no status |
//! | `parse` | `data` of an event | the value, as the client's own JSON parser reads it |

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::browsers::{ASK, Browser, Files, PageServer};
use crate::hub::{Hub, PATIENCE};
use crate::tools::{client, program, tool};

const PAGE: Files = &[
    ("/", include_str!("../../clients/eric_api_browser.html")),
    ("/eric_api_commands.mjs", include_str!("../../clients/eric_api_commands.mjs")),
];

/// A client and its hub.
#[derive(Debug)]
pub(super) struct Puppet {
    pub(super) hub: Hub,
    strings: Strings,
}

#[derive(Debug)]
enum Strings {
    Program(Program),
    Page(Browser, PageServer),
}

#[derive(Debug)]
struct Program {
    process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Puppet {
    /// Python with one of its libraries; none if the test is to be skipped.
    pub(super) async fn python(library: &str) -> Option<Self> {
        let mut python = Command::new(tool("ERIC_TEST_PYTHON")?);
        python.arg(client("eric_api_client.py")).arg(library).env("PYTHONDONTWRITEBYTECODE", "1");
        Some(Self::program(python).await)
    }

    /// Node with the package `eventsource`; none if the test is to be skipped.
    pub(super) async fn node() -> Option<Self> {
        let (node, _modules) = program("node").zip(tool("ERIC_TEST_NODE_MODULES"))?;
        let mut node = Command::new(node);
        node.arg(client("eric_api_node.mjs"));
        Some(Self::program(node).await)
    }

    /// Chromium with a page of another origin; none if the test is to be skipped.
    pub(super) async fn chromium() -> Option<Self> {
        let chromium = tool("ERIC_TEST_CHROMIUM")?;
        let mut page = PageServer::start(PAGE).await;
        let hub = Hub::start(&["--cors-origin", &page.origin]).await;
        let browser = Browser::open(&chromium, &format!("{}/?hub={}", page.origin, hub.url()));
        let post = timeout(PATIENCE, page.next_post()).await.expect("the browser shows the page in time");
        assert_eq!(post, (ASK.to_owned(), "null".to_owned()), "it asks for its first command");
        Some(Self { hub, strings: Strings::Page(browser, page) })
    }

    async fn program(mut interpreter: Command) -> Self {
        let hub = Hub::start(&[]).await;
        let mut process = interpreter
            .arg(hub.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the interpreter starts");
        let stdin = process.stdin.take().expect("standard input is piped");
        let lines = BufReader::new(process.stdout.take().expect("standard output is piped")).lines();
        Self { hub, strings: Strings::Program(Program { process, stdin, lines }) }
    }

    /// Gives a command, and waits for the reply.
    pub(super) async fn tell(&mut self, command: Value) -> Value {
        let reply = timeout(PATIENCE, self.strings.tell(&command)).await;
        let reply = reply.unwrap_or_else(|_| panic!("no reply to {command}"));
        serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error} in {reply:?} to {command}"))
    }

    /// A request without a body: the status and the body of its answer.
    pub(super) async fn ask(&mut self, method: &str, path: &str) -> (u64, String) {
        answer(self.tell(json!({"do": "request", "method": method, "path": path})).await)
    }

    /// A request with a body: the status and the body of its answer.
    pub(super) async fn send(&mut self, method: &str, path: &str, media: &str, body: &str) -> (u64, String) {
        let request = json!({"do": "request", "method": method, "path": path, "type": media, "body": body});
        answer(self.tell(request).await)
    }

    /// Opens the stream at `path`, to be called `stream`.
    pub(super) async fn open(&mut self, stream: &str, path: &str, types: &[&str]) -> Value {
        self.tell(json!({"do": "open", "stream": stream, "path": path, "types": types})).await
    }

    /// What comes next on a stream.
    pub(super) async fn next(&mut self, stream: &str) -> Value {
        self.tell(json!({"do": "next", "stream": stream})).await
    }

    /// What becomes of a stream that has ended once the client goes back to it.
    pub(super) async fn again(&mut self, stream: &str) -> Value {
        self.tell(json!({"do": "again", "stream": stream})).await
    }

    /// What a client is told that is refused with this status.
    pub(super) fn refused(&self, status: u16) -> Value {
        match self.strings {
            Strings::Program(_) => json!({"refused": status}),
            Strings::Page(..) => json!({"refused": null}),
        }
    }

    /// Ends the client, which has failed at nothing.
    pub(super) async fn end(self) -> Hub {
        match self.strings {
            Strings::Program(program) => program.end().await,
            Strings::Page(browser, _) => browser.close().await,
        }
        self.hub
    }
}

impl Strings {
    async fn tell(&mut self, command: &Value) -> String {
        match self {
            Self::Program(program) => program.tell(command).await,
            Self::Page(_, page) => {
                page.answer(command.to_string()).await;
                page.next_post().await.1
            }
        }
    }
}

impl Program {
    async fn tell(&mut self, command: &Value) -> String {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.expect("the program listens");
        let reply = self.lines.next_line().await.expect("standard output is UTF-8");
        reply.unwrap_or_else(|| panic!("the program ended at {command}"))
    }

    async fn end(mut self) {
        drop(self.stdin);
        let status = timeout(PATIENCE, self.process.wait()).await.expect("the program ends in time");
        assert!(status.expect("a process of our own can be waited for").success());
    }
}

fn answer(reply: Value) -> (u64, String) {
    let (status, body) = (reply["status"].as_u64(), reply["body"].as_str());
    status.zip(body.map(str::to_owned)).unwrap_or_else(|| panic!("no answer: {reply}"))
}
