//! An entry on its way to readers, with the frames that it was encoded to: once for all who read the same lane.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::entry::Entry;
use crate::sse::encode::{Format, event_frame};
use crate::stats::Stats;

/// Bytes of a frame beside its message that the window reckons with.
pub(crate) const FRAME_OVERHEAD_BYTES: usize = 128;

/// An entry with the frames it was encoded to: a broadcast once per format, however many readers there are. Cloning
/// shares it.
///
/// ```
/// # use std::time::Duration;
/// # use eric_sse::{Item, Message, ReadFrom, sse::encode::Format};
/// # eric_testkit::example(async |hub, news, bob| {
/// let (mut one, mut other) = (news.watch(ReadFrom::Latest)?, news.watch(ReadFrom::Latest)?);
/// news.broadcast(Message::of("tick", &7)?).await?;
/// let mut items = Vec::new();
/// one.next_items(&mut items).await?;
/// other.next_items(&mut items).await?;
/// for item in items {
///     let Item::Entry(framed) = item else { panic!("nothing was missed") };
///     framed.frame(Format::Payload, Duration::ZERO, hub.stats());
/// }
/// assert_eq!(hub.stats().frames_encoded.count(), 1, "once for both");
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Framed(Readers);

/// Who reads it.
#[derive(Debug, Clone)]
enum Readers {
    /// Nobody else does: it keeps no frames.
    One(Entry),
    Many(Arc<Shared>),
}

/// What is in the window once, for all who follow the lane.
#[derive(Debug)]
struct Shared {
    entry: Entry,
    /// Nothing where no door has asked.
    frames: OnceLock<Box<Frames>>,
}

/// What an entry was encoded to.
#[derive(Debug)]
struct Frames {
    /// With the reconnection time that is part of it.
    by_format: [OnceLock<(Duration, Bytes)>; Format::COUNT],
    /// Bytes by which they are larger than the window reckons with, here and in the window.
    excess: AtomicUsize,
    window_excess: Arc<AtomicUsize>,
}

impl Framed {
    /// An entry that one reader has.
    pub(crate) fn of_one(entry: Entry) -> Self {
        Self(Readers::One(entry))
    }

    /// An entry in the window, for all who follow its lane.
    pub(crate) fn of_many(entry: Entry) -> Self {
        Self(Readers::Many(Arc::new(Shared { entry, frames: OnceLock::new() })))
    }

    /// The entry.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("there is one");
    /// assert_eq!(delivery.framed().entry().position(), hub.tail());
    /// # Ok(())
    /// # });
    /// ```
    pub fn entry(&self) -> &Entry {
        match &self.0 {
            Readers::One(entry) => entry,
            Readers::Many(shared) => &shared.entry,
        }
    }

    /// The entry as it goes to a client. What many read is encoded on first use and shared from then on. Formats that
    /// tell the reconnection time tell `retry`; where that has changed since, the entry is encoded anew.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use eric_sse::{Message, sse::encode::Format};
    /// # eric_testkit::example(async |hub, news, bob| {
    /// news.broadcast(Message::of("tick", &7)?).await?;
    /// let delivery = news.deliver_next(bob.id()).await?.expect("there is one");
    /// let frame = delivery.framed().frame(Format::Payload, Duration::ZERO, hub.stats());
    /// assert!(frame.ends_with(b"event: tick\ndata: 7\n\n"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn frame(&self, format: Format, retry: Duration, stats: &Stats) -> Bytes {
        let retry = if format.tells_retry() { retry } else { Duration::ZERO };
        let encode = || {
            stats.formats_used.fetch_or(1 << format as u32, Ordering::Relaxed);
            stats.frames_encoded.add(1);
            event_frame(self.entry(), format, retry)
        };
        let Readers::Many(shared) = &self.0 else { return encode() };
        let frames = shared.frames.get_or_init(|| Box::new(Frames::new(stats)));
        let (told, frame) = frames.by_format[format as usize].get_or_init(|| {
            let frame = encode();
            frames.reckon(frame.len().saturating_sub(FRAME_OVERHEAD_BYTES + shared.entry.bytes()));
            (retry, frame)
        });
        if *told == retry { frame.clone() } else { encode() }
    }
}

impl Frames {
    fn new(stats: &Stats) -> Self {
        Self {
            by_format: Default::default(),
            excess: AtomicUsize::new(0),
            window_excess: stats.window_excess.clone(),
        }
    }

    fn reckon(&self, excess: usize) {
        self.excess.fetch_add(excess, Ordering::Relaxed);
        self.window_excess.fetch_add(excess, Ordering::Relaxed);
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.window_excess.fetch_sub(*self.excess.get_mut(), Ordering::Relaxed);
    }
}
