//! What it means when a request has no answer.

use reqwest::Url;

use crate::error::Error;
use crate::limits::CONNECT_S;

/// The error of a request that failed, with what to do.
pub(super) fn failed(error: reqwest::Error, base: &Url) -> Error {
    let (error, shown) = (error.without_url(), shown(base));
    let text = match (error.is_connect(), error.is_timeout()) {
        (true, true) => format!("no connection to url={shown} within {CONNECT_S} s: is the hub running?"),
        (true, false) => {
            format!("no connection to url={shown}: {}: is the hub running?", root(&error))
        }
        (false, true) => format!("url={shown} did not answer in time"),
        (false, false) => format!("the connection to url={shown} broke: {}", root(&error)),
    };
    Error::unreachable(text).caused_by(error)
}

/// A URL without its password.
pub(super) fn shown(url: &Url) -> Url {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("…"));
    }
    url
}

/// What was there first.
fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
