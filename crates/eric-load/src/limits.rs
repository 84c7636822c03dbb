//! What is bounded, and by how much.

/// Bytes that are read at once; all streams share the buffer.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Bytes of an event, or of a response's head, that are kept until the rest comes.
pub(crate) const CARRY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages of one run.
pub(crate) const MESSAGES_MAX: usize = 50_000_000;

/// Messages that are due while every publisher waits for an answer.
pub(crate) const WAITING_MAX: usize = 100_000;

/// Sockets that are handled before the system is asked again which are ready.
pub(crate) const READY_MAX: usize = 256;

/// Streams that are opened at once, where opening is not what is measured; there are servers that lose some of more.
pub(crate) const OPENING_MAX: usize = 100;

/// Connections from one source address; the system has about 28,000 ports for them.
pub(crate) const PORTS_PER_ADDRESS: usize = 25_000;

/// Messages of a channel whose text is kept ready for comparison.
pub(crate) const RECENT_MAX: usize = 1024;

/// Slices of one measurement that are kept; those after it are left out.
pub(crate) const SLICES_MAX: usize = 100_000;

/// Descriptors for everything but streams and publishers.
pub(crate) const DESCRIPTORS_OWN: usize = 64;

/// Descriptors of a process that has no other limit.
pub(crate) const DESCRIPTORS_MAX: u64 = 1 << 30;
