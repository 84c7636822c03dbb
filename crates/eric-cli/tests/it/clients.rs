//! The client libraries that people use, each through a network that resets connections in mid-event.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::numbered::{JOURNEY, Numbered, Routes};
use crate::tools::{client, program, tool};

#[tokio::test]
async fn httpx_sse_sees_every_message_once_and_in_order_over_resets() {
    if let Some(python) = tool("ERIC_TEST_PYTHON") {
        run(Command::new(python), "httpx_sse_client.py", Routes::V1).await;
    }
}

#[tokio::test]
async fn sseclient_py_sees_every_message_once_and_in_order_over_resets() {
    if let Some(python) = tool("ERIC_TEST_PYTHON") {
        run(Command::new(python), "sseclient_client.py", Routes::V1).await;
    }
}

#[tokio::test]
async fn npm_eventsource_sees_every_message_once_and_in_order_over_resets() {
    let tools: Option<(PathBuf, PathBuf)> = program("node").zip(tool("ERIC_TEST_NODE_MODULES"));
    if let Some((node, _modules)) = tools {
        run(Command::new(node), "eventsource_client.mjs", Routes::V1).await;
    }
}

/// Sends the script on its journey.
pub(crate) async fn run(interpreter: Command, script: &str, routes: Routes) {
    let journey = journey(interpreter, script, routes);
    timeout(JOURNEY, journey).await.unwrap_or_else(|_| panic!("{script} took longer than {JOURNEY:?}"));
}

async fn journey(mut interpreter: Command, script: &str, routes: Routes) {
    let numbered = Numbered::start(routes, &[]).await;
    let mut process = interpreter
        .arg(client(script))
        .arg(numbered.stream_url())
        .arg(numbered.messages().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the interpreter starts");
    let mut lines = BufReader::new(process.stdout.take().expect("standard output is piped")).lines();
    numbered.publish_first().await;
    let first = lines.next_line().await.expect("standard output is UTF-8");
    assert_eq!(first.as_deref(), Some("first"), "{script} said something else");
    numbered.publish_rest_through_faults().await;
    let report = lines.next_line().await.expect("standard output is UTF-8");
    let report = report.unwrap_or_else(|| panic!("{script} ended without a report"));
    numbered.judge(&serde_json::from_str::<Value>(&report).expect("the report is JSON"));
    assert!(process.wait().await.expect("the client ends").success(), "{script} failed");
}
