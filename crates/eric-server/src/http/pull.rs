//! Pulling: a listener's messages a page at a time, for workers that want a queue and no stream.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::State;
use eric_protocol::answer::PullBody;
use eric_protocol::{Code, Problem};
use eric_sse::limits::{PULL_WAIT_S_MAX, READ_BYTES_MAX};
use eric_sse::log::Budget;
use eric_sse::{Ack, Conflict, End, Hub, Item, ReadFrom, Subscribe, Subscription};
use http::StatusCode;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::json;
use super::params::{OfListener, Query};
use super::problem::{Answer, Refusal};
use crate::session;

/// `GET /v1/channels/{c}/listeners/{l}/messages`.
pub(super) async fn pull(
    State(hub): State<Arc<Hub>>,
    State(stop): State<CancellationToken>,
    OfListener(channel, listener): OfListener,
    query: Query,
) -> Answer {
    let budget = Budget { entries: query.limit()?, bytes: READ_BYTES_MAX };
    let wait = Duration::from_secs(query.number("wait_s", 0, 0..=PULL_WAIT_S_MAX)?);
    let options = Subscribe {
        from: query.parsed("after")?.map_or(ReadFrom::Cursor, ReadFrom::After),
        ack: Ack::Manual,
        conflict: query
            .choice("conflict", &[("refuse", Conflict::Refuse), ("replace", Conflict::Replace)])?,
    };
    let channel = hub.channels().get(&channel)?;
    let mut subscription = session::subscribe(&channel, &listener, options).await?;
    // A server that stops does not wait for what has not come.
    let page =
        stop.run_until_cancelled(page(&mut subscription, budget, wait)).await.unwrap_or(Ok(Vec::new()));
    Ok(json(StatusCode::OK, &PullBody::new(&page?)))
}

/// The next items, waited for where there are none yet.
async fn page(subscription: &mut Subscription, budget: Budget, wait: Duration) -> Result<Vec<Item>, Refusal> {
    let mut items = Vec::new();
    let mut waited = pin!(sleep(wait));
    let end = poll_fn(|context| match subscription.poll_items(context, budget, &mut items) {
        Poll::Pending if subscription.is_caught_up() => waited.as_mut().poll(context).map(|()| Ok(None)),
        polled => polled,
    });
    match end.await? {
        None => Ok(items),
        Some(End::Removed) => {
            Err(Problem::new(Code::UnknownListener, "listener was removed while it was waited for").into())
        }
        Some(end) => {
            let detail =
                format!("listener was {} while it was waited for", format!("{end:?}").to_lowercase());
            Err(Problem::new(Code::Conflict, detail).into())
        }
    }
}
