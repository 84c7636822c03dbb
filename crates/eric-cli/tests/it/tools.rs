//! Programs that the tests drive but that Rust does not bring: Python, Node, Chromium, curl.
//!
//! `scripts/test` installs them and exports where they are. Without one, a test is skipped by saying so; where `CI`
//! is set that is a failure, so that no test disappears unseen.

use std::env;
use std::path::PathBuf;

/// Where the environment variable says a tool is; none if the test is to be skipped.
pub(crate) fn tool(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if path.is_none() {
        skip(&format!("{variable} is not set; scripts/test installs the tool and sets it"));
    }
    path
}

/// The first program of this name on the `PATH`; none if the test is to be skipped.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        skip(&format!("{name} is not on the PATH; scripts/test installs it"));
    }
    found
}

/// The folder of the client scripts.
pub(crate) fn client(script: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "clients", script].iter().collect()
}

fn skip(reason: &str) {
    assert!(env::var_os("CI").is_none(), "a test may not be skipped where CI is set: {reason}");
    eprintln!("skipped: {reason}");
}
