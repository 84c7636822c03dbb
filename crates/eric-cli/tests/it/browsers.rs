//! A real browser's `EventSource`, on a page of another origin, through a network that resets in mid-event.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::numbered::{JOURNEY, Numbered, Routes};
use crate::tools::tool;

const NUMBERED: Files = &[("/", include_str!("../clients/browser.html"))];
/// Where a page posts what it has to say and learns in the answer what to do; elsewhere it learns nothing.
pub(crate) const ASK: &str = "/ask";

/// The paths of a page and its scripts, and what is there.
pub(crate) type Files = &'static [(&'static str, &'static str)];

#[tokio::test]
async fn chromium_sees_every_message_once_and_in_order_over_resets() {
    if let Some(chromium) = tool("ERIC_TEST_CHROMIUM") {
        run(&chromium, Routes::V1).await;
    }
}

/// Sends the browser on its journey.
pub(crate) async fn run(chromium: &Path, routes: Routes) {
    timeout(JOURNEY, journey(chromium, routes)).await.expect("the browser reports in time");
}

async fn journey(chromium: &Path, routes: Routes) {
    let mut page = PageServer::start(NUMBERED).await;
    let numbered = Numbered::start(routes, &["--cors-origin", &page.origin]).await;
    let (stream, count) = (numbered.stream_url(), numbered.messages());
    let browser = Browser::open(chromium, &format!("{}/?stream={stream}&count={count}", page.origin));
    numbered.publish_first().await;
    assert_eq!(page.next_post().await.0, "/first");
    numbered.publish_rest_through_faults().await;
    let (path, report) = page.next_post().await;
    assert_eq!(path, "/result");
    numbered.judge(&serde_json::from_str::<Value>(&report).expect("the report is JSON"));
    browser.close().await;
}

/// A browser that shows a page; killed when dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    process: Child,
    _profile: Profile,
}

impl Browser {
    pub(crate) fn open(chromium: &Path, url: &str) -> Self {
        let profile = Profile::create();
        let process = Command::new(chromium)
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
            .expect("the browser starts");
        Self { process, _profile: profile }
    }

    /// Ends the browser as a desktop does, so that it takes its own processes along and lets go of its profile.
    pub(crate) async fn close(mut self) {
        let pid = self.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("the browser runs"), Signal::TERM)
            .expect("a process of our own takes signals");
        self.process.wait().await.expect("a process of our own can be waited for");
    }
}

/// A browser profile that nobody has used, removed when dropped.
#[derive(Debug)]
struct Profile {
    folder: PathBuf,
}

impl Profile {
    fn create() -> Self {
        let name = format!("chromium-{:016x}", fastrand::u64(..));
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

/// Serves a page, hands on what it posts, and answers when it asks.
#[derive(Debug)]
pub(crate) struct PageServer {
    pub(crate) origin: String,
    posts: mpsc::Receiver<(String, String)>,
    answers: mpsc::Sender<String>,
}

/// The page's side of a [`PageServer`].
#[derive(Debug)]
struct Page {
    files: Files,
    posts: mpsc::Sender<(String, String)>,
    answers: Mutex<mpsc::Receiver<String>>,
}

impl PageServer {
    pub(crate) async fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of the loopback");
        let origin = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let ((posted, posts), (answers, answered)) = (mpsc::channel(8), mpsc::channel(8));
        let page = Arc::new(Page { files, posts: posted, answers: Mutex::new(answered) });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The browser opens connections ahead of need: one that sends nothing must not hold up the others.
                let page = Arc::clone(&page);
                tokio::spawn(async move {
                    let _ = answer(stream, &page).await;
                });
            }
        });
        Self { origin, posts, answers }
    }

    /// The path and the body of what the page posts next.
    pub(crate) async fn next_post(&mut self) -> (String, String) {
        self.posts.recv().await.expect("the page's server runs")
    }

    /// Answers the page, which asks or will.
    pub(crate) async fn answer(&self, text: String) {
        self.answers.send(text).await.expect("the page's server runs");
    }
}

async fn answer(stream: TcpStream, page: &Page) -> std::io::Result<()> {
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
    let file = path.split('?').next().unwrap_or_default();
    let (status, text) = if method == "POST" {
        let body = String::from_utf8(body).expect("the page posts JSON");
        // The test that no longer listens is over.
        let _ = page.posts.send((path.to_owned(), body)).await;
        match path {
            ASK => ("200 OK", page.answers.lock().await.recv().await.unwrap_or_default()),
            _ => ("200 OK", String::new()),
        }
    } else {
        match page.files.iter().find(|(path, _)| *path == file) {
            Some((_, text)) => ("200 OK", (*text).to_owned()),
            None => ("404 Not Found", String::new()),
        }
    };
    let media_type = if file.ends_with(".mjs") { "text/javascript" } else { "text/html" };
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media_type}; charset=utf-8\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    stream.get_mut().write_all((head + &text).as_bytes()).await
}
