//! The store's public face: the conformance suite, crashes, faults.

mod conformance;
mod limits;
mod simulation;
