//! Listeners: add, show, list, remove, acknowledge.

use eric_sse::{ChannelId, ListenerId, ListenerOrder, Position};
use reqwest::{Method, Url};

use super::HttpClient;
use super::channels::Paging;
use crate::answer::{Listener, ListenerBody, ListenerIdBody, ListenersBody, Page};
use crate::error::Error;

impl HttpClient {
    pub(crate) fn listener_route(&self, channel: &ChannelId, listener: &ListenerId, what: &[&str]) -> Url {
        let segments = ["channels", channel.as_str(), "listeners", listener.as_str()];
        self.route(&[&segments, what].concat())
    }

    /// Adds a listener with an id of the hub's choice; such a one is removed when it has been away for long.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code), and whatever a request may end with.
    ///
    /// # Cancel safety
    /// If dropped, or where it fails without an answer, a listener may be there of which nobody knows the id.
    ///
    /// ```
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let listener = hub.add_listener(&news).await?;
    /// assert_eq!(listener.as_str().len(), 36, "a UUID");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn add_listener(&self, channel: &ChannelId) -> Result<ListenerId, Error> {
        let url = self.route(&["channels", channel.as_str(), "listeners"]);
        Ok(self.send(self.request(Method::POST, url)).await?.read::<ListenerIdBody>()?.listener_id)
    }

    /// Adds a listener; one that is there keeps its queue. True where it was added.
    ///
    /// # Errors
    /// As [`HttpClient::add_listener`].
    ///
    /// # Cancel safety
    /// If dropped, the listener may or may not have been added; doing it again does no harm.
    ///
    /// ```
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let alice = "alice".parse()?;
    /// assert!(hub.ensure_listener(&news, &alice).await?);
    /// assert!(!hub.ensure_listener(&news, &alice).await?, "she is there already");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn ensure_listener(&self, channel: &ChannelId, listener: &ListenerId) -> Result<bool, Error> {
        let url = self.listener_route(channel, listener, &[]);
        let answer = self.send(self.request(Method::PUT, url)).await?;
        answer.read::<ListenerIdBody>()?;
        Ok(answer.is_created())
    }

    /// Returns a listener as it is now.
    ///
    /// # Errors
    /// [`Code::UnknownChannel`](crate::Code), [`Code::UnknownListener`](crate::Code), and whatever a request may end
    /// with.
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let listener = hub.listener(&news, &bob).await?;
    /// assert_eq!((listener.backlog, listener.is_connected), (0, false));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn listener(&self, channel: &ChannelId, listener: &ListenerId) -> Result<Listener, Error> {
        let url = self.listener_route(channel, listener, &[]);
        Ok(self.send(self.request(Method::GET, url)).await?.read::<ListenerBody>()?.into())
    }

    /// Lists the listeners of a channel.
    ///
    /// # Errors
    /// [`Code::UnknownListener`](crate::Code) where the one to go on after is gone: begin again. Else as
    /// [`HttpClient::listener`].
    ///
    /// # Cancel safety
    /// Nothing is changed.
    ///
    /// ```
    /// # use eric_client::{ListenerOrder, Message, Paging};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.ensure_listener(&news, &"alice".parse()?).await?;
    /// hub.dispatch(&news, &bob, Message::of("note", "for bob")?).await?;
    /// // Who has most to do comes first.
    /// let slowest = hub.listeners(&news, &Paging::default(), ListenerOrder::Backlog).await?;
    /// assert_eq!(slowest.items[0].id, bob);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn listeners(
        &self,
        channel: &ChannelId,
        page: &Paging<ListenerId>,
        order: ListenerOrder,
    ) -> Result<Page<Listener, ListenerId>, Error> {
        let mut url = self.route(&["channels", channel.as_str(), "listeners"]);
        let sort = match order {
            ListenerOrder::Age => "age",
            ListenerOrder::Backlog => "backlog",
        };
        url.query_pairs_mut().extend_pairs(page.query()).append_pair("sort", sort);
        Ok(self.send(self.request(Method::GET, url)).await?.read::<ListenersBody>()?.into())
    }

    /// Removes a listener with its queue; its stream ends.
    ///
    /// # Errors
    /// As [`HttpClient::listener`], also where an earlier attempt without an answer has removed it.
    ///
    /// # Cancel safety
    /// If dropped, the listener may or may not have been removed.
    ///
    /// ```
    /// # use eric_client::Code;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// hub.remove_listener(&news, &bob).await?;
    /// let gone = hub.listener(&news, &bob).await.unwrap_err();
    /// assert_eq!(gone.code(), Some(Code::UnknownListener));
    /// # Ok(())
    /// # });
    /// ```
    pub async fn remove_listener(&self, channel: &ChannelId, listener: &ListenerId) -> Result<(), Error> {
        let url = self.listener_route(channel, listener, &[]);
        self.send(self.request(Method::DELETE, url)).await.map(drop)
    }

    /// Acknowledges a message and all before it. What fails for a while is tried again by the client's
    /// [`RetryPolicy`](crate::RetryPolicy).
    ///
    /// # Errors
    /// [`Code::Conflict`](crate::Code) where the position is beyond the newest message, or of another epoch. Else as
    /// [`HttpClient::listener`].
    ///
    /// # Cancel safety
    /// If dropped, it may or may not have been acknowledged; doing it again does no harm.
    ///
    /// ```
    /// # use eric_client::Message;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let taken = hub.broadcast(&news, Message::of("tick", &7)?).await?;
    /// hub.ack(&news, &bob, taken.id).await?;
    /// assert_eq!(hub.listener(&news, &bob).await?.backlog, 0);
    /// # Ok(())
    /// # });
    /// ```
    pub async fn ack(&self, channel: &ChannelId, listener: &ListenerId, id: Position) -> Result<(), Error> {
        let url = self.listener_route(channel, listener, &["ack"]);
        let body = format!(r#"{{"id":"{id}"}}"#);
        self.send_again(self.request(Method::POST, url).body(body)).await.map(drop)
    }
}
