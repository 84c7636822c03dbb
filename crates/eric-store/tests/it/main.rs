//! The store's public face: the conformance suites, crashes, faults, and what is done while nobody has it open.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abandoned;
mod conformance;
mod epochs;
mod fixture;
mod limits;
mod offline;
mod reuse;
mod simulation;
