//! What commands print: for people on a terminal, one JSON object a line for programs.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use comfy_table::{Table, presets};
use eric_client::Received;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

const DIM: Style = Style::new().dimmed();
const KIND: Style = AnsiColor::Cyan.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// Standard output, and who reads it.
pub(crate) struct Output {
    out: AutoStream<io::Stdout>,
    is_terminal: bool,
}

/// `{"id","type","payload","message_id"?,"sender_id"?}`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_id: Option<&'a str>,
}

/// A message as it is printed.
pub(crate) struct Printed<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) kind: &'a str,
    pub(crate) payload: &'a str,
    pub(crate) message_id: Option<&'a str>,
    pub(crate) sender_id: Option<&'a str>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { out: AutoStream::auto(io::stdout()), is_terminal: io::stdout().is_terminal() }
    }

    /// Whether people read it, and not a program.
    pub(crate) fn is_for_people(&self) -> bool {
        self.is_terminal
    }

    /// A message that the hub sent.
    pub(crate) fn received(&mut self, message: &Received) -> io::Result<()> {
        let id = message.id.to_string();
        self.message(&Printed {
            id: Some(&id),
            kind: &message.kind,
            payload: &message.payload,
            message_id: message.message_id.as_deref(),
            sender_id: message.sender_id.as_deref(),
        })
    }

    /// A message.
    pub(crate) fn message(&mut self, message: &Printed<'_>) -> io::Result<()> {
        let Printed { id, kind, payload, message_id, sender_id } = *message;
        if self.is_terminal {
            let sender = sender_id.map_or(String::new(), |sender| format!(" from {sender}"));
            let id = id.unwrap_or_default();
            return writeln!(self.out, "{DIM}{id}{DIM:#} {KIND}{kind}{KIND:#}{sender} {payload}");
        }
        let payload = serde_json::from_str(payload).map_err(io::Error::other)?;
        self.json(&Line { id, kind, payload, message_id, sender_id })
    }

    /// Something that was done: a sentence for people, an object for programs.
    pub(crate) fn done(&mut self, sentence: &str, object: &Value) -> io::Result<()> {
        match self.is_terminal {
            true => writeln!(self.out, "{GOOD}✓{GOOD:#} {sentence}"),
            false => self.json(object),
        }
    }

    /// What it came to: for programs; people are told otherwise.
    pub(crate) fn summary(&mut self, object: &Value) -> io::Result<()> {
        if self.is_terminal { Ok(()) } else { self.json(object) }
    }

    /// Rows: a table for people, with the fields `columns` of each; objects for programs.
    pub(crate) fn rows(&mut self, columns: &[&str], rows: &[Value]) -> io::Result<()> {
        if !self.is_terminal {
            return rows.iter().try_for_each(|row| self.json(row));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(columns.iter().map(|column| column.replace('_', " ")));
        for row in rows {
            table.add_row(columns.iter().map(|column| cell(&row[*column])));
        }
        writeln!(self.out, "{table}")
    }

    /// One thing: its fields below one another for people, an object for programs.
    pub(crate) fn object(&mut self, object: &Value) -> io::Result<()> {
        let fields = object.as_object().filter(|_| self.is_terminal);
        let Some(fields) = fields else { return self.json(object) };
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (name, value) in fields {
            match value.as_object() {
                Some(inner) => {
                    for (name, value) in inner {
                        table.add_row([name.clone(), cell(value)]);
                    }
                }
                None => {
                    table.add_row([name.clone(), cell(value)]);
                }
            }
        }
        writeln!(self.out, "{table}")
    }

    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// What was printed leaves.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}
