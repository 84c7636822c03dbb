//! The proof from outside: beside a real disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod mirror;
