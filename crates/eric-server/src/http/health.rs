//! Whether the process lives, and whether it can serve.

use std::sync::Arc;

use axum::extract::State;
use eric_sse::Hub;
use http::StatusCode;

use super::json;
use super::problem::Answer;

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Answer {
    Ok(json(StatusCode::OK, &serde_json::json!({"status": "live"})))
}

/// `GET /health/ready`: the hub can take messages; 503 with the reason where its engine has stopped.
pub(super) async fn ready(State(hub): State<Arc<Hub>>) -> Answer {
    hub.health()?;
    Ok(json(StatusCode::OK, &serde_json::json!({"status": "ready", "engine": hub.engine_name()})))
}
