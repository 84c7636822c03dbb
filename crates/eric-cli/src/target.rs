//! The hub that a command talks to, and by which door.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use eric_client::{HttpClient, RetryPolicy, SocketClient};

use crate::Failure;

/// How long a hub that is away is waited for with one message to publish, and with many.
const RETRY_ONE: Duration = Duration::from_secs(1);
const RETRY_MANY: Duration = Duration::from_secs(30);

/// Where the hub is.
#[derive(Debug, Args)]
#[command(next_help_heading = "The hub")]
pub(crate) struct Target {
    /// Where its HTTP door is.
    #[arg(long, env = "ERIC_URL", default_value = "http://127.0.0.1:8000", value_name = "URL")]
    url: String,
    /// Its Unix socket instead, which can do less.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// For how long publishing and acknowledging are tried again while it is away: 1 s, with --ndjson 30 s.
    #[arg(long, value_name = "SECONDS")]
    retry: Option<u64>,
}

/// A way into a hub.
pub(crate) enum Door {
    Http(HttpClient),
    Socket(SocketClient),
}

impl Target {
    /// The door that is meant.
    pub(crate) fn door(&self) -> Result<Door, Failure> {
        match &self.socket {
            Some(path) => Ok(Door::Socket(SocketClient::new(path))),
            None => self.client().map(Door::Http),
        }
    }

    /// The HTTP door, which alone can do `what`.
    pub(crate) fn http(&self, what: &str) -> Result<HttpClient, Failure> {
        match &self.socket {
            Some(_) => Err(beyond_the_socket(what)),
            None => self.client(),
        }
    }

    /// The HTTP door, for much that is to be published: it is waited for longer.
    pub(crate) fn patient_http(&self, what: &str) -> Result<HttpClient, Failure> {
        Ok(self.http(what)?.with_retry(self.retry(RETRY_MANY)))
    }

    fn client(&self) -> Result<HttpClient, Failure> {
        let hub = HttpClient::new(&self.url).map_err(|error| Failure::Usage(format!("--url: {error}")))?;
        Ok(hub.with_retry(self.retry(RETRY_ONE)))
    }

    fn retry(&self, default: Duration) -> RetryPolicy {
        let give_up_after = self.retry.map_or(default, Duration::from_secs);
        RetryPolicy { give_up_after, ..RetryPolicy::default() }
    }
}

/// What the Unix socket has no verb for.
pub(crate) fn beyond_the_socket(what: &str) -> Failure {
    Failure::Usage(format!("{what} is not possible over --socket, which has no verb for it; use --url"))
}
