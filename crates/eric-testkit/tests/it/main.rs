//! Rules of the house that a test can hold.

mod from_eric_sse;
mod links;
mod source;
mod tidy;
