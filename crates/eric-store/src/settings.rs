//! How a store keeps what it keeps.

use eric_sse::limits::STORE_SEGMENT_BYTES;

/// Bytes of the first segments of a store: a small hub takes little room.
const FIRST_SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// How a store keeps what it keeps.
///
/// ```
/// use eric_store::{StoreSettings, Sync};
///
/// let fast = StoreSettings { sync: Sync::Os, ..StoreSettings::default() };
/// assert!(fast.segment_bytes_min < fast.segment_bytes_max);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// What an answered change survives.
    pub sync: Sync,
    /// Bytes of the first segments; those that follow grow with what there is.
    pub segment_bytes_min: u64,
    /// Bytes of a segment, unless a single record is larger.
    pub segment_bytes_max: u64,
    /// A bug to plant; none in earnest.
    pub sabotage: Option<Sabotage>,
}

/// A bug of which a proof of durability must find every one: it shows that the proof can fail.
///
/// ```
/// use eric_store::{Sabotage, StoreSettings};
///
/// assert_eq!(StoreSettings::default().sabotage, None);
/// let named = Sabotage::ALL.into_iter().find(|bug| bug.name() == "answer-early");
/// assert_eq!(named, Some(Sabotage::AnswerEarly));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sabotage {
    /// Groups are not synced.
    SkipSync,
    /// A change is answered before it is synced.
    AnswerEarly,
    /// The last whole record goes with the torn tail.
    CutTooFar,
    /// Idempotency keys do not come back.
    ForgetKeys,
    /// A segment is let go before the checkpoint that replaces it is complete.
    RecycleEarly,
}

impl Sabotage {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::SkipSync, Self::AnswerEarly, Self::CutTooFar, Self::ForgetKeys, Self::RecycleEarly];

    /// Its name, as commands take it.
    ///
    /// ```
    /// assert_eq!(eric_store::Sabotage::SkipSync.name(), "skip-sync");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::SkipSync => "skip-sync",
            Self::AnswerEarly => "answer-early",
            Self::CutTooFar => "cut-too-far",
            Self::ForgetKeys => "forget-keys",
            Self::RecycleEarly => "recycle-early",
        }
    }
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            sync: Sync::Fsync,
            segment_bytes_min: FIRST_SEGMENT_BYTES,
            segment_bytes_max: STORE_SEGMENT_BYTES,
            sabotage: None,
        }
    }
}

/// What an answered change survives.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::{SystemClock, engine::{Durability, Engine as _}};
/// use eric_store::{Store, StoreSettings, Sync};
///
/// # let directory = tempfile::tempdir().unwrap();
/// let settings = StoreSettings { sync: Sync::Os, ..StoreSettings::default() };
/// let store = Store::open(&directory, settings, Arc::new(SystemClock))?;
/// assert_eq!(store.durability(), Durability::Os);
/// # Ok::<(), eric_sse::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sync {
    /// The end of the process, and of the machine: it is synced first, many changes at once.
    #[default]
    Fsync,
    /// The end of the process. The machine may lose the last seconds; readers are then told so by a new epoch.
    Os,
}
