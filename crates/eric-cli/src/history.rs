//! `eric history`: what a channel keeps.

use clap::Args;
use eric_client::{ChannelId, Paging, Position};

use crate::output::Output;
use crate::target::Target;
use crate::{Failure, block_on};

/// Prints the broadcasts that a channel keeps, oldest first.
///
/// Example: eric history news --limit 10
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The channel.
    channel: ChannelId,
    /// Messages at most.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Only what is after this message.
    #[arg(long, value_name = "ID")]
    after: Option<Position>,
    #[command(flatten)]
    target: Target,
}

impl History {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Self { channel, limit, mut after, target } = self;
        let hub = target.http("reading what a channel keeps")?;
        block_on(async {
            let mut output = Output::new();
            let mut left = limit;
            while left > 0 {
                let page = hub.history(&channel, &Paging { after, ..Paging::default() }).await?;
                for message in page.items.iter().take(left) {
                    output.received(message)?;
                }
                left -= page.items.len().min(left);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            Ok(output.flush()?)
        })
    }
}
