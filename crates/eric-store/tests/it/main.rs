//! The store's public face: the conformance suite, crashes, faults, and what is done while nobody has it open.

mod conformance;
mod offline;
mod simulation;
