//! Programs that the tests drive but that Rust does not bring: Chromium, curl.
//!
//! `scripts/test` installs them. Without one, a test is skipped by saying so; where `CI` is set that is a failure, so
//! that no test disappears unseen.

use std::env;
use std::path::PathBuf;

/// Where the environment variable says a tool is; none if the test is to be skipped.
pub(crate) fn tool(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    found(path, &format!("{variable} is not set"))
}

/// The first program of this name on the `PATH`; none if the test is to be skipped.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found(path, &format!("{name} is not on the PATH"))
}

fn found(path: Option<PathBuf>, why: &str) -> Option<PathBuf> {
    if path.is_none() {
        assert!(env::var_os("CI").is_none(), "a test may not be skipped where CI is set: {why}");
        eprintln!("skipped: {why}; scripts/test installs it");
    }
    path
}
