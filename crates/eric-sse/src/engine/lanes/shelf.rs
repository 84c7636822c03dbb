//! The seam to what an engine remembers of a lane's entries: enough to count and to find them.

use crate::entry::{Entry, Offset};

/// What the rules of a lane ask of an entry.
///
/// ```
/// use eric_sse::engine::lanes::Kept;
///
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// let entry = lanes.admit(vec![headline], 0)?.entries.remove(0);
/// let kept = Kept::from(&entry);
/// assert_eq!((kept.offset, kept.bytes), (entry.offset(), entry.bytes() as u64));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands.
    pub offset: Offset,
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: u64,
    /// Bytes that count against limits.
    pub bytes: u64,
}

impl From<&Entry> for Kept {
    fn from(entry: &Entry) -> Self {
        Self { offset: entry.offset(), taken_ms: entry.taken_at().as_ms(), bytes: entry.bytes() as u64 }
    }
}

/// The entries that one lane keeps, oldest first, offsets growing.
///
/// ```
/// use std::collections::VecDeque;
/// use eric_sse::{Offset, engine::lanes::{Kept, Shelf, Upto}};
///
/// /// Finds an entry by its place in a file.
/// #[derive(Default)]
/// struct Places(VecDeque<(Kept, u64)>);
///
/// impl Shelf for Places {
///     type Item = u64;
///
///     fn push(&mut self, kept: Kept, place: u64) {
///         self.0.push_back((kept, place));
///     }
///     fn pop(&mut self) -> Option<(Kept, u64)> {
///         self.0.pop_front()
///     }
///     fn first(&self) -> Option<Kept> {
///         self.0.front().map(|(kept, _)| *kept)
///     }
///     fn last(&self) -> Option<Offset> {
///         self.0.back().map(|(kept, _)| kept.offset)
///     }
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn bytes(&self) -> u64 {
///         self.bytes_of(self.len())
///     }
///     fn upto(&self, offset: Offset) -> Upto {
///         let entries = self.0.partition_point(|(kept, _)| kept.offset <= offset);
///         let last = entries.checked_sub(1).map(|last| self.0[last].0.offset);
///         Upto { entries, bytes: self.bytes_of(entries), last }
///     }
///     fn bytes_of(&self, count: usize) -> u64 {
///         self.0.iter().take(count).map(|(kept, _)| kept.bytes).sum()
///     }
/// }
///
/// let mut places = Places::default();
/// places.push(Kept { offset: Offset::new(7), taken_ms: 0, bytes: 12 }, 4096);
/// assert_eq!((places.len(), places.bytes()), (1, 12));
/// ```
pub trait Shelf: Default {
    /// What finds an entry again: the entry itself, or a place on a disk.
    type Item;

    /// Adds the newest entry.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # use eric_testkit::Entries;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// let entry = lanes.admit(vec![headline], 0)?.entries.remove(0);
    /// let mut shelf = Entries::default();
    /// shelf.push((&entry).into(), entry);
    /// assert_eq!(shelf.len(), 1);
    /// # Ok(())
    /// # });
    /// ```
    fn push(&mut self, kept: Kept, item: Self::Item);

    /// Takes the oldest entry away.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// let shelf = lanes.shelf_mut(news)?;
    /// let (oldest, _) = shelf.pop().expect("three are kept");
    /// assert_eq!((oldest.offset.get(), shelf.len()), (1, 2));
    /// # Ok(())
    /// # });
    /// ```
    fn pop(&mut self) -> Option<(Kept, Self::Item)>;

    /// The oldest entry.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// let (shelf, _) = lanes.shelf(news)?;
    /// assert_eq!(shelf.first().map(|kept| kept.offset.get()), Some(1));
    /// # Ok(())
    /// # });
    /// ```
    fn first(&self) -> Option<Kept>;

    /// Where the newest entry stands.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// let (shelf, _) = lanes.shelf(news)?;
    /// assert_eq!(shelf.last(), Some(lanes.tail()));
    /// # Ok(())
    /// # });
    /// ```
    fn last(&self) -> Option<Offset>;

    /// Entries that are kept.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline; 3])?;
    /// assert_eq!(lanes.shelf(news)?.0.len(), 3);
    /// # Ok(())
    /// # });
    /// ```
    fn len(&self) -> usize;

    /// Whether none is.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// assert!(lanes.shelf(news)?.0.is_empty());
    /// # Ok(())
    /// # });
    /// ```
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all entries that are kept.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline.clone(); 3])?;
    /// assert_eq!(lanes.shelf(news)?.0.bytes(), 3 * headline.message.bytes() as u64);
    /// # Ok(())
    /// # });
    /// ```
    fn bytes(&self) -> u64;

    /// How many entries stand at or before `offset`, their bytes, and where the last of them stands.
    ///
    /// ```
    /// # use eric_sse::{Offset, engine::lanes::Shelf as _};
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # let bob = lanes.join(news)?.lane;
    /// # let note = eric_sse::log::NewEntry { lane: bob, ..headline.clone() };
    /// # eric_testkit::take(lanes, vec![headline.clone(), note, headline])?;
    /// // Between the two of this lane there was one of another.
    /// let upto = lanes.shelf(news)?.0.upto(Offset::new(2));
    /// assert_eq!((upto.entries, upto.last), (1, Some(Offset::new(1))));
    /// # Ok(())
    /// # });
    /// ```
    fn upto(&self, offset: Offset) -> Upto;

    /// Bytes of the oldest `count` entries, at most as many as there are.
    ///
    /// ```
    /// # use eric_sse::engine::lanes::Shelf as _;
    /// # eric_testkit::lanes_example(|lanes, news, headline| {
    /// # eric_testkit::take(lanes, vec![headline.clone(); 3])?;
    /// let (shelf, _) = lanes.shelf(news)?;
    /// assert_eq!(shelf.bytes_of(2), 2 * headline.message.bytes() as u64);
    /// assert_eq!(shelf.bytes_of(9), shelf.bytes());
    /// # Ok(())
    /// # });
    /// ```
    fn bytes_of(&self, count: usize) -> u64;
}

/// The entries of a shelf at or before an offset.
///
/// ```
/// # use eric_sse::engine::lanes::Shelf as _;
/// use eric_sse::{Offset, engine::lanes::Upto};
///
/// # eric_testkit::lanes_example(|lanes, news, headline| {
/// # eric_testkit::take(lanes, vec![headline; 3])?;
/// let (shelf, _) = lanes.shelf(news)?;
/// assert_eq!(shelf.upto(Offset::ZERO), Upto::default());
/// assert_eq!(shelf.upto(Offset::MAX).entries, 3);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Upto {
    /// How many.
    pub entries: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Where the last of them stands.
    pub last: Option<Offset>,
}
