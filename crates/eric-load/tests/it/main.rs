//! The scenarios with small numbers, against the real hub and against servers that make mistakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hub;
mod mistakes;

use eric_load::scenario::Settings;

/// Settings of a short run.
fn brief() -> Settings {
    Settings { duration_s: 0.3, warm_up_s: 0.1, settle_s: 0.05, publishers: 4, ..Settings::default() }
}
