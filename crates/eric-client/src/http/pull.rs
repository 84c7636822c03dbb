//! Pulling: a listener's messages a page at a time, for workers that want a queue and no stream.

use std::time::Duration;

use eric_sse::{ChannelId, Conflict, ListenerId, Position};
use reqwest::Method;

use super::HttpClient;
use crate::answer::{PullBody, Pulled};
use crate::error::Error;
use crate::limits::ANSWER_S;

/// What to pull.
///
/// ```
/// use eric_client::{Conflict, PullOptions};
///
/// assert_eq!(PullOptions::default().conflict, Conflict::Refuse);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// Messages, 1 to 1,000; 100 where it is not said.
    pub limit: Option<usize>,
    /// How long to wait for the first message, in whole seconds, at most a minute.
    pub wait: Duration,
    /// What is in work: what to pull is after it. The cursor stays.
    pub after: Option<Position>,
    /// What to do where the listener has a live stream or pull.
    pub conflict: Conflict,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self { limit: None, wait: Duration::ZERO, after: None, conflict: Conflict::Refuse }
    }
}

impl HttpClient {
    /// Returns the oldest messages that a listener has not acknowledged, and waits for the first where there is none.
    ///
    /// # Errors
    /// [`Code::Conflict`](crate::Code) where another reads, or took over meanwhile. Else as
    /// [`HttpClient::listener`].
    ///
    /// # Cancel safety
    /// Nothing is changed: what was not acknowledged comes again.
    ///
    /// ```
    /// # use eric_client::{Message, PullOptions};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.dispatch_lines(&news, &bob, &[Message::of("job", &1)?, Message::of("job", &2)?]).await?;
    /// let first = PullOptions { limit: Some(1), ..PullOptions::default() };
    /// let job = hub.pull(&news, &bob, &first).await?.messages.remove(0);
    /// // What is not acknowledged comes again, unless it is said to be in work.
    /// let next = PullOptions { after: Some(job.id), ..PullOptions::default() };
    /// assert_eq!(hub.pull(&news, &bob, &next).await?.messages[0].payload, "2");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn pull(
        &self,
        channel: &ChannelId,
        listener: &ListenerId,
        options: &PullOptions,
    ) -> Result<Pulled, Error> {
        let PullOptions { limit, wait, after, conflict } = options;
        let mut url = self.listener_route(channel, listener, &["messages"]);
        let conflict = match conflict {
            Conflict::Refuse => "refuse",
            Conflict::Replace => "replace",
        };
        // In one expression: what builds a query cannot go from thread to thread, and is not to be there while waiting.
        url.query_pairs_mut()
            .append_pair("wait_s", &wait.as_secs().to_string())
            .append_pair("conflict", conflict)
            .extend_pairs(limit.map(|limit| ("limit", limit.to_string())))
            .extend_pairs(after.map(|after| ("after", after.to_string())));
        let due = Duration::from_secs(ANSWER_S) + *wait;
        let request = self.request(Method::GET, url).timeout(due);
        Ok(self.send(request).await?.read::<PullBody>()?.into())
    }
}
