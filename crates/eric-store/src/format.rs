//! The format of `docs/format.md`: bytes to values and back. Pure; reading never panics, whatever the bytes.

pub(crate) mod change;
pub(crate) mod codec;
pub(crate) mod entry;
pub(crate) mod frame;
pub(crate) mod segment;
pub(crate) mod state;
