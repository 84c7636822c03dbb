//! Lines that are no export: each is refused by its number, with the reason, and nothing is left.

use eric_sse::limits::STORE_LINE_BYTES_MAX;
use eric_sse::{Clock as _, ErrorKind};
use eric_store::offline;
use eric_testkit::ManualClock;
use eric_testkit::fault_disk::FaultDisk;
use eric_verify::log::settings;

use super::Export;

const HEAD: &str = r#"{"eric_export":1,"epoch":"e1","tail":9,"last_lane":5}"#;
const CHANNEL: &str = r#"{"channel":{"lane":1,"max_messages":9,"max_bytes":999,"max_age_s":9,"history":9,"max_unread_per_listener":9,"max_unread_bytes_per_listener":999,"overflow":"reject"}}"#;
const LISTENER: &str = r#"{"listener":{"lane":2,"channel":1,"floor":3,"floor_rank":1,"cursor":"e1-4"}}"#;
const ENTRY: &str = r#"{"entry":{"offset":3,"lane":1,"taken_at_ms":7,"type":"t","payload":{"a":[1,2.50]},"message_id":"i","sender_id":"s","key":"k"}}"#;
const VALUE: &str = r#"{"value":{"key":"a","text":"b"}}"#;
const KEY: &str =
    r#"{"key":{"lane":1,"key":"k","offset":2,"used_at_ms":7,"digest":"00112233445566778899aabbccddeeff"}}"#;
const END: &str = r#"{"end":{"values":1,"channels":1,"listeners":1,"keys":1,"entries":1}}"#;

const WHOLE: [&str; 7] = [HEAD, VALUE, CHANNEL, LISTENER, KEY, ENTRY, END];

fn import(text: &[u8]) -> Result<(), String> {
    let (disk, clock) = (FaultDisk::new(), ManualClock::new());
    let imported = offline::import(&disk, &settings(None), clock.now(), &mut &*text, &mut |_| ());
    let imported = imported.map(drop).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{error}");
        error.to_string()
    });
    assert_eq!(imported.is_err(), disk.names().is_empty(), "all or nothing");
    imported
}

/// Refuses the whole export with one line in another form.
fn check(line: usize, from: &str, to: &str, says: &str) {
    let mut lines = WHOLE.map(str::to_owned);
    assert!(lines[line].contains(from), "{from} is in line {line}");
    lines[line] = lines[line].replace(from, to);
    check_lines(&lines.join("\n"), line + 1, says);
}

fn check_lines(text: &str, line: usize, says: &str) {
    let said = import(text.as_bytes()).expect_err(says);
    assert!(
        said.starts_with(&format!("line {line}: ")) && said.contains(says),
        "{said:?} instead of {says:?}"
    );
}

#[test]
fn a_whole_export_is_taken_with_or_without_a_last_line_end() {
    import(WHOLE.join("\n").as_bytes()).unwrap();
    import(format!("{}\n\n", WHOLE.join("\n")).as_bytes()).unwrap();
    import(
        br#"{"eric_export":1,"epoch":"e","tail":0,"last_lane":0}
{"end":{"values":0,"channels":0,"listeners":0,"keys":0,"entries":0}}"#,
    )
    .unwrap();
}

#[test]
fn the_documented_example_is_taken_and_written_again_as_it_is() {
    let document = include_str!("../../../../../docs/store.md");
    let example = document.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let clock = ManualClock::new();
    let (_, rest) = example.split_once('\n').unwrap();
    let export = Export { epoch: String::new(), text: example.to_owned() };
    assert_eq!(Export::of(&export.import(&clock), &clock).unwrap().rest(), rest);
}

#[test]
fn a_malformed_line_is_refused_by_its_number_and_the_reason() {
    check(0, "1,", "2,", "eric_export=2 is not a version that is known: 1");
    check(0, "eric_export", "erik_export", "it is not the first line of an export");
    check(0, "e1", "E1", "epoch is not 1 to 16");
    check(0, "\"tail\":9", "\"tail\":9223372036854775807", "tail=9223372036854775807 is more than");
    check(3, "\"lane\":2", "\"lane\":6", "lane=6 is not within 1 and last_lane=5");
    check(0, "}", ",\"colour\":1}", "unknown field `colour`");
    check(1, "text", "hex", "hexadecimal digits");
    check(1, "\"b\"", "\"b\",\"hex\":\"00\"", "either a text or hex");
    check(1, "\"key\":\"a\",", "", "missing field `key`");
    check(2, "reject", "ignore", "overflow is neither");
    check(2, "\"lane\":1", "\"lane\":0", "lane=0 is not within");
    check(2, "\"lane\":1", "\"lane\":-1", "invalid value: integer `-1`");
    check(
        2,
        "reject\"",
        "reject\",\"trimmed\":{\"total\":1,\"first\":1,\"to\":2,\"runs\":[]}",
        "does not add up",
    );
    check(
        2,
        "reject\"",
        "reject\",\"trimmed\":{\"total\":1,\"first\":10,\"to\":10,\"runs\":[[10,10]]}",
        "beyond the tail=9",
    );
    check(3, "\"channel\":1", "\"channel\":4", "channel=4 is no channel's lane");
    check(3, "\"channel\":1", "\"channel\":2", "channel=2 is no channel's lane");
    check(3, "\"floor\":3", "\"floor\":10", "floor=10 is beyond the tail=9");
    check(3, "e1-4", "4", "cursor is not <epoch>-<offset>");
    check(3, "\"lane\":2", "\"lane\":1", "lane=1 is there twice");
    check(4, "\"lane\":1", "\"lane\":3", "lane=3 is unknown");
    check(4, "ddeeff", "dd", "digest is not 32 digits");
    check(4, "\"offset\":2", "\"offset\":10", "offset=10 is beyond the tail=9");
    check(4, "\"key\":\"k\"", "\"key\":\"\"", "is empty");
    check(5, "\"lane\":1", "\"lane\":4", "lane=4 is unknown");
    check(5, "\"offset\":3", "\"offset\":0", "offset=0 is not beyond the one before");
    check(5, "\"offset\":3", "\"offset\":10", "offset=10 is beyond the tail=9");
    check(5, "\"t\"", "\"eric.t\"", "reserved prefix eric.");
    check(5, "2.50", "2.5.0", "byte ");
    check(5, "\"i\"", "\"i\\n\"", "line break");
    check(5, "{\"a\":[1,2.50]}", &format!("{}{}", "[".repeat(129), "]".repeat(129)), "nests deeper than 128");
    check(5, "\"a\"", &format!("\"{}\"", "x".repeat(17 << 20)), "message_bytes_max=");
    check(6, "\"entries\":1", "\"entries\":2", "lines are missing");
    check(1, VALUE, "", "byte 0: EOF");
    check(1, VALUE, "nonsense", "expected");
}

#[test]
fn what_is_cut_short_twice_there_or_goes_on_is_refused() {
    check_lines("", 1, "there is nothing");
    check_lines(&WHOLE[..6].join("\n"), 7, "the export was cut short");
    check_lines(&[&WHOLE[..], &[VALUE]].concat().join("\n"), 8, "there is more after the last line");
    check_lines(&[&WHOLE[..2], &[VALUE]].concat().join("\n"), 3, "value key=a is there twice");
    check_lines(&[&WHOLE[..3], &[CHANNEL]].concat().join("\n"), 4, "lane=1 is there twice");
    check_lines(
        &[&WHOLE[..6], &[ENTRY]].concat().join("\n"),
        7,
        "offset=3 is not beyond the one before, offset=3",
    );
    let trimmed = CHANNEL.replace("}}", r#","trimmed":{"total":3,"first":1,"to":3,"runs":[[1,3]]}}}"#);
    check_lines(&[HEAD, &trimmed, ENTRY].join("\n"), 3, "offset=3 was let go: lane=1 is trimmed to=3");
}

#[test]
fn a_rank_that_the_channel_does_not_tell_is_refused() {
    let said =
        import(WHOLE.join("\n").replace("\"floor_rank\":1", "\"floor_rank\":2").as_bytes()).unwrap_err();
    assert!(said.starts_with("line 4: floor_rank=2 is not what the channel tells: 1"), "{said}");
}

#[test]
fn a_line_has_at_most_32_mib() {
    let of_bytes = |bytes: usize| {
        let mut value = VALUE.to_owned();
        value.push_str(&" ".repeat(bytes - value.len() - 1));
        let mut lines = WHOLE.map(str::to_owned);
        lines[1] = value;
        lines.join("\n")
    };
    import(of_bytes(STORE_LINE_BYTES_MAX).as_bytes()).unwrap();
    check_lines(&of_bytes(STORE_LINE_BYTES_MAX + 1), 2, "store_line_bytes_max=33554432");
}

#[test]
fn what_is_no_utf_8_is_refused() {
    let said = import(
        &[WHOLE[..2].join("\n").as_bytes(), b"\n{\"value\":{\"key\":\"\xff\",\"text\":\"\"}}\n"].concat(),
    );
    assert!(said.unwrap_err().starts_with("line 3: "), "it names the line");
}
