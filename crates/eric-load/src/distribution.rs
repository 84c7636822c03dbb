//! All times of a run, as plotters of HdrHistograms read them.

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// Rows for each halving of what is left to 100 %.
const ROWS_PER_HALVING: u32 = 5;

/// How long everything took.
#[derive(Debug, Clone)]
pub struct Distribution {
    nanos: Histogram<u64>,
}

impl Distribution {
    pub(crate) fn of(nanos: &Histogram<u64>) -> Self {
        Self { nanos: nanos.clone() }
    }

    /// Writes the text of an `.hgrm` file, in milliseconds.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_hgrm(&self, to: &mut impl Write) -> io::Result<()> {
        writeln!(
            to,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut total = 0;
        for row in self.nanos.iter_quantiles(ROWS_PER_HALVING) {
            total += row.count_since_last_iteration();
            let (value, quantile) = (row.value_iterated_to() as f64 / 1e6, row.quantile_iterated_to());
            write!(to, "{value:12.6} {quantile:14.12} {total:10}")?;
            match 1.0 - quantile {
                left if left > 0.0 => writeln!(to, " {:14.2}", 1.0 / left)?,
                _ => writeln!(to)?,
            }
        }
        let ms = |nanos: f64| nanos / 1e6;
        let (mean, deviation) = (ms(self.nanos.mean()), ms(self.nanos.stdev()));
        writeln!(to, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]")?;
        writeln!(
            to,
            "#[Max     = {:12.6}, Total count    = {:12}]",
            ms(self.nanos.max() as f64),
            self.nanos.len()
        )?;
        let (buckets, digits) = (self.nanos.buckets(), self.nanos.sigfig());
        writeln!(to, "#[Buckets = {buckets:12}, SubBuckets     = {:12}]", sub_buckets(digits))
    }
}

/// As many as tell apart values of so many digits.
fn sub_buckets(digits: u8) -> u64 {
    (2 * 10_u64.pow(u32::from(digits))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_up_to_everything_and_count_it() {
        let mut nanos = Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap();
        (1..=1000).for_each(|millisecond| nanos.record(millisecond * 1_000_000).unwrap());
        let mut text = Vec::new();
        Distribution::of(&nanos).write_hgrm(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|word| word.parse().unwrap()).collect())
            .collect();
        assert!(rows.is_sorted_by(|one, next| one[0] <= next[0] && one[1] <= next[1] && one[2] <= next[2]));
        let median = rows.iter().find(|row| row[1] == 0.5).unwrap();
        assert!((median[0] / 500.0 - 1.0).abs() < 0.002 && median[3] == 2.0, "{median:?}");
        let last = rows.last().unwrap();
        assert_eq!((last[1], last[2], last.len()), (1.0, 1000.0, 3));
        assert!(
            text.contains("Total count    =         1000]")
                && text.contains("SubBuckets     =         2048]")
        );
    }
}
