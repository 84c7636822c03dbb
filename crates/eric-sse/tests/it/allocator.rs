//! The allocator of these tests: the system's, which counts blocks of one unusual size.
//!
//! Tests share it and run side by side; the size is what keeps them apart.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a payload that nothing else is as large as.
pub(crate) const UNUSUAL_BYTES: usize = 777_777;
/// Bytes by which a block may be larger and still be one that holds such a payload.
const SLACK_BYTES: usize = 1_024;

static UNUSUAL_BLOCKS: AtomicUsize = AtomicUsize::new(0);

/// How many blocks that hold an unusual payload were allocated so far.
pub(crate) fn unusual_blocks() -> usize {
    UNUSUAL_BLOCKS.load(Ordering::Relaxed)
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    if (UNUSUAL_BYTES..UNUSUAL_BYTES + SLACK_BYTES).contains(&bytes) {
        UNUSUAL_BLOCKS.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; it only counts and passes on")]
// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
