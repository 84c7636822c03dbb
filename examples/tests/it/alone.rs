//! Examples that are one process and end by themselves.

use crate::program::{Program, example};

/// What an example prints.
fn printed(name: &str) -> Vec<String> {
    Program::start(&mut example(name)).rest()
}

#[test]
fn in_memory_everybody_finds_what_was_sent_before_they_came() {
    let expected =
        [r#"alice headline "Eric runs""#, r#"bob headline "Eric runs""#, r#"bob note ["for","bob"]"#];
    assert_eq!(printed("in-memory"), expected);
}

#[test]
fn a_producer_is_held_up_and_its_consumer_misses_nothing() {
    let lines = printed("producer-consumer");
    let cooked: Vec<String> = lines.iter().filter(|line| line.starts_with("cooked")).cloned().collect();
    assert_eq!(cooked, (1..=10).map(|number| format!("cooked {number}")).collect::<Vec<_>>());
    let waiting = "waiting: max_messages=3 is reached with unread messages, held by listener id=cook";
    assert_eq!(lines.iter().position(|line| line == waiting), Some(3), "{lines:#?}");
    // The fourth order was taken only once one of the first three was cooked.
    let at = |wanted: &str| lines.iter().position(|line| line == wanted).unwrap();
    assert!(at("cooked 1") < at("ordered 4"), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "the kitchen is closed");
}

#[test]
fn jobs_that_fail_or_panic_are_results_and_the_closing_message_is_the_last() {
    let lines = printed("processing");
    let closed = lines.iter().position(|line| line == "closed").expect("it is closed");
    let (results, profile) = lines.split_at(closed);
    let mut results = results.to_vec();
    results.sort();
    let mut expected = [
        "\"a million\": failed: payload is not what was expected: invalid type: string \"a million\", \
         expected u32 at line 1 column 11",
        "10: 4",
        "100: 25",
        "1000: 168",
        "10000: 1229",
        "100000: 9592",
        "5000000: failed: the callback panicked: nobody has that much time",
    ]
    .map(|result| format!("primes below {result}"));
    expected.sort();
    assert_eq!(results, expected);
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells(&profile[1]), ["messages", "failed", "elapsed", "busy", "throughput"]);
    assert_eq!(cells(&profile[2])[..2], ["8", "2"], "{profile:#?}");
}

#[test]
fn a_queue_of_ones_own_decides_who_is_next() {
    let expected = [
        r#"[5,"heart attack"]"#,
        r#"[4,"broken leg"]"#,
        r#"[2,"cough"]"#,
        r#"[2,"cold"]"#,
        r#"[0,"the doctor goes home"]"#,
    ];
    assert_eq!(printed("custom-queue"), expected);
}
