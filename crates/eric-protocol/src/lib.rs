//! What Eric says on the wire: the bodies of v1, the settings of a channel, the table of error codes.
//!
//! Pure: bytes to values of `eric-sse` and back, no I/O. Wire shapes are written out here and converted, so that
//! neither they nor the domain freeze each other.

pub mod answer;
pub mod code;
pub mod message;
pub mod problem;
pub mod settings;

pub use code::Code;
pub use problem::Problem;
