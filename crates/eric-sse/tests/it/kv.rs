//! The store in memory keeps every promise of the suite, also when it is slow; and each store that breaks one is found
//! out, by the check that was written for it.

use std::sync::Arc;

use eric_sse::persist::MemoryKv;
use eric_testkit::{BrokenKv, KvFault, SlowKv, kv_suite};

#[tokio::test(start_paused = true)]
async fn the_memory_store_keeps_every_promise() {
    let report = kv_suite(&|| Arc::new(MemoryKv::default())).await;
    assert!(report.is_passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_keeps_every_promise() {
    let report = kv_suite(&|| Arc::new(SlowKv::new(Arc::new(MemoryKv::default())))).await;
    assert!(report.is_passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn every_broken_store_is_found_out_by_the_check_that_is_about_it() {
    let mut unnoticed = Vec::new();
    for (fault, check) in KvFault::ALL {
        let report = kv_suite(&|| Arc::new(BrokenKv::new(*fault))).await;
        if !report.has_failed(check) {
            unnoticed.push(format!("{fault:?} is not found by {check}: {report}"));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
