//! Files for plotters: a time series as CSV, and all times as an HdrHistogram's percentiles.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use eric_load::report::{Report, Slice};

use crate::Failure;
use crate::bench::scenarios::Files;

/// Files that could be made, and are written at the end.
#[derive(Debug)]
pub(super) struct Plots {
    out: Option<(PathBuf, File)>,
    histogram: Option<(PathBuf, File)>,
}

impl Plots {
    /// Makes the files, so that nothing is measured for one that cannot be written.
    pub(super) fn create(files: &Files) -> Result<Self, Failure> {
        let create = |path: &PathBuf| {
            let file = File::create(path).with_context(|| unwritable(path))?;
            anyhow::Ok((path.clone(), file))
        };
        Ok(Self {
            out: files.out.as_ref().map(create).transpose()?,
            histogram: files.histogram.as_ref().map(create).transpose()?,
        })
    }

    pub(super) fn write(&mut self, report: &Report) -> Result<(), Failure> {
        if let Some((path, file)) = &mut self.out {
            let mut file = BufWriter::new(file);
            let written = write_csv(&mut file, &report.slices).and_then(|()| file.flush());
            written.with_context(|| unwritable(path))?;
        }
        if let (Some((path, file)), Some(distribution)) = (&mut self.histogram, &report.distribution) {
            let mut file = BufWriter::new(file);
            let written = distribution.write_hgrm(&mut file).and_then(|()| file.flush());
            written.with_context(|| unwritable(path))?;
        }
        Ok(())
    }
}

fn unwritable(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// A row for each slice; what was not timed is empty.
fn write_csv(to: &mut impl Write, slices: &[Slice]) -> io::Result<()> {
    writeln!(to, "time_s,published,delivered,p50_ms,p99_ms,max_ms")?;
    for slice in slices {
        write!(to, "{:.3},{},{}", slice.time_s, slice.published, slice.delivered)?;
        for time in [slice.p50_ms, slice.p99_ms, slice.max_ms] {
            write!(to, ",{}", time.map_or(String::new(), |time| format!("{time:.4}")))?;
        }
        writeln!(to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_timed_is_an_empty_cell() {
        let none =
            Slice { time_s: 0.0, published: 1, delivered: 0, p50_ms: None, p99_ms: None, max_ms: None };
        let some = Slice { time_s: 0.1, p50_ms: Some(1.0), p99_ms: Some(2.5), max_ms: Some(3.0), ..none };
        let mut text = Vec::new();
        write_csv(&mut text, &[none, some]).unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected =
            "time_s,published,delivered,p50_ms,p99_ms,max_ms\n0.000,1,0,,,\n0.100,1,0,1.0000,2.5000,3.0000\n";
        assert_eq!(text, expected);
    }
}
