//! Executors: who runs callbacks that take long.
//!
//! [`Threads`] are threads of one's own, a Tokio handle is an executor, and so is a closure that hands jobs to any
//! other pool. [`processing`](super::processing) gives them their jobs.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

/// Something to run once.
///
/// ```
/// use std::sync::mpsc;
/// use eric_sse::prefab::executor::Job;
///
/// let (sender, done) = mpsc::channel();
/// let job: Job = Box::new(move || sender.send(6 * 7).unwrap());
/// std::thread::spawn(job);
/// assert_eq!(done.recv()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Job = Box<dyn FnOnce() + Send>;

/// Who runs callbacks that take long. The seam to users' pools: a closure that takes jobs is one.
///
/// ```
/// use std::sync::mpsc;
/// use eric_sse::prefab::executor::{Executor, Job, Threads};
///
/// // Threads for what computes, as many as there are processors.
/// let pool = Threads::new(std::thread::available_parallelism()?.get())?;
///
/// // Any other pool, here a thread for each.
/// let wild = |job: Job| drop(std::thread::spawn(job));
///
/// let (sender, done) = mpsc::channel();
/// for executor in [&pool as &dyn Executor, &wild] {
///     let sender = sender.clone();
///     executor.execute(Box::new(move || sender.send(6 * 7).unwrap()));
/// }
/// assert_eq!((done.recv()?, done.recv()?), (42, 42));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Executor: Send + Sync {
    /// Runs `job`, now or later, on another thread: it must not wait for it. A job that is dropped instead of run is
    /// a failure of whoever waits for its result.
    ///
    /// ```
    /// use eric_sse::prefab::executor::Executor as _;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let (sender, done) = tokio::sync::oneshot::channel();
    /// // Tokio's threads for what blocks.
    /// tokio::runtime::Handle::current().execute(Box::new(move || sender.send("computed").unwrap()));
    /// assert_eq!(done.await?, "computed");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    fn execute(&self, job: Job);
}

impl<F: Fn(Job) + Send + Sync> Executor for F {
    fn execute(&self, job: Job) {
        self(job);
    }
}

/// Tokio's threads for what waits for the disk, or for others that block.
impl Executor for tokio::runtime::Handle {
    fn execute(&self, job: Job) {
        drop(self.spawn_blocking(job));
    }
}

/// A number of threads that run jobs, first come first served. When it is dropped, what waits is dropped, and what
/// runs goes on until it is done; nobody waits for it.
///
/// How many jobs wait is bounded by who hands them in:
/// [`Processing::workers_max`](super::processing::Processing::workers_max).
///
/// ```
/// use std::sync::mpsc;
/// use eric_sse::prefab::executor::{Executor as _, Threads};
///
/// let one = Threads::new(1)?;
/// let (sender, done) = mpsc::channel();
/// for n in 0..3 {
///     let sender = sender.clone();
///     one.execute(Box::new(move || sender.send(n).unwrap()));
/// }
/// drop(sender);
/// assert!(done.iter().eq([0, 1, 2]), "first come first served");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Threads {
    jobs: Arc<Jobs>,
}

#[derive(Default)]
struct Jobs {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    is_closed: bool,
}

impl Threads {
    /// A pool of `count` threads; one, if that is zero.
    ///
    /// # Errors
    /// What the system says where a thread does not start.
    ///
    /// ```
    /// use eric_sse::prefab::executor::Threads;
    ///
    /// let pool = Threads::new(2)?;
    /// assert_eq!(format!("{pool:?}"), "Threads { waiting: 0 }");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(count: usize) -> std::io::Result<Self> {
        let pool = Self { jobs: Arc::default() };
        for number in 0..count.max(1) {
            let jobs = pool.jobs.clone();
            thread::Builder::new().name(format!("eric-worker-{number}")).spawn(move || jobs.run())?;
        }
        Ok(pool)
    }
}

impl Jobs {
    fn run(&self) {
        while let Some(job) = self.next() {
            // A job that panics takes no thread along; whoever waits for its result sees that it was dropped.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            self.arrived.wait(&mut state);
        }
    }
}

impl Executor for Threads {
    fn execute(&self, job: Job) {
        self.jobs.state.lock().waiting.push_back(job);
        self.jobs.arrived.notify_one();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.jobs.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.jobs.arrived.notify_all();
        drop(waiting);
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("waiting", &self.jobs.state.lock().waiting.len()).finish()
    }
}
