//! The embedded store beside a raw program that writes the same groups of bytes and calls `fdatasync`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eric_sse::engine::Engine;
use eric_sse::lane::{Lane, Overflow, Retention};
use eric_sse::log::{Log as _, NewEntry};
use eric_sse::{Message, SystemClock, Timestamp};
use eric_store::{Disk, DiskFile, RealDisk, Store, StoreSettings};
use parking_lot::Mutex;

const SECONDS: u64 = 4;

/// A disk that notes what is written and how long syncs take.
#[derive(Debug)]
struct Noting {
    disk: RealDisk,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    groups: Vec<usize>,
    syncs: Vec<Duration>,
    last: usize,
}

#[derive(Debug)]
struct NotingFile(Arc<dyn DiskFile>, Arc<Mutex<Notes>>);

impl Disk for Noting {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(NotingFile(self.disk.create(name, len)?, self.notes.clone())))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(NotingFile(self.disk.open(name)?, self.notes.clone())))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }
}

impl DiskFile for NotingFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.0.read(buffer, at)
    }
    fn read_if_cached(&self, buffer: &mut [u8], at: u64) -> io::Result<bool> {
        self.0.read_if_cached(buffer, at)
    }
    fn write(&self, data: &[u8], at: u64) -> io::Result<()> {
        self.1.lock().last = data.len();
        self.0.write(data, at)
    }
    fn sync(&self) -> io::Result<()> {
        let begin = Instant::now();
        self.0.sync()?;
        let mut notes = self.1.lock();
        let last = notes.last;
        notes.groups.push(last);
        notes.syncs.push(begin.elapsed());
        Ok(())
    }
}

fn roomy() -> Retention {
    Retention {
        max_messages: 1 << 40,
        max_bytes: 1 << 50,
        max_age_s: 1 << 40,
        history: 1 << 40,
        max_unread_per_listener: 1 << 40,
        max_unread_bytes_per_listener: 1 << 50,
        overflow: Overflow::DropOldest,
    }
}

fn open(path: &Path, notes: &Arc<Mutex<Notes>>) -> anyhow::Result<Arc<Store>> {
    let disk = Noting { disk: RealDisk::open(path)?, notes: notes.clone() };
    Ok(Arc::new(Store::open_on(Arc::new(disk), StoreSettings::default(), Arc::new(SystemClock))?))
}

fn messages() -> Vec<Message> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..1024)
        .map(|_| {
            let bytes = [128, 256, 512, 1024, 4096][random.usize(..5)];
            Message::of("bench", &"x".repeat(bytes)).expect("a message")
        })
        .collect()
}

async fn appends(store: &Arc<Store>, in_flight: usize) -> anyhow::Result<(u64, Duration, Vec<Duration>)> {
    let mut lanes = Vec::new();
    for _ in 0..64 {
        lanes.push(store.open(roomy()).await?);
    }
    let (lanes, messages) = (Arc::new(lanes), Arc::new(messages()));
    let begin = Instant::now();
    let until = begin + Duration::from_secs(SECONDS);
    let tasks: Vec<_> = (0..in_flight)
        .map(|task| {
            let (store, lanes, messages) = (store.clone(), lanes.clone(), messages.clone());
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(task as u64);
                let (mut count, mut times) = (0, Vec::new());
                while Instant::now() < until {
                    let lane: Lane = lanes[random.usize(..lanes.len())];
                    let message = messages[random.usize(..messages.len())].clone();
                    let new = NewEntry { lane, message, key: None, taken_at: Timestamp::from_ms(1) };
                    let asked = Instant::now();
                    store.submit(vec![new]).await?;
                    times.push(asked.elapsed());
                    count += 1;
                }
                Ok::<_, eric_sse::Error>((count, times))
            })
        })
        .collect();
    let (mut count, mut times) = (0, Vec::new());
    for task in tasks {
        let (some, took) = task.await??;
        count += some;
        times.extend(took);
    }
    Ok((count, begin.elapsed(), times))
}

/// The same groups, by a program that does nothing else.
fn raw(path: &Path, groups: &[usize]) -> anyhow::Result<Duration> {
    let disk = RealDisk::open(path)?;
    let data = vec![120; 64 << 20];
    let (mut number, mut at) = (0, 0);
    let mut file = disk.create("raw", 64 << 20)?;
    let mut spent = Duration::ZERO;
    for group in groups {
        if at + *group as u64 > 64 << 20 {
            number += 1;
            file = disk.create(&format!("raw-{number}"), 64 << 20)?;
            disk.remove(if number == 1 { "raw".to_owned() } else { format!("raw-{}", number - 1) }.as_str())?;
            at = 0;
        }
        let begin = Instant::now();
        file.write(&data[..*group], at)?;
        file.sync()?;
        spent += begin.elapsed();
        at += *group as u64;
    }
    Ok(spent)
}

fn at(sorted: &[Duration], part: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let base = std::env::args().nth(1).unwrap_or_else(|| "target".to_owned());
    for in_flight in [1, 16, 256, 256, 256] {
        let directory = tempfile::tempdir_in(&base)?;
        let notes = Arc::new(Mutex::new(Notes::default()));
        let store = open(directory.path(), &notes)?;
        notes.lock().groups.clear();
        notes.lock().syncs.clear();
        let (count, took, mut times) = appends(&store, in_flight).await?;
        let groups = notes.lock().groups.clone();
        let mut syncs = notes.lock().syncs.clone();
        store.health()?;
        drop(store);
        let other = tempfile::tempdir_in(&base)?;
        let raw = raw(other.path(), &groups)?;
        syncs.sort_unstable();
        times.sort_unstable();
        let rate = count as f64 / took.as_secs_f64();
        let raw_rate = count as f64 / raw.as_secs_f64();
        println!(
            "in flight {in_flight:4}: {rate:9.0}/s  raw {raw_rate:9.0}/s  ratio {:.2}  groups {} of {:.0} entries  fdatasync p50 {:?} p99 {:?}  answer p50 {:?} p99.9 {:?}",
            rate / raw_rate,
            groups.len(),
            count as f64 / groups.len() as f64,
            at(&syncs, 0.5),
            at(&syncs, 0.99),
            at(&times, 0.5),
            at(&times, 0.999),
        );
    }
    Ok(())
}
