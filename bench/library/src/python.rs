//! The Python package's side, a process each time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::job::Job;

/// Messages a second, by the interpreter that has the package.
pub(crate) fn measure(python: &Path, job: Job) -> anyhow::Result<f64> {
    // Python needs longer; its round has a fifth of the work.
    let repetitions = job.repetitions().div_ceil(5);
    let output = Command::new(python)
        .args(["-c", include_str!("python.py"), job.in_python()])
        .args([repetitions, job.at_once(), repetitions * job.messages()].map(|number| number.to_string()))
        .output()
        .with_context(|| format!("{} does not run", python.display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(std::str::from_utf8(&output.stdout)?.trim().parse()?)
}
