//! What comes in paths, queries and headers, as values that cannot be wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use eric_protocol::Problem;
use eric_protocol::api::Detail;
use eric_sse::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use eric_sse::{ChannelId, ListenerId, Position};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::LAST_EVENT_ID;
use super::problem::Refusal;

/// The channel of a path.
pub(super) struct InChannel(pub(super) ChannelId);

/// The channel and the listener of a path.
pub(super) struct OfListener(pub(super) ChannelId, pub(super) ListenerId);

impl<S: Send + Sync> FromRequestParts<S> for InChannel {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(channel) = Path::<String>::from_request_parts(parts, state).await.map_err(malformed_path)?;
        Ok(Self(channel.parse()?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfListener {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((channel, listener)) = path.map_err(malformed_path)?;
        Ok(Self(channel.parse()?, listener.parse()?))
    }
}

fn malformed_path(rejection: impl std::fmt::Display) -> Refusal {
    Problem::bad_request(format!("path: {rejection}")).into()
}

/// The parameters of a query: each may be given once; those that nobody asks for are ignored.
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(pairs)| Self(pairs))
            .map_err(|rejection| Problem::bad_request(format!("query: {rejection}")).into())
    }
}

impl Query {
    /// The value of `name`, if it is given.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::bad_request(format!("{name} is given more than once"))),
            (value, None) => Ok(value),
        }
    }

    /// The last value of `name`, if it is given: what the eric-api routes go by.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The last value of `name`; none, and the fault told, where it is missing or empty.
    pub(super) fn required(&self, name: &str, faults: &mut Vec<Detail>) -> Option<&str> {
        match self.last(name) {
            None => faults.push(Detail::missing_parameter(name)),
            Some("") => faults.push(Detail::empty_parameter(name)),
            given => return given,
        }
        None
    }

    /// The value of `name` as a `T`, if it is given.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let parse =
            |value: &str| value.parse().map_err(|error| Problem::bad_request(format!("{name}: {error}")));
        self.text(name)?.map(parse).transpose()
    }

    /// The value of `name`, which is one of `choices`; the first where it is not given.
    pub(super) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, Problem> {
        let Some(value) = self.text(name)? else { return Ok(choices[0].1) };
        let chosen = choices.iter().find(|(choice, _)| *choice == value).map(|(_, chosen)| *chosen);
        chosen.ok_or_else(|| {
            let allowed: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            Problem::bad_request(format!("{name}={value} is not one of {}", allowed.join(", ")))
        })
    }

    /// The rows of a page.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        self.number("limit", PAGE_ROWS_DEFAULT, 1..=PAGE_ROWS_MAX)
    }

    /// The value of `name`, a number of `allowed`; `default` where it is not given.
    pub(super) fn number<T: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        default: T,
        allowed: RangeInclusive<T>,
    ) -> Result<T, Problem> {
        let Some(value) = self.text(name)? else { return Ok(default) };
        let number = value.parse().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| {
            Problem::bad_request(format!("{name}={value} is not {} to {}", allowed.start(), allowed.end()))
        })
    }
}

/// The position of the last event that a client received. An empty one is what a client sends that has none.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let id = header(headers, &LAST_EVENT_ID)?.filter(|id| !id.is_empty());
    id.map(str::parse).transpose().map_err(|error| Problem::bad_request(format!("Last-Event-ID: {error}")))
}

/// The text of a header that may be given once.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request(format!("header {name} is given more than once")));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| Problem::bad_request(format!("header {name} is not UTF-8")))
}
