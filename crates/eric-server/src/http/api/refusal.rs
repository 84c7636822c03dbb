//! How the eric-api routes say no.

use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use eric_protocol::api::{self, Detail, DetailBody, DetailsBody, MessageBody};
use eric_protocol::exception::Class;
use eric_protocol::{Code, Exception, Problem};
use eric_sse::Error;
use http::StatusCode;

use crate::http::json;

/// What a handler answers instead of what was asked for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The hub, or a path, says no.
    Exception(StatusCode, Exception),
    /// The query or the body is at fault.
    Faults(Vec<Detail>),
    /// Path or body cannot be read.
    Unreadable(Problem),
}

/// What a handler answers.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    /// No channel is called `name`.
    pub(super) fn unknown_channel(name: &str) -> Self {
        Self::Exception(StatusCode::NOT_FOUND, Exception::unknown_channel(name))
    }

    /// No listener is called `name`.
    pub(super) fn unknown_listener(name: &str) -> Self {
        Self::Exception(StatusCode::NOT_FOUND, Exception::unknown_listener(name))
    }

    /// What the hub says of the channel `channel`, perhaps of its listener `listener`.
    pub(super) fn new(error: &Error, channel: &str, listener: &str) -> Self {
        let exception = Exception::new(error, channel, listener);
        let status = match exception.class() {
            Class::InvalidListener => StatusCode::NOT_FOUND,
            _ => status(Code::from(error.kind())),
        };
        Self::Exception(status, exception)
    }

    /// What a body that cannot be a message says, together with what else is wrong with its request.
    pub(super) fn of_body(refusal: api::Refusal, mut faults: Vec<Detail>) -> Self {
        match refusal {
            api::Refusal::Faults(more) => {
                faults.extend(more);
                Self::Faults(faults)
            }
            api::Refusal::Malformed(fault) => Self::Faults(vec![fault]),
            api::Refusal::Unreadable => {
                Self::Unreadable(Problem::bad_request("There was an error parsing the body"))
            }
            api::Refusal::TooLarge(error) => Self::new(&error, "", ""),
        }
    }
}

impl From<PathRejection> for Refusal {
    /// A path that is not UTF-8 leads nowhere.
    fn from(_: PathRejection) -> Self {
        Self::Unreadable(Problem::new(Code::NotFound, "Not Found"))
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Unreadable(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Exception(status, exception) => {
                json(status, &MessageBody { message: exception.to_string() })
            }
            Self::Faults(detail) => json(StatusCode::UNPROCESSABLE_ENTITY, &DetailsBody { detail }),
            Self::Unreadable(problem) => detail(status(problem.code), &problem.detail),
        }
    }
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).expect("the table has real statuses")
}

/// `{"detail":"…"}`.
pub(super) fn detail(status: StatusCode, detail: &str) -> Response {
    json(status, &DetailBody { detail })
}
