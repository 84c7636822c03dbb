//! The examples, run as a reader would run them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alone;
mod browser;
mod conversation;
mod listed;
mod program;
mod restarted;
mod socket;
mod tools;
mod web;
