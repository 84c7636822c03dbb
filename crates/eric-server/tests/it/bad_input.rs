//! The table of bad input in `docs/protocol.md`, walked row by row on real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::server::{Answer, TestServer};

const DOCUMENT: &str = include_str!("../../../../docs/protocol.md");
/// The slowest row waits for a body that stands still for 30 s.
const SLOWEST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
struct Row {
    what: String,
    request: String,
    headers: String,
    body: String,
    status: String,
    code: String,
    detail: String,
}

fn rows() -> Vec<Row> {
    let table = DOCUMENT.split("| what | request |").nth(1).expect("the table is there");
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').skip(1).map(str::trim).collect();
            assert_eq!(cells.len(), 8, "seven cells: {line}");
            let text = |index: usize| cells[index].to_owned();
            let code = |index: usize| text(index).trim_matches('`').to_owned();
            Row {
                what: text(0),
                request: code(1),
                headers: code(2),
                body: code(3),
                status: text(4),
                code: code(5),
                detail: text(6),
            }
        })
        .collect()
}

/// The bytes that a cell spells.
pub(crate) fn bytes(cell: &str, epoch: &str) -> Vec<u8> {
    let cell = cell.replace("{epoch}", epoch);
    let mut out = Vec::new();
    let mut rest = cell.as_str();
    while let Some(first) = rest.chars().next() {
        let escapes: [(&str, &[u8]); 6] = [
            ("\\r", b"\r"),
            ("\\n", b"\n"),
            ("\\0", b"\0"),
            ("\\xff", b"\xff"),
            ("\\xef\\xbb\\xbf", b"\xef\xbb\xbf"),
            ("✂", b""),
        ];
        if let Some((text, byte)) = escapes.into_iter().find(|(text, _)| rest.starts_with(text)) {
            out.extend_from_slice(byte);
            rest = &rest[text.len()..];
        } else if let Some((piece, times, length)) = repetition(rest) {
            let piece = bytes(piece, epoch);
            out.extend(piece.repeat(times));
            rest = &rest[length..];
        } else {
            out.extend_from_slice(first.to_string().as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// `⟨piece×times⟩` at the beginning of `text`, and how long that is.
fn repetition(text: &str) -> Option<(&str, usize, usize)> {
    let (inner, _) = text.strip_prefix('⟨')?.split_once('⟩')?;
    let (piece, times) = inner.rsplit_once('×')?;
    Some((piece, times.parse().ok()?, '⟨'.len_utf8() + inner.len() + '⟩'.len_utf8()))
}

/// What goes on the wire, and whether the client stays to read.
fn wire(row: &Row, epoch: &str) -> (Vec<u8>, bool) {
    let stays = !format!("{}{}{}", row.request, row.headers, row.body).contains('✂');
    let stops = |cell: &str| cell.contains(['✂', '⏸']);
    let part = |cell: &str| bytes(&cell.replace('⏸', ""), epoch);
    let mut wire = part(&row.request);
    if stops(&row.request) {
        return (wire, stays);
    }
    wire.extend_from_slice(b" HTTP/1.1\r\nHost: hub\r\n");
    wire.extend(part(&row.headers));
    if stops(&row.headers) {
        return (wire, stays);
    }
    let body = part(&row.body);
    let named = row.headers.to_ascii_lowercase();
    if !row.headers.is_empty() {
        wire.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() && !named.contains("content-length") && !named.contains("transfer-encoding") {
        wire.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire.extend(body);
    (wire, stays)
}

async fn check(server: &TestServer, row: &Row, epoch: &str) {
    let (wire, stays) = wire(row, epoch);
    let mut socket = server.connect().await;
    // Who is refused early may find the door closed while it still writes; the answer is there to read.
    let _ = socket.write_all(&wire).await;
    if !stays {
        return;
    }
    let mut answer = Vec::new();
    let read = async {
        while socket.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {
            let parsed = Answer::parse(&answer);
            let is_whole = |answer: Answer| {
                let length = answer
                    .head
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next()?.parse().ok());
                length.is_some_and(|length: usize| answer.body.len() >= length)
                    || row.request.starts_with("HEAD")
            };
            if parsed.is_some_and(is_whole) {
                break;
            }
        }
    };
    timeout(SLOWEST, read).await.unwrap_or_else(|_| panic!("{}: no answer", row.what));
    let Some(answer) = Answer::parse(&answer) else {
        panic!("{}: {:?}", row.what, String::from_utf8_lossy(&answer))
    };
    assert_eq!(answer.status.to_string(), row.status, "{}: {}", row.what, answer.body);
    assert!(answer.head.contains("eric-durability: memory"), "{}: {}", row.what, answer.head);
    if row.status == "405" {
        assert!(answer.head.contains("\nallow: "), "{}: {}", row.what, answer.head);
    }
    if row.code != "–" {
        assert!(answer.head.contains("application/problem+json"), "{}: {}", row.what, answer.head);
        let problem: serde_json::Value = serde_json::from_str(&answer.body).expect("a problem is JSON");
        assert_eq!(problem["code"], row.code.as_str(), "{}", row.what);
        assert_eq!(problem["status"], answer.status, "{}", row.what);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&row.detail), "{}: {detail}", row.what);
        let line = match row.what.as_str() {
            "a bad line" => Some(3),
            "a batch of 10,001" => Some(10_001),
            _ => None,
        };
        assert_eq!(problem["line"].as_u64(), line, "{}", row.what);
    }
}

/// Everything that the hub holds, as clients see it.
async fn state(server: &TestServer) -> Vec<serde_json::Value> {
    let mut state = Vec::new();
    for path in
        ["/v1/channels", "/v1/channels/c/messages", "/v1/channels/c/listeners", "/v1/channels/c/listeners/l"]
    {
        state.push(server.expect(200, "GET", path, "").await);
    }
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_of_bad_input_is_answered_as_documented_and_changes_nothing() {
    let server = std::sync::Arc::new(TestServer::start());
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    server.expect(201, "PUT", "/v1/channels/c/listeners/l", "").await;
    let taken = server.expect(201, "POST", "/v1/channels/c/messages", r#"{"type":"t","id":"taken"}"#).await;
    let epoch = taken["id"].as_str().unwrap().split('-').next().unwrap().to_owned();
    let before = state(&server).await;
    let rows = rows();
    assert!(rows.len() > 90, "the table was found: {} rows", rows.len());
    let (slow, quick): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.status == "408");
    assert_eq!(slow.len(), 3);
    let start = |row: Row| {
        let (server, epoch) = (server.clone(), epoch.clone());
        (row.what.clone(), tokio::spawn(async move { check(&server, &row, &epoch).await }))
    };
    let waiting: Vec<_> = slow.into_iter().map(start).collect();
    let mut failed = Vec::new();
    for row in quick {
        let (what, checked) = start(row);
        if checked.await.is_err() || state(&server).await != before {
            failed.push(what);
        }
    }
    for (what, checked) in waiting {
        if checked.await.is_err() {
            failed.push(what);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(state(&server).await, before);
}
