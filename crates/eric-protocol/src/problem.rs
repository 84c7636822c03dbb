//! An error as `application/problem+json`: `{"title","status","code","detail",…}`.

use eric_sse::Error;
use serde::Serialize;

use crate::code::Code;

/// Why a request was refused; nothing has changed.
///
/// ```
/// use eric_protocol::{Code, Problem};
///
/// let error = eric_sse::Error::limit_exceeded("max_messages", "max_messages=10 is reached");
/// let problem = Problem::from(error);
/// assert_eq!((problem.code, problem.limit), (Code::LimitExceeded, Some("max_messages")));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What clients branch on.
    pub code: Code,
    /// The thing and the reason.
    pub detail: String,
    /// The limit that is reached, by name.
    pub limit: Option<&'static str>,
    /// The line of a batch that is at fault, from 1.
    pub line: Option<usize>,
    /// Seconds after which another try may help.
    pub retry_after_s: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl Problem {
    /// The media type of [`Problem::to_json`].
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A problem with this code that reads `detail`.
    ///
    /// ```
    /// use eric_protocol::{Code, Problem};
    ///
    /// let problem = Problem::new(Code::Unavailable, "the hub is stopping");
    /// assert_eq!(problem.retry_after_s, Some(1));
    /// ```
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_s = matches!(code, Code::Unavailable).then_some(1);
        Self { code, detail: detail.into(), limit: None, line: None, retry_after_s }
    }

    /// A [`Code::BadRequest`] that reads `detail`.
    ///
    /// ```
    /// use eric_protocol::{Code, Problem};
    ///
    /// assert_eq!(Problem::bad_request("limit=0 is not 1 to 1000").code, Code::BadRequest);
    /// ```
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::BadRequest, detail)
    }

    /// The same problem, at this line of a batch.
    ///
    /// ```
    /// use eric_protocol::Problem;
    ///
    /// let problem = Problem::bad_request("message type begins with the reserved prefix eric.").at_line(3);
    /// assert!(problem.to_json().ends_with(r#""line":3}"#));
    /// ```
    pub fn at_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Its body.
    ///
    /// ```
    /// let problem = eric_protocol::Problem::bad_request("limit=0 is not 1 to 1000");
    /// assert_eq!(
    ///     problem.to_json(),
    ///     r#"{"title":"Bad request","status":400,"code":"bad_request","detail":"limit=0 is not 1 to 1000"}"#,
    /// );
    /// ```
    pub fn to_json(&self) -> String {
        let Self { code, detail, limit, line, .. } = self;
        let (title, status, code) = (code.title(), code.status(), code.name());
        let body = Body { title, status, code, detail, limit: *limit, line: *line };
        serde_json::to_string(&body).expect("a problem is JSON")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { limit: error.limit(), ..Self::new(Code::from(error.kind()), error.to_string()) }
    }
}
