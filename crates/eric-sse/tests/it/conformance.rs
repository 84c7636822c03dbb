//! The memory engine keeps every promise of the suite, also when it is slow; and each engine that breaks one is
//! found out, by the check that was written for it.

use std::sync::Arc;

use eric_sse::Clock;
use eric_sse::engine::Engine;
use eric_sse::engine::memory::MemoryEngine;
use eric_testkit::{BrokenEngine, Fault, SlowEngine, engine_suite};

fn memory(clock: Arc<dyn Clock>) -> Arc<dyn Engine> {
    Arc::new(MemoryEngine::new(clock))
}

#[tokio::test(start_paused = true)]
async fn the_memory_engine_keeps_every_promise() {
    let report = engine_suite(&memory).await;
    assert!(report.is_passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_engine_keeps_every_promise() {
    let report = engine_suite(&|clock| Arc::new(SlowEngine::new(memory(clock)))).await;
    assert!(report.is_passed(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn every_broken_engine_is_found_out_by_the_check_that_is_about_it() {
    let mut unnoticed = Vec::new();
    for fault in Fault::ALL {
        let report = engine_suite(&|clock| Arc::new(BrokenEngine::new(*fault, clock))).await;
        if !report.has_failed(fault.found_by()) {
            unnoticed.push(format!("{fault:?} is not found by {}: {report}", fault.found_by()));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
