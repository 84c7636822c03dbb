//! The hub that a command talks to, and by which door.

#[cfg(target_os = "linux")]
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use eric_client::{HttpClient, RetryPolicy, SocketClient};

use crate::Failure;

/// How long a hub that is away is waited for with one message to publish, and with many.
const RETRY_ONE: Duration = Duration::from_secs(1);
const RETRY_MANY: Duration = Duration::from_secs(30);

/// How long a connection may take.
#[cfg(target_os = "linux")]
const REACHING: Duration = Duration::from_secs(5);

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

/// Where a hub is for those who speak plain HTTP themselves.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq)]
pub(crate) struct Place {
    /// Its name, with the port where the URL has one.
    pub(crate) host: String,
    /// What goes before every path; empty, or with a slash at its start and none at its end.
    pub(crate) base: String,
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

    /// Where it is, for `what`, which speaks plain HTTP itself.
    #[cfg(target_os = "linux")]
    pub(crate) fn place(&self, what: &str) -> Result<Place, Failure> {
        let usage = |why: &str| Failure::Usage(format!("--url: {what} {why}"));
        if self.url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:")) {
            return Err(usage("speaks plain HTTP, not https:; give it the http: address of the hub itself"));
        }
        let hub = self.http(what)?;
        let rest = hub.url().trim_start_matches("http://");
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.contains('@') || path.contains(['?', '#']) {
            return Err(usage("takes no user, query or fragment"));
        }
        let base = path.trim_end_matches('/');
        let base = if base.is_empty() { String::new() } else { format!("/{base}") };
        Ok(Place { host: host.to_owned(), base })
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

#[cfg(target_os = "linux")]
impl Place {
    /// The first of its addresses that takes a connection.
    pub(crate) fn reach(&self) -> anyhow::Result<SocketAddr> {
        let has_port = self.host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let name = if has_port { self.host.clone() } else { format!("{}:80", self.host) };
        let mut why = "the name has no address".to_owned();
        let addresses = name.to_socket_addrs().map_err(|error| self.unreached(&error.to_string()))?;
        for address in addresses {
            match TcpStream::connect_timeout(&address, REACHING) {
                Ok(_) => return Ok(address),
                Err(error) => why = error.to_string(),
            }
        }
        Err(self.unreached(&why))
    }

    fn unreached(&self, why: &str) -> anyhow::Error {
        let Self { host, base } = self;
        anyhow::anyhow!("no connection to url=http://{host}{base}: {why}: is the hub running?")
    }
}

/// What the Unix socket has no verb for.
pub(crate) fn beyond_the_socket(what: &str) -> Failure {
    Failure::Usage(format!("{what} is not possible over --socket, which has no verb for it; use --url"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place, Failure> {
        Target { url: url.to_owned(), socket: None, retry: None }.place("it")
    }

    #[test]
    fn a_place_is_a_host_and_what_goes_before_paths() {
        let check = |url: &str, host: &str, base: &str| {
            assert_eq!(place(url).unwrap(), Place { host: host.to_owned(), base: base.to_owned() });
        };
        check("http://127.0.0.1:8000", "127.0.0.1:8000", "");
        check("http://[::1]:8000/", "[::1]:8000", "");
        check("http://example.org/behind/a/proxy/", "example.org", "/behind/a/proxy");
        for url in ["https://a", "HTTPS://a", "http://user@a", "http://a/?b", "unix:/run/eric"] {
            assert!(matches!(place(url), Err(Failure::Usage(_))), "{url}");
        }
    }
}
