//! The HTTP door: the one table of routes, and what all of them share.
//!
//! `accept` takes connections, `connection` drives one with hyper, `events` hands a stream over to `session`; the rest
//! is one file per verb.

mod api;
mod body;
mod channels;
pub(crate) mod connection;
mod events;
mod health;
mod listeners;
mod params;
mod problem;
mod publish;
mod pull;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::response::Response;
use axum::routing::{get, post, put};
use eric_sse::Hub;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::settings::{CorsOrigins, ServerSettings};
use crate::shard::Shards;

/// What an acknowledged publish survives, on every answer.
const DURABILITY: HeaderName = HeaderName::from_static("eric-durability");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Seconds for which a browser remembers what a preflight allowed.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// What every connection of the HTTP door shares.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) routes: Router,
    pub(crate) durability: HeaderValue,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) shards: Arc<Shards>,
}

impl Door {
    pub(crate) fn new(
        hub: Hub,
        settings: &ServerSettings,
        shards: Arc<Shards>,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let durability =
            HeaderValue::from_str(&hub.durability().to_string()).expect("a word is a header value");
        let routes = routes(hub, &settings.cors_origins, stop.clone());
        Self { routes, durability, stop, tasks, shards }
    }
}

/// What is behind the door, for its routes.
#[derive(Debug, Clone)]
struct Behind {
    hub: Arc<Hub>,
    stop: CancellationToken,
}

impl FromRef<Behind> for Arc<Hub> {
    fn from_ref(behind: &Behind) -> Self {
        behind.hub.clone()
    }
}

impl FromRef<Behind> for CancellationToken {
    fn from_ref(behind: &Behind) -> Self {
        behind.stop.clone()
    }
}

/// Every route: those of v1, and those of eric-api.
fn routes(hub: Hub, origins: &CorsOrigins, stop: CancellationToken) -> Router {
    let routes = v1()
        .method_not_allowed_fallback(problem::method_not_allowed)
        .merge(api::routes())
        .fallback(problem::not_found)
        .with_state(Behind { hub: Arc::new(hub), stop });
    match cors(origins) {
        Some(cors) => routes.layer(cors),
        None => routes,
    }
}

/// Every route of v1.
fn v1() -> Router<Behind> {
    Router::new()
        .route("/v1/channels", get(channels::list).post(channels::create))
        .route("/v1/channels/{channel}", get(channels::show).put(channels::ensure).delete(channels::remove))
        .route("/v1/channels/{channel}/messages", get(channels::history).post(publish::broadcast))
        .route("/v1/channels/{channel}/events", get(events::watch).head(events::no_head))
        .route("/v1/channels/{channel}/listeners", get(listeners::list).post(listeners::create))
        .route(
            "/v1/channels/{channel}/listeners/{listener}",
            put(listeners::ensure).get(listeners::show).delete(listeners::remove),
        )
        .route(
            "/v1/channels/{channel}/listeners/{listener}/messages",
            get(pull::pull).head(events::no_head).post(publish::dispatch),
        )
        .route("/v1/channels/{channel}/listeners/{listener}/ack", post(listeners::ack))
        .route(
            "/v1/channels/{channel}/listeners/{listener}/events",
            get(events::listen).head(events::no_head),
        )
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
}

fn cors(origins: &CorsOrigins) -> Option<CorsLayer> {
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers([
            CONTENT_TYPE,
            CACHE_CONTROL,
            http::header::AUTHORIZATION,
            IDEMPOTENCY_KEY,
            LAST_EVENT_ID,
        ])
        .expose_headers([DURABILITY, RETRY_AFTER, ALLOW])
        .max_age(PREFLIGHT_MAX_AGE);
    match origins {
        CorsOrigins::None => None,
        CorsOrigins::Any => Some(cors.allow_origin(Any)),
        CorsOrigins::List(origins) => {
            Some(cors.allow_origin(AllowOrigin::list(origins.clone())).allow_credentials(true))
        }
    }
}

/// An answer with a JSON body.
fn json(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("an answer is JSON");
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer without a body.
fn no_content() -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
