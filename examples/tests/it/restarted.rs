//! Examples that keep a directory and are run again.

use std::path::Path;

use crate::program::{Program, example};

#[test]
fn what_was_put_into_a_durable_inbox_survives_a_kill_and_is_taken_once() {
    let directory = tempfile::tempdir().unwrap();
    let take = |directory: &Path| Program::start(example("durable-inbox").arg(directory).arg("take")).rest();
    for text in ["Milk", "eggs"] {
        let put = Program::start(example("durable-inbox").arg(directory.path()).args(["put", text]));
        let line = put.line();
        assert!(line.starts_with("put at ") && line.ends_with(&format!("kill -9 {}", put.id())), "{line}");
        put.kill();
    }
    let taken = take(directory.path());
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(taken[0].ends_with("Z \"Milk\"") && taken[1].ends_with("Z \"eggs\""), "{taken:?}");
    assert_eq!(taken[2], "nothing more");
    assert_eq!(take(directory.path()), ["nothing more"]);
}

#[test]
fn a_listener_comes_back_with_what_it_was_made_with_and_what_it_was_set_up_with() {
    let directory = tempfile::tempdir().unwrap();
    for times in 1..=3 {
        let lines = Program::start(example("surviving-listener").arg(directory.path())).rest();
        assert_eq!(lines, [format!("ding dong for \"the postman\", {times} times by now")]);
    }
}
