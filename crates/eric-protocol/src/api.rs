//! The bodies of the eric-api routes: what they take, what they answer, and how they say what is wrong.
//!
//! Answers and refusals are those of the Python service, which validates with FastAPI: 422 with one [`Detail`] for
//! each fault of the query and the body.

use eric_sse::limits::INPUT_ECHO_BYTES_MAX;
use eric_sse::{Error, ErrorKind, Message, Payload};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::fault;
use crate::object::fields;

/// One fault of a request, as FastAPI tells it.
///
/// ```
/// use eric_protocol::api::Detail;
///
/// let detail = serde_json::to_value(Detail::missing_parameter("channel_id")).unwrap();
/// assert_eq!(detail["loc"], serde_json::json!(["query", "channel_id"]));
/// ```
#[derive(Debug, Serialize)]
pub struct Detail {
    #[serde(rename = "type")]
    kind: &'static str,
    loc: Value,
    msg: String,
    input: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

/// `{"detail":[…]}`.
///
/// ```
/// use eric_protocol::api::{Detail, DetailsBody};
///
/// let body = DetailsBody { detail: vec![Detail::missing_parameter("channel_id")] };
/// assert!(serde_json::to_string(&body).unwrap().starts_with(r#"{"detail":[{"type":"missing","#));
/// ```
#[derive(Debug, Serialize)]
pub struct DetailsBody {
    /// Every fault, those of the query first.
    pub detail: Vec<Detail>,
}

/// `{"detail":"…"}`.
///
/// ```
/// use eric_protocol::api::DetailBody;
///
/// let body = DetailBody { detail: "Not Found" };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"detail":"Not Found"}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct DetailBody<'a> {
    /// What is wrong.
    pub detail: &'a str,
}

/// `{"message":"…"}`.
///
/// ```
/// use eric_protocol::{Exception, api::MessageBody};
///
/// let body = MessageBody { message: Exception::unknown_listener("x").to_string() };
/// let text = serde_json::to_string(&body).unwrap();
/// assert_eq!(text, r#"{"message":"InvalidListenerException('Invalid listener x')"}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct MessageBody {
    /// What is wrong: an [`Exception`](crate::Exception)'s text.
    pub message: String,
}

/// `{"channel_id"}`.
///
/// ```
/// use eric_protocol::api::ChannelIdBody;
///
/// let body = ChannelIdBody { channel_id: "news" };
/// assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"channel_id":"news"}"#);
/// ```
#[derive(Debug, Serialize)]
pub struct ChannelIdBody<'a> {
    /// The id.
    pub channel_id: &'a str,
}

/// Why a body is refused.
///
/// ```
/// use eric_protocol::api::{Refusal, message};
///
/// assert!(matches!(message(b"{\"type\":", true), Err(Refusal::Malformed(_))));
/// assert!(matches!(message(b"\xff", true), Err(Refusal::Unreadable)));
/// ```
#[derive(Debug)]
pub enum Refusal {
    /// 422, together with what else is wrong with the request.
    Faults(Vec<Detail>),
    /// 422, alone: a text that is not JSON is found before anything else.
    Malformed(Detail),
    /// 400: not a text.
    Unreadable,
    /// 413.
    TooLarge(Error),
}

impl Detail {
    fn new(kind: &'static str, loc: Value, msg: impl Into<String>, input: &impl Serialize) -> Self {
        // What is large is not sent back.
        let input = to_raw_value(input).ok().filter(|input| input.get().len() <= INPUT_ECHO_BYTES_MAX);
        let input = input.unwrap_or_else(|| RawValue::NULL.to_owned());
        Self { kind, loc, msg: msg.into(), input, ctx: None }
    }

    /// The parameter `name` of the query is missing.
    ///
    /// ```
    /// use eric_protocol::api::Detail;
    ///
    /// let detail = serde_json::to_value(Detail::missing_parameter("channel_id")).unwrap();
    /// assert_eq!(detail["msg"], "Field required");
    /// ```
    pub fn missing_parameter(name: &str) -> Self {
        Self::new("missing", json!(["query", name]), "Field required", &())
    }

    /// The parameter `name` of the query is empty.
    ///
    /// ```
    /// use eric_protocol::api::Detail;
    ///
    /// let detail = serde_json::to_value(Detail::empty_parameter("channel_id")).unwrap();
    /// assert_eq!(detail["ctx"]["min_length"], 1);
    /// ```
    pub fn empty_parameter(name: &str) -> Self {
        let text = "String should have at least 1 character";
        let ctx = Some(json!({"min_length": 1}));
        Self { ctx, ..Self::new("string_too_short", json!(["query", name]), text, &"") }
    }

    /// The parameter `name` of the query cannot be what it is for.
    ///
    /// ```
    /// use eric_protocol::api::Detail;
    /// use eric_sse::ChannelId;
    ///
    /// let error = "eric.log".parse::<ChannelId>().unwrap_err();
    /// let detail = serde_json::to_value(Detail::bad_parameter("channel_id", "eric.log", &error)).unwrap();
    /// assert_eq!(detail["msg"], "Value error, channel id begins with a reserved prefix");
    /// ```
    pub fn bad_parameter(name: &str, value: &str, error: &Error) -> Self {
        Self::bad(json!(["query", name]), error, &value)
    }

    fn bad(loc: Value, error: &Error, input: &impl Serialize) -> Self {
        let ctx = Some(json!({"error": {}}));
        Self { ctx, ..Self::new("value_error", loc, format!("Value error, {error}"), input) }
    }

    fn missing_body() -> Self {
        Self::new("missing", json!(["body"]), "Field required", &())
    }

    fn no_object(input: &impl Serialize) -> Self {
        let text = "Input should be a valid dictionary or object to extract fields from";
        Self::new("model_attributes_type", json!(["body"]), text, input)
    }

    fn malformed(text: &str) -> Self {
        let fault = fault::find(text);
        let ctx = Some(json!({"error": fault.what}));
        let loc = json!(["body", fault.at]);
        Self { ctx, ..Self::new("json_invalid", loc, "JSON decode error", &json!({})) }
    }
}

/// The message of a body, which is JSON where its content type says so or says nothing.
///
/// # Errors
/// Why not, as the Python service says it.
///
/// ```
/// use eric_protocol::api::{Refusal, message};
///
/// let taken = message(br#"{"type": "t", "payload": null}"#, true).unwrap();
/// assert_eq!(taken.payload().as_json(), "null");
/// assert!(matches!(message(br#"{"type": "t"}"#, true), Err(Refusal::Faults(faults)) if faults.len() == 1));
/// ```
pub fn message(body: &[u8], is_json: bool) -> Result<Message, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Unreadable)?;
    let faults = |fault| Refusal::Faults(vec![fault]);
    if text.is_empty() {
        return Err(faults(Detail::missing_body()));
    }
    if !is_json {
        return Err(faults(Detail::no_object(&text)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|_| Refusal::Malformed(Detail::malformed(text)))?;
    match raw.get().as_bytes()[0] {
        b'{' => {}
        b'n' => return Err(faults(Detail::missing_body())),
        _ => return Err(faults(Detail::no_object(&raw))),
    }
    let [kind, payload] = fields(raw.get(), ["type", "payload"]).expect("a JSON object was found");
    Fields { kind, payload }.message(raw)
}

/// The fields of a message, as they were written.
#[derive(Debug)]
struct Fields<'a> {
    kind: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl Fields<'_> {
    fn message(&self, object: &RawValue) -> Result<Message, Refusal> {
        let mut faults = Vec::new();
        let missing = |name: &str| Detail::new("missing", json!(["body", name]), "Field required", &object);
        let kind = match self.kind.map(|kind| (kind, kind.get().starts_with('"'))) {
            None => Err(missing("type")),
            Some((kind, false)) => Err(Detail::new(
                "string_type",
                json!(["body", "type"]),
                "Input should be a valid string",
                &kind,
            )),
            Some((kind, true)) => {
                let text = serde_json::from_str::<String>(kind.get());
                let text =
                    text.map_err(|_| Error::new(ErrorKind::InvalidMessage, "message type is not Unicode"));
                text.and_then(|text| text.parse())
                    .map_err(|error| Detail::bad(json!(["body", "type"]), &error, &kind))
            }
        };
        let payload = match self.payload {
            None => Err(missing("payload")),
            Some(payload) => Payload::from_raw(payload)
                .map_err(|error| Detail::bad(json!(["body", "payload"]), &error, &payload)),
        };
        match (kind, payload) {
            (Ok(kind), Ok(payload)) => Message::new(kind, payload).map_err(Refusal::TooLarge),
            (kind, payload) => {
                faults.extend(kind.err());
                faults.extend(payload.err());
                Err(Refusal::Faults(faults))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The details of a refusal, as they are sent.
    fn refused(body: &[u8], is_json: bool) -> String {
        match message(body, is_json).unwrap_err() {
            Refusal::Faults(faults) => serde_json::to_string(&faults).unwrap(),
            Refusal::Malformed(fault) => format!("alone {}", serde_json::to_string(&fault).unwrap()),
            Refusal::Unreadable => "unreadable".into(),
            Refusal::TooLarge(error) => error.to_string(),
        }
    }

    #[test]
    fn faults_are_told_as_the_python_service_tells_them() {
        let missing = |loc: &str, input: &str| {
            format!(r#"{{"type":"missing","loc":{loc},"msg":"Field required","input":{input}}}"#)
        };
        let no_string = |input: &str| {
            format!(
                r#"{{"type":"string_type","loc":["body","type"],"msg":"Input should be a valid string","input":{input}}}"#
            )
        };
        let no_object = |input: &str| {
            let text = "Input should be a valid dictionary or object to extract fields from";
            format!(r#"[{{"type":"model_attributes_type","loc":["body"],"msg":"{text}","input":{input}}}]"#)
        };
        let (kind, payload) = (r#"["body","type"]"#, r#"["body","payload"]"#);
        for (body, expected) in [
            ("", format!("[{}]", missing(r#"["body"]"#, "null"))),
            ("null", format!("[{}]", missing(r#"["body"]"#, "null"))),
            ("[1]", no_object("[1]")),
            (r#""x""#, no_object(r#""x""#)),
            ("5", no_object("5")),
            ("true", no_object("true")),
            ("{}", format!("[{},{}]", missing(kind, "{}"), missing(payload, "{}"))),
            (r#"{"type":"t"}"#, format!("[{}]", missing(payload, r#"{"type":"t"}"#))),
            (r#"{"payload":1}"#, format!("[{}]", missing(kind, r#"{"payload":1}"#))),
            (r#"{"type":1,"payload":1}"#, format!("[{}]", no_string("1"))),
            (r#"{"type":null,"payload":1}"#, format!("[{}]", no_string("null"))),
            (r#"{"type":["a"],"payload":1}"#, format!("[{}]", no_string(r#"["a"]"#))),
            (r#"{"type":"t","type":2,"payload":1}"#, format!("[{}]", no_string("2"))),
            (r#"{"type":1}"#, format!("[{},{}]", no_string("1"), missing(payload, r#"{"type":1}"#))),
            (
                r#"{"type":"eric.x","payload":1}"#,
                r#"[{"type":"value_error","loc":["body","type"],"msg":"Value error, message type begins with the reserved prefix eric.","input":"eric.x","ctx":{"error":{}}}]"#.to_owned(),
            ),
            (
                "{",
                r#"alone {"type":"json_invalid","loc":["body",1],"msg":"JSON decode error","input":{},"ctx":{"error":"Expecting property name enclosed in double quotes"}}"#.to_owned(),
            ),
        ] {
            assert_eq!(refused(body.as_bytes(), true), expected, "{body}");
        }
        assert_eq!(refused(br#"{"type":1}"#, false), no_object(r#""{\"type\":1}""#));
        assert_eq!(refused(b"\xff", true), "unreadable");
    }

    #[test]
    fn a_fault_echoes_at_most_4_kib_of_its_input() {
        let echoed = |bytes: usize| {
            let body = format!(r#"["{}"]"#, "x".repeat(bytes - 4));
            assert_eq!(body.len(), bytes);
            refused(body.as_bytes(), true).contains(&body)
        };
        assert!(echoed(INPUT_ECHO_BYTES_MAX));
        assert!(!echoed(INPUT_ECHO_BYTES_MAX + 1));
    }

    #[test]
    fn a_message_is_taken_whatever_else_the_object_holds() {
        let taken = message(
            "\u{feff}{\"x\":[1],\"\\ud800\":1,\"payload\":1,\"type\":\"a\",\"type\":\"t\",\"payload\":1e400}"
                .as_bytes(),
            true,
        );
        let taken = taken.unwrap();
        assert_eq!((taken.kind().as_str(), taken.payload().as_json()), ("t", "1e400"));
    }
}
