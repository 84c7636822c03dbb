//! The limits of the HTTP door, each exactly at it and one past it.

use std::time::Duration;

use eric_server::{Server, ServerSettings};
use eric_sse::limits::*;
use eric_sse::{ChannelSettings, Hub, Message, Subscribe};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::server::{Answer, SOON, TestServer};

/// How late a limit of time may be noticed.
const LATE: Duration = Duration::from_secs(3);

async fn exchange(server: &TestServer, request: &[u8]) -> Answer {
    let mut socket = server.connect().await;
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    loop {
        let read = timeout(SOON, socket.read_buf(&mut answer)).await.expect("an answer comes");
        let is_whole = Answer::parse(&answer).is_some_and(|answer| answer.body.ends_with('}'));
        if is_whole || !read.is_ok_and(|read| read > 0) {
            return Answer::parse(&answer).expect("the answer is HTTP");
        }
    }
}

#[tokio::test]
async fn a_body_of_64_mib_is_read_and_one_byte_more_is_refused() {
    let server = TestServer::start();
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    let status = async |bytes: usize| {
        let mut body = b"{\"type\":\"t\"}".to_vec();
        body.resize(bytes, b' ');
        // In chunks, so that nothing is announced.
        let mut request =
            b"POST /v1/channels/c/messages HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
        for chunk in body.chunks(1 << 20) {
            request.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
            request.extend(chunk);
            request.extend(b"\r\n");
        }
        request.extend(b"0\r\n\r\n");
        exchange(&server, &request).await.status
    };
    assert_eq!(status(HTTP_BODY_BYTES_MAX).await, 201);
    assert_eq!(status(HTTP_BODY_BYTES_MAX + 1).await, 413);
}

#[tokio::test]
async fn a_message_of_16_mib_is_taken_and_one_byte_more_is_refused() {
    let server = TestServer::start();
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    let status = async |bytes: usize| {
        let body = format!(r#"{{"type":"t","payload":"{}"}}"#, "x".repeat(bytes - 3));
        server.send("POST", "/v1/channels/c/messages", &body).await.status
    };
    assert_eq!(status(MESSAGE_BYTES_MAX).await, 201);
    assert_eq!(status(MESSAGE_BYTES_MAX + 1).await, 413);
}

#[tokio::test]
async fn a_request_head_of_64_kib_is_read_and_one_byte_more_is_refused() {
    let server = TestServer::start();
    let status = async |bytes: usize| {
        let frame = "GET /health/live HTTP/1.1\r\nHost: h\r\nx: \r\n\r\n".len();
        let filler = "y".repeat(bytes - frame);
        exchange(&server, format!("GET /health/live HTTP/1.1\r\nHost: h\r\nx: {filler}\r\n\r\n").as_bytes())
            .await
            .status
    };
    assert_eq!(status(REQUEST_HEAD_BYTES_MAX).await, 200);
    assert_eq!(status(REQUEST_HEAD_BYTES_MAX + 1).await, 431);
}

#[tokio::test]
async fn a_request_with_100_header_lines_is_read_and_one_more_is_refused() {
    let server = TestServer::start();
    let status = async |lines: usize| {
        let headers = "x: y\r\n".repeat(lines - 1);
        exchange(&server, format!("GET /health/live HTTP/1.1\r\nHost: h\r\n{headers}\r\n").as_bytes())
            .await
            .status
    };
    assert_eq!(status(REQUEST_HEADERS_MAX).await, 200);
    assert_eq!(status(REQUEST_HEADERS_MAX + 1).await, 431);
}

#[tokio::test]
async fn a_page_has_1_to_1000_rows_and_100_by_default() {
    let server = TestServer::start();
    let channel = server.hub.channels().create("c".parse().unwrap(), Default::default()).await.unwrap();
    for _ in 0..=PAGE_ROWS_MAX {
        channel.add_listener().await.unwrap();
    }
    let page = async |query: String| {
        let page = server.expect(200, "GET", &format!("/v1/channels/c/listeners{query}"), "").await;
        assert!(page["next"].is_string(), "there is more");
        page["listeners"].as_array().unwrap().len()
    };
    assert_eq!(page(String::new()).await, PAGE_ROWS_DEFAULT);
    assert_eq!(page(format!("?limit={PAGE_ROWS_MAX}")).await, PAGE_ROWS_MAX);
    server.expect(400, "GET", &format!("/v1/channels/c/listeners?limit={}", PAGE_ROWS_MAX + 1), "").await;
}

#[tokio::test]
async fn as_many_connections_as_allowed_are_served_and_one_more_waits_until_one_leaves() {
    assert_eq!(ServerSettings::default().connections, CONNECTIONS_MAX);
    let server = TestServer::start_with(ServerSettings { connections: 3, ..ServerSettings::default() });
    let channel = server.hub.channels().create("c".parse().unwrap(), Default::default()).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(server.stream("/v1/channels/c/events", "").await);
    }
    let waiting = server.stream("/v1/channels/c/events", "");
    tokio::pin!(waiting);
    // Everybody who was let in gets the message; who waits in the backlog gets no answer meanwhile.
    channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    for stream in &mut streams {
        tokio::select! {
            data = stream.data() => assert_eq!(data, "1"),
            _ = &mut waiting => panic!("the fourth connection was served beside three"),
        }
    }
    drop(streams.pop());
    let mut last = timeout(SOON, waiting).await.expect("whoever leaves lets the next one in");
    channel.broadcast(Message::of("t", &2).unwrap()).await.unwrap();
    assert_eq!(last.data().await, "2");
}

#[tokio::test]
async fn the_backlog_holds_4096_connections_that_nobody_accepted_yet() {
    let allowed: usize =
        std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let backlog = allowed.min(LISTEN_BACKLOG as usize);
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = ServerSettings { listen: Some(listen), ..Default::default() };
    let server = Server::bind(Hub::in_memory(), settings).unwrap();
    let address = server.local().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..backlog {
        waiting.push(timeout(SOON, TcpStream::connect(address)).await.expect("there is room").unwrap());
    }
    // The kernel lets one more in than the backlog says; the one after that is not answered.
    let connect = || TcpSocket::new_v4().unwrap().connect(address);
    let more = async { tokio::join!(connect(), connect()) };
    assert!(timeout(Duration::from_millis(300), more).await.is_err(), "the backlog is bounded");
}

#[tokio::test]
async fn a_request_on_the_socket_has_at_most_64_mib() {
    let server = TestServer::start();
    let request = |bytes: usize| {
        let mut request = br#"{"v": "c"}"#.to_vec();
        request.resize(bytes, b' ');
        request
    };
    assert_eq!(server.ask(&request(SOCKET_REQUEST_BYTES_MAX)).await.len(), 36, "an id");
    let refused = server.ask(&request(SOCKET_REQUEST_BYTES_MAX + 1)).await;
    let expected = "InvalidMessageFormat('request has more than socket_request_bytes_max=67108864 bytes')";
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_stream_waits_250_ms_for_one_that_does_not_say_what_was_consumed() {
    let server = TestServer::start();
    let channel =
        server.hub.channels().create("c".parse().unwrap(), ChannelSettings::in_memory()).await.unwrap();
    let (listener, _) = channel.ensure_listener("l".parse().unwrap()).await.unwrap();
    channel.broadcast(Message::of("t", &1).unwrap()).await.unwrap();
    // Nobody polls this one.
    let silent = channel.subscribe(listener.id(), Subscribe::default()).await.unwrap();
    let took = elapsed(async {
        assert_eq!(server.stream("/v1/channels/c/listeners/l/events", "").await.data().await, "1");
    });
    let (took, handover) = (took.await, Duration::from_millis(HANDOVER_MS_MAX));
    assert!(took >= handover && took < handover + LATE, "{took:?}");
    // Who is served says so at once.
    let mut served = server.stream("/v1/channels/c/listeners/l/events", "").await;
    let took = elapsed(async {
        server.stream("/v1/channels/c/listeners/l/events", "").await;
    });
    assert!(took.await < handover, "a session lets go");
    assert!(served.rest().await.contains("eric.replaced"));
    drop(silent);
}

/// How long a future takes.
async fn elapsed(event: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    event.await;
    start.elapsed()
}

fn check_time(what: &str, seconds: u64, took: Duration) {
    let limit = Duration::from_secs(seconds);
    assert!(took >= limit && took < limit + LATE, "{what}: {took:?} is not {limit:?}");
}

async fn closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
}

async fn head_is_awaited(server: &TestServer) {
    let mut socket = server.connect().await;
    socket.write_all(b"GET /health/live HTTP/1.1\r\n").await.unwrap();
    check_time("head", REQUEST_HEAD_S, elapsed(closed(&mut socket)).await);
}

async fn body_is_awaited(server: &TestServer) {
    let mut socket = server.connect().await;
    let request = b"POST /v1/channels/c/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{";
    socket.write_all(request).await.unwrap();
    check_time("body", BODY_STALL_S, elapsed(async { drop(socket.read_u8().await) }).await);
}

async fn idle_connection_is_kept(server: &TestServer) {
    let mut socket = server.connect().await;
    let exchange = async {
        socket.write_all(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        closed(&mut socket).await;
    };
    check_time("keep-alive", KEEP_ALIVE_S, elapsed(exchange).await);
}

async fn half_close_is_awaited(server: &TestServer) {
    let mut socket = server.ask_open(br#"{"v": "c"}"#).await;
    let mut answer = String::new();
    let took = elapsed(async { drop(socket.read_to_string(&mut answer).await) }).await;
    check_time("half-close", SOCKET_HALF_CLOSE_S, took);
    assert!(answer.starts_with("InvalidMessageFormat('request did not end within"), "{answer}");
}

async fn silent_stream_has_heartbeats(server: &TestServer) {
    // From before it began: a busy client sees the beginning late.
    let silence = async {
        let mut stream = server.stream("/v1/channels/quiet/events", "").await;
        stream.wait_for("\n:\n").await;
    };
    check_time("heartbeat", HEARTBEAT_S, elapsed(silence).await);
}

async fn stuck_client_is_reset(server: &TestServer) {
    let channel = server.hub.channels().get(&"c".parse().unwrap()).unwrap();
    let (connection, _) = channel.ensure_listener("stuck".parse().unwrap()).await.unwrap();
    let stream = server.stream("/v1/channels/c/listeners/stuck/events", "").await;
    let message = Message::of("t", &"x".repeat(8 << 20)).unwrap();
    let start = connection.info().await.unwrap().cursor;
    for _ in 0..3 {
        channel.dispatch(connection.id(), message.clone()).await.unwrap();
    }
    let took = elapsed(async { drop(stream.socket.ready(Interest::ERROR).await) }).await;
    check_time("write stall", WRITE_STALL_S, took);
    let info = connection.info().await.unwrap();
    assert_eq!(info.cursor, start, "what was not taken is not consumed");
    assert_eq!(info.backlog, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_limit_of_time_holds_until_it_is_reached_and_no_longer() {
    let server = TestServer::start();
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    server.expect(201, "PUT", "/v1/channels/quiet", "").await;
    tokio::join!(
        head_is_awaited(&server),
        body_is_awaited(&server),
        idle_connection_is_kept(&server),
        half_close_is_awaited(&server),
        silent_stream_has_heartbeats(&server),
        stuck_client_is_reset(&server),
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_table_of_descriptors_has_room_for_all_connections_before_they_come() {
    let room = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
        line.trim().parse::<usize>().unwrap()
    };
    let bind = |connections| {
        let listen = Some(([127, 0, 0, 1], 0).into());
        Server::bind(Hub::in_memory(), ServerSettings { listen, connections, ..ServerSettings::default() })
    };
    let limit = eric_server::raise_descriptor_limit();
    let connections = 600;
    let _server = bind(connections).unwrap();
    let wanted = (connections + DESCRIPTORS_RESERVED).min(limit);
    assert!(room() >= wanted, "{} of {wanted}", room());
    // More than there can be is no error.
    let _server = bind(usize::MAX).unwrap();
}
