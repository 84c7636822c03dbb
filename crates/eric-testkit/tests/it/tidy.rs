//! Rules worth having are tests: the map is true, every module says what it is, nobody imports what it must not.

mod examples;

use std::fs;
use std::path::{Path, PathBuf};

/// Lines beyond which a file has a seam that was missed.
const FILE_LINES_MAX: usize = 600;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file below the crates' folders, with its text.
fn sources() -> Vec<(String, String)> {
    let root = root().join("crates");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("it is below the root").display().to_string();
                sources.push((name, fs::read_to_string(path).expect("sources are UTF-8")));
            }
        }
    }
    assert!(sources.len() > 40, "the sources were found");
    sources
}

/// The sources that ship.
fn shipped() -> Vec<(String, String)> {
    sources()
        .into_iter()
        .filter(|(name, _)| name.contains("/src/") && !name.starts_with("eric-testkit"))
        .collect()
}

pub(crate) fn check(what: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{what}: {offenders:#?}");
}

#[test]
fn every_step_of_the_two_journeys_is_a_function_that_exists() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map is there");
    let sources = shipped();
    let steps: Vec<(&str, &str)> = map.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    assert!(steps.len() > 40, "the journeys were found: {} steps", steps.len());
    let is_true = |file: &str, function: &str| {
        let is_file = |name: &str| name.ends_with(&format!("/{file}.rs"));
        let has = |text: &str| {
            let signature = format!("fn {function}");
            text.split(&signature).skip(1).any(|rest| rest.starts_with(['(', '<']))
        };
        sources.iter().any(|(name, text)| is_file(name) && has(text))
    };
    let wrong = steps.iter().filter(|(file, function)| !is_true(file, function));
    check(
        "steps that are not there",
        wrong.map(|(file, function)| format!("{file}.rs::{function}")).collect(),
    );
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    check("modules without text", silent.map(|(name, _)| name).collect());
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let long = sources().into_iter().filter(|(_, text)| text.lines().count() > FILE_LINES_MAX);
    check("long files", long.map(|(name, _)| name).collect());
}

#[test]
fn every_limit_is_named_by_a_test() {
    let sources = sources();
    let limits =
        &sources.iter().find(|(name, _)| name == "eric-sse/src/limits.rs").expect("the limits are there").1;
    let names: Vec<&str> =
        limits.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect();
    assert!(names.len() > 25, "the limits were found");
    let tests: Vec<&str> = sources
        .iter()
        .filter_map(|(name, text)| {
            match name.contains("/tests/") || name.contains("testkit/src/suite") || name.contains("kv_suite")
            {
                true => Some(text.as_str()),
                false => text.split_once("#[cfg(test)]").map(|(_, tests)| tests),
            }
        })
        .collect();
    let untested = names.into_iter().filter(|name| !tests.iter().any(|text| text.contains(name)));
    check("limits without a test", untested.map(str::to_owned).collect());
}

#[test]
fn nothing_is_unbounded() {
    let unbounded = shipped().into_iter().filter(|(_, text)| text.contains("unbounded_channel"));
    check("unbounded channels", unbounded.map(|(name, _)| name).collect());
}

#[test]
fn nobody_imports_what_it_must_not() {
    let forbidden: [(&str, &[&str]); 7] = [
        (
            "eric-sse/",
            &[
                "std::fs",
                "std::net",
                "tokio::net",
                "tokio::fs",
                "hyper",
                "axum",
                "eric_server",
                "eric_protocol",
            ],
        ),
        ("eric-load/", &["tokio", "hyper", "std::thread", "eric_sse", "eric_server", "eric_client"]),
        ("eric-protocol/", &["std::fs", "std::net", "tokio", "hyper", "axum", "eric_server"]),
        ("eric-client/", &["std::fs", "eric_server", "eric_sse::engine", "tokio::spawn"]),
        (
            "eric-store/",
            &["std::net", "tokio::net", "tokio::fs", "tokio::spawn", "hyper", "axum", "eric_server"],
        ),
        (
            "eric-verify/",
            &[
                "std::fs",
                "std::net",
                "std::thread",
                "SystemClock",
                "tokio",
                "spawn",
                "hyper",
                "axum",
                "eric_server",
            ],
        ),
        ("eric-server/", &["std::fs", "eric_sse::engine", "eric_sse::cursor", "MemoryEngine"]),
    ];
    let mut offences = Vec::new();
    for (name, text) in shipped() {
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for (crate_name, words) in forbidden {
            if name.starts_with(crate_name) {
                offences.extend(
                    words.iter().filter(|word| code.contains(*word)).map(|word| format!("{name}: {word}")),
                );
            }
        }
    }
    let files = |name: &String, text: &String| {
        name.starts_with("eric-store/") && name != "eric-store/src/disk/real.rs" && text.contains("std::fs")
    };
    let past_the_seam = shipped().into_iter().filter(|(name, text)| files(name, text));
    offences.extend(past_the_seam.map(|(name, _)| format!("{name}: std::fs, which only the disk knows")));
    check("imports", offences);
}
