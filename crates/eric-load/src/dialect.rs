//! How a server is spoken to: what a peer's `dialect.json` says.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::exchange::Exchange;

/// Where a message goes in a request or in an event's data.
const MESSAGE: &str = "{message}";

/// The header that says whom a request is for.
const HOST: &str = "Host";

/// A server's dialect. In paths, headers and bodies `{channel}`, `{listener}` and `{message}` are replaced.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// The server's name, for people.
    pub title: String,
    /// A request that succeeds once the server is up.
    pub ready: Option<Request>,
    /// How long it needs from then on until it can be relied on.
    #[serde(default)]
    pub ready_after_s: f64,
    /// What is done once for each channel.
    #[serde(default)]
    pub prepare: Vec<Request>,
    /// What is done at the end for each channel, so that nothing stays.
    #[serde(default)]
    pub clean_up: Vec<Request>,
    /// Opens a stream of what everybody on the channel hears; absent where only named listeners can.
    pub subscribe: Option<Request>,
    /// Publishes to everybody on the channel.
    pub publish: Request,
    /// How a message looks as an event's data.
    pub data: String,
    /// Names of events that the server sends by itself, besides those that begin with `eric.`.
    #[serde(default)]
    pub control_events: Vec<String>,
    /// The header that carries the last event's id when a stream comes back.
    pub resume: Option<String>,
    /// Listeners that have a name, and messages of their own.
    pub listener: Option<Listener>,
}

/// How named listeners are spoken to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// What is done once for each listener.
    #[serde(default)]
    pub prepare: Vec<Request>,
    /// The field of the last answer to `prepare` that is the listener's id; without it ids are `l0`, `l1`, ….
    pub capture: Option<String>,
    /// Opens a listener's stream.
    pub subscribe: Option<Request>,
    /// Publishes to one listener.
    pub publish: Option<Request>,
    /// Whether a listener also gets what is published to the channel.
    #[serde(default = "yes")]
    pub hears_channel: bool,
}

/// A request, to be filled in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// How far the port is from that of the server.
    #[serde(default)]
    pub port_offset: u16,
    /// Headers besides `Content-Length`; `Host` is `localhost` unless it is among them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Option<String>,
}

/// Whom a request is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whom<'a> {
    pub(crate) channel: &'a str,
    pub(crate) listener: &'a str,
}

/// The bytes of a request that publishes, around the message.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

fn yes() -> bool {
    true
}

impl Dialect {
    /// Reads a dialect from JSON.
    ///
    /// # Errors
    /// If it is no such JSON, or nothing can be published or recognised with it.
    pub fn parse(json: &str) -> anyhow::Result<Self> {
        let dialect: Self = serde_json::from_str(json).context("this is no dialect")?;
        ensure!(dialect.data.matches(MESSAGE).count() == 1, "`data` does not have {MESSAGE} once");
        dialect.publish.has_message()?;
        if let Some(publish) = dialect.listener.as_ref().and_then(|listener| listener.publish.as_ref()) {
            publish.has_message()?;
        }
        Ok(dialect)
    }

    /// The same dialect for a server that goes by `host`, with `base` before every path.
    #[must_use]
    pub fn at(mut self, host: &str, base: &str) -> Self {
        let listener = self.listener.iter_mut().flat_map(|listener| {
            listener.prepare.iter_mut().chain(&mut listener.subscribe).chain(&mut listener.publish)
        });
        let requests = self.ready.iter_mut().chain(&mut self.prepare).chain(&mut self.clean_up);
        let requests = requests.chain(&mut self.subscribe).chain([&mut self.publish]).chain(listener);
        for request in requests {
            request.headers.insert(HOST.into(), host.into());
            request.path.insert_str(0, base);
        }
        self
    }

    /// Whether the server answers.
    pub fn is_spoken_at(&self, server: SocketAddr) -> bool {
        let Some(request) = &self.ready else { return true };
        let mut requests = std::iter::once(request.bytes(Whom { channel: "", listener: "" }, None));
        Exchange::new(request.address(server)).all(&mut requests, |_| Ok(())).is_ok()
    }

    /// What surrounds a message in an event's data.
    pub(crate) fn data_around(&self) -> (&str, &str) {
        self.data.split_once(MESSAGE).unwrap_or((&self.data, ""))
    }
}

impl Request {
    /// Where it goes.
    pub(crate) fn address(&self, server: SocketAddr) -> SocketAddr {
        SocketAddr::new(server.ip(), server.port().saturating_add(self.port_offset))
    }

    fn has_message(&self) -> anyhow::Result<()> {
        let count = self.body.as_deref().unwrap_or_default().matches(MESSAGE).count();
        ensure!(count == 1, "the body for {} does not have {MESSAGE} once", self.path);
        Ok(())
    }

    /// The bytes of this request, with one more header where there is one.
    pub(crate) fn bytes(&self, whom: Whom<'_>, extra: Option<(&str, &[u8])>) -> Vec<u8> {
        let body = self.body.as_deref().map(|body| whom.fill(body));
        let mut bytes = self.head(whom, body.as_ref().map(String::len));
        if let Some((name, value)) = extra {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.unwrap_or_default().as_bytes());
        bytes
    }

    /// The bytes around a message of `message_bytes`.
    pub(crate) fn template(&self, whom: Whom<'_>, message_bytes: usize) -> Template {
        let body = whom.fill(self.body.as_deref().unwrap_or_default());
        let (before, after) = body.split_once(MESSAGE).unwrap_or((&body, ""));
        let mut head = self.head(whom, Some(before.len() + message_bytes + after.len()));
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(before.as_bytes());
        Template { before: head, after: after.as_bytes().to_vec() }
    }

    /// The head without its end.
    fn head(&self, whom: Whom<'_>, body_bytes: Option<usize>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, whom.fill(&self.path));
        if !self.headers.contains_key(HOST) {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {}\r\n", whom.fill(value)));
        }
        if let Some(length) = body_bytes.or((self.method != "GET").then_some(0)) {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.into_bytes()
    }
}

impl Whom<'_> {
    fn fill(&self, text: &str) -> String {
        text.replace("{channel}", self.channel).replace("{listener}", self.listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOM: Whom<'_> = Whom { channel: "c", listener: "l" };

    fn request(method: &str, body: Option<&str>) -> Request {
        Request {
            method: method.into(),
            path: "/{channel}/{listener}".into(),
            port_offset: 0,
            headers: BTreeMap::from([("Accept".into(), "*/*".into())]),
            body: body.map(str::to_owned),
        }
    }

    #[test]
    fn a_request_says_whom_it_is_about_and_how_long_it_is() {
        let bytes = request("GET", None).bytes(WHOM, Some(("Last-Event-ID", b"e-7")));
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "GET /c/l HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nLast-Event-ID: e-7\r\n\r\n");
        let template = request("POST", Some("[{message}, \"{channel}\"]")).template(WHOM, 10);
        let text = String::from_utf8([template.before, vec![b'm'; 10], template.after].concat()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with("Content-Length: 17"), "{head}");
        assert_eq!(body, "[mmmmmmmmmm, \"c\"]");
    }

    #[test]
    fn a_dialect_goes_to_any_host_and_below_any_path() {
        let publish = serde_json::json!({"method": "POST", "path": "/p", "body": "{message}"});
        let subscribe = serde_json::json!({"method": "GET", "path": "/s"});
        let dialect = serde_json::json!({
            "title": "t", "clean_up": [{"method": "DELETE", "path": "/d"}], "subscribe": subscribe,
            "publish": publish, "data": "{message}", "listener": {"subscribe": subscribe}
        });
        let dialect = Dialect::parse(&dialect.to_string()).unwrap().at("example.org:81", "/below");
        let listener = dialect.listener.as_ref().unwrap().subscribe.as_ref().unwrap();
        for request in [&dialect.clean_up[0], dialect.subscribe.as_ref().unwrap(), &dialect.publish, listener]
        {
            let text = String::from_utf8(request.bytes(WHOM, None)).unwrap();
            assert!(text.contains(" /below/") && text.contains("\r\nHost: example.org:81\r\n"), "{text}");
            assert!(!text.contains("localhost"), "{text}");
        }
    }

    #[test]
    fn a_dialect_that_could_not_be_spoken_is_refused() {
        let dialect = |data: &str, body: &str| {
            let publish = serde_json::json!({"method": "POST", "path": "/", "body": body});
            let subscribe = serde_json::json!({"method": "GET", "path": "/"});
            let dialect = serde_json::json!({
                "title": "t", "subscribe": subscribe, "publish": publish, "data": data
            });
            Dialect::parse(&dialect.to_string())
        };
        assert_eq!(dialect("<{message}>", "{message}").unwrap().data_around(), ("<", ">"));
        assert!(dialect("nothing", "{message}").is_err());
        assert!(dialect("{message}", "nothing").is_err());
    }
}
