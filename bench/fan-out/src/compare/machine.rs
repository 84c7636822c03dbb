//! What has to be known to read figures: on what, when, and which state of the project.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};

/// Cores, processor, kernel.
pub(crate) fn machine() -> anyhow::Result<String> {
    let information = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let cores = information.lines().filter(|line| line.starts_with("processor")).count();
    let model = information.lines().find_map(|line| {
        let (name, model) = line.split_once(':')?;
        (name.trim() == "model name").then(|| model.trim())
    });
    let uname = rustix::system::uname();
    Ok(format!(
        "{cores} cores, {}, Linux {} on {}; server on core 0, generator on core 1",
        model.unwrap_or("model unknown"),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy()
    ))
}

pub(crate) fn date() -> anyhow::Result<String> {
    said("date", &["-u", "+%F"])
}

/// The commit, with a `+` where files differ from it.
pub(crate) fn commit() -> anyhow::Result<String> {
    said("git", &["describe", "--always", "--exclude=*", "--dirty=+"])
}

fn said(program: &str, words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(words).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
