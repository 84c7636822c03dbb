//! The examples, run as a reader would run them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::Command;

/// An example that was built beside this test.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program: PathBuf = profile.join("examples").join(name);
    assert!(program.is_file(), "{} is not built: cargo test --examples does it", program.display());
    Command::new(program)
}

/// What an example that ends by itself prints.
fn printed(name: &str) -> String {
    let output = example(name).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn in_memory_everybody_finds_what_was_sent_before_they_came() {
    let expected = "alice headline \"Eric runs\"\nbob headline \"Eric runs\"\nbob note [\"for\",\"bob\"]\n";
    assert_eq!(printed("in-memory"), expected);
}
