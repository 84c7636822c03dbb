//! The scenarios against the real hub, in this process.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use eric_load::dialect::Dialect;
use eric_load::report::Report;
use eric_load::scenario::{
    Churn, Connects, Elsewhere, FanOutClosed, FanOutOpen, Idle, Scenario, Settings, Slow, Storm, Target,
    Unicast,
};
use eric_load::watch::{Phase, Watch};
use eric_server::{Server, ServerSettings};
use eric_sse::Hub;
use tokio::runtime::Runtime;

use crate::brief;

const DIALECT: &str = include_str!("../../../../bench/fan-out/peers/eric/dialect.json");

/// A hub on threads of its own.
struct TestServer {
    address: SocketAddr,
    _runtime: Runtime,
}

impl TestServer {
    fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _inside = runtime.enter();
        let listen = Some(([127, 0, 0, 1], 0).into());
        let settings = ServerSettings { listen, socket: None, ..ServerSettings::default() };
        let server = Server::bind(Hub::in_memory(), settings).unwrap();
        let address = server.local().unwrap();
        runtime.spawn(server.run());
        Self { address, _runtime: runtime }
    }

    /// Runs a scenario, briefly.
    fn run(&self, dialect: &str, scenario: &Scenario, settings: Settings) -> Report {
        let dialect = Dialect::parse(dialect).unwrap();
        // The hub's processor time and memory are those of this process.
        let target = Target { dialect: &dialect, server: self.address, pid: Some(std::process::id()) };
        scenario.run(target, &settings)
    }
}

/// Runs a scenario, which must succeed.
fn check(scenario: Scenario, settings: Settings) -> Report {
    let report = TestServer::start().run(DIALECT, &scenario, settings);
    assert_eq!(report.failure, None);
    report
}

#[test]
fn everybody_hears_everything_in_a_closed_loop() {
    for anonymous in [false, true] {
        let fan_out = FanOutClosed { listeners: 20, window: 4 };
        let report = check(Scenario::FanOutClosed(fan_out), Settings { anonymous, ..brief() });
        assert!(report.deliveries_per_s.unwrap() > 0.0);
        assert!(report.delivery.unwrap().p50_ms > 0.0);
        assert_eq!(report.opened.unwrap().streams, 20);
    }
}

#[test]
fn messages_at_set_times_are_as_many_as_were_due() {
    let report = check(Scenario::FanOutOpen(FanOutOpen { listeners: 10, rate: 200.0 }), brief());
    let rate = report.messages_per_s.unwrap();
    assert!((100.0..300.0).contains(&rate), "{rate}");
    assert!(report.answer.is_some());
}

#[test]
fn messages_for_one_come_to_that_one() {
    let unicast = Unicast { listeners: 10, registered: 20, window: 5 };
    assert!(check(Scenario::Unicast(unicast), brief()).messages_per_s.unwrap() > 0.0);
}

#[test]
fn streams_that_are_idle_are_streams() {
    let report = check(Scenario::Idle(Idle { listeners: 10 }), brief());
    assert!(report.memory.unwrap().per_listener.is_some());
    assert!(check(Scenario::Connects(Connects { listeners: 50, at_once: 0 }), brief()).opened.is_some());
}

#[test]
fn who_leaves_and_comes_back_misses_nothing() {
    let churn = Churn { listeners: 20, rate: 200.0, leave_rate: 50.0, away_s: 0.05 };
    let report = check(Scenario::Churn(churn), brief());
    assert!(report.returns.unwrap() > 0);
    assert_eq!(report.missed, None, "the hub can resume");
}

#[test]
fn watchers_that_cannot_resume_are_told_what_they_missed() {
    let dialect = DIALECT.replace("\"resume\": \"Last-Event-ID\",", "");
    let churn = Churn { listeners: 10, rate: 400.0, leave_rate: 50.0, away_s: 0.1 };
    let settings = Settings { anonymous: true, ..brief() };
    let report = TestServer::start().run(&dialect, &Scenario::Churn(churn), settings);
    assert_eq!(report.failure, None);
    assert!(report.missed.unwrap() > 0);
}

#[test]
fn who_comes_back_after_a_while_gets_everything() {
    let storm = Storm { listeners: 20, before: 3, missed: 100, window: 4 };
    assert!(check(Scenario::Storm(storm), brief()).caught_up_s.unwrap() > 0.0);
}

#[test]
fn some_that_do_not_read_are_no_fault() {
    let slow = Slow { listeners: 10, stuck: 5, receive_buffer_bytes: 4096, rate: 200.0 };
    let report = check(Scenario::Slow(slow), Settings { payload_bytes: 8192, ..brief() });
    let memory = report.memory.unwrap();
    assert_eq!(memory.stuck_sockets, Some(5));
    assert!(memory.kernel_per_stuck_stream.unwrap() > 0.0);
}

#[test]
fn the_times_of_one_elsewhere_are_told() {
    let elsewhere = Elsewhere { listeners: 20, rate: 20.0, aside_rate: 100.0 };
    assert!(check(Scenario::Elsewhere(elsewhere), brief()).delivery.is_some());
}

#[test]
fn whoever_looks_on_gets_slices_and_the_channel_is_removed() {
    let dialect = DIALECT.replacen(
        '{',
        r#"{"clean_up": [{"method": "DELETE", "path": "/v1/channels/{channel}"}], "#,
        1,
    );
    let dialect = Dialect::parse(&dialect).unwrap();
    let server = TestServer::start();
    let target = Target { dialect: &dialect, server: server.address, pid: None };
    let settings = Settings { duration_s: 0.5, ..brief() };
    let watch = Watch::of("mine".to_owned()).with_slices(Duration::from_millis(100));
    let scenario = Scenario::FanOutOpen(FanOutOpen { listeners: 10, rate: 500.0 });
    let report = scenario.run_watched(target, &settings, &watch);
    assert_eq!((report.failure, report.left_behind, report.is_cancelled), (None, None, false));
    assert!((2..=5).contains(&report.slices.len()), "{:?}", report.slices);
    assert!(report.slices.is_sorted_by(|one, next| one.time_s < next.time_s), "{:?}", report.slices);
    let delivered: u64 = report.slices.iter().map(|slice| slice.delivered).sum();
    assert!(delivered > 0 && report.slices.iter().any(|slice| slice.p50_ms.is_some()), "{:?}", report.slices);
    assert!(report.distribution.is_some());
    assert_eq!(watch.progress().phase, Phase::Settle);
    let mut socket = TcpStream::connect(server.address).unwrap();
    socket.write_all(b"GET /v1/channels/mine HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn a_run_that_is_cancelled_ends_at_once() {
    let dialect = Dialect::parse(DIALECT).unwrap();
    let server = TestServer::start();
    let target = Target { dialect: &dialect, server: server.address, pid: None };
    let watch = Watch::default();
    watch.cancel();
    let settings = Settings { duration_s: 3600.0, ..brief() };
    let report = Scenario::Idle(Idle { listeners: 3 }).run_watched(target, &settings, &watch);
    assert!(report.is_cancelled && report.failure.is_some() && report.seconds.is_none(), "{report:?}");
}

#[test]
fn a_message_that_is_refused_fails_the_run() {
    let dialect = DIALECT.replace("{channel}/messages", "nowhere/messages");
    let fan_out = FanOutClosed { listeners: 2, window: 1 };
    let report = TestServer::start().run(&dialect, &Scenario::FanOutClosed(fan_out), brief());
    let failure = report.failure.unwrap();
    assert!(failure.contains("was answered with 404") && failure.contains("unknown_channel"), "{failure}");
}

#[test]
fn an_event_that_is_not_what_was_sent_fails_the_run() {
    let dialect = DIALECT.replace(r#""\"{message}\"""#, r#""\"{message} \"""#);
    let fan_out = FanOutClosed { listeners: 2, window: 1 };
    let report = TestServer::start().run(&dialect, &Scenario::FanOutClosed(fan_out), brief());
    let failure = report.failure.unwrap();
    assert!(failure.contains("corrupt: listener"), "{failure}");
}

#[test]
fn more_streams_than_there_are_descriptors_for_are_refused() {
    let idle = Scenario::Idle(Idle { listeners: 1 << 40 });
    let report = TestServer::start().run(DIALECT, &idle, brief());
    assert!(report.failure.unwrap().contains("do not fit in the limit"));
}
