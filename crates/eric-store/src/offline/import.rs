//! `eric store import`: a store from the lines of an export, all or nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use bytes::Bytes;
use eric_sse::engine::lanes::{Kept, Lanes};
use eric_sse::lane::Lane;
use eric_sse::limits::{STORE_LINE_BYTES_MAX, TRIMMED_RUNS_MAX};
use eric_sse::{
    Entry, Epoch, Error, ErrorKind, IdempotencyKey, Message, Offset, Payload, Position, Result, Timestamp,
};
use rustc_hash::FxHashMap;

use super::image::{Content, Image};
use super::line::{
    ChannelLine, EndLine, EntryLine, HeadLine, KeyLine, Line, ListenerLine, VERSION, ValueLine, VersionLine,
    unhex,
};
use super::repair::floor_rank;
use super::{Progress, Watch};
use crate::disk::Disk;
use crate::format::change::UsedKey;
use crate::format::codec::Malformed;
use crate::format::entry::put_entry;
use crate::places::Places;
use crate::settings::StoreSettings;

/// Offsets and lanes go on from what an export says, so they end long before numbers do.
const NUMBER_MAX: u64 = 1 << 62;
/// Bytes after which whoever watches is told.
const TOLD_BYTES: u64 = 1 << 20;

/// What was imported.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// # let mut lines = Vec::new();
/// let exported = offline::export(&disk, SystemClock.now(), &mut lines, &mut |_| ())?;
/// let (empty, settings) = (eric_testkit::FaultDisk::new(), StoreSettings::default());
/// let imported = offline::import(&empty, &settings, SystemClock.now(), &mut &lines[..], &mut |_| ())?;
/// assert_eq!(imported.channels, exported.channels);
/// assert_ne!(imported.epoch, exported.epoch);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The epoch that began.
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
}

/// Makes a store of the lines that [`export`](super::export) wrote, in an empty directory. Lanes and offsets stay as
/// they were; a new epoch begins, in which every listener starts again at its floor.
///
/// Until all of it was written, synced and read again, nothing in the directory is a store; where something fails it is
/// empty again.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] where a line is not what it must be: the text begins with its number;
/// [`ErrorKind::AlreadyExists`] where the directory is not empty; [`ErrorKind::NoSpace`] and [`ErrorKind::Unavailable`]
/// where the disk, or what the lines are read from, does not do what it must.
///
/// ```
/// # use std::sync::Arc;
/// # use eric_sse::{Clock as _, SystemClock};
/// # use eric_store::{Store, StoreSettings, offline};
/// # let disk = eric_testkit::FaultDisk::new();
/// # drop(Store::open_on(Arc::new(disk.clone()), StoreSettings::default(), Arc::new(SystemClock))?);
/// # use eric_sse::ErrorKind;
/// # let (empty, settings) = (eric_testkit::FaultDisk::new(), StoreSettings::default());
/// # let mut lines = Vec::new();
/// # offline::export(&disk, SystemClock.now(), &mut lines, &mut |_| ())?;
/// // What was cut short is refused, and leaves nothing.
/// let mut cut = &lines[..lines.len() / 2];
/// let error = offline::import(&empty, &settings, SystemClock.now(), &mut cut, &mut |_| ()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidValue);
/// assert!(offline::import(&empty, &settings, SystemClock.now(), &mut &lines[..], &mut |_| ()).is_ok());
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub fn import(
    disk: &dyn Disk,
    settings: &StoreSettings,
    now: Timestamp,
    from: &mut dyn BufRead,
    watch: Watch<'_>,
) -> Result<Imported> {
    let image = Image::begin(disk, settings)?;
    let mut lines = Lines { from, line: Vec::new(), number: 0, bytes: 0 };
    let mut import = match lines.next()? {
        Some(line) => Import::begin(image, line).map_err(|error| lines.blame(error))?,
        None => return Err(lines.blame(invalid("there is nothing: an export begins with eric_export"))),
    };
    let mut told_bytes = 0;
    while import.end.is_none() {
        let number = lines.number + 1;
        let Some(line) = lines.next()? else {
            return Err(lines.blame(invalid("the export was cut short: its last line is not there")));
        };
        if let Err(error) = import.take(line, number) {
            return Err(lines.blame(error));
        }
        if lines.bytes >= told_bytes + TOLD_BYTES {
            told_bytes = lines.bytes;
            watch(Progress { stage: "importing", done_bytes: told_bytes, total_bytes: None });
        }
    }
    while let Some(line) = lines.next()? {
        if !line.trim_ascii().is_empty() {
            return Err(lines.blame(invalid("there is more after the last line of the export")));
        }
    }
    import.finish(now, watch)
}

/// The lines as they come.
struct Lines<'a> {
    from: &'a mut dyn BufRead,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl Lines<'_> {
    /// The next line; none at the end.
    fn next(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        // One byte more than a line may have tells that it has too many.
        let read = (&mut *self.from).take(STORE_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.line);
        self.number += 1;
        let bytes = read.map_err(|error| {
            let text = format!("line {}: the export cannot be read: {error}", self.number);
            Error::new(ErrorKind::Unavailable, text).caused_by(error)
        })?;
        self.bytes += bytes as u64;
        if bytes > STORE_LINE_BYTES_MAX {
            let text = format!("it has more than store_line_bytes_max={STORE_LINE_BYTES_MAX} bytes");
            return Err(self.blame(invalid(text)));
        }
        Ok((bytes > 0).then_some(self.line.as_slice()))
    }

    /// Says of which line an error tells, where it tells of one.
    fn blame(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::NoSpace | ErrorKind::Corrupt => error,
            _ => invalid(format!("line {}: {error}", self.number)),
        }
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidValue, text)
}

fn malformed(Malformed(text): Malformed) -> Error {
    invalid(text)
}

/// What serde says, without a line of its own: every line is one to it.
fn not_json(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    invalid(format!("byte {}: {what}", error.column()))
}

/// A store as far as its lines have come.
struct Import<'a> {
    image: Image<'a>,
    epoch: Epoch,
    lanes: Lanes<Places>,
    tail: u64,
    last_lane: u64,
    values: BTreeMap<String, Bytes>,
    /// The line of each listener.
    listeners: FxHashMap<Lane, u64>,
    /// The last entry's offset.
    at: Offset,
    count: EndLine,
    end: Option<EndLine>,
    /// An entry in its bytes, to be used again.
    bytes: Vec<u8>,
}

impl<'a> Import<'a> {
    fn begin(image: Image<'a>, line: &[u8]) -> Result<Self> {
        let version: VersionLine = serde_json::from_slice(line).map_err(|error| {
            invalid(format!("it is not the first line of an export: {}", not_json(&error)))
        })?;
        if version.eric_export != VERSION {
            let text =
                format!("eric_export={} is not a version that is known: {VERSION}", version.eric_export);
            return Err(invalid(text));
        }
        let head: HeadLine<'_> = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
        let epoch: Epoch = head.epoch.parse()?;
        let HeadLine { tail, last_lane, .. } = head;
        for (name, number) in [("tail", tail), ("last_lane", last_lane)] {
            if number > NUMBER_MAX {
                return Err(invalid(format!("{name}={number} is more than {NUMBER_MAX}")));
            }
        }
        let lanes = Lanes::new(epoch, Offset::new(tail), last_lane, 0);
        Ok(Self {
            image,
            epoch,
            lanes,
            tail,
            last_lane,
            values: BTreeMap::new(),
            listeners: FxHashMap::default(),
            at: Offset::ZERO,
            count: EndLine::default(),
            end: None,
            bytes: Vec::new(),
        })
    }

    fn take(&mut self, line: &[u8], number: u64) -> Result<()> {
        match serde_json::from_slice(line).map_err(|error| not_json(&error))? {
            Line::Value(value) => self.value(value),
            Line::Channel(channel) => self.channel(&channel),
            Line::Listener(listener) => self.listener(&listener, number),
            Line::Key(key) => self.key(&key),
            Line::Entry(entry) => self.entry(&entry),
            Line::End(end) if end == self.count => {
                self.end = Some(end);
                Ok(())
            }
            Line::End(end) => {
                Err(invalid(format!("lines are missing: there were {:?}, and should be {end:?}", self.count)))
            }
        }
    }

    fn value(&mut self, line: ValueLine<'_>) -> Result<()> {
        let value = match (line.text, line.hex) {
            (Some(text), None) => Bytes::from(text.into_owned()),
            (None, Some(hex)) => Bytes::from(unhex(&hex).map_err(malformed)?),
            _ => return Err(invalid("a value has either a text or hex")),
        };
        let key = line.key.into_owned();
        if self.values.contains_key(&key) {
            return Err(invalid(format!("value key={key} is there twice")));
        }
        self.count.values += 1;
        self.values.insert(key, value);
        Ok(())
    }

    /// A lane that is not there yet.
    fn new_lane(&self, lane: u64) -> Result<()> {
        if lane == 0 || lane > self.last_lane {
            return Err(invalid(format!("lane={lane} is not within 1 and last_lane={}", self.last_lane)));
        }
        match self.lanes.shelf(Lane::new(lane)) {
            Ok(_) => Err(invalid(format!("lane={lane} is there twice"))),
            Err(_) => Ok(()),
        }
    }

    /// An offset that was given.
    fn given(&self, name: &str, offset: u64) -> Result<()> {
        match offset <= self.tail {
            true => Ok(()),
            false => Err(invalid(format!("{name}={offset} is beyond the tail={}", self.tail))),
        }
    }

    fn trimmed(&self, state: &eric_sse::engine::lanes::TrimmedState) -> Result<()> {
        if state.runs.len() > TRIMMED_RUNS_MAX {
            return Err(invalid(format!("trimmed has more than trimmed_runs_max={TRIMMED_RUNS_MAX} runs")));
        }
        if state.total > self.tail {
            return Err(invalid(format!("trimmed total={} is beyond the tail={}", state.total, self.tail)));
        }
        self.given("trimmed to", state.to.get())
    }

    fn channel(&mut self, line: &ChannelLine<'_>) -> Result<()> {
        let state = line.state().map_err(malformed)?;
        self.new_lane(line.lane)?;
        self.trimmed(&state.trimmed)?;
        self.lanes.restore_channel(&state);
        self.count.channels += 1;
        Ok(())
    }

    fn listener(&mut self, line: &ListenerLine<'_>, number: u64) -> Result<()> {
        let state = line.state().map_err(malformed)?;
        self.new_lane(line.lane)?;
        self.given("floor", line.floor)?;
        self.trimmed(&state.trimmed)?;
        if self.lanes.channel_state(state.channel).is_none() || !self.lanes.restore_listener(&state) {
            return Err(invalid(format!("channel={} is no channel's lane", line.channel)));
        }
        self.listeners.insert(state.lane, number);
        self.count.listeners += 1;
        Ok(())
    }

    /// A lane that is there; returns what it let go.
    fn known(&self, lane: u64) -> Result<Offset> {
        let (_, trimmed_to) =
            self.lanes.shelf(Lane::new(lane)).map_err(|_| invalid(format!("lane={lane} is unknown")))?;
        Ok(trimmed_to)
    }

    fn key(&mut self, line: &KeyLine<'_>) -> Result<()> {
        self.known(line.lane)?;
        self.given("offset", line.offset)?;
        let digest = unhex(&line.digest).map_err(malformed)?;
        let digest = <[u8; 16]>::try_from(digest).map_err(|_| invalid("digest is not 32 digits"))?;
        let used = UsedKey {
            lane: Lane::new(line.lane),
            offset: Offset::new(line.offset),
            used_ms: line.used_at_ms,
            digest: u128::from_be_bytes(digest),
            key: line.key.parse()?,
        };
        self.count.keys += 1;
        Ok(self.image.key(used)?)
    }

    fn entry(&mut self, line: &EntryLine<'_>) -> Result<()> {
        let (offset, lane) = (Offset::new(line.offset), Lane::new(line.lane));
        self.given("offset", line.offset)?;
        let trimmed_to = self.known(line.lane)?;
        if offset <= self.at {
            return Err(invalid(format!("offset={offset} is not beyond the one before, offset={}", self.at)));
        }
        if offset <= trimmed_to {
            return Err(invalid(format!(
                "offset={offset} was let go: lane={lane} is trimmed to={trimmed_to}"
            )));
        }
        let mut message = Message::new(line.kind.parse()?, Payload::from_raw(line.payload)?)?;
        if let Some(id) = &line.message_id {
            message = message.with_id(id.parse()?);
        }
        if let Some(sender) = &line.sender_id {
            message = message.with_sender(sender.parse()?);
        }
        let key: Option<IdempotencyKey> = line.key.as_deref().map(str::parse).transpose()?;
        let position = Position { epoch: self.epoch, offset };
        let entry = Entry::new(position, lane, Timestamp::from_ms(line.taken_at_ms), message);
        self.bytes.clear();
        put_entry(&mut self.bytes, &entry, key.as_ref());
        let place = self.image.entry(&self.bytes)?;
        let is_kept = self.lanes.restore_entry(lane, Kept::from(&entry), place);
        assert!(is_kept, "its lane is there, and it is beyond everything in it");
        self.at = offset;
        self.count.entries += 1;
        Ok(())
    }

    fn finish(mut self, now: Timestamp, watch: Watch<'_>) -> Result<Imported> {
        for (lane, line) in &self.listeners {
            let state = self.lanes.listener_state(*lane).expect("it was added");
            let expected = floor_rank(&self.lanes, &state);
            if state.floor_rank != expected {
                let given = state.floor_rank;
                let text =
                    format!("line {line}: floor_rank={given} is not what the channel tells: {expected}");
                return Err(invalid(text));
            }
        }
        let epoch = Epoch::generate();
        self.lanes.begin_epoch(epoch);
        let EndLine { values, channels, listeners, keys, entries } = self.count;
        let Self { image, lanes, values: remembered, last_lane, .. } = self;
        let content = Content { lanes, values: remembered, lanes_opened: last_lane, opening: 0 };
        image.finish(content, now.as_ms(), watch)?;
        Ok(Imported { epoch, values, channels, listeners, keys, entries })
    }
}
