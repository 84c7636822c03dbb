//! Durable publishes over HTTP: 64 publishers that keep their connections, to a hub in memory and one on the store, in
//! turns, and the raw program with groups of 64 such messages.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::disk::Raw;
use crate::figures::median;

const PUBLISHERS: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Bytes that a message of this benchmark takes in the log, about.
const ENTRY_BYTES: usize = 270;

struct Hub {
    process: Child,
    address: String,
}

impl Hub {
    fn start(eric: &Path, engine: &str) -> anyhow::Result<Self> {
        let mut process = Command::new(eric)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error", "--engine", engine])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start: is it built?", eric.display()))?;
        let mut line = String::new();
        let out = process.stdout.take().context("standard output is piped")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
        let address = line.split("http=").nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(Self { process, address: address.context("no ready line")?.to_owned() })
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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

/// Publishes for a while; returns how many a second were answered with 201.
async fn publish(hub: &Hub) -> anyhow::Result<f64> {
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
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

pub(crate) async fn run(base: &Path, eric: &Path) -> anyhow::Result<()> {
    let (directory, other) = (tempfile::tempdir_in(base)?, tempfile::tempdir_in(base)?);
    let memory = Hub::start(eric, "memory")?;
    let file = Hub::start(eric, &format!("file:{}", directory.path().join("data").display()))?;
    for hub in [&memory, &file] {
        let put = b"PUT /v1/channels/bench HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
        request(&mut connect(&hub.address).await?, put).await?;
    }
    let mut raw = Raw::new(other.path())?;
    let (mut in_memory, mut on_disk, mut raws, mut to_memory) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let memory = publish(&memory).await?;
        let file = publish(&file).await?;
        let groups = vec![PUBLISHERS * ENTRY_BYTES; 2_000];
        let took = raw.write(&groups)?;
        in_memory.push(memory);
        on_disk.push(file);
        to_memory.push(file / memory);
        raws.push((groups.len() * PUBLISHERS) as f64 / took.as_secs_f64());
    }
    println!(
        "HTTP, {PUBLISHERS} publishers: memory {:.0}/s, file {:.0}/s (ratio {:.2}, target 0.8), raw in groups of {PUBLISHERS} {:.0}/s",
        median(&mut in_memory),
        median(&mut on_disk),
        median(&mut to_memory),
        median(&mut raws),
    );
    Ok(())
}
