//! Reading one connection, as pure decisions: bytes in, what they tell out.

use std::time::Duration;

use eric_sse::Position;
use eric_sse::sse::parse::{self, Item, Parser};
use serde::de::DeserializeOwned;

use super::EndReason;
use crate::answer::{Envelope, Gap, GapBody, Received};
use crate::error::Error;
use crate::limits::EVENT_BYTES_MAX;

/// What is told.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// The stream begins here.
    At(Position),
    Message(Received),
    Gap(Gap),
    /// Reconnect after this.
    Retry(Duration),
    Ended(EndReason),
    /// The hub stops.
    Shutdown,
}

/// One connection that is being read, from its beginning.
#[derive(Debug)]
pub(super) struct Reading {
    parser: Parser,
    items: Vec<Item>,
    /// Whether an id has come.
    has_id: bool,
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { parser: Parser::new(EVENT_BYTES_MAX), items: Vec::new(), has_id: false }
    }

    /// Takes the next bytes and adds what they tell to `told`, as far as they are what they should be.
    pub(super) fn feed(&mut self, bytes: &[u8], told: &mut Vec<Told>) -> Result<(), Error> {
        let outcome = self.parser.feed(bytes, &mut self.items);
        for item in self.items.drain(..) {
            match item {
                Item::Event(event) => {
                    // What has an id says where the stream is, whatever it is.
                    if !self.has_id && !event.id.is_empty() && event.kind.starts_with("eric.") {
                        self.has_id = true;
                        told.push(Told::At(position(&event.id)?));
                    }
                    self.has_id |= !event.id.is_empty();
                    told.extend(read(event)?);
                }
                Item::RetryMs(retry) => told.push(Told::Retry(Duration::from_millis(retry))),
                Item::Comment(_) => {}
            }
        }
        if !self.has_id && !self.parser.last_id().is_empty() {
            self.has_id = true;
            told.push(Told::At(position(self.parser.last_id())?));
        }
        outcome.map_err(|error| Error::malformed(error.to_string()).caused_by(error))
    }
}

/// What an event tells; nothing where it is the hub's own and of a kind that this client does not know.
fn read(event: parse::Event) -> Result<Option<Told>, Error> {
    Ok(Some(match event.kind.as_str() {
        "eric.gap" => Told::Gap(json::<GapBody>(&event)?.into()),
        "eric.replaced" => Told::Ended(EndReason::Replaced),
        "eric.removed" => Told::Ended(EndReason::Removed),
        "eric.shutdown" => Told::Shutdown,
        kind if kind.starts_with("eric.") => return Ok(None),
        _ => Told::Message(json::<Envelope>(&event)?.at(position(&event.id)?)),
    }))
}

fn position(id: &str) -> Result<Position, Error> {
    id.parse().map_err(|error: eric_sse::Error| {
        Error::malformed(format!("event id={id} is no position")).caused_by(error)
    })
}

fn json<T: DeserializeOwned>(event: &parse::Event) -> Result<T, Error> {
    serde_json::from_str(&event.data).map_err(|error| {
        Error::malformed(format!("event id={} is not in a hub's words", event.id)).caused_by(error)
    })
}
