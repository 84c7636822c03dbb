//! Kinds: who can make listeners and queues of the user's own again.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::connections::ConnectionRecord;
use super::record::Recipe;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ListenerId;
use crate::listener::{CallbackError, Listener};
use crate::queue::Queue;

/// What a maker returns.
type MadeAs<T> = std::result::Result<Arc<T>, CallbackError>;

type Make<T> = Arc<dyn Fn(&ListenerId, &Recipe) -> MadeAs<T> + Send + Sync>;

/// Who can make listeners and queues of the user's own again, each by the kind that their recipes name.
///
/// ```
/// use std::sync::Arc;
/// use eric_sse::engine::memory::MemoryEngine;
/// use eric_sse::listener::CallbackError;
/// use eric_sse::persist::{Kinds, MemoryKv, Recipe};
/// use eric_sse::{ChannelSettings, Hub, Listener, ListenerId, Message, SystemClock};
///
/// /// Greets in its own way.
/// struct Greeter(ListenerId, String);
///
/// impl Listener for Greeter {
///     fn id(&self) -> &ListenerId {
///         &self.0
///     }
///     fn recipe(&self) -> Option<Recipe> {
///         Some(Recipe { parameters: self.1.as_str().into(), ..Recipe::of("greeter") })
///     }
///     fn on_message(&self, message: &Message) -> Result<(), CallbackError> {
///         println!("{}, {}", self.1, message.payload().as_json());
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let kinds = Kinds::default().listener("greeter", |id, recipe| {
///     let word = recipe.parameters.as_str().ok_or("its word is no text")?;
///     Ok(Arc::new(Greeter(id.clone(), word.to_owned())))
/// });
/// let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
/// let records = Arc::new(MemoryKv::default());
///
/// let hub = Hub::builder(engine.clone()).kinds(kinds.clone()).restore(records.clone()).await?;
/// let news = hub.channels().create("news".parse()?, ChannelSettings::default()).await?;
/// news.register_listener(Arc::new(Greeter("bob".parse()?, "hello".to_owned()))).await?;
/// drop((hub, news));
///
/// let hub = Hub::builder(engine).kinds(kinds).restore(records).await?;
/// let bob = hub.channels().get(&"news".parse()?)?.listener(&"bob".parse()?)?;
/// assert!(bob.listener().is_some(), "it is a greeter again");
/// # Ok::<(), eric_sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Kinds {
    listeners: HashMap<Box<str>, Make<dyn Listener>>,
    queues: HashMap<Box<str>, Make<dyn Queue>>,
}

/// What of a connection is the user's own.
#[derive(Clone, Default)]
pub(crate) struct Made {
    pub(crate) listener: Option<Arc<dyn Listener>>,
    pub(crate) queue: Option<Arc<dyn Queue>>,
}

impl Kinds {
    /// Listeners of this kind are made by `make`, from their id and recipe.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eric_sse::listener::FnListener;
    /// use eric_sse::persist::Kinds;
    ///
    /// let kinds = Kinds::default().listener("greeter", |id, recipe| {
    ///     let word = recipe.parameters.as_str().ok_or("its word is no text")?.to_owned();
    ///     Ok(Arc::new(FnListener::new(id.clone(), move |message| Ok(println!("{word}, {}", message.kind())))))
    /// });
    /// assert!(format!("{kinds:?}").contains("greeter"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener(
        mut self,
        kind: impl Into<Box<str>>,
        make: impl Fn(&ListenerId, &Recipe) -> MadeAs<dyn Listener> + Send + Sync + 'static,
    ) -> Self {
        self.listeners.insert(kind.into(), Arc::new(make));
        self
    }

    /// Queues of this kind are made by `make`, from their listener's id and their recipe.
    ///
    /// ```
    /// # use eric_sse::{Hub, SystemClock, engine::memory::MemoryEngine};
    /// use std::sync::Arc;
    /// use eric_sse::persist::{Kinds, MemoryKv};
    /// use eric_sse::queue::MemoryQueue;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let kinds = Kinds::default().queue("inbox", |id, recipe| {
    ///     let room = recipe.parameters.as_u64().ok_or("its room is no number")?;
    ///     Ok(Arc::new(MemoryQueue::new(id.as_str(), usize::try_from(room)?)))
    /// });
    /// # let engine = Arc::new(MemoryEngine::new(Arc::new(SystemClock)));
    /// let hub = Hub::builder(engine).kinds(kinds).restore(Arc::new(MemoryKv::default())).await?;
    /// assert_eq!(hub.restored().listeners, 0, "there were none yet");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn queue(
        mut self,
        kind: impl Into<Box<str>>,
        make: impl Fn(&ListenerId, &Recipe) -> MadeAs<dyn Queue> + Send + Sync + 'static,
    ) -> Self {
        self.queues.insert(kind.into(), Arc::new(make));
        self
    }

    /// Makes what of a connection was the user's own.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] where a kind is not known, or its maker fails or makes somebody else.
    pub(crate) fn make(&self, connection: &ConnectionRecord) -> Result<Made> {
        let ConnectionRecord { listener, queue } = connection;
        let id = &listener.id;
        let recipe = listener.recipe.as_ref();
        let listener = recipe.map(|recipe| make(&self.listeners, "listener", id, recipe)).transpose()?;
        if let Some(other) = listener.as_ref().filter(|made| made.id() != id) {
            let text = format!("listener id={id} was made again with another id={}", other.id());
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let recipe = queue.as_ref().map(|queue| &queue.recipe);
        let queue = recipe.map(|recipe| make(&self.queues, "the queue of listener", id, recipe));
        Ok(Made { listener, queue: queue.transpose()? })
    }
}

fn make<T: ?Sized>(
    kinds: &HashMap<Box<str>, Make<T>>,
    what: &str,
    id: &ListenerId,
    recipe: &Recipe,
) -> Result<Arc<T>> {
    let kind = &*recipe.kind;
    let Some(make) = kinds.get(kind) else {
        let text = format!("{what} id={id} is of an unknown kind={kind}");
        return Err(Error::new(ErrorKind::Corrupt, text));
    };
    make(id, recipe).map_err(|error| {
        let text = format!("{what} id={id} of kind={kind} cannot be made again: {error}");
        Error::new(ErrorKind::Corrupt, text)
    })
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinds")
            .field("listeners", &self.listeners.keys())
            .field("queues", &self.queues.keys())
            .finish()
    }
}
