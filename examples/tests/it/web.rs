//! The axum application, with curl.

use std::process::Command;

use crate::program::{Program, example};
use crate::tools::on_path;

fn curl(arguments: &[&str]) -> Program {
    Program::start(Command::new("curl").args(["-sS", "--noproxy", "*"]).args(arguments))
}

/// Says something, and returns its position.
fn say(url: &str, text: &str) -> String {
    let json = "Content-Type: application/json";
    let mut lines = curl(&["--fail", &format!("{url}/say"), "-H", json, "-d", &format!("{text:?}")]).rest();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// Opens the stream of `who`, which is there when this returns.
fn listen(url: &str, who: &str, headers: &[&str]) -> Program {
    let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
    let stream = curl(&[&["-N", &format!("{url}/events/{who}")], &*headers].concat());
    assert_eq!([stream.line(), stream.line()], [":ok", "retry: 3000"]);
    stream
}

/// The next lines are these events.
fn expect(stream: &Program, events: &[(&str, &str)]) {
    for (id, text) in events {
        let event = [stream.line(), stream.line(), stream.line(), stream.line()];
        assert_eq!(
            event,
            [format!("id: {id}"), "event: said".into(), format!("data: {text:?}"), String::new()]
        );
    }
}

#[test]
fn a_listener_of_the_axum_application_resumes_after_its_last_event_id_or_at_its_cursor() {
    let Some(_curl) = on_path("curl") else { return };
    let app = Program::start(example("axum-app").arg("127.0.0.1:0"));
    let url = app.word("ready");

    let (ann, bob) = (listen(&url, "ann", &[]), listen(&url, "bob", &[]));
    let (one, two) = (say(&url, "one"), say(&url, "two"));
    for stream in [&ann, &bob] {
        expect(stream, &[(&one, "one"), (&two, "two")]);
    }
    // Bob is cut off; what he says he had is where he goes on, although more was written to him.
    bob.kill();
    let three = say(&url, "three");
    let bob = listen(&url, "bob", &[&format!("Last-Event-ID: {one}")]);
    expect(&bob, &[(&two, "two"), (&three, "three")]);
    // Whoever says nothing goes on after what was written to them.
    drop(bob);
    let four = say(&url, "four");
    expect(&listen(&url, "bob", &[]), &[(&four, "four")]);
    expect(&ann, &[(&three, "three"), (&four, "four")]);
}

#[test]
fn the_axum_application_says_what_a_stream_is_and_refuses_what_is_no_position() {
    let Some(_curl) = on_path("curl") else { return };
    let app = Program::start(example("axum-app").arg("127.0.0.1:0"));
    let url = app.word("ready");
    let events = format!("{url}/events/bob");

    let stream = curl(&["-N", "-i", &events]);
    let head: Vec<String> =
        std::iter::from_fn(|| stream.next_line()).take_while(|line| !line.is_empty()).collect();
    for line in ["HTTP/1.1 200 OK", "content-type: text/event-stream", "cache-control: no-cache"] {
        assert!(head.iter().any(|one| one == line), "{line} in {head:#?}");
    }
    let status = ["-w", "%{http_code}"];
    let refused = curl(&[&["-H", "Last-Event-ID: nonsense", &*events], &status[..]].concat()).rest();
    assert_eq!(refused, ["position is not <epoch>-<offset>", "400"]);
    let nobody = curl(&[&[&*format!("{url}/events/%00")], &status[..]].concat()).rest();
    assert_eq!(nobody.last().unwrap(), "400", "{nobody:?}");
}
