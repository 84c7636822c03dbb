//! What an application tells of while it runs.

use super::Missed;
use crate::entry::Position;
use crate::error::Error;
use crate::listener::CallbackError;
use crate::message::Message;

/// A message that was handled.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::distributed::{Application, Told};
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let alice = Application::new(news.wire("alice".parse()?).await?);
/// let stop = news.dispatch(alice.id(), Message::of("stop", &())?).await?;
/// let mut positions = Vec::new();
/// alice.run(|told| if let Told::Handled(happening) = told { positions.push(happening.position) }).await?;
/// assert_eq!(positions, [stop.position]);
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct Happening {
    /// Where it stood.
    pub position: Position,
    /// What it was.
    pub message: Message,
    /// What came of it.
    pub outcome: Outcome,
    /// Why some of its answers did not reach the sender, who may be gone.
    pub undelivered: Vec<Error>,
}

/// What came of a message.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::distributed::{Application, Outcome, Told};
///
/// # eric_testkit::example(async |_hub, news, bob| {
/// let alice = Application::new(news.wire("alice".parse()?).await?);
/// alice.set_action("greet", |_| Ok(vec![Message::of("greeting", "hello")?]))?;
/// for kind in ["greet", "insult", "stop"] {
///     news.dispatch(alice.id(), Message::of(kind, &())?.with_sender("bob".parse()?)).await?;
/// }
/// let (mut answers, mut unknown) = (0, 0);
/// alice.run(|told| match told {
///     Told::Handled(happening) => match happening.outcome {
///         Outcome::Answered(more) => answers += more,
///         Outcome::Unknown => unknown += 1,
///         _ => {}
///     },
///     _ => {}
/// }).await?;
/// assert_eq!((answers, unknown), (1, 1));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Its action ran, and gave so many answers.
    Answered(usize),
    /// It is the answer to a request that waited for it.
    Response,
    /// The application was started, as it had been already.
    Started,
    /// The application is stopped.
    Stopped,
    /// There is no action of its type.
    Unknown,
    /// Its action failed or panicked; there are no answers.
    Failed(CallbackError),
    /// It was handled before; answers that were recorded were sent again.
    Repeated(usize),
}

/// Why an application runs no longer.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::prefab::distributed::{Application, Over};
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let alice = Application::new(news.wire("alice".parse()?).await?);
/// news.dispatch(alice.id(), Message::of("stop", &())?).await?;
/// assert_eq!(alice.run(|_| ()).await?, Over::Stopped);
///
/// news.listener(alice.id())?.stop();
/// assert_eq!(alice.run(|_| ()).await?, Over::Left);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Over {
    /// A message of the type [`STOP`](super::STOP) came.
    Stopped,
    /// Its listener was stopped or removed, or somebody else reads its queue.
    Left,
}

/// What an application tells of.
///
/// ```
/// # use eric_sse::Message;
/// use eric_sse::SettingsPatch;
/// use eric_sse::prefab::distributed::{Application, Told};
///
/// # eric_testkit::example(async |_hub, news, _bob| {
/// let alice = Application::new(news.wire("alice".parse()?).await?);
/// let one = SettingsPatch { max_unread_per_listener: Some(1), ..SettingsPatch::default() };
/// news.change_settings(&one).await?;
/// for kind in ["greet", "greet", "stop"] {
///     news.dispatch(alice.id(), Message::of(kind, &())?).await?;
/// }
/// let (mut handled, mut missed) = (0, 0);
/// alice.run(|told| match told {
///     Told::Handled(_) => handled += 1,
///     Told::Missed(gone) => missed += gone.messages.unwrap_or(0),
///     _ => {}
/// }).await?;
/// assert_eq!((handled, missed), (1, 2));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Told {
    /// A message was handled.
    Handled(Happening),
    /// Messages are gone before they came.
    Missed(Missed),
}
