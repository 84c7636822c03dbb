//! Channels: make, show, list, remove, and what they keep.

use eric_sse::lane::Overflow;
use eric_sse::{ChannelId, Position, SettingsPatch};
use reqwest::Method;
use serde::Serialize;

use super::HttpClient;
use crate::answer::{Channel, ChannelBody, ChannelsBody, HistoryBody, Page, Received};
use crate::error::Error;

/// Which page of a listing; the first of the hub's length unless it says otherwise.
///
/// ```
/// use eric_client::Paging;
///
/// let page: Paging<eric_client::ChannelId> = Paging { limit: Some(10), ..Paging::default() };
/// assert_eq!(page.after, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging<T> {
    /// Rows, 1 to 1,000.
    pub limit: Option<usize>,
    /// The row to go on after: what the last page called `next`.
    pub after: Option<T>,
}

impl<T> Default for Paging<T> {
    fn default() -> Self {
        Self { limit: None, after: None }
    }
}

impl<T: ToString> Paging<T> {
    pub(super) fn query(&self) -> impl Iterator<Item = (&'static str, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        limit.into_iter().chain(self.after.as_ref().map(|after| ("after", after.to_string())))
    }
}

impl HttpClient {
    /// Makes a channel, or changes one that is there as `settings` says. True with a channel that was made.
    ///
    /// # Errors
    /// [`Code::BadRequest`](crate::Code) for settings out of range, and whatever a request may end with.
    ///
    /// # Cancel safety
    /// If dropped, the channel may or may not have been made or changed; doing it again does no harm.
    ///
    /// ```
    /// # use eric_client::SettingsPatch;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let patch = SettingsPatch { retry_ms: Some(500), ..SettingsPatch::default() };
    /// let (channel, is_new) = hub.ensure_channel(&news, &patch).await?;
    /// assert_eq!((&channel.settings["retry_ms"], is_new), (&500.into(), false));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn ensure_channel(
        &self,
        id: &ChannelId,
        settings: &SettingsPatch,
    ) -> Result<(Channel, bool), Error> {
        let request = self.request(Method::PUT, self.route(&["channels", id.as_str()]));
        let answer = self.send(request.body(patch(settings))).await?;
        Ok((answer.read::<ChannelBody>()?.into(), answer.is_created()))
    }

    /// Makes a channel with an id of the hub's choice.
    ///
    /// # Errors
    /// As [`HttpClient::ensure_channel`].
    ///
    /// # Cancel safety
    /// If dropped, or where it fails without an answer, a channel may be there of which nobody knows the id.
    ///
    /// ```
    /// # use eric_client::SettingsPatch;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let talk = hub.create_channel(&SettingsPatch::default()).await?;
    /// assert_eq!(talk.id.as_str().len(), 36, "a UUID");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn create_channel(&self, settings: &SettingsPatch) -> Result<Channel, Error> {
        let request = self.request(Method::POST, self.route(&["channels"]));
        Ok(self.send(request.body(patch(settings))).await?.read::<ChannelBody>()?.into())
    }

    /// Returns a channel as it is now.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code), and whatever a request may end with.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// assert_eq!(hub.channel(&news).await?.listeners, 1);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn channel(&self, id: &ChannelId) -> Result<Channel, Error> {
        let request = self.request(Method::GET, self.route(&["channels", id.as_str()]));
        Ok(self.send(request).await?.read::<ChannelBody>()?.into())
    }

    /// Lists channels, oldest first.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code) where the one to go on after is gone: begin again.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # use eric_client::{Paging, SettingsPatch};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let sports = "sports".parse()?;
    /// hub.ensure_channel(&sports, &SettingsPatch::default()).await?;
    /// let rest = Paging { after: Some(news), ..Paging::default() };
    /// assert_eq!(hub.channels(&rest).await?.items[0].id, sports);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn channels(&self, page: &Paging<ChannelId>) -> Result<Page<Channel, ChannelId>, Error> {
        let mut url = self.route(&["channels"]);
        url.query_pairs_mut().extend_pairs(page.query());
        Ok(self.send(self.request(Method::GET, url)).await?.read::<ChannelsBody>()?.into())
    }

    /// Removes a channel with its listeners; their streams end.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code), also where an earlier attempt without an answer has removed it.
    ///
    /// # Cancel safety
    /// If dropped, the channel may or may not have been removed.
    ///
    /// ```
    /// # use eric_client::Code;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.remove_channel(&news).await?;
    /// let again = hub.remove_channel(&news).await.unwrap_err();
    /// assert_eq!(again.code(), Some(Code::UnknownChannel));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn remove_channel(&self, id: &ChannelId) -> Result<(), Error> {
        self.send(self.request(Method::DELETE, self.route(&["channels", id.as_str()]))).await.map(drop)
    }

    /// Lists the broadcasts that a channel keeps, oldest first. A page ends early after 256 KiB.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code); [`Code::Conflict`](crate::Code) where the position to go on after is of
    /// an epoch that ended.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # use eric_client::{Message, Paging};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.broadcast(&news, Message::of("tick", &7)?).await?;
    /// hub.dispatch(&news, &bob, Message::of("note", "for bob alone")?).await?;
    /// let kept = hub.history(&news, &Paging::default()).await?;
    /// assert_eq!((kept.items.len(), kept.next), (1, None));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn history(
        &self,
        id: &ChannelId,
        page: &Paging<Position>,
    ) -> Result<Page<Received, Position>, Error> {
        let mut url = self.route(&["channels", id.as_str(), "messages"]);
        url.query_pairs_mut().extend_pairs(page.query());
        Ok(self.send(self.request(Method::GET, url)).await?.read::<HistoryBody>()?.into())
    }
}

/// What is set, and nothing else.
#[derive(Serialize)]
struct PatchBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_unread_per_listener: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_unread_bytes_per_listener: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_expires_s: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated_listener_expires_s: Option<Option<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overflow: Option<&'static str>,
}

fn patch(settings: &SettingsPatch) -> String {
    let body = PatchBody {
        retry_ms: settings.retry_ms,
        stream_delay_ms: settings.stream_delay_ms,
        max_messages: settings.max_messages,
        max_bytes: settings.max_bytes,
        max_age_s: settings.max_age_s,
        history: settings.history,
        max_unread_per_listener: settings.max_unread_per_listener,
        max_unread_bytes_per_listener: settings.max_unread_bytes_per_listener,
        listener_expires_s: settings.listener_expires_s,
        generated_listener_expires_s: settings.generated_listener_expires_s,
        overflow: settings.overflow.map(|overflow| match overflow {
            Overflow::DropOldest => "drop-oldest",
            Overflow::Reject => "reject",
        }),
    };
    serde_json::to_string(&body).expect("settings are JSON")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_set_is_read_by_the_hub_and_nothing_else(
            numbers: [Option<u64>; 8],
            expiries: [Option<Option<u64>>; 2],
            overflow: Option<bool>,
        ) {
            let settings = SettingsPatch {
                retry_ms: numbers[0],
                stream_delay_ms: numbers[1],
                max_messages: numbers[2],
                max_bytes: numbers[3],
                max_age_s: numbers[4],
                history: numbers[5],
                max_unread_per_listener: numbers[6],
                max_unread_bytes_per_listener: numbers[7],
                listener_expires_s: expiries[0],
                generated_listener_expires_s: expiries[1],
                overflow: overflow.map(|is_reject| if is_reject { Overflow::Reject } else { Overflow::DropOldest }),
            };
            prop_assert_eq!(eric_protocol::settings::patch(&patch(&settings)).unwrap(), settings);
        }
    }
}
