//! What Eric says on the wire: the bodies of v1, the settings of a channel, the table of error codes; and what the
//! clients of the Python packages say and expect.
//!
//! Pure: bytes to values of `eric-sse` and back, no I/O. Wire shapes are written out here and converted, so that
//! neither they nor the domain freeze each other.

pub mod answer;
pub mod api;
pub mod code;
pub mod exception;
pub mod fault;
pub mod message;
mod object;
pub mod problem;
pub mod settings;
pub mod slow;
pub mod socket;

pub use code::Code;
pub use exception::Exception;
pub use problem::Problem;
pub use slow::Slow;
