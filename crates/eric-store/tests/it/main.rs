//! The store's public face: the conformance suite, crashes, faults.

mod conformance;
mod fixture;
mod limits;
mod simulation;
