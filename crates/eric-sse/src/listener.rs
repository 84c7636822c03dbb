//! Who receives on a channel.
//!
//! A [`Listener`] is the user's part: an id and a callback. Its [`Connection`](crate::Connection) is the hub's: the
//! listener bound to its queue, which can be started and stopped. Who only reads a stream needs no listener of its own:
//! an id is enough ([`Channel::ensure_listener`](crate::Channel::ensure_listener)).
//!
//! ```
//! # use eric_sse::Message;
//! use std::sync::Arc;
//! use eric_sse::listener::FnListener;
//!
//! # eric_testkit::example(async |_hub, news, _bob| {
//! let carol = FnListener::new("carol".parse()?, |message| Ok(println!("{}", message.payload().as_json())));
//! let carol = news.register_listener(Arc::new(carol)).await?;
//! carol.start();
//! news.broadcast(Message::of("headline", "Eric runs")?).await?;
//! let delivery = news.deliver_next(carol.id()).await?.expect("one waits");
//! assert!(delivery.failure().is_none());
//! # Ok(())
//! # });
//! ```

use std::any::Any;

use crate::id::ListenerId;
use crate::message::Message;
use crate::persist::Recipe;

/// What a callback fails with.
///
/// ```
/// use eric_sse::Message;
/// use eric_sse::listener::CallbackError;
///
/// let check = |message: &Message| -> Result<(), CallbackError> {
///     let number: u64 = message.payload().as_json().parse()?;
///     if number > 9 { Err("more than nine".into()) } else { Ok(()) }
/// };
/// assert_eq!(check(&Message::of("number", &12)?).unwrap_err().to_string(), "more than nine");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Who receives on a channel: an id, and code to run when a message is delivered.
///
/// The seam to users' code. `on_message` runs once per delivery, in order, before the cursor moves, on the thread
/// that polls the stream: it should be quick. It runs for readers in this process only.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use eric_sse::listener::CallbackError;
/// use eric_sse::{Listener, ListenerId, Message};
///
/// /// Adds up what it hears.
/// struct Sum(ListenerId, AtomicU64);
///
/// impl Listener for Sum {
///     fn id(&self) -> &ListenerId {
///         &self.0
///     }
///     fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
///         self.1.fetch_add(message.payload().as_json().parse()?, Ordering::Relaxed);
///         Ok(())
///     }
/// }
///
/// let sum = Sum(ListenerId::generate(), AtomicU64::new(30));
/// sum.on_message(&Message::of("number", &12)?).unwrap();
/// assert_eq!(sum.1.into_inner(), 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Listener: Send + Sync {
    /// Its id; always the same.
    ///
    /// ```
    /// use eric_sse::Listener as _;
    /// use eric_sse::listener::FnListener;
    ///
    /// let bob = FnListener::new("bob".parse()?, |_| Ok(()));
    /// assert_eq!(bob.id().as_str(), "bob");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn id(&self) -> &ListenerId;

    /// How it is made again after a restart, if it can be; then it comes back with the hub, which must know its kind
    /// ([`HubBuilder::kinds`](crate::HubBuilder::kinds)). Asked when it is registered, and when it is
    /// [remembered](crate::Connection::remember).
    ///
    /// ```
    /// use eric_sse::persist::Recipe;
    /// use eric_sse::{Listener, ListenerId};
    ///
    /// /// Forwards to an address, which is all that it needs to know.
    /// struct Forwarder(ListenerId, String);
    ///
    /// impl Listener for Forwarder {
    ///     fn id(&self) -> &ListenerId {
    ///         &self.0
    ///     }
    ///     fn recipe(&self) -> Option<Recipe> {
    ///         Some(Recipe { parameters: self.1.as_str().into(), ..Recipe::of("forwarder") })
    ///     }
    /// }
    ///
    /// let forwarder = Forwarder(ListenerId::generate(), "https://example.com".into());
    /// assert_eq!(forwarder.recipe().unwrap().parameters, "https://example.com");
    /// ```
    fn recipe(&self) -> Option<Recipe> {
        None
    }

    /// Runs when `message` is delivered.
    ///
    /// # Errors
    /// A failure, or a panic, makes the delivery a failed one: it is reported with its attempt count; with automatic
    /// acknowledgement the listener moves on, with manual acknowledgement it is delivered again, at most
    /// [`DELIVERY_ATTEMPTS_MAX`](crate::limits::DELIVERY_ATTEMPTS_MAX) times.
    ///
    /// ```
    /// # use eric_sse::Message;
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    ///
    /// # eric_testkit::example(async |hub, news, _bob| {
    /// let picky = FnListener::new("picky".parse()?, |message| match message.kind().as_str() {
    ///     "headline" => Ok(()),
    ///     _ => Err("only headlines".into()),
    /// });
    /// let picky = news.register_listener(Arc::new(picky)).await?;
    /// picky.start();
    /// news.broadcast(Message::of("weather", "rain")?).await?;
    /// let delivery = news.deliver_next(picky.id()).await?.expect("one waits");
    /// assert_eq!(&*delivery.failure().unwrap().reason, "only headlines");
    /// assert_eq!(hub.stats().deliveries_failed.count(), 1);
    /// # Ok(())
    /// # });
    /// ```
    fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
        let _ = message;
        Ok(())
    }
}

/// A listener made of an id and a closure.
///
/// ```
/// use eric_sse::{Listener, ListenerId, Message};
/// use eric_sse::listener::FnListener;
///
/// let listener = FnListener::new(ListenerId::generate(), |message| {
///     assert_eq!(message.kind().as_str(), "tick");
///     Ok(())
/// });
/// listener.on_message(&Message::of("tick", &())?).unwrap();
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub struct FnListener<F> {
    id: ListenerId,
    callback: F,
}

impl<F: Fn(&Message) -> Result<(), CallbackError> + Send + Sync> FnListener<F> {
    /// The listener `id` that runs `callback`.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use eric_sse::{Listener as _, Message};
    /// use eric_sse::listener::FnListener;
    ///
    /// let heard = AtomicU64::new(0);
    /// let count = FnListener::new("count".parse()?, |_| {
    ///     heard.fetch_add(1, Ordering::Relaxed);
    ///     Ok(())
    /// });
    /// count.on_message(&Message::of("tick", &())?).unwrap();
    /// assert_eq!(heard.load(Ordering::Relaxed), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(id: ListenerId, callback: F) -> Self {
        Self { id, callback }
    }
}

impl<F: Fn(&Message) -> Result<(), CallbackError> + Send + Sync> Listener for FnListener<F> {
    fn id(&self) -> &ListenerId {
        &self.id
    }

    fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
        (self.callback)(message)
    }
}

impl<F> std::fmt::Debug for FnListener<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FnListener").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a callback that panicked fails with; the panic's own words are in it.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> CallbackError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    match text.or_else(|| panic.downcast_ref::<&str>().copied()) {
        Some(text) => format!("the callback panicked: {text}").into(),
        None => "the callback panicked".into(),
    }
}
