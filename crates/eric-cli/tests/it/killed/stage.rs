//! What everybody in a run of kills shares: where the hub is, whether it is there, and how far things have got.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use eric_client::{ChannelId, Error, HttpClient, ListenerId, RetryPolicy};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::hub::PATIENCE;

/// The channel that lives through all of it.
pub(super) const NEWS: &str = "news";

/// Whether there is a hub to talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Not now.
    Away,
    /// Until it is killed.
    Here,
    /// For good: whoever publishes comes to an end.
    Ending,
}

/// How far things have got since the hub was started last.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Publishes that were answered.
    pub(super) answered: u64,
    /// Publishes after which publishers hold on.
    pub(super) answers_max: u64,
    /// Readers that have a stream, by number.
    pub(super) connected: HashSet<usize>,
}

/// The directing end is [`Director`](super::Director)'s; the others hold clones of this.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) address: SocketAddr,
    life: watch::Receiver<Life>,
    pub(super) progress: watch::Sender<Progress>,
}

impl Stage {
    pub(super) async fn new() -> (Self, watch::Sender<Life>) {
        let (sender, life) = watch::channel(Life::Away);
        let address = (Ipv4Addr::LOCALHOST, port().await).into();
        (Self { address, life, progress: watch::Sender::default() }, sender)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client that tries once.
    pub(super) fn client(&self) -> HttpClient {
        HttpClient::new(&self.url()).expect("it is a URL").with_retry(RetryPolicy::never())
    }

    /// A client that tries again by itself, over any number of kills.
    pub(super) fn patient_client(&self) -> HttpClient {
        let (first, longest) = (Duration::from_millis(5), Duration::from_millis(50));
        self.client().with_retry(RetryPolicy { give_up_after: 10 * PATIENCE, first, longest })
    }

    pub(super) fn is_ending(&self) -> bool {
        *self.life.borrow() == Life::Ending
    }

    /// Waits until there is a hub; for whoever failed to reach it.
    pub(super) async fn back(&self) {
        self.when(|life| life != Life::Away).await;
        // It may be over already with the hub that was meant, and nobody knows yet.
        tokio::task::yield_now().await;
    }

    pub(super) async fn when(&self, is_wanted: impl Fn(Life) -> bool) {
        let mut life = self.life.clone();
        let wanted = life.wait_for(|life| is_wanted(*life));
        timeout(10 * PATIENCE, wanted).await.expect("it comes to that").expect("the run goes on");
    }

    /// Does `what` again until the hub has answered; its refusals are given back.
    pub(super) async fn until_answered<T, F>(&self, mut what: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            match what().await {
                Err(error) if error.is_temporary() => self.back().await,
                answer => return answer,
            }
        }
    }

    /// Counts an answer, and waits until another is wanted.
    pub(super) async fn answered(&self) {
        self.progress.send_modify(|progress| progress.answered += 1);
        self.far_enough(|progress| progress.answered < progress.answers_max).await;
    }

    /// Waits until things have got as far as is wanted.
    pub(super) async fn far_enough(&self, is_wanted: impl Fn(&Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        let wanted = progress.wait_for(is_wanted);
        timeout(PATIENCE, wanted)
            .await
            .expect("publishers are answered, readers connect")
            .expect("the run goes on");
    }

    pub(super) fn connected(&self, reader: usize) {
        self.progress.send_modify(|progress| progress.connected.extend([reader]));
    }
}

pub(super) fn channel(id: &str) -> ChannelId {
    id.parse().expect("it is an id")
}

pub(super) fn listener(id: &str) -> ListenerId {
    id.parse().expect("it is an id")
}

/// A port that stays ours while nobody listens on it: not one of those from which connections are made.
async fn port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return port;
        }
    }
}
