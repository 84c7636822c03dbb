//! The store passes the suites that every engine and every store of records passes, on a real directory and with its threads.

use std::sync::Arc;

use eric_sse::engine::Engine;
use eric_sse::{Clock, SystemClock};
use eric_store::{Store, StoreSettings};
use eric_testkit::{engine_suite, kv_suite};
use parking_lot::Mutex;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let made = Mutex::new(0);
    let make = |clock: Arc<dyn Clock>| -> Arc<dyn Engine> {
        let mut made = made.lock();
        *made += 1;
        let path = directory.path().join(made.to_string());
        Arc::new(Store::open(&path, StoreSettings::default(), clock).unwrap())
    };
    let report = engine_suite(&make).await;
    assert!(report.is_passed(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_records() {
    let directory = tempfile::tempdir().unwrap();
    let made = Mutex::new(0);
    let report = kv_suite(&|| {
        let mut made = made.lock();
        *made += 1;
        let path = directory.path().join(made.to_string());
        Arc::new(Store::open(&path, StoreSettings::default(), Arc::new(SystemClock)).unwrap())
    })
    .await;
    assert!(report.is_passed(), "{report}");
}
