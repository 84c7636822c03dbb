//! The routes of eric-api through a network that resets connections in mid-event: `Last-Event-ID` works there too.

use tokio::process::Command;

use crate::numbered::Routes;
use crate::tools::{program, tool};
use crate::{browsers, clients};

#[tokio::test]
async fn httpx_sse_sees_every_message_once_and_in_order_over_resets() {
    if let Some(python) = tool("ERIC_TEST_PYTHON") {
        clients::run(Command::new(python), "httpx_sse_client.py", Routes::EricApi).await;
    }
}

#[tokio::test]
async fn sseclient_py_sees_every_message_once_and_in_order_over_resets() {
    if let Some(python) = tool("ERIC_TEST_PYTHON") {
        clients::run(Command::new(python), "sseclient_client.py", Routes::EricApi).await;
    }
}

#[tokio::test]
async fn npm_eventsource_sees_every_message_once_and_in_order_over_resets() {
    if let Some((node, _modules)) = program("node").zip(tool("ERIC_TEST_NODE_MODULES")) {
        clients::run(Command::new(node), "eventsource_client.mjs", Routes::EricApi).await;
    }
}

#[tokio::test]
async fn chromium_sees_every_message_once_and_in_order_over_resets() {
    if let Some(chromium) = tool("ERIC_TEST_CHROMIUM") {
        browsers::run(&chromium, Routes::EricApi).await;
    }
}
