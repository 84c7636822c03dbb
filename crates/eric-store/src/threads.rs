//! The threads of a store: one writes, one tells what was written, one keeps house, two read.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

use eric_sse::limits::STORE_READS_MAX;
use eric_sse::log::Page;
use eric_sse::{Error, ErrorKind, Result};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Semaphore, oneshot};

use crate::read::Fetch;
use crate::shared::Shared;
use crate::writer::{News, Turn, Writer};

/// Threads that wait for the disk on behalf of readers.
const READERS: usize = 2;

/// Groups whose news may wait to be told; the writer waits for the first of them.
const UNTOLD_GROUPS_MAX: usize = 2;

/// The running threads; [`Threads::join`] ends them.
#[derive(Debug)]
pub(crate) struct Threads {
    handles: Vec<JoinHandle<()>>,
    reads: Arc<Reads>,
}

/// Reads that wait for the disk.
#[derive(Debug)]
pub(crate) struct Reads {
    places: Semaphore,
    jobs: Mutex<Jobs>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<(Fetch, oneshot::Sender<Result<Page>>)>,
    is_closed: bool,
}

impl Threads {
    pub(crate) fn start(shared: &Arc<Shared>, mut writer: Writer) -> io::Result<Self> {
        let reads = Arc::new(Reads {
            places: Semaphore::new(STORE_READS_MAX),
            jobs: Mutex::default(),
            arrived: Condvar::new(),
        });
        let mut threads = Self { handles: Vec::new(), reads };
        let (teller, news) = sync_channel(UNTOLD_GROUPS_MAX);
        writer.tell_through(teller);
        threads.spawn("eric-writer", move || write(&mut writer))?;
        threads.spawn("eric-teller", move || news.into_iter().for_each(News::tell))?;
        let house = shared.clone();
        threads.spawn("eric-house", move || keep_house(&house))?;
        for _ in 0..READERS {
            let reads = threads.reads.clone();
            threads.spawn("eric-reader", move || reads.run())?;
        }
        Ok(threads)
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.handles.push(Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    pub(crate) fn reads(&self) -> Arc<Reads> {
        self.reads.clone()
    }

    /// Waits until the threads have ended; the store is closing already.
    pub(crate) fn join(self) {
        self.reads.close();
        for handle in self.handles {
            // A thread that panicked has nothing left to say.
            let _ = handle.join();
        }
    }
}

fn write(writer: &mut Writer) {
    loop {
        while writer.turn() == Turn::Worked {}
        if !writer.shared.clone().wait_for_requests(writer.due_in_ms()) {
            return writer.close();
        }
    }
}

fn keep_house(shared: &Arc<Shared>) {
    // What cannot be tidied up stays for later: nothing depends on it.
    while shared.wait_for_mess() {
        let _ = shared.give_back();
        let _ = shared.prepare_spare();
        while let Ok(true) = shared.rewrite() {}
    }
}

impl Reads {
    /// Reads a page on another thread.
    ///
    /// # Cancel safety
    /// The page is read, and dropped.
    pub(crate) async fn page(&self, fetch: Fetch) -> Result<Page> {
        let closed = || Error::new(ErrorKind::Unavailable, "the store is closed");
        let _place = self.places.acquire().await.map_err(|_| closed())?;
        let (sender, page) = oneshot::channel();
        {
            let mut jobs = self.jobs.lock();
            if jobs.is_closed {
                return Err(closed());
            }
            jobs.waiting.push_back((fetch, sender));
        }
        self.arrived.notify_one();
        page.await.unwrap_or_else(|_| Err(closed()))
    }

    fn run(&self) {
        loop {
            let (fetch, sender) = {
                let mut jobs = self.jobs.lock();
                loop {
                    if let Some(job) = jobs.waiting.pop_front() {
                        break job;
                    }
                    if jobs.is_closed {
                        return;
                    }
                    self.arrived.wait(&mut jobs);
                }
            };
            let _ = sender.send(fetch.read_disk());
        }
    }

    fn close(&self) {
        self.jobs.lock().is_closed = true;
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn reads_that_wait_for_the_disk_are_1_024_and_no_more() {
        let reads = Reads {
            places: Semaphore::new(STORE_READS_MAX),
            jobs: Mutex::default(),
            arrived: Condvar::new(),
        };
        let mut waiting: Vec<_> =
            (0..=STORE_READS_MAX).map(|_| Box::pin(reads.page(Fetch::of_nothing()))).collect();
        for page in &mut waiting {
            assert!(page.as_mut().now_or_never().is_none());
        }
        assert_eq!(reads.jobs.lock().waiting.len(), STORE_READS_MAX);
        reads.close();
        reads.run();
        assert!(waiting[0].as_mut().now_or_never().unwrap().is_ok());
    }
}
