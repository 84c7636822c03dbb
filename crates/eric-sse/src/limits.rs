//! Every limit of the hub and of its doors, by name, with its unit at the end.
//!
//! A limit that is not here is not a limit. Where nothing else is said, it is the most that is allowed. Each has a test
//! exactly at it and one past it. What users can change is a field of [`Limits`] or of
//! [`ChannelSettings`](crate::ChannelSettings); the constant is its default.

/// Bytes of a channel's, listener's, connection's or queue's id.
pub const ID_BYTES_MAX: usize = 128;
/// Bytes of a message type.
pub const MESSAGE_TYPE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a message id, a sender id and an idempotency key.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a message: its type and its minified payload.
pub const MESSAGE_BYTES_MAX: usize = 16 * MIB;
/// Nested containers of a payload; the outermost is level 1.
pub const JSON_DEPTH_MAX: usize = 128;
/// Messages of one batch.
pub const BATCH_MESSAGES_MAX: usize = 10_000;
/// Characters of an epoch.
pub const EPOCH_BYTES_MAX: usize = 16;

/// Channels of a hub.
pub const CHANNELS_MAX: usize = 100_000;
/// Listeners of a channel.
pub const LISTENERS_PER_CHANNEL_MAX: usize = 1_000_000;
/// Bytes of recent entries, with what they were encoded to, that a hub shares among its live readers.
pub const WINDOW_BYTES: usize = 64 * MIB;
/// Seconds for which an idempotency key is remembered.
pub const DEDUP_WINDOW_S: u64 = 600;
/// Idempotency keys that a hub remembers.
pub const DEDUP_KEYS_MAX: usize = 1_000_000;
/// Rows of a page of a listing, unless asked otherwise.
pub const PAGE_ROWS_DEFAULT: usize = 100;
/// Rows of a page of a listing.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// Bytes of a key of a [`KvStore`](crate::persist::KvStore).
pub const KV_KEY_BYTES_MAX: usize = 1_024;
/// Bytes of a value of a [`KvStore`](crate::persist::KvStore).
pub const KV_VALUE_BYTES_MAX: usize = MIB;
/// Milliseconds by which the record of when a listener was last seen may lag behind, when expiry is looked after.
pub const SEEN_LAG_MS_MAX: u64 = 3_600_000;
/// Seconds for which no listener expires after a restart.
pub const RETURN_S: u64 = 300;

/// Entries that a subscription takes from the log or the window at once.
pub const READ_ENTRIES_MAX: usize = 1_000;
/// Bytes that a subscription takes from the log or the window at once; one entry is always taken whole.
pub const READ_BYTES_MAX: usize = 256 * 1024;
/// Dispatches that the readers of an audience are handed between two looks; beyond it they read the log.
pub const INBOX_ENTRIES_MAX: usize = 65_536;
/// Bytes of dispatches that the readers of an audience are handed between two looks; beyond it they read the log.
pub const INBOX_BYTES_MAX: usize = 32 * MIB;
/// Entries by which a cursor may lag behind what its reader has consumed.
pub const COMMIT_LAG_ENTRIES_MAX: usize = 1_000;
/// Milliseconds by which a cursor may lag behind what its reader has consumed.
pub const COMMIT_LAG_MS_MAX: u64 = 1_000;
/// Deliveries by which a cursor may lag behind a stream of the library that is given no time to wait; one that waits
/// has committed all.
pub const STREAM_LAG_ENTRIES_MAX: usize = 64;
/// Milliseconds for which a new stream of a listener waits for the one it replaces to say what was consumed.
pub const HANDOVER_MS_MAX: u64 = 250;
/// Milliseconds that a pump waits before it pushes again what a queue refused: at first, and at most.
pub const PUMP_RETRY_MS: (u64, u64) = (100, 30_000);
/// Requests of an application that wait for their answers.
pub const REQUESTS_MAX: usize = 10_000;
/// Messages that a profile names as the slowest.
pub const PROFILE_SLOWEST_MAX: usize = 10;
/// Messages that are processed while one before them is not finished.
pub const PROCESSED_AHEAD_MAX: usize = 1_024;
/// Times that a failing `on_message` is tried with manual acknowledgement before the delivery counts as dead.
pub const DELIVERY_ATTEMPTS_MAX: u32 = 5;
/// Trimmed stretches that a lane remembers exactly, to tell how many entries a reader missed.
pub const TRIMMED_RUNS_MAX: usize = 64;

/// Seconds for which a pull waits for a message, at most.
pub const PULL_WAIT_S_MAX: u64 = 60;

/// Bytes of a record of the embedded store, and so of a batch on its disk.
pub const STORE_RECORD_BYTES_MAX: usize = 96 * MIB;
/// Bytes of a segment of the embedded store, unless a single record is larger.
pub const STORE_SEGMENT_BYTES: u64 = 64 * MIB as u64;
/// Changes that wait for the embedded store's writer.
pub const STORE_WAITING_MAX: usize = 1_000_000;
/// Bytes of messages that wait for the embedded store's writer.
pub const STORE_WAITING_BYTES_MAX: usize = 256 * MIB;
/// Bytes that the embedded store writes and syncs at once; one batch is always written whole.
pub const STORE_GROUP_BYTES_MAX: usize = 8 * MIB;
/// Reads of the embedded store that wait for the disk at once.
pub const STORE_READS_MAX: usize = 1_024;
/// Milliseconds for which the embedded store may hold back a note of what it let go.
pub const STORE_NOTE_LAG_MS_MAX: u64 = 50;
/// Bytes of a line of an export of the embedded store, with its end.
pub const STORE_LINE_BYTES_MAX: usize = 32 * MIB;

/// Bytes of the body of an HTTP request.
pub const HTTP_BODY_BYTES_MAX: usize = 64 * MIB;
/// Bytes of an unknown name, or of a faulty input, that the doors of the Python packages' clients show again.
pub const INPUT_ECHO_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the head of an HTTP request.
pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of an HTTP request.
pub const REQUEST_HEADERS_MAX: usize = 100;
/// Seconds that the head of a request may take from its first byte.
pub const REQUEST_HEAD_S: u64 = 10;
/// Seconds that the body of a request may stand still.
pub const BODY_STALL_S: u64 = 30;
/// Seconds that an idle connection is kept.
pub const KEEP_ALIVE_S: u64 = 75;
/// Bytes of a request on the Unix socket.
pub const SOCKET_REQUEST_BYTES_MAX: usize = 64 * MIB;
/// Seconds after the last byte of a request on the Unix socket within which the client closes its writing side.
pub const SOCKET_HALF_CLOSE_S: u64 = 10;
/// Connections that are open at once, on all doors; fewer where descriptors are short ([`DESCRIPTORS_RESERVED`]).
pub const CONNECTIONS_MAX: usize = 65_536;
/// Descriptors that are kept for everything but connections.
pub const DESCRIPTORS_RESERVED: usize = 256;
/// Log records that wait to be broadcast on the logging channel.
pub const LOG_RECORDS_QUEUED_MAX: usize = 1_024;
/// Bytes of a log record that are broadcast on the logging channel.
pub const LOG_RECORD_BYTES_MAX: usize = 16 * 1024;
/// Connections that the kernel may hold before they are accepted.
pub const LISTEN_BACKLOG: i32 = 4_096;
/// Bytes that the live streams of a channel which are served together share, in each format.
pub const REEL_BYTES_MAX: usize = MIB;
/// Entries that the live streams of a channel which are served together remember until all peers have taken them.
pub const REEL_ENTRIES_MAX: usize = 16_384;
/// Dispatches that wait for a live stream whose peer has no room, before it is served by itself.
pub const STREAM_MAIL_ENTRIES_MAX: usize = 1_024;
/// Bytes of dispatches that wait for a live stream whose peer has no room, before it is served by itself.
pub const STREAM_MAIL_BYTES_MAX: usize = MIB;
/// Seconds for which a client may take nothing of what it is owed before it is reset.
pub const WRITE_STALL_S: u64 = 30;
/// Seconds after which an idle stream is written to; under the 15 that are promised.
pub const HEARTBEAT_S: u64 = 14;

const MIB: usize = 1024 * 1024;

const _: () = assert!(MESSAGE_BYTES_MAX < HTTP_BODY_BYTES_MAX, "the largest message fits a request");
const _: () = assert!(MESSAGE_BYTES_MAX < SOCKET_REQUEST_BYTES_MAX, "the largest message fits the socket");
const _: () = assert!(MESSAGE_BYTES_MAX < WINDOW_BYTES, "the largest message fits the window");
const _: () =
    assert!(HTTP_BODY_BYTES_MAX < STORE_RECORD_BYTES_MAX, "a batch of the largest request fits a record");
const _: () = assert!(STORE_RECORD_BYTES_MAX < STORE_WAITING_BYTES_MAX, "the largest batch may wait");
const _: () = assert!(2 * MESSAGE_BYTES_MAX <= STORE_LINE_BYTES_MAX, "the largest message fits a line");
const _: () = assert!(PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX, "the default page is allowed");
const _: () = assert!(HEARTBEAT_S < 15, "a stream is never silent for 15 s");
const _: () = assert!(READ_BYTES_MAX < WINDOW_BYTES, "a read fits the window");
const _: () = assert!(ID_BYTES_MAX * 2 + 512 < KV_VALUE_BYTES_MAX, "a record, its id escaped, fits a value");

/// The limits of one hub that its owner may set.
///
/// ```
/// use eric_sse::{Hub, Limits};
///
/// let hub = Hub::in_memory_with(Limits { channels: 2, ..Limits::default() });
/// assert_eq!(hub.limits().channels, 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Channels of the hub; [`CHANNELS_MAX`].
    pub channels: usize,
    /// Listeners of one channel; [`LISTENERS_PER_CHANNEL_MAX`].
    pub listeners_per_channel: usize,
    /// Bytes of the window; [`WINDOW_BYTES`].
    pub window_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            channels: CHANNELS_MAX,
            listeners_per_channel: LISTENERS_PER_CHANNEL_MAX,
            window_bytes: WINDOW_BYTES,
        }
    }
}
