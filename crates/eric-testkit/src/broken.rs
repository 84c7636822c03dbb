//! Engines that are broken on purpose, one promise each: what proves that the conformance suite would notice.
//!
//! A [`BrokenEngine`] is the memory engine behind a wrapper that lies in one way. `log` and `cursors` hold what it
//! does to calls, `feed` what it does to reports.

mod cursors;
mod feed;
mod log;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use eric_sse::cursor::Fence;
use eric_sse::engine::memory::MemoryEngine;
use eric_sse::engine::{Durability, Engine, Feed};
use eric_sse::lane::Lane;
use eric_sse::log::{Taken, Ticket};
use eric_sse::{Clock, Entry, IdempotencyKey, Position, Result};
use futures_util::FutureExt as _;
use parking_lot::Mutex;

use self::feed::Tap;

macro_rules! faults {
    ($($(#[$text:meta])* $fault:ident => $check:literal,)*) => {
        /// A promise that an engine breaks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$text])* $fault,)*
        }

        impl Fault {
            /// All faults.
            pub const ALL: &[Self] = &[$(Self::$fault),*];

            /// The name of the check that was written to find it.
            pub fn found_by(self) -> &'static str {
                match self {
                    $(Self::$fault => $check,)*
                }
            }
        }
    };
}

faults! {
    /// The last message of a batch is answered for and lost.
    LosesLastOfBatch => "a_batch_is_contiguous_whatever_else_is_under_way",
    /// The last message of a batch is taken later than the others.
    SplitsBatches => "a_batch_is_contiguous_whatever_else_is_under_way",
    /// The order of changes is that of awaiting them.
    OrdersByPoll => "changes_are_ordered_by_their_calls",
    /// Half of a batch that is refused is taken.
    KeepsHalfOfRefused => "a_refused_batch_leaves_nothing",
    /// Every second answer repeats the position before it.
    ReusesOffsets => "offsets_count_from_one_without_a_hole",
    /// What is under way can be read already.
    ShowsUncommitted => "nothing_is_shown_before_it_is_committed",
    /// Every engine is of the same epoch.
    SharesEpochs => "two_engines_have_two_epochs",

    /// A read returns entries of all lanes.
    IgnoresLanes => "a_lane_shows_its_own_entries_in_order_and_no_others",
    /// A page claims to have searched what it left out.
    SkipsEntries => "a_lane_shows_its_own_entries_in_order_and_no_others",
    /// The last entry of a page is there twice.
    RepeatsEntries => "a_lane_shows_its_own_entries_in_order_and_no_others",
    /// A page is the wrong way round.
    ReversesPages => "a_lane_shows_its_own_entries_in_order_and_no_others",
    /// A read returns more than was asked for.
    IgnoresBudgets => "a_read_goes_on_where_its_page_ends",
    /// A read claims that something was trimmed.
    TellsFalseGaps => "nobody_is_told_of_what_others_missed",
    /// A read hides that something was trimmed.
    HidesTrimmed => "a_gap_tells_exactly_what_was_missed_and_once",
    /// One entry too many is counted as missed.
    Miscounts => "a_span_counts_what_a_stretch_holds",

    /// Keys are not remembered.
    ForgetsKeys => "a_repetition_answers_with_the_first_position",
    /// Keys are not compared within a batch.
    ForgetsKeysOfBatch => "a_repetition_within_a_batch_is_recognised",
    /// A key holds for all lanes.
    SharesKeys => "keys_are_scoped_to_their_lane",
    /// The same key with other content is taken.
    TakesReusedKeys => "a_key_with_other_content_is_refused_and_nothing_is_appended",
    /// Time stands still: keys and entries never grow old.
    NeverAges => "a_key_is_remembered_for_the_window_and_no_longer",

    /// What should be rejected evicts instead.
    DropsInsteadOfRejecting => "a_full_channel_rejects_and_names_the_limit",
    /// Unread entries go as if they were history.
    TrimsUnread => "unread_entries_are_kept_whatever_the_history",
    /// What was consumed is not kept.
    ForgetsHistory => "consumed_entries_are_kept_as_history",
    /// Nothing ever goes.
    KeepsEverything => "the_oldest_go_when_there_are_too_many",
    /// New settings are for new entries only.
    IgnoresNewRetention => "new_retention_is_in_force_at_once",
    /// A flooded mailbox evicts the channel's entries too.
    FloodsOthers => "a_flooded_mailbox_evicts_only_its_own",
    /// The lanes of listeners are not listed.
    ListsChannelsOnly => "open_lanes_are_listed_with_whose_they_are",
    /// A removed lane can still be used.
    KeepsRemovedLanes => "a_listener_that_left_is_forgotten",

    /// A listener's floor is the beginning of the log.
    HasNoFloor => "nothing_before_the_join_is_delivered",
    /// A listener's floor is one too low.
    JoinsTooEarly => "a_listener_joins_at_the_tail",
    /// A listener's floor is one too high.
    JoinsTooLate => "a_join_among_publishers_sees_all_that_began_after",
    /// A cursor beyond the tail is taken for the tail.
    CommitsBeyondTail => "a_cursor_goes_neither_beyond_the_tail_nor_to_another_epoch",
    /// The epoch of a commit is not looked at.
    CommitsAnyEpoch => "a_cursor_goes_neither_beyond_the_tail_nor_to_another_epoch",
    /// An acknowledgement moves the cursor back.
    AcksBackwards => "an_acknowledgement_moves_forward_only",
    /// A reader cannot go back.
    NeverRewinds => "a_stream_resumes_after_its_last_position_in_both_directions",
    /// Commits are answered and forgotten.
    LosesCommits => "an_acknowledgement_moves_forward_only",
    /// After a commit that fails the others do not happen.
    GivesUpCommits => "commits_answer_each_for_itself_and_in_order",
    /// The commit of a replaced reader counts.
    TakesStaleCommits => "a_replaced_reader_moves_nothing",
    /// A lease that is to be refused is taken over.
    NeverRefuses => "a_lease_can_be_refused_while_another_lives",
    /// A replaced reader gives its successor's lease back.
    ReleasesForOthers => "a_lease_that_was_taken_over_cannot_be_given_back",
    /// Takes one message without its key.
    ForgetsKeyOfOne => "one_message_is_taken_as_a_batch_of_one",
    /// Takes the next entry, and leaves the cursor where it was.
    TakesNextAgain => "the_next_is_taken_as_in_steps",
    /// Takes the next entry from whoever reads live.
    TakesNextOfOthers => "nobody_takes_the_next_from_a_live_reader",

    /// The entries of a batch are reported the wrong way round.
    ReversesReports => "every_entry_is_reported_once_in_order_and_in_its_lane",
    /// Every third report is lost.
    LosesReports => "every_entry_is_reported_once_in_order_and_in_its_lane",
    /// Every report comes twice.
    RepeatsReports => "every_entry_is_reported_once_in_order_and_in_its_lane",
    /// A report comes with the next one.
    ReportsLate => "an_entry_is_reported_before_its_ticket_resolves",
    /// A dispatch is reported in the channel's lane.
    WakesEverybody => "a_dispatch_wakes_its_addressee_alone",
    /// Nobody is woken.
    NeverSettles => "a_broadcast_wakes_everybody_of_the_channel",
    /// A lease that was taken is not reported.
    HidesLeases => "a_replaced_subscription_ends_and_its_late_commit_is_ignored",
    /// A removal is not reported.
    HidesRemovals => "streams_end_when_their_listener_is_removed",
    /// What was unread when it went is not counted.
    HidesUnread => "the_oldest_go_when_there_are_too_many",
    /// Whatever went unread is said to have been too old.
    BlamesAge => "what_went_unread_is_counted_by_the_limit_that_let_it_go",
}

/// The memory engine with one fault.
pub struct BrokenEngine {
    inner: Arc<MemoryEngine>,
    fault: Fault,
    tap: Arc<Tap>,
    lies: Arc<Mutex<Lies>>,
}

/// What a broken engine remembers to lie by.
#[derive(Debug, Default)]
struct Lies {
    keys: HashMap<IdempotencyKey, Taken>,
    fences: HashMap<Lane, Fence>,
    /// What is shown before it is committed.
    staged: Vec<Entry>,
    submits: usize,
    last: Option<Position>,
}

impl BrokenEngine {
    /// An empty engine with this fault.
    pub fn new(fault: Fault, clock: Arc<dyn Clock>) -> Self {
        let clock = if fault == Fault::NeverAges { Arc::new(crate::ManualClock::new()) } else { clock };
        let inner = Arc::new(MemoryEngine::new(clock));
        let tap = Arc::new(Tap::new(fault));
        inner.attach(tap.clone());
        Self { inner, fault, tap, lies: Arc::default() }
    }
}

/// The answer of the memory engine, which answers at once.
fn answer<T: Unpin>(ticket: Ticket<T>) -> Result<T> {
    ticket.now_or_never().expect("the memory engine answers at first poll")
}

impl Engine for BrokenEngine {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn attach(&self, feed: Arc<dyn Feed>) {
        self.tap.attach(feed);
    }

    fn health(&self) -> Result<()> {
        self.inner.health()
    }
}

impl fmt::Debug for BrokenEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokenEngine").field("fault", &self.fault).finish_non_exhaustive()
    }
}
