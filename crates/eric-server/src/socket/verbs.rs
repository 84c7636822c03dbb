//! The verbs of the socket: what each asks of the hub, and what is answered.

use eric_protocol::Exception;
use eric_protocol::socket::Request;
use eric_sse::{Channel, ChannelId, Error, Hub, ListenerId, ReadFrom, Subscribe};

use crate::manner::Manner;
use crate::session::{self, Handoff};

/// What a request is answered with.
pub(super) enum Reply {
    /// A text, and the end.
    Text(String),
    /// Lines, until there is a reason to end.
    Stream(Box<Handoff>),
}

/// Does what is asked for.
pub(super) async fn answer(hub: &Hub, request: Request) -> Result<Reply, Exception> {
    match request {
        Request::CreateChannel => {
            let settings = hub.channels().default_settings();
            let channel = hub.channels().create(ChannelId::generate(), settings).await;
            Ok(Reply::Text(channel.map_err(|error| Exception::new(&error, "", ""))?.id().to_string()))
        }
        Request::Register { channel } => {
            let named = Named::channel(hub, &channel)?;
            let connection = named.channel.add_listener().await.map_err(|error| named.refuse(&error))?;
            Ok(Reply::Text(connection.id().to_string()))
        }
        Request::Dispatch { channel, listener, message } => {
            let named = Named::channel(hub, &channel)?;
            let id = named.listener(&listener)?;
            let taken = named.channel.dispatch(&id, message).await;
            taken.map_err(|error| named.refuse_for(&error, &listener))?;
            Ok(acknowledged())
        }
        Request::Broadcast { channel, message } => {
            let named = Named::channel(hub, &channel)?;
            named.channel.broadcast(message).await.map_err(|error| named.refuse(&error))?;
            Ok(acknowledged())
        }
        Request::Listen { channel, listener, has_ids } => {
            let named = Named::channel(hub, &channel)?;
            let id = named.listener(&listener)?;
            let subscription = session::subscribe(&named.channel, &id, Subscribe::default()).await;
            let subscription = subscription.map_err(|error| named.refuse_for(&error, &listener))?;
            Ok(Reply::Stream(Box::new(Handoff {
                subscription: subscription.into(),
                manner: Manner::Lines { has_ids },
            })))
        }
        Request::Watch { channel, has_ids } => {
            let named = Named::channel(hub, &channel)?;
            let subscription = named.channel.watch(ReadFrom::Latest).map_err(|error| named.refuse(&error))?;
            Ok(Reply::Stream(Box::new(Handoff {
                subscription: subscription.into(),
                manner: Manner::Lines { has_ids },
            })))
        }
        Request::RemoveListener { channel, listener } => {
            let named = Named::channel(hub, &channel)?;
            let id = named.listener(&listener)?;
            let removed = named.channel.remove_listener(&id).await;
            removed.map_err(|error| named.refuse_for(&error, &listener))?;
            Ok(acknowledged())
        }
        Request::RemoveChannel { channel } => {
            let refuse = |error: Error| Exception::new(&error, &channel, "");
            let id: ChannelId = channel.parse().map_err(|_| Exception::unknown_channel(&channel))?;
            hub.channels().remove(&id).await.map_err(refuse)?;
            Ok(acknowledged())
        }
    }
}

fn acknowledged() -> Reply {
    Reply::Text("ack".to_owned())
}

/// A channel, and the name by which it was asked for.
struct Named<'a> {
    name: &'a str,
    channel: Channel,
}

impl<'a> Named<'a> {
    /// What cannot be an id is the name of nothing.
    fn channel(hub: &Hub, name: &'a str) -> Result<Self, Exception> {
        let id: ChannelId = name.parse().map_err(|_| Exception::unknown_channel(name))?;
        let channel = hub.channels().get(&id).map_err(|error| Exception::new(&error, name, ""))?;
        Ok(Self { name, channel })
    }

    fn listener(&self, name: &str) -> Result<ListenerId, Exception> {
        name.parse().map_err(|_| Exception::unknown_listener(name))
    }

    fn refuse(&self, error: &Error) -> Exception {
        Exception::new(error, self.name, "")
    }

    fn refuse_for(&self, error: &Error, listener: &str) -> Exception {
        Exception::new(error, self.name, listener)
    }
}
