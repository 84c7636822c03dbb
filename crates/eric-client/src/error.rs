//! The one error of the clients: a kind to branch on, a text to read, a source to follow.
//!
//! Made from what the hub answers (`application/problem+json`, the socket's texts) and from connections that fail.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use eric_protocol::exception::Class;
use eric_protocol::{Code, Problem};
use serde::Deserialize;

use crate::limits::RETRY_AFTER_S_MAX;

/// What a caller can do about an [`Error`].
///
/// ```
/// use eric_client::{Code, ErrorKind};
///
/// # eric_testkit::http_example(async |hub, news, bob| {
/// match hub.channel(&"sports".parse()?).await.unwrap_err().kind() {
///     ErrorKind::Refused(code) => assert_eq!(code, Code::UnknownChannel),
///     ErrorKind::Unreachable => panic!("try again"),
///     _ => panic!("look at the URL"),
/// }
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The hub refused, and nothing has changed; or it would have, and was not asked.
    Refused(Code),
    /// There was no connection, or it ended before its answer: what was asked for may or may not have happened.
    Unreachable,
    /// What answered does not speak Eric's protocol: look at the URL.
    Malformed,
}

/// Why something did not happen, or is not known to have.
///
/// ```
/// use eric_client::{Code, ErrorKind, HttpClient};
///
/// let error = HttpClient::new("ftp://example.org").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Refused(Code::BadRequest));
/// assert_eq!(error.to_string(), "url=ftp://example.org does not begin with http://");
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    text: Box<str>,
    status: Option<u16>,
    limit: Option<Box<str>>,
    line: Option<usize>,
    retry_after: Option<Duration>,
    source: Option<Source>,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into().into_boxed_str(),
            status: None,
            limit: None,
            line: None,
            retry_after: None,
            source: None,
        }
    }

    pub(crate) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused(Code::BadRequest), text)
    }

    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, text)
    }

    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, text)
    }

    pub(crate) fn caused_by(self, source: impl Into<Source>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What an answer of this status says, from `place`.
    pub(crate) fn from_answer(answer: &Refusal<'_>, place: &str) -> Self {
        let Refusal { status, media_type, retry_after_s, body } = *answer;
        let error = match problem(media_type, body) {
            Some(ProblemBody { code, detail, limit, line }) => {
                let known = Code::from_name(&code).or_else(|| code_of(status));
                let kind = known.map_or(ErrorKind::Malformed, ErrorKind::Refused);
                Self { limit: limit.map(String::into_boxed_str), line, ..Self::new(kind, detail) }
            }
            // What is not said in the hub's words was said by something between it and us.
            None => {
                let kind = match (status, code_of(status)) {
                    (500.., _) => ErrorKind::Unreachable,
                    (401 | 403 | 413 | 429 | 431, Some(code)) => ErrorKind::Refused(code),
                    _ => ErrorKind::Malformed,
                };
                Self::new(
                    kind,
                    format!("{place} answered status={status}, and not in a hub's words: is it one?"),
                )
            }
        };
        let retry_after = retry_after_s.map(|seconds| Duration::from_secs(seconds.min(RETRY_AFTER_S_MAX)));
        Self { status: Some(status), retry_after, ..error }
    }

    /// What a text of the socket says, if it is an exception's.
    pub(crate) fn from_reply(reply: &str) -> Option<Self> {
        let classes = [
            (Class::InvalidChannel, Code::UnknownChannel),
            (Class::InvalidListener, Code::UnknownListener),
            (Class::InvalidMessageFormat, Code::BadRequest),
            (Class::Repository, Code::Unavailable),
        ];
        let is = |class: Class| reply.strip_prefix(class.name()).is_some_and(|rest| rest.starts_with('('));
        let (_, code) = classes.into_iter().find(|(class, _)| is(*class))?;
        Some(Self::new(ErrorKind::Refused(code), reply))
    }

    /// What the caller can do about it.
    ///
    /// ```
    /// use eric_client::{ErrorKind, HttpClient};
    ///
    /// let error = HttpClient::new("localhost:8000").unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::Refused(_)), "it begins with http://");
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The code of a refusal.
    ///
    /// ```
    /// use eric_client::Code;
    ///
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let error = hub.channel(&"sports".parse()?).await.unwrap_err();
    /// assert_eq!(error.code(), Some(Code::UnknownChannel));
    /// # Ok(())
    /// # });
    /// ```
    pub fn code(&self) -> Option<Code> {
        match self.kind {
            ErrorKind::Refused(code) => Some(code),
            _ => None,
        }
    }

    /// The HTTP status that was answered, where one was.
    ///
    /// ```
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let error = hub.listener(&news, &"alice".parse()?).await.unwrap_err();
    /// assert_eq!(error.status(), Some(404));
    /// # Ok(())
    /// # });
    /// ```
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// The name of the limit that is reached, where the hub names one.
    ///
    /// ```
    /// # use eric_client::{Message, Overflow, SettingsPatch};
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let overflow = Some(Overflow::Reject);
    /// let patch = SettingsPatch { max_messages: Some(1), overflow, ..SettingsPatch::default() };
    /// hub.ensure_channel(&news, &patch).await?;
    /// hub.broadcast(&news, Message::of("tick", &1)?).await?;
    /// let error = hub.broadcast(&news, Message::of("tick", &2)?).await.unwrap_err();
    /// assert_eq!(error.limit(), Some("max_messages"));
    /// # Ok(())
    /// # });
    /// ```
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref()
    }

    /// The line of a batch that is at fault, from 1.
    ///
    /// ```
    /// # use eric_client::Message;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let batch = [Message::of("tick", &1)?, Message::of("tick", &2)?];
    /// let error = hub.broadcast_lines(&"sports".parse()?, &batch).await.unwrap_err();
    /// assert_eq!(error.line(), None, "the channel is at fault, and no line");
    /// # Ok(())
    /// # });
    /// ```
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// How long to wait before another try, where the hub says so.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let error = hub.channel(&"sports".parse()?).await.unwrap_err();
    /// let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
    /// assert_eq!(wait.as_secs(), 1);
    /// # Ok(())
    /// # });
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same request may succeed later. Where it is not known whether it has
    /// ([`ErrorKind::Unreachable`]), publish again only with the same key.
    ///
    /// ```
    /// # eric_testkit::http_example(async |hub, news, bob| {
    /// let error = hub.channel(&"sports".parse()?).await.unwrap_err();
    /// assert!(!error.is_temporary(), "somebody has to make the channel");
    /// # Ok(())
    /// # });
    /// ```
    pub fn is_temporary(&self) -> bool {
        match self.kind {
            ErrorKind::Refused(code) => code.is_temporary(),
            ErrorKind::Unreachable => true,
            ErrorKind::Malformed => false,
        }
    }

    /// Whether to try again without being asked to: not where a limit is reached that nothing says will pass.
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        match self.kind {
            ErrorKind::Refused(Code::LimitExceeded) => self.retry_after.is_some(),
            ErrorKind::Refused(code) => matches!(code, Code::Unavailable | Code::Timeout),
            ErrorKind::Unreachable => true,
            ErrorKind::Malformed => false,
        }
    }
}

/// An answer that is no success.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) media_type: &'a str,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: &'a [u8],
}

#[derive(Deserialize)]
struct ProblemBody<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    detail: String,
    limit: Option<String>,
    line: Option<usize>,
}

fn problem<'a>(media_type: &str, body: &'a [u8]) -> Option<ProblemBody<'a>> {
    media_type.starts_with(Problem::MEDIA_TYPE).then(|| serde_json::from_slice(body).ok())?
}

/// The first code of this status.
fn code_of(status: u16) -> Option<Code> {
    Code::ALL.into_iter().find(|code| code.status() == status)
}

impl From<eric_sse::Error> for Error {
    fn from(error: eric_sse::Error) -> Self {
        Self::new(ErrorKind::Refused(Code::from(error.kind())), error.to_string()).caused_by(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, body: &str) -> Error {
        let refusal = Refusal { status, media_type, retry_after_s: Some(1_000_000), body: body.as_bytes() };
        Error::from_answer(&refusal, "http://hub")
    }

    #[test]
    fn a_problem_is_kept_whole() {
        let body = r#"{"title":"t","status":400,"code":"bad_request","detail":"why","line":3,"limit":"x"}"#;
        let error = answer(400, Problem::MEDIA_TYPE, body);
        assert_eq!(
            (error.code(), error.status(), error.line()),
            (Some(Code::BadRequest), Some(400), Some(3))
        );
        assert_eq!((error.to_string().as_str(), error.limit()), ("why", Some("x")));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(RETRY_AFTER_S_MAX)));
        assert!(!error.is_temporary());
    }

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for code in Code::ALL {
            let body = eric_protocol::Problem::new(code, "d").to_json();
            assert_eq!(answer(code.status(), Problem::MEDIA_TYPE, &body).code(), Some(code));
        }
    }

    #[test]
    fn a_code_of_a_later_hub_is_read_by_its_status() {
        let error = answer(409, Problem::MEDIA_TYPE, r#"{"code":"of_tomorrow","detail":"d"}"#);
        assert_eq!(error.kind(), ErrorKind::Refused(Code::Conflict));
        let error = answer(418, Problem::MEDIA_TYPE, r#"{"code":"teapot","detail":"d"}"#);
        assert_eq!(error.kind(), ErrorKind::Malformed);
    }

    #[test]
    fn what_stands_between_is_told_apart_from_the_hub() {
        for (status, kind) in [
            (502, ErrorKind::Unreachable),
            (503, ErrorKind::Unreachable),
            (404, ErrorKind::Malformed),
            (200, ErrorKind::Malformed),
            (301, ErrorKind::Malformed),
            (401, ErrorKind::Refused(Code::Unauthorized)),
            (413, ErrorKind::Refused(Code::TooLarge)),
            (429, ErrorKind::Refused(Code::LimitExceeded)),
        ] {
            assert_eq!(answer(status, "text/html", "<html>").kind(), kind, "{status}");
            assert_eq!(answer(status, Problem::MEDIA_TYPE, "{").kind(), kind, "{status}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let refused =
            |code: Code, retry_after| Error { retry_after, ..Error::new(ErrorKind::Refused(code), "") };
        let a_second = Some(Duration::from_secs(1));
        assert!(refused(Code::Unavailable, None).is_worth_a_retry());
        assert!(refused(Code::LimitExceeded, a_second).is_worth_a_retry());
        assert!(!refused(Code::LimitExceeded, None).is_worth_a_retry());
        assert!(!refused(Code::KeyReused, a_second).is_worth_a_retry());
        assert!(Error::unreachable("").is_worth_a_retry() && !Error::malformed("").is_worth_a_retry());
    }

    #[test]
    fn exceptions_are_told_apart_from_other_texts() {
        let code = |reply: &str| Error::from_reply(reply).and_then(|error| error.code());
        assert_eq!(code("InvalidChannelException('No channel with id x')"), Some(Code::UnknownChannel));
        assert_eq!(code("InvalidListenerException('x')"), Some(Code::UnknownListener));
        assert_eq!(code("InvalidMessageFormat('x')"), Some(Code::BadRequest));
        assert_eq!(code("RepositoryError('x')"), Some(Code::Unavailable));
        for text in
            ["ack", "", "InvalidChannelException", "RepositoryErrors('x')", "x InvalidMessageFormat('x')"]
        {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
