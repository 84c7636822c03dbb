//! Errors as answers.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use eric_protocol::{Code, Problem};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode, Uri};

use super::api;

/// What a handler answers instead of what was asked for.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Problem);

/// What a handler answers.
pub(super) type Answer = Result<Response, Refusal>;

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<eric_sse::Error> for Refusal {
    fn from(error: eric_sse::Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let mut response = Response::new(Body::from(problem.to_json()));
        *response.status_mut() =
            StatusCode::from_u16(problem.code.status()).expect("the table has real statuses");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        headers.extend(problem.retry_after_s.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        response
    }
}

/// What is answered where no route is: below `/v1` and its like in our own words, elsewhere in those of eric-api.
pub(super) async fn not_found(uri: Uri) -> Response {
    let first = uri.path().split('/').nth(1).unwrap_or_default();
    let is_version = first
        .strip_prefix('v')
        .is_some_and(|number| number.starts_with(|digit: char| digit.is_ascii_digit()));
    if is_version || first == "health" {
        Refusal(Problem::new(Code::NotFound, format!("no such path={}", uri.path()))).into_response()
    } else {
        api::not_found(&uri)
    }
}

/// What is answered where a route is for other methods; the router adds which.
pub(super) async fn method_not_allowed(method: Method) -> Refusal {
    Refusal(Problem::new(Code::MethodNotAllowed, format!("method={method} is not for this path")))
}
