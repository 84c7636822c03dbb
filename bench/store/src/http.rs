//! Durable publishes over HTTP: 64 publishers that keep their connections, to a hub in memory and one on the store, in
//! turns, and the raw program with the same groups. Hubs and publishers have threads of their own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use eric_server::{Handle, Server, ServerSettings};
use eric_sse::{Hub, SystemClock};
use eric_store::{Store, StoreSettings};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::disk::{Notes, NotingDisk, Raw};
use crate::figures::{at, median};

const PUBLISHERS: usize = 64;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
/// Threads of a hub, as many as its publishers have.
const THREADS: usize = 2;

/// A hub on threads of its own.
struct Serving {
    address: String,
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Serving {
    async fn start(open: impl Future<Output = anyhow::Result<Hub>> + Send + 'static) -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let server = runtime.spawn(async {
            let settings = ServerSettings { listen: Some(([127, 0, 0, 1], 0).into()), ..Default::default() };
            anyhow::Ok(Server::bind(open.await?, settings)?)
        });
        let server = server.await??;
        let address = server.local().context("it listens")?.to_string();
        let handle = server.handle();
        runtime.spawn(server.run());
        let put = b"PUT /v1/channels/bench HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
        request(&mut connect(&address).await?, put).await?;
        Ok(Self { address, handle, runtime: Some(runtime) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.handle.stop();
        self.runtime.take().expect("it ends once").shutdown_background();
    }
}

/// One request and its answer's status.
async fn request(socket: &mut BufReader<TcpStream>, text: &[u8]) -> anyhow::Result<u16> {
    socket.get_mut().write_all(text).await?;
    let mut line = String::new();
    socket.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).context("a status line")?.parse()?;
    let mut len = 0;
    loop {
        line.clear();
        socket.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                len = value.trim().parse()?
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; len];
    socket.read_exact(&mut body).await?;
    Ok(status)
}

async fn connect(address: &str) -> anyhow::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(BufReader::new(socket))
}

/// Publishes for a while; returns how many were answered with 201, and how long that took.
async fn publish(hub: &Serving) -> anyhow::Result<(u64, Duration)> {
    let body = format!("{{\"type\":\"bench\",\"payload\":\"{}\"}}", "x".repeat(200));
    let text = format!(
        "POST /v1/channels/bench/messages HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let text = Arc::new(text.into_bytes());
    let begin = Instant::now();
    let publisher = || {
        let (address, text) = (hub.address.clone(), text.clone());
        async move {
            let mut socket = connect(&address).await?;
            let mut count = 0_u64;
            while begin.elapsed() < ROUND {
                let status = request(&mut socket, &text).await?;
                anyhow::ensure!(status == 201, "a publish was answered with {status}");
                count += 1;
            }
            anyhow::Ok(count)
        }
    };
    let tasks: Vec<_> = (0..PUBLISHERS).map(|_| tokio::spawn(publisher())).collect();
    let mut count = 0;
    for task in tasks {
        count += task.await??;
    }
    Ok((count, begin.elapsed()))
}

pub(crate) async fn run(base: &Path) -> anyhow::Result<()> {
    let (directory, other) = (tempfile::tempdir_in(base)?, tempfile::tempdir_in(base)?);
    let notes = Arc::new(Mutex::new(Notes::default()));
    let disk = Arc::new(NotingDisk::open(directory.path(), &notes)?);
    let memory = Serving::start(async { Ok(Hub::in_memory()) }).await?;
    let file = Serving::start(async {
        let store = Arc::new(Store::open_on(disk, StoreSettings::default(), Arc::new(SystemClock))?);
        Ok(Hub::builder(store.clone()).restore(store).await?)
    })
    .await?;
    let mut raw = Raw::new(other.path())?;
    let (mut in_memory, mut on_disk, mut raws) = (vec![], vec![], vec![]);
    let (mut to_memory, mut to_raw) = (vec![], vec![]);
    let (mut syncs, mut groups, mut publishes) = (vec![], 0, 0);
    for _ in 0..ROUNDS {
        let (count, took) = publish(&memory).await?;
        let memory = count as f64 / took.as_secs_f64();
        *notes.lock() = Notes::default();
        let (count, took) = publish(&file).await?;
        let noted = std::mem::take(&mut *notes.lock());
        let file = count as f64 / took.as_secs_f64();
        let raw = count as f64 / raw.write(&noted.groups)?.as_secs_f64();
        in_memory.push(memory);
        on_disk.push(file);
        raws.push(raw);
        to_memory.push(file / memory);
        to_raw.push(file / raw);
        syncs.extend(noted.syncs);
        groups += noted.groups.len();
        publishes += count;
    }
    syncs.sort_unstable();
    println!(
        "Durable publishes over HTTP, {PUBLISHERS} publishers, 200 B; medians of {ROUNDS} rounds\n  \
         in memory {:.0}/s · file {:.0}/s · the same groups raw {:.0}/s\n  \
         file to memory {:.2}, to raw {:.2} · {:.1} in a group · fdatasync {} µs",
        median(&mut in_memory),
        median(&mut on_disk),
        median(&mut raws),
        median(&mut to_memory),
        median(&mut to_raw),
        publishes as f64 / groups as f64,
        at(&syncs, 0.5).as_micros(),
    );
    Ok(())
}
