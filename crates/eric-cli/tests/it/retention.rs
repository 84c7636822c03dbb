//! What a hub keeps and what it lets go, from outside and on both engines: a mailbox that is flooded, channels and
//! listeners that are made again, settings that change under load, and starting with a great many.
//!
//! Small numbers unless told otherwise: `ERIC_TEST_LISTENERS`, `ERIC_TEST_CHANNELS`, `ERIC_TEST_ROUNDS`; and
//! `ERIC_TEST_SEED` draws the same again as far as the machine lets it.

mod flood;
mod readers;
mod remade;
mod resettled;
mod start;

use std::env;
use std::str::FromStr;

use eric_client::{ChannelId, HttpClient, ListenerId, Message, Position, RetryPolicy};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::folder::Folder;
use crate::hub::Hub;

/// Requests that are under way at once where there are many to make.
const AT_ONCE: usize = 64;

/// A hub on one of the engines, and a client that tries once.
struct Stage {
    folder: Option<Folder>,
    hub: Hub,
    client: HttpClient,
}

impl Stage {
    async fn in_memory() -> Self {
        Self::start(None).await
    }

    async fn on_disk() -> Self {
        Self::start(Some(Folder::create())).await
    }

    async fn start(folder: Option<Folder>) -> Self {
        let engine = match &folder {
            Some(folder) => format!("file:{}", folder.file("data")),
            None => "memory".to_owned(),
        };
        let hub = Hub::serve(&["--listen", "127.0.0.1:0", "--engine", &engine]).await;
        let client = HttpClient::new(&hub.url()).unwrap().with_retry(RetryPolicy::never());
        Self { folder, hub, client }
    }

    fn is_on_disk(&self) -> bool {
        self.folder.is_some()
    }

    /// The hub after it was killed and started again.
    async fn killed(self) -> Self {
        self.hub.kill().await;
        Self::start(Some(self.folder.expect("a memory hub has nothing to come back to"))).await
    }

    /// Everything from `0` to `count`, many at once; the answers in order.
    async fn each<T>(&self, count: usize, what: impl AsyncFn(&HttpClient, usize) -> T) -> Vec<T> {
        stream::iter(0..count).map(|n| what(&self.client, n)).buffered(AT_ONCE).collect().await
    }
}

fn number<T: FromStr>(variable: &str, default: T) -> T {
    env::var(variable).ok().map_or(default, |value| value.parse().ok().expect("the variable is a number"))
}

fn channel(id: &str) -> ChannelId {
    id.parse().unwrap()
}

fn listener(id: &str) -> ListenerId {
    id.parse().unwrap()
}

/// A message that says which one it is.
fn labelled(label: &str) -> Message {
    Message::of("t", &label).unwrap()
}

/// A message as it came, or is to come: where it stands, and its label.
type Mail = (Position, String);

/// In the order of the log.
fn sorted(mut mail: Vec<Mail>) -> Vec<Mail> {
    mail.sort_by_key(|(position, _)| position.offset);
    mail
}
