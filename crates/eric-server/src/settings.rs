//! What can be set about the doors.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use eric_sse::limits::CONNECTIONS_MAX;

/// The settings of the doors: plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where HTTP listens, if it does; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Where the Unix socket is, if there is one.
    pub socket: Option<PathBuf>,
    /// The web origins whose pages may use the hub.
    pub cors_origins: CorsOrigins,
    /// How long open streams and requests may take to end.
    pub shutdown_grace: Duration,
    /// Connections at once, at most.
    pub connections: usize,
    /// Loops that serve live streams; as many as there are cores.
    pub shards: usize,
}

/// The web origins whose pages may use the hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// None but the hub's own.
    #[default]
    None,
    /// Any, without credentials.
    Any,
    /// These.
    List(Vec<http::HeaderValue>),
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 8000))),
            socket: None,
            cors_origins: CorsOrigins::None,
            shutdown_grace: Duration::from_secs(5),
            connections: CONNECTIONS_MAX,
            shards: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl CorsOrigins {
    /// The origins as users write them: `*`, or `scheme://host[:port]`, any number of times.
    ///
    /// # Errors
    /// A text that names the origin and what is wrong with it.
    ///
    /// ```
    /// use eric_server::CorsOrigins;
    ///
    /// assert_eq!(CorsOrigins::parse(&["*".to_owned()])?, CorsOrigins::Any);
    /// assert!(CorsOrigins::parse(&["example.org".to_owned()]).is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(origins: &[String]) -> Result<Self, String> {
        match origins {
            [] => Ok(Self::None),
            [any] if any == "*" => Ok(Self::Any),
            _ => origins.iter().map(|origin| parse_origin(origin)).collect::<Result<_, _>>().map(Self::List),
        }
    }
}

fn parse_origin(origin: &str) -> Result<http::HeaderValue, String> {
    let malformed = |why: &str| format!("cors origin {origin:?} {why}");
    if origin == "*" {
        return Err(malformed("stands alone or not at all"));
    }
    let host = origin.split_once("://").filter(|(scheme, _)| !scheme.is_empty()).map(|(_, host)| host);
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', ' ']) => {
            origin.parse().map_err(|_| malformed("is not a header value"))
        }
        _ => Err(malformed("is not scheme://host[:port]")),
    }
}
