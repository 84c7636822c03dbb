//! `docs/guide.md`, snippet by snippet: what it shows works as it stands, but for the port.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::browsers::{Browser, PageServer};
use crate::folder::Folder;
use crate::hub::{Hub, PATIENCE};
use crate::tools::{program, tool};

const DOCUMENT: &str = include_str!("../../../../docs/guide.md");

/// The snippets: their language, and their text.
fn snippets() -> Vec<(&'static str, &'static str)> {
    let mut parts = DOCUMENT.split("\n```");
    parts.next();
    // Every other part is between snippets.
    parts.step_by(2).map(|part| part.split_once('\n').expect("a snippet begins with its language")).collect()
}

/// A program with the hub's address in its environment, and `eric` in its path.
fn command(program: &Path, hub: &Hub, folder: &Folder) -> Command {
    let eric = Path::new(env!("CARGO_BIN_EXE_eric")).parent().expect("it is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("ERIC_URL", hub.url()).env("PATH", format!("{}:{path}", eric.display()));
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A script with all that it started; ended when dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let _ = leader.map(|leader| kill_process_group(leader, Signal::TERM));
    }
}

async fn says(process: &mut Child, wanted: &[&str]) {
    let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
    for wanted in wanted {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("it says something").unwrap();
        assert_eq!(line.as_deref(), Some(*wanted));
    }
}

#[tokio::test]
async fn every_snippet_of_the_guide_works_in_this_order() {
    let (Some(bash), Some(_curl)) = (program("bash"), program("curl")) else { return };
    let folder = Folder::create();
    let mut snippets = snippets().into_iter();
    let (_, serve) = snippets.next().expect("the first one starts a hub");
    assert_eq!(serve, "eric serve --cors-origin '*'");
    let hub = Hub::start(&["--cors-origin", "*"]).await;
    let here = |text: &str| text.replace("http://127.0.0.1:8000", &hub.url());
    let mut seen = Vec::new();
    for (language, text) in snippets {
        let text = here(text);
        seen.push(language);
        match language {
            "sh" if text.contains("while read") => {
                let mut script = command(&bash, &hub, &folder);
                let script = Group(script.args(["-c", &text]).process_group(0).spawn().unwrap());
                let joined = async {
                    let path = "/v1/channels/inbox/listeners/archive";
                    while hub.request("GET", path, &[], "").await.json()["connected"] != true {}
                };
                timeout(PATIENCE, joined).await.expect("it listens");
                let publish = ["-c", "eric publish inbox notice 'for the archive'"];
                assert!(command(&bash, &hub, &folder).args(publish).status().await.unwrap().success());
                let start = Instant::now();
                let archive = folder.path().join("archive.ndjson");
                while !std::fs::read_to_string(&archive).unwrap_or_default().contains("for the archive") {
                    assert!(start.elapsed() < PATIENCE, "it is archived");
                    tokio::task::yield_now().await;
                }
                drop(script);
            }
            "sh" => {
                let run = command(&bash, &hub, &folder).args(["-e", "-c", &text]).output();
                let output = timeout(PATIENCE, run).await.expect("it ends").unwrap();
                assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
                if text.contains("listener show") {
                    assert!(String::from_utf8_lossy(&output.stdout).contains(r#""backlog":3"#));
                }
            }
            "html" => {
                let Some(chromium) = tool("ERIC_TEST_CHROMIUM") else { continue };
                // The page as it is, and a witness that says what it shows once it shows three.
                let witness = "<script>new MutationObserver(() => { if (list.children.length === 3) \
                    fetch('/shown', {method: 'POST', body: list.innerText}); }).observe(list, {childList: true});</script>";
                let page: &'static str =
                    Box::leak(text.replace("</html>", &format!("{witness}</html>")).into_boxed_str());
                let mut server = PageServer::start(Box::leak(Box::new([("/", page)]))).await;
                let browser = Browser::open(&chromium, &format!("{}/", server.origin));
                let (_, shown) = timeout(PATIENCE, server.next_post()).await.expect("the page shows them");
                assert_eq!(shown, "Invoice 17\nThe office is closed on Friday\nInvoice 18");
                browser.close().await;
            }
            "python" => {
                let Some(python) = tool("ERIC_TEST_PYTHON") else { continue };
                let mut worker = command(&python, &hub, &folder).args(["-c", &text]).spawn().unwrap();
                says(
                    &mut worker,
                    &[
                        r#"handled notice "The office is closed on Friday""#,
                        r#"handled notice "for the archive""#,
                    ],
                )
                .await;
                let start = Instant::now();
                let path = "/v1/channels/inbox/listeners/bob";
                while hub.request("GET", path, &[], "").await.json()["backlog"] != 0 {
                    assert!(start.elapsed() < PATIENCE, "it acknowledges");
                }
            }
            other => panic!("a snippet of {other}: {text}"),
        }
    }
    assert_eq!(seen, ["sh", "sh", "sh", "sh", "html", "sh", "python"]);
}
