//! A real browser's `EventSource`, on a page of another origin, through a network that resets in mid-event.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::numbered::{JOURNEY, MESSAGES, Numbered};
use crate::tools::tool;

const PAGE: &str = include_str!("../clients/browser.html");

#[tokio::test]
async fn chromium_sees_every_message_once_and_in_order_over_resets() {
    if let Some(chromium) = tool("ERIC_TEST_CHROMIUM") {
        timeout(JOURNEY, journey(&chromium)).await.expect("the browser reports in time");
    }
}

async fn journey(chromium: &Path) {
    let mut page = PageServer::start().await;
    let numbered = Numbered::start(&["--cors-origin", &page.origin]).await;
    let profile = Profile::create();
    let url = format!("{}/?stream={}&count={MESSAGES}", page.origin, numbered.stream_url());
    let mut browser = open(chromium, &profile, &url);
    numbered.publish_first().await;
    assert_eq!(page.next_post().await.0, "/first");
    numbered.publish_rest_through_faults().await;
    let (path, report) = page.next_post().await;
    assert_eq!(path, "/result");
    numbered.judge(&serde_json::from_str::<Value>(&report).expect("the report is JSON"));
    close(&mut browser).await;
}

/// Ends the browser as a desktop does, so that it takes its own processes along and lets go of its profile.
async fn close(browser: &mut Child) {
    let pid = browser.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    kill_process(pid.expect("the browser runs"), Signal::TERM).expect("a process of our own takes signals");
    browser.wait().await.expect("a process of our own can be waited for");
}

fn open(chromium: &Path, profile: &Profile, url: &str) -> Child {
    Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--no-proxy-server"])
        .arg(format!("--user-data-dir={}", profile.folder.display()))
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the browser starts")
}

/// A browser profile that nobody has used, removed when dropped.
#[derive(Debug)]
struct Profile {
    folder: PathBuf,
}

impl Profile {
    fn create() -> Self {
        let name = format!("chromium-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).expect("the build's folder is writable");
        Self { folder }
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // What the browser still holds stays in the build's folder, and does no harm there.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Serves the page, and hands on what the page posts.
#[derive(Debug)]
struct PageServer {
    origin: String,
    posts: mpsc::Receiver<(String, String)>,
}

impl PageServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of the loopback");
        let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let (sender, posts) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The browser opens connections ahead of need: one that sends nothing must not hold up the others.
                let sender = sender.clone();
                tokio::spawn(async move {
                    let _ = answer(stream, &sender).await;
                });
            }
        });
        Self { origin, posts }
    }

    async fn next_post(&mut self) -> (String, String) {
        self.posts.recv().await.expect("the page's server runs")
    }
}

async fn answer(stream: TcpStream, posts: &mpsc::Sender<(String, String)>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let (status, page) = match method {
        "POST" => ("204 No Content", ""),
        "GET" if path.starts_with("/?") => ("200 OK", PAGE),
        _ => ("404 Not Found", ""),
    };
    if method == "POST" {
        let body = String::from_utf8(body).expect("the page posts JSON");
        // The test that no longer listens is over.
        let _ = posts.send((path.to_owned(), body)).await;
    }
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\n");
    let length = if method == "POST" { String::new() } else { format!("content-length: {}\r\n", page.len()) };
    stream.get_mut().write_all(format!("{head}{length}\r\n{page}").as_bytes()).await
}
