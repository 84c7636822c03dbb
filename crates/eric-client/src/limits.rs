//! Every limit of the clients, by name, with its unit at the end.
//!
//! Those of the hub are in [`eric_sse::limits`].

use eric_sse::limits::{DEDUP_WINDOW_S, HEARTBEAT_S, KEEP_ALIVE_S, MESSAGE_BYTES_MAX, READ_BYTES_MAX};

/// Seconds that connecting may take.
pub const CONNECT_S: u64 = 10;
/// Seconds that an answer may take, from connecting to its last byte; a pull's waiting comes on top.
pub const ANSWER_S: u64 = 60;
/// Bytes of an answer.
pub const ANSWER_BYTES_MAX: usize = 32 * MIB;
/// Seconds for which an idle connection is kept, so that it is not used in the moment in which the hub closes it.
pub const POOL_IDLE_S: u64 = 60;

/// Seconds without a byte after which a stream's connection counts as dead.
pub const SILENCE_S: u64 = 35;
/// Bytes of one event of a stream.
pub const EVENT_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 128 * 1024;
/// Bytes of one line of a stream on the Unix socket, where JSON is ASCII and has spaces.
pub const LINE_BYTES_MAX: usize = 64 * MIB;

/// Milliseconds until the first reconnect while the hub has suggested none.
pub const RETRY_DEFAULT_MS: u64 = 1_000;
/// Milliseconds until the first reconnect over the Unix socket, whose hub is on the same machine, while it has suggested
/// none.
pub const SOCKET_RETRY_MS: u64 = 100;
/// Milliseconds between two reconnects, unless the hub suggests more.
pub const RETRY_MS_MAX: u64 = 30_000;
/// Seconds that a hub may ask for with `Retry-After`; more is taken for this.
pub const RETRY_AFTER_S_MAX: u64 = 300;
/// Seconds for which a conflict after a cut may be with our own former connection, which the hub has not missed yet.
pub const FORMER_SELF_S: u64 = 60;
/// Seconds after which nothing is published again, whatever a [`RetryPolicy`](crate::RetryPolicy) says: the hub
/// forgets keys.
pub const REPUBLISH_S_MAX: u64 = 300;

const MIB: usize = 1024 * 1024;

const _: () = assert!(MESSAGE_BYTES_MAX + 2 * READ_BYTES_MAX < ANSWER_BYTES_MAX, "a page fits an answer");
const _: () = assert!(3 * MESSAGE_BYTES_MAX < LINE_BYTES_MAX, "two bytes become six at worst");
const _: () = assert!(POOL_IDLE_S < KEEP_ALIVE_S, "a connection is given up before the hub closes it");
const _: () = assert!(2 * HEARTBEAT_S < SILENCE_S, "one late heartbeat is no death");
const _: () = assert!(REPUBLISH_S_MAX + 2 * ANSWER_S < DEDUP_WINDOW_S, "a key outlives the last repetition");
