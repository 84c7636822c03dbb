//! The routes of eric-api, the Python package's REST service, for clients that stay as they are.
//!
//! Its parameters are in the query, its answers without the polish of v1: `null` for done, 422 in the words of its
//! validation, `{"message": "InvalidChannelException('…')"}` for what is not there. `docs/from-eric-api.md` says what
//! differs on purpose.

mod channels;
mod docs;
mod listeners;
mod publish;
mod refusal;

use axum::Router;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use http::header::{ALLOW, HeaderValue, LOCATION};
use http::{StatusCode, Uri};

use super::Behind;

/// Every route of eric-api.
pub(super) fn routes() -> Router<Behind> {
    Router::new()
        .route("/", only("GET", get(channels::all)))
        .route("/channels", only("GET", get(channels::list)))
        .route("/create", only("PUT", put(channels::create)))
        .route("/subscribe", only("POST", post(listeners::subscribe)))
        .route("/broadcast", only("POST", post(publish::broadcast)))
        .route("/dispatch", only("POST", post(publish::dispatch)))
        .route("/stream/{channel}/{listener}", only("GET", get(listeners::stream)))
        .route("/listener/{channel}/{listener}", only("DELETE", delete(listeners::remove)))
        .route("/channel/{channel}", only("DELETE", delete(channels::remove)))
        .route("/docs", get(docs::page).fallback(|| not_allowed("GET, HEAD")))
        .route("/redoc", get(docs::page).fallback(|| not_allowed("GET, HEAD")))
        .route("/openapi.json", get(docs::openapi).fallback(|| not_allowed("GET, HEAD")))
}

/// A route of one method; `HEAD` is not allowed where `GET` is.
fn only(method: &'static str, route: MethodRouter<Behind>) -> MethodRouter<Behind> {
    let refuse = move || not_allowed(method);
    let route = if method == "GET" { route.head(refuse) } else { route };
    route.fallback(refuse)
}

async fn not_allowed(allowed: &'static str) -> Response {
    let mut response = refusal::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// What is answered where no route is: a way to the same path without its slash at the end, if there is one.
pub(super) fn not_found(uri: &Uri) -> Response {
    let Some(path) = uri.path().strip_suffix('/').filter(|path| is_route(path)) else {
        return refusal::detail(StatusCode::NOT_FOUND, "Not Found");
    };
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let location = HeaderValue::from_str(&format!("{path}{query}")).expect("a part of a request's target");
    response.headers_mut().insert(LOCATION, location);
    response
}

fn is_route(path: &str) -> bool {
    let mut parts = path.split('/').skip(1);
    let first = parts.next().unwrap_or_default();
    let is_whole = parts.clone().all(|part| !part.is_empty());
    match first {
        "channels" | "create" | "subscribe" | "broadcast" | "dispatch" | "docs" | "redoc"
        | "openapi.json" => parts.next().is_none(),
        "channel" => is_whole && parts.count() == 1,
        "stream" | "listener" => is_whole && parts.count() == 2,
        _ => false,
    }
}
