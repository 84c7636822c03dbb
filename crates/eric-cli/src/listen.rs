//! `eric listen` and `eric watch`: messages as they come, over every cut connection and restart of the hub.

use std::io;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use eric_client::{
    Ack, ChannelId, EndReason, Event, Events, Frames, HttpClient, ListenerId, Position, ReadFrom,
    SettingsPatch, Slow, SubscribeOptions, WatchOptions,
};
use futures_util::{FutureExt as _, StreamExt as _};

use crate::output::{Output, Printed};
use crate::target::{Door, Target, beyond_the_socket};
use crate::{Failure, block_on};

/// Messages that are printed before they are acknowledged, where more of them are there at once.
const ACK_MESSAGES: u64 = 100;

/// Prints the messages of a listener, and goes on until it is told to stop
///
/// Examples:
///   eric listen news bob --create
///   eric listen jobs worker --ack | while read -r job; do handle "$job"; done
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Listen {
    /// The channel.
    channel: ChannelId,
    /// The listener.
    listener: ListenerId,
    /// Makes the channel and the listener where they are not there.
    #[arg(long)]
    create: bool,
    /// Acknowledges a message when it was printed, instead of when it was received.
    #[arg(long)]
    ack: bool,
    #[command(flatten)]
    how: How,
}

/// Prints what is broadcast on a channel, and leaves no trace.
///
/// Example: eric watch news --after earliest
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The channel.
    channel: ChannelId,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Begins after this message, or at the `earliest` or `latest`.
    #[arg(long, value_name = "ID")]
    after: Option<ReadFrom>,
    /// What happens where messages are printed slower than they come: `spill` loses nothing that the channel keeps,
    /// `drop` and `latest` leave broadcasts out and say how many, `disconnect` begins again.
    #[arg(long, value_name = "WHAT", default_value = "spill", hide_default_value = true, value_parser = slow())]
    slow: Slow,
    /// Ends after so many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Gives up when the hub has been away for so long; it is waited for for ever otherwise.
    #[arg(long, value_name = "SECONDS")]
    give_up_after: Option<u64>,
    #[command(flatten)]
    target: Target,
}

/// The names of [`Slow`].
fn slow() -> impl TypedValueParser<Value = Slow> {
    let names = PossibleValuesParser::new(Slow::ALL.map(Slow::name));
    names.map(|name| Slow::named(&name).expect("it is one of them"))
}

impl How {
    fn is_beyond_the_socket(&self) -> bool {
        self.after.is_some() || self.slow != Slow::default()
    }

    fn give_up_after(&self) -> Option<Duration> {
        self.give_up_after.map(Duration::from_secs)
    }
}

impl Listen {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let door = self.how.target.door()?;
        block_on(until_stopped(async move {
            match door {
                Door::Http(hub) => self.over_http(hub).await,
                Door::Socket(hub) => {
                    if self.create || self.ack || self.how.is_beyond_the_socket() {
                        return Err(beyond_the_socket("--create, --ack, --after or --slow"));
                    }
                    let frames = hub.stream_with_ids(&self.channel, &self.listener).await?;
                    print_frames(frames, self.how.count).await
                }
            }
        }))
    }

    async fn over_http(self, hub: HttpClient) -> Result<(), Failure> {
        let Self { channel, listener, create, ack, how } = self;
        if create {
            hub.ensure_channel(&channel, &SettingsPatch::default()).await?;
            hub.ensure_listener(&channel, &listener).await?;
        }
        let options = SubscribeOptions {
            after: how.after.unwrap_or_default(),
            ack: if ack { Ack::Manual } else { Ack::Auto },
            slow: how.slow,
            give_up_after: how.give_up_after(),
            ..SubscribeOptions::default()
        };
        let events = hub.subscribe(&channel, &listener, options);
        let acknowledge = async |position: Position| hub.ack(&channel, &listener, position).await;
        print_events(events, how.count, ack.then_some(acknowledge)).await
    }
}

impl Watch {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self { channel, how } = self;
        let door = how.target.door()?;
        block_on(until_stopped(async move {
            match door {
                Door::Http(hub) => {
                    let options = WatchOptions {
                        after: how.after.unwrap_or_default(),
                        slow: how.slow,
                        give_up_after: how.give_up_after(),
                    };
                    let events = hub.watch(&channel, options);
                    print_events(events, how.count, None::<NoAck>).await
                }
                Door::Socket(hub) => {
                    if how.is_beyond_the_socket() {
                        return Err(beyond_the_socket("--after or --slow"));
                    }
                    print_frames(hub.watch_with_ids(&channel).await?, how.count).await
                }
            }
        }))
    }
}

type NoAck = fn(Position) -> std::future::Ready<eric_client::Result<()>>;

/// Runs `listening` until it ends, or a signal asks for the end.
async fn until_stopped(listening: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let stopped = async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    };
    tokio::select! {
        listened = listening => listened,
        stopped = stopped => Ok(stopped?),
    }
}

/// Prints messages, and says on standard error what happens to the connection. What was printed is acknowledged.
async fn print_events<A: Future<Output = eric_client::Result<()>>>(
    mut events: Events,
    count: Option<u64>,
    acknowledge: Option<impl Fn(Position) -> A>,
) -> Result<(), Failure> {
    let mut output = Output::new();
    let (mut printed, mut owed) = (0, None);
    while count.is_none_or(|count| printed < count) {
        let is_due = printed % ACK_MESSAGES == 0;
        let event = match events.next().now_or_never() {
            Some(event) if !is_due => event,
            ready => {
                if !settle(&mut output, &mut owed, acknowledge.as_ref()).await? {
                    return Ok(());
                }
                match ready {
                    Some(event) => event,
                    None => events.next().await,
                }
            }
        };
        match event {
            Some(Ok(Event::Message(message))) => {
                if is_closed(output.received(&message))? {
                    return Ok(());
                }
                printed += 1;
                owed = Some(message.id);
            }
            Some(Ok(Event::Gap(gap))) => {
                let missed = gap.missed.map_or("some".to_owned(), |missed| missed.to_string());
                eprintln!("missed {missed} messages: {}", gap.reason);
            }
            Some(Ok(Event::Connected)) => eprintln!("connected"),
            Some(Ok(Event::Disconnected { error, retry_in })) => {
                eprintln!("disconnected: {error}; again in {:.1} s", retry_in.as_secs_f64());
            }
            Some(Ok(Event::Ended(reason))) => {
                settle(&mut output, &mut owed, acknowledge.as_ref()).await?;
                return Err(Failure::Failed(match reason {
                    EndReason::Replaced => anyhow!("another stream of the listener took over"),
                    EndReason::Removed => anyhow!("the listener or its channel was removed"),
                    reason => anyhow!("the stream ended: {reason:?}"),
                }));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                settle(&mut output, &mut owed, acknowledge.as_ref()).await?;
                return Err(error.into());
            }
            None => break,
        }
    }
    settle(&mut output, &mut owed, acknowledge.as_ref()).await?;
    Ok(())
}

/// Lets what was printed leave, and acknowledges it then; false where nobody reads any more.
async fn settle<A: Future<Output = eric_client::Result<()>>>(
    output: &mut Output,
    owed: &mut Option<Position>,
    acknowledge: Option<&impl Fn(Position) -> A>,
) -> Result<bool, Failure> {
    if is_closed(output.flush())? {
        return Ok(false);
    }
    if let (Some(position), Some(acknowledge)) = (owed.take(), acknowledge) {
        acknowledge(position).await?;
    }
    Ok(true)
}

/// Whether standard output was closed, as `head` does; other failures are failures.
fn is_closed(printed: io::Result<()>) -> Result<bool, Failure> {
    match printed {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(error.into()),
    }
}

async fn print_frames(mut frames: Frames, count: Option<u64>) -> Result<(), Failure> {
    let mut output = Output::new();
    let mut printed = 0;
    while count.is_none_or(|count| printed < count) {
        let Some(frame) = frames.next().await else {
            return Err(Failure::Failed(anyhow!("the hub ended the stream")));
        };
        let frame = frame?;
        let id = frame.id.map(|id| id.to_string());
        let message = Printed {
            id: id.as_deref(),
            kind: &frame.event,
            payload: &frame.data,
            message_id: frame.message_id.as_deref(),
            sender_id: frame.sender_id.as_deref(),
        };
        if is_closed(output.message(&message).and_then(|()| output.flush()))? {
            return Ok(());
        }
        printed += 1;
    }
    Ok(())
}
