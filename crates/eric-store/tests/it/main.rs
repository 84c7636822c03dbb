//! The store's public face: the conformance suite, crashes, faults.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod epochs;
mod fixture;
mod limits;
mod simulation;
