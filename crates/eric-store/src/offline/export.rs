//! `eric store export`: everything that is alive, as lines of JSON.

use std::io::{self, BufWriter, Write};

use eric_sse::lane::Lane;
use eric_sse::limits::STORE_LINE_BYTES_MAX;
use eric_sse::{Epoch, IdempotencyKey, Offset, Result, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::line::{EndLine, EntryLine, HeadLine, KeyLine, Line, ListenerLine, VERSION, ValueLine, hex};
use super::{Reading, Watch, recovered, segments_of};
use crate::damage::{Damage, Found, Trying as _};
use crate::disk::Disk;
use crate::format::change::{Change, UsedKey};
use crate::format::codec::Reader;
use crate::format::entry::RawEntry;
use crate::recover::{Recovered, is_remembered};
use crate::scan::{Record, Scan};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 18;
/// Bytes of a line that is too long that are shown.
const BEGIN_BYTES: usize = 100;
const FAILED: &str = "the export cannot be written";

/// What was exported.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let mut lines = Vec::new();
/// let exported = offline::export(&disk, SystemClock.now(), &mut lines, &mut |_| ())?;
/// assert_eq!((exported.bytes, exported.entries), (lines.len() as u64, 0));
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// The epoch of the store.
    pub epoch: Epoch,
    /// Values that the hub remembers.
    pub values: u64,
    /// Channels' lanes.
    pub channels: u64,
    /// Listeners' lanes.
    pub listeners: u64,
    /// Keys whose entries were let go.
    pub keys: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of all lines.
    pub bytes: u64,
}

/// Writes everything that is alive in the store that `disk` holds to `out`, one JSON object a line. Changes nothing in
/// the store; holds no more of it in memory than a hub does.
///
/// What is alive is what the log has not let go; nothing is let go here, whatever its age.
///
/// # Errors
/// [`ErrorKind::Corrupt`](eric_sse::ErrorKind) where the store is damaged;
/// [`ErrorKind::Unavailable`](eric_sse::ErrorKind) where there is none, or the disk or
/// `out` fails: then the source is the [`io::Error`]. What was written then has no last line, and is refused by
/// [`import`](super::import).
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// let mut lines = Vec::new();
/// offline::export(&disk, SystemClock.now(), &mut lines, &mut |_| ())?;
/// assert!(lines.starts_with(b"{\"eric_export\":"));
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn export(disk: &dyn Disk, now: Timestamp, out: &mut dyn Write, watch: Watch<'_>) -> Result<Exported> {
    let files = segments_of(disk)?;
    let now_ms = now.as_ms();
    let mut recovered = recovered(&files, now_ms, "opening", watch)?;
    let (remembered, forgotten) = recovered.lanes.keys(now_ms);
    let out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut lines = Lines { out, line: Vec::new(), count: EndLine::default(), bytes: 0 };
    lines.state(&recovered).trying(FAILED)?;
    let has_keys = remembered > forgotten;
    let mut reading = Reading::new("exporting", &files, 1 + u64::from(has_keys), watch);
    if has_keys {
        let mut seen = FxHashSet::default();
        let key = |found: Alive<'_>| match found {
            Alive::Key(used) if seen.insert((used.lane, used.offset)) => lines.key(&used).trying(FAILED),
            _ => Ok(()),
        };
        visit(&recovered, now_ms, &mut |number| reading.has_read(0, number), key)?;
    }
    let entry = |found: Alive<'_>| match found {
        Alive::Entry(raw, has_key) => lines.entry(&raw, has_key).trying(FAILED),
        Alive::Key(_) => Ok(()),
    };
    visit(&recovered, now_ms, &mut |number| reading.has_read(u64::from(has_keys), number), entry)?;
    lines.write(&Line::End(lines.count)).and_then(|()| lines.out.flush()).trying(FAILED)?;
    let EndLine { values, channels, listeners, keys, entries } = lines.count;
    let bytes = lines.bytes;
    Ok(Exported { epoch: recovered.lanes.epoch(), values, channels, listeners, keys, entries, bytes })
}

/// What is found on the way through the segments.
enum Alive<'a> {
    /// An entry, and whether its key is remembered.
    Entry(RawEntry<'a>, bool),
    /// A key whose entry was let go; perhaps not for the first time.
    Key(UsedKey),
}

/// Visits what is alive, in the order of the log.
fn visit(
    recovered: &Recovered,
    now_ms: u64,
    watch: &mut dyn FnMut(u64),
    mut found: impl FnMut(Alive<'_>) -> Found<()>,
) -> Found<()> {
    let mut seen_to: FxHashMap<Lane, Offset> = FxHashMap::default();
    let remembers = |lane: Lane, key: &IdempotencyKey, offset: Offset| {
        recovered.lanes.recall(lane, key).filter(|(at, _)| *at == offset).map(|(_, digest)| digest)
    };
    let mut of_record = |segment: u64, record: Record<'_>| -> Found<()> {
        let damaged = |malformed| Damage::malformed(segment, record.at, malformed);
        match Change::decode(record.kind, record.body).map_err(damaged)? {
            Change::Batch(body) | Change::Kept(body) => {
                let mut reader = Reader::new(body);
                while !reader.is_empty() {
                    let raw = RawEntry::read(&mut reader).map_err(damaged)?;
                    let Ok((_, trimmed_to)) = recovered.lanes.shelf(raw.lane) else { continue };
                    let key = raw.key().map_err(damaged)?.filter(|_| is_remembered(raw.taken_ms, now_ms));
                    let digest = key.as_ref().and_then(|key| remembers(raw.lane, key, raw.offset));
                    // The first one counts, as when the log is opened.
                    let seen_to = seen_to.entry(raw.lane).or_insert(trimmed_to);
                    if raw.offset > *seen_to {
                        *seen_to = raw.offset;
                        found(Alive::Entry(raw, digest.is_some()))?;
                    } else if raw.offset <= trimmed_to
                        && let (Some(key), Some(digest)) = (key, digest)
                    {
                        let RawEntry { lane, offset, taken_ms, .. } = raw;
                        found(Alive::Key(UsedKey { lane, offset, used_ms: taken_ms, digest, key }))?;
                    }
                }
            }
            Change::Keys(keys) => {
                for used in keys {
                    if remembers(used.lane, &used.key, used.offset).is_some() {
                        found(Alive::Key(used))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    };
    for (number, segment) in recovered.segments.iter() {
        let is_last = number == recovered.last.0;
        Scan::read(number, &segment.file)?.walk(is_last, |record| of_record(number, record))?;
        watch(number);
    }
    Ok(())
}

/// The lines on their way out.
struct Lines<'a> {
    out: BufWriter<&'a mut dyn Write>,
    /// One line, to be used again.
    line: Vec<u8>,
    count: EndLine,
    bytes: u64,
}

impl Lines<'_> {
    /// The first line, and everything but keys and entries.
    fn state(&mut self, recovered: &Recovered) -> io::Result<()> {
        let lanes = &recovered.lanes;
        let (epoch, tail, last_lane) = (lanes.epoch(), lanes.tail().get(), lanes.counters().0);
        self.write(&HeadLine { eric_export: VERSION, epoch: epoch.as_str().into(), tail, last_lane })?;
        for (key, value) in &recovered.values {
            let (text, hex) = match std::str::from_utf8(value) {
                Ok(text) => (Some(text.into()), None),
                Err(_) => (None, Some(hex(value).into())),
            };
            self.count.values += 1;
            self.write(&Line::Value(ValueLine { key: key.into(), text, hex }))?;
        }
        let list = lanes.list();
        for state in list.iter().filter_map(|open| lanes.channel_state(open.lane)) {
            self.count.channels += 1;
            self.write(&Line::Channel((&state).into()))?;
        }
        for state in list.iter().filter_map(|open| lanes.listener_state(open.lane)) {
            let told = lanes.cursor(state.lane).map_err(io::Error::other)?.position;
            self.count.listeners += 1;
            self.write(&Line::Listener(ListenerLine::of(&state, told)))?;
        }
        Ok(())
    }

    fn key(&mut self, used: &UsedKey) -> io::Result<()> {
        self.count.keys += 1;
        self.write(&Line::Key(KeyLine {
            lane: used.lane.get(),
            key: used.key.as_str().into(),
            offset: used.offset.get(),
            used_at_ms: used.used_ms,
            digest: hex(&used.digest.to_be_bytes()).into(),
        }))
    }

    fn entry(&mut self, raw: &RawEntry<'_>, has_key: bool) -> io::Result<()> {
        self.count.entries += 1;
        self.write(&Line::Entry(EntryLine {
            offset: raw.offset.get(),
            lane: raw.lane.get(),
            taken_at_ms: raw.taken_ms,
            kind: raw.kind.into(),
            payload: serde_json::from_slice(raw.payload)?,
            message_id: raw.id.map(Into::into),
            sender_id: raw.sender.map(Into::into),
            key: raw.key.filter(|_| has_key).map(Into::into),
        }))
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        if self.line.len() > STORE_LINE_BYTES_MAX {
            let begin = String::from_utf8_lossy(&self.line[..BEGIN_BYTES]);
            return Err(io::Error::other(format!(
                "a line has {} bytes, more than store_line_bytes_max={STORE_LINE_BYTES_MAX}: {begin}…",
                self.line.len()
            )));
        }
        self.bytes += self.line.len() as u64;
        self.out.write_all(&self.line)
    }
}
