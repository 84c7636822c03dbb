//! A bad network between a client and a hub: forwards bytes, and resets connections in the middle of an event.
//!
//! Until `arm` is called everything passes, so that a test can let a client see its first event. From then on every
//! connection is reset (RST on both sides) after a seeded number of bytes, one to three bytes into a line of an event,
//! until as many resets as wanted have been made; then everything passes again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Bytes of a connection before it is cut: at least the head of the response, and few enough for many cuts.
const DISTANCE_BYTES: std::ops::Range<usize> = 4_000..16_000;
/// Beginnings of lines of an event, for cuts to fall into.
pub(crate) type Fields = &'static [&'static [u8]];
const BUFFER_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct FaultProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
    acceptor: JoinHandle<()>,
}

#[derive(Debug)]
struct Faults {
    is_armed: AtomicBool,
    made: AtomicUsize,
    wanted: usize,
    fields: Fields,
    seed: u64,
}

impl FaultProxy {
    /// Stands before the hub at `target` and will make `resets` of them, inside these `fields`, once it is armed.
    pub(crate) async fn start(target: SocketAddr, resets: usize, fields: Fields, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of the loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let faults = Arc::new(Faults {
            is_armed: AtomicBool::new(false),
            made: AtomicUsize::new(0),
            wanted: resets,
            fields,
            seed,
        });
        let acceptor = tokio::spawn(accept(listener, target, Arc::clone(&faults)));
        Self { address, faults, acceptor }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on connections are reset, those that are open included.
    pub(crate) fn arm(&self) {
        self.faults.is_armed.store(true, Ordering::SeqCst);
    }

    /// Resets made so far.
    pub(crate) fn resets(&self) -> usize {
        self.faults.made.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Faults {
    fn are_due(&self) -> bool {
        self.is_armed.load(Ordering::SeqCst) && self.made.load(Ordering::SeqCst) < self.wanted
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (client, _) = listener.accept().await.expect("a bound socket accepts");
        let cutter = Cutter::new(faults.fields, &mut Rng::with_seed(faults.seed.wrapping_add(number)));
        let faults = Arc::clone(&faults);
        connections.spawn(async move {
            // An error is one side's leaving; dropping both sockets tells the other.
            let _ = forward(client, target, cutter, &faults).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(
    mut client: TcpStream,
    target: SocketAddr,
    mut cutter: Cutter,
    faults: &Faults,
) -> std::io::Result<()> {
    let mut hub = TcpStream::connect(target).await?;
    let (mut upward, mut downward) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        tokio::select! {
            size = client.read(&mut upward) => match size? {
                0 => return Ok(()),
                size => hub.write_all(&upward[..size]).await?,
            },
            size = hub.read(&mut downward) => {
                let bytes = &downward[..size?];
                if bytes.is_empty() {
                    return Ok(());
                }
                match if faults.are_due() { cutter.feed(bytes) } else { None } {
                    None => client.write_all(bytes).await?,
                    Some(kept) => {
                        client.write_all(&bytes[..kept]).await?;
                        faults.made.fetch_add(1, Ordering::SeqCst);
                        client.set_zero_linger()?;
                        hub.set_zero_linger()?;
                        return Ok(());
                    }
                }
            },
        }
    }
}

/// Decides where a connection is cut: past its distance, inside the next line of the kind that it drew.
#[derive(Debug)]
struct Cutter {
    distance: usize,
    field: &'static [u8],
    depth: usize,
    recent: [u8; 8],
    is_inside: bool,
}

impl Cutter {
    fn new(fields: Fields, rng: &mut Rng) -> Self {
        Self {
            distance: rng.usize(DISTANCE_BYTES),
            field: fields[rng.usize(..fields.len())],
            depth: rng.usize(1..=3),
            recent: [0; 8],
            is_inside: false,
        }
    }

    /// How many of these bytes still pass, if the connection is to be cut among them.
    fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            self.recent.rotate_left(1);
            self.recent[7] = *byte;
            self.distance = self.distance.saturating_sub(1);
            if self.is_inside {
                self.depth -= 1;
                if self.depth == 0 {
                    return Some(index + 1);
                }
            } else if self.distance == 0 && self.recent.ends_with(self.field) {
                self.is_inside = true;
            }
        }
        None
    }
}

#[test]
fn a_cut_is_always_inside_a_line_of_an_event() {
    let fields: Fields = &[b"\nid: ", b"\nevent: ", b"\ndata: ", b"\nretry: "];
    let event = "id: 7f3a-12\nevent: tick\ndata: {\"n\":12}\nretry: 100\n\n";
    let stream = event.repeat(1_000);
    for seed in 0..1_000 {
        for piece in [1, 7, 64, 4_096] {
            let mut cutter = Cutter::new(fields, &mut Rng::with_seed(seed));
            let mut passed = 0;
            for bytes in stream.as_bytes().chunks(piece) {
                if let Some(kept) = cutter.feed(bytes) {
                    passed += kept;
                    break;
                }
                passed += bytes.len();
            }
            assert!(DISTANCE_BYTES.start <= passed && passed < stream.len(), "seed={seed} cut at {passed}");
            let last = stream[..passed].rsplit("\n\n").next();
            let last = last.expect("a split has a last piece");
            assert!(!last.is_empty() && !last.ends_with('\n'), "seed={seed} cut after {last:?}");
        }
    }
}
