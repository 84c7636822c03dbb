//! `eric channel`: make, list, show, set, remove.

use clap::{Args, Subcommand};
use eric_client::{Channel, ChannelId, Paging, SettingsPatch};
use eric_protocol::settings::patch;
use serde_json::{Map, Value, json};

use crate::output::Output;
use crate::target::{Door, Target, beyond_the_socket};
use crate::{Failure, block_on};

/// Makes, lists, shows, changes and removes channels.
#[derive(Debug, Args)]
pub(crate) struct ChannelCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Makes a channel, or changes the settings that are given of one that is there.
    ///
    /// Example: eric channel create news max_messages=1000
    Create {
        /// Its id; one is generated if there is none.
        channel: Option<ChannelId>,
        /// Settings, such as `retry_ms=1000` or `overflow=reject`.
        #[arg(value_name = "SETTING=VALUE", value_parser = setting)]
        settings: Vec<(String, Value)>,
        #[command(flatten)]
        target: Target,
    },
    /// Lists channels, oldest first.
    List {
        /// Channels at most.
        #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
        limit: usize,
        #[command(flatten)]
        target: Target,
    },
    /// Shows a channel.
    Show {
        /// Its id.
        channel: ChannelId,
        #[command(flatten)]
        target: Target,
    },
    /// Changes settings of a channel.
    ///
    /// Example: eric channel set news history=0
    Set {
        /// Its id.
        channel: ChannelId,
        /// What to change.
        #[arg(required = true, value_name = "SETTING=VALUE", value_parser = setting)]
        settings: Vec<(String, Value)>,
        #[command(flatten)]
        target: Target,
    },
    /// Removes a channel with everything it keeps; its streams end.
    Remove {
        /// Its id.
        channel: ChannelId,
        #[command(flatten)]
        target: Target,
    },
}

/// `name=value`, where a value that is no JSON is a text.
fn setting(argument: &str) -> Result<(String, Value), String> {
    let (name, value) = argument.split_once('=').ok_or("it is not SETTING=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

fn settings(given: Vec<(String, Value)>) -> Result<SettingsPatch, Failure> {
    let object = Value::Object(Map::from_iter(given));
    patch(&object.to_string()).map_err(|problem| Failure::Usage(problem.detail))
}

fn object(channel: &Channel) -> Value {
    json!({
        "id": channel.id.as_str(),
        "listeners": channel.listeners,
        "connected": channel.connected,
        "messages": channel.messages,
        "bytes": channel.bytes,
        "tail": channel.tail.map(|tail| tail.to_string()),
        "settings": channel.settings,
    })
}

impl ChannelCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        block_on(self.verb.run())
    }
}

impl Verb {
    async fn run(self) -> Result<(), Failure> {
        let mut output = Output::new();
        match self {
            Self::Create { channel, settings: given, target } => match target.door()? {
                Door::Socket(hub) => {
                    if channel.is_some() || !given.is_empty() {
                        return Err(beyond_the_socket("naming a channel or its settings"));
                    }
                    let id = hub.create_channel().await?;
                    output.done(&format!("channel {id}"), &json!({"id": id.as_str()}))?;
                }
                Door::Http(hub) => {
                    let patch = settings(given)?;
                    let channel = match channel {
                        Some(id) => hub.ensure_channel(&id, &patch).await?.0,
                        None => hub.create_channel(&patch).await?,
                    };
                    output.done(&format!("channel {}", channel.id), &object(&channel))?;
                }
            },
            Self::List { limit, target } => {
                let hub = target.http("listing channels")?;
                let (mut rows, mut after) = (Vec::new(), None);
                while rows.len() < limit {
                    let page = hub.channels(&Paging { after, ..Paging::default() }).await?;
                    rows.extend(page.items.iter().map(object));
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                rows.truncate(limit);
                output.rows(&["id", "listeners", "connected", "messages", "bytes", "tail"], &rows)?;
            }
            Self::Show { channel, target } => {
                let hub = target.http("showing a channel")?;
                output.object(&object(&hub.channel(&channel).await?))?;
            }
            Self::Set { channel, settings: given, target } => {
                let hub = target.http("changing settings")?;
                let patch = settings(given)?;
                // A channel that is not there is not made by changing it.
                hub.channel(&channel).await?;
                let (channel, _) = hub.ensure_channel(&channel, &patch).await?;
                output.done(&format!("channel {}", channel.id), &object(&channel))?;
            }
            Self::Remove { channel, target } => {
                match target.door()? {
                    Door::Http(hub) => hub.remove_channel(&channel).await?,
                    Door::Socket(hub) => hub.remove_channel(&channel).await?,
                }
                output.done(&format!("channel {channel} is gone"), &json!({"id": channel.as_str()}))?;
            }
        }
        Ok(output.flush()?)
    }
}
