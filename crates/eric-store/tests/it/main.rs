//! The store's public face: the conformance suite, crashes, faults.

mod conformance;
mod epochs;
mod limits;
mod simulation;
