//! Who receives on a channel.
//!
//! A [`Listener`] is the user's part: an id and a callback. Its [`Connection`](crate::Connection) is the hub's: the
//! listener bound to its queue, which can be started and stopped.

use std::any::Any;

use crate::id::ListenerId;
use crate::message::Message;
use crate::persist::Recipe;

/// What a callback fails with.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// Who receives on a channel: an id, and code to run when a message is delivered.
///
/// The seam to users' code. `on_message` runs once per delivery, in order, before the cursor moves, on the thread
/// that polls the stream: it should be quick. It runs for readers in this process only.
///
/// ```
/// use eric_sse::{Listener, ListenerId, Message};
/// use eric_sse::listener::CallbackError;
///
/// struct Printer(ListenerId);
///
/// impl Listener for Printer {
///     fn id(&self) -> &ListenerId {
///         &self.0
///     }
///     fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
///         println!("{}", message.payload().as_json());
///         Ok(())
///     }
/// }
/// assert!(Printer(ListenerId::generate()).on_message(&Message::of("t", &1)?).is_ok());
/// # Ok::<(), eric_sse::Error>(())
/// ```
pub trait Listener: Send + Sync {
    /// Its id; always the same.
    fn id(&self) -> &ListenerId;

    /// How it is made again after a restart, if it can be; then it comes back with the hub, which must know its kind
    /// ([`HubBuilder::kinds`](crate::HubBuilder::kinds)). Asked when it is registered, and when it is
    /// [remembered](crate::Connection::remember).
    fn recipe(&self) -> Option<Recipe> {
        None
    }

    /// Runs when `message` is delivered.
    ///
    /// # Errors
    /// A failure, or a panic, makes the delivery a failed one: it is reported with its attempt count; with automatic
    /// acknowledgement the listener moves on, with manual acknowledgement it is delivered again, at most
    /// [`DELIVERY_ATTEMPTS_MAX`](crate::limits::DELIVERY_ATTEMPTS_MAX) times.
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
