//! `/docs` and `/openapi.json`: the routes described, for people and for programs.

use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

const PAGE: &str = include_str!("docs.html");
const OPENAPI: &str = include_str!("openapi.json");

/// `GET /docs`: a page that needs nothing but `/openapi.json`.
pub(super) async fn page() -> Response {
    text("text/html; charset=utf-8", PAGE)
}

/// `GET /openapi.json`.
pub(super) async fn openapi() -> Response {
    text("application/json", OPENAPI)
}

fn text(content_type: &'static str, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_json_and_names_every_route() {
        let openapi: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        for (path, method) in [
            ("/", "get"),
            ("/channels", "get"),
            ("/create", "put"),
            ("/subscribe", "post"),
            ("/broadcast", "post"),
            ("/dispatch", "post"),
            ("/stream/{channel_id}/{listener_id}", "get"),
            ("/listener/{channel_id}/{listener_id}", "delete"),
            ("/channel/{channel_id}", "delete"),
        ] {
            assert!(openapi["paths"][path][method]["summary"].is_string(), "{path}");
        }
    }
}
