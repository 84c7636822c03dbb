//! Rules of the house that a test can hold.

mod links;
mod tidy;
