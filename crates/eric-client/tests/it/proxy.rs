//! What stands between a client and its hub, and cuts connections where a test says so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a connection is let through before it is reset, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) request: usize,
    pub(crate) answer: usize,
}

impl Fate {
    pub(crate) const PASS: Self = Self { request: usize::MAX, answer: usize::MAX };

    /// The hub gets the request and answers, and so much of the answer comes through.
    pub(crate) fn answer(bytes: usize) -> Self {
        Self { answer: bytes, ..Self::PASS }
    }

    pub(crate) fn request(bytes: usize) -> Self {
        Self { request: bytes, ..Self::PASS }
    }
}

/// A proxy; it ends when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    running: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before `hub`; `fate` is asked for each connection, with its number.
    pub(crate) async fn start(hub: SocketAddr, fate: impl Fn(usize) -> Fate + Send + 'static) -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, cuts) = (acceptor.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = cuts.clone();
        let running = tokio::spawn(async move {
            for number in 0.. {
                let (client, _) = acceptor.accept().await.unwrap();
                let (fate, cuts) = (fate(number), counted.clone());
                tokio::spawn(async move {
                    let hub = TcpStream::connect(hub).await.unwrap();
                    if carry(client, hub, fate).await {
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, cuts, running }
    }

    /// Connections that were reset.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Carries bytes both ways until one side ends, or `fate` does: then both are reset, and it is true.
async fn carry(client: TcpStream, hub: TcpStream, fate: Fate) -> bool {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_hub, mut to_hub) = hub.into_split();
    let is_cut = tokio::select! {
        is_cut = copy(&mut from_client, &mut to_hub, fate.request) => is_cut,
        is_cut = copy(&mut from_hub, &mut to_client, fate.answer) => is_cut,
    };
    for socket in [from_client.reunite(to_client).unwrap(), from_hub.reunite(to_hub).unwrap()] {
        if is_cut {
            socket.set_zero_linger().unwrap();
        }
    }
    is_cut
}

/// True where there was more than `most`.
async fn copy(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, most: usize) -> bool {
    let (mut chunk, mut rest) = ([0; 4096], most);
    loop {
        let Ok(read @ 1..) = from.read(&mut chunk).await else { return false };
        if to.write_all(&chunk[..read.min(rest)]).await.is_err() {
            return false;
        }
        if read > rest {
            return true;
        }
        rest -= read;
    }
}
