//! `eric listener`: add, list, show, remove; and `eric ack`.

use clap::{Args, Subcommand, ValueEnum};
use eric_client::{ChannelId, Listener, ListenerId, ListenerOrder, Paging, Position};
use serde_json::{Value, json};

use crate::output::Output;
use crate::target::{Door, Target, beyond_the_socket};
use crate::{Failure, block_on};

/// Adds, lists, shows and removes listeners.
#[derive(Debug, Args)]
pub(crate) struct ListenerCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Adds a listener; one that is there keeps its queue.
    ///
    /// Example: eric listener create news bob
    Create {
        /// The channel.
        channel: ChannelId,
        /// Its id; one is generated if there is none.
        listener: Option<ListenerId>,
        #[command(flatten)]
        target: Target,
    },
    /// Lists the listeners of a channel.
    List {
        /// The channel.
        channel: ChannelId,
        /// In which order.
        #[arg(long, default_value = "age")]
        sort: Sort,
        /// Listeners at most.
        #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
        limit: usize,
        #[command(flatten)]
        target: Target,
    },
    /// Shows a listener: how far it got, and what waits for it.
    Show {
        /// The channel.
        channel: ChannelId,
        /// Its id.
        listener: ListenerId,
        #[command(flatten)]
        target: Target,
    },
    /// Removes a listener with its queue; its stream ends.
    Remove {
        /// The channel.
        channel: ChannelId,
        /// Its id.
        listener: ListenerId,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Sort {
    /// The oldest first.
    Age,
    /// The fullest queue first.
    Backlog,
}

/// Acknowledges everything up to a message for a listener.
///
/// Example: eric ack news bob 7f3a-42
#[derive(Debug, Args)]
pub(crate) struct Ack {
    /// The channel.
    channel: ChannelId,
    /// The listener.
    listener: ListenerId,
    /// The id of the last message that was handled.
    position: Position,
    #[command(flatten)]
    target: Target,
}

fn object(listener: &Listener) -> Value {
    json!({
        "listener_id": listener.id.as_str(),
        "cursor": listener.cursor.to_string(),
        "backlog": listener.backlog,
        "backlog_bytes": listener.backlog_bytes,
        "connected": listener.is_connected,
    })
}

impl Ack {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self { channel, listener, position, target } = self;
        let hub = target.http("acknowledging")?;
        block_on(async {
            hub.ack(&channel, &listener, position).await?;
            let mut output = Output::new();
            output.done(&format!("{listener} is at {position}"), &json!({"cursor": position.to_string()}))?;
            Ok(output.flush()?)
        })
    }
}

impl ListenerCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(self.verb.run())
    }
}

impl Verb {
    async fn run(self) -> Result<(), Failure> {
        let mut output = Output::new();
        match self {
            Self::Create { channel, listener, target } => {
                let id = match (target.door()?, listener) {
                    (Door::Http(hub), Some(id)) => {
                        hub.ensure_listener(&channel, &id).await?;
                        id
                    }
                    (Door::Http(hub), None) => hub.add_listener(&channel).await?,
                    (Door::Socket(hub), None) => hub.register(&channel).await?,
                    (Door::Socket(_), Some(_)) => return Err(beyond_the_socket("naming a listener")),
                };
                output.done(&format!("listener {id}"), &json!({"listener_id": id.as_str()}))?;
            }
            Self::List { channel, sort, limit, target } => {
                let hub = target.http("listing listeners")?;
                let order = match sort {
                    Sort::Age => ListenerOrder::Age,
                    Sort::Backlog => ListenerOrder::Backlog,
                };
                let (mut rows, mut after) = (Vec::new(), None);
                while rows.len() < limit {
                    let paging = Paging { after, ..Paging::default() };
                    let page = hub.listeners(&channel, &paging, order).await?;
                    rows.extend(page.items.iter().map(object));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                rows.truncate(limit);
                output.rows(&["listener_id", "backlog", "backlog_bytes", "cursor", "connected"], &rows)?;
            }
            Self::Show { channel, listener, target } => {
                let hub = target.http("showing a listener")?;
                output.object(&object(&hub.listener(&channel, &listener).await?))?;
            }
            Self::Remove { channel, listener, target } => {
                match target.door()? {
                    Door::Http(hub) => hub.remove_listener(&channel, &listener).await?,
                    Door::Socket(hub) => hub.remove_listener(&channel, &listener).await?,
                }
                output.done(
                    &format!("listener {listener} is gone"),
                    &json!({"listener_id": listener.as_str()}),
                )?;
            }
        }
        Ok(output.flush()?)
    }
}
