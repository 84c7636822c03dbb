//! All that eric-api can do, once through each client: the requests are the client's own too.

use serde_json::{Value, json};

use super::puppet::Puppet;

/// Payloads as they are published, and the data that a client makes of the event.
const PAYLOADS: [(&str, &str); 24] = [
    (r#"{"a": 1, "b": null, "c": {"d": [true, false]}}"#, r#"{"a":1,"b":null,"c":{"d":[true,false]}}"#),
    (r#"{"z": 1, "a": "x\ny", "é": "\u00e9 🙂"}"#, r#"{"z":1,"a":"x\ny","é":"\u00e9 🙂"}"#),
    ("[1, [2.50, {}], \"\"]", "[1,[2.50,{}],\"\"]"),
    ("{}", "{}"),
    ("[]", "[]"),
    ("null", "null"),
    ("true", "true"),
    ("false", "false"),
    ("0", "0"),
    ("-0.0", "-0.0"),
    ("1.50", "1.50"),
    ("1e400", "1e400"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    (r#""Hi there!""#, "Hi there!"),
    (r#""""#, ""),
    (r#"" ""#, " "),
    (r#""  two before and two after  ""#, "  two before and two after  "),
    (r#""one\ntwo\n\nfour""#, "one\ntwo\n\nfour"),
    (r#""\nbetween line ends\n""#, "\nbetween line ends\n"),
    (r#""a\r\nb\rc""#, "a\nb\nc"),
    (r#""id: 1\nevent: evil\n\ndata: {}\n: x""#, "id: 1\nevent: evil\n\ndata: {}\n: x"),
    (r#""Grüße, 世界 \ud83d\ude42 🙂 \ufeff""#, "Grüße, 世界 🙂 🙂 \u{feff}"),
    (r#""no line ends: \u2028 \u0085 \u000b \u000c \u001e \u0000 \t""#, NO_LINE_ENDS),
    (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
];
const NO_LINE_ENDS: &str = "no line ends: \u{2028} \u{85} \u{b} \u{c} \u{1e} \0 \t";
/// Of those, what a client's own JSON parser reads as the value that was published.
const PARSED: std::ops::Range<usize> = 0..9;
/// Types, each with what clients call it.
const TYPES: [(&str, &str); 6] = [
    ("test", "test"),
    ("message", "message"),
    ("", "message"),
    (" spaces: and colons ", " spaces: and colons "),
    ("größe 🙂", "größe 🙂"),
    ("data", "data"),
];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn sseclient_py_sees_all_that_eric_api_does() {
    play(Puppet::python("sseclient-py").await).await;
}

#[tokio::test]
async fn httpx_sse_sees_all_that_eric_api_does() {
    play(Puppet::python("httpx-sse").await).await;
}

#[tokio::test]
async fn npm_eventsource_sees_all_that_eric_api_does() {
    play(Puppet::node().await).await;
}

#[tokio::test]
async fn chromium_sees_all_that_eric_api_does() {
    play(Puppet::chromium().await).await;
}

/// Two listeners of one channel.
struct Scene {
    puppet: Puppet,
    a: String,
    b: String,
}

async fn play(puppet: Option<Puppet>) {
    let Some(puppet) = puppet else { return };
    let mut scene = set(puppet).await;
    scene.what_is_unknown_is_refused().await;
    scene.messages_arrive().await;
    scene.a_channel_of_any_name_is_reached().await;
    scene.a_newer_stream_takes_over().await;
    scene.a_removed_listener_is_gone().await;
    scene.a_removed_channel_is_gone().await;
    let ended = scene.puppet.end().await.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{:?}", ended.stderr);
}

/// Makes and lists channels, and subscribes.
async fn set(mut puppet: Puppet) -> Scene {
    assert_eq!(puppet.ask("GET", "/").await, ok("{}"));
    assert_eq!(puppet.ask("GET", "/channels").await, ok("[]"));
    assert_eq!(puppet.ask("PUT", "/create?channel_id=news").await, ok(r#"{"channel_id":"news"}"#));
    // eric-api's own test sends a form, which is ignored.
    let other = id(puppet.send("PUT", "/create", FORM, "channel_id=form").await, "channel_id");
    let exists = exception("InvalidChannelException", "Channel with id news already exists");
    assert_eq!(puppet.ask("PUT", "/create?channel_id=news").await, (400, exists));
    // An EventSource comes back sooner than after the usual three seconds.
    puppet.hub.json("PUT", "/v1/channels/news", &json!({"retry_ms": 200})).await;
    let listing = format!(r#"["news","{other}"]"#);
    assert_eq!(puppet.ask("GET", "/channels").await, ok(&listing));
    assert_eq!(puppet.ask("GET", "/channels/").await, ok(&listing), "the client is sent on");

    let a = id(puppet.ask("POST", "/subscribe?channel_id=news").await, "listener_id");
    let b = id(puppet.ask("POST", "/subscribe?channel_id=news").await, "listener_id");
    let c = id(puppet.ask("POST", &format!("/subscribe?channel_id={other}")).await, "listener_id");
    let listing = format!(r#"{{"news":["{a}","{b}"],"{other}":["{c}"]}}"#);
    assert_eq!(puppet.ask("GET", "/").await, ok(&listing));
    assert_eq!(puppet.ask("DELETE", &format!("/channel/{other}")).await, ok("null"));
    assert_eq!(puppet.ask("GET", "/channels").await, ok(r#"["news"]"#));
    Scene { puppet, a, b }
}

impl Scene {
    async fn what_is_unknown_is_refused(&mut self) {
        let (puppet, a) = (&mut self.puppet, &self.a);
        let no_channel = (404, exception("InvalidChannelException", "No channel with id nope"));
        let no_listener = (404, exception("InvalidListenerException", "Invalid listener nope"));
        assert_eq!(puppet.ask("POST", "/subscribe?channel_id=nope").await, no_channel);
        for (path, refusal) in [
            ("/broadcast?channel_id=nope".to_owned(), &no_channel),
            (format!("/dispatch?channel_id=nope&listener_id={a}"), &no_channel),
            ("/dispatch?channel_id=news&listener_id=nope".to_owned(), &no_listener),
        ] {
            let answer = puppet.send("POST", &path, JSON, r#"{"type":"test","payload":1}"#).await;
            assert_eq!(&answer, refusal, "{path}");
        }
        for (path, refusal) in [
            (format!("/stream/nope/{a}"), &no_channel),
            ("/stream/news/nope".to_owned(), &no_listener),
            ("/stream/nope/nope".to_owned(), &no_channel),
        ] {
            assert_eq!(puppet.open("unknown", &path, &[]).await, puppet.refused(404), "{path}");
            assert_eq!(&puppet.ask("GET", &path).await, refusal, "{path}");
        }
        let (status, body) = puppet.send("POST", "/broadcast?channel_id=news", JSON, r#"{"type":"t"}"#).await;
        assert!(status == 422 && body.contains(r#""loc":["body","payload"]"#), "{status} {body}");
    }

    /// What was published before a stream opened comes first; a dispatch comes to one, a broadcast to both.
    async fn messages_arrive(&mut self) {
        let (broadcast, to_a, to_b) = self.publishing();
        self.publish(&to_a, "test", r#""only a""#).await;
        self.publish(&broadcast, "test", r#""waits for both""#).await;
        for (stream, listener) in [("a", self.a.clone()), ("b", self.b.clone())] {
            let types = TYPES.map(|(_, called)| called);
            let opened = self.puppet.open(stream, &format!("/stream/news/{listener}"), &types).await;
            assert_eq!(opened, json!({"open": true}));
        }
        self.arrives("a", "test", "only a").await;
        let first = self.arrives_at_both("test", "waits for both").await;
        self.publish(&to_b, "test", r#""only b""#).await;
        assert_ne!(self.arrives("b", "test", "only b").await, first, "an id is that of one message");

        for (index, (payload, data)) in PAYLOADS.into_iter().enumerate() {
            self.publish(&broadcast, "test", payload).await;
            self.arrives_at_both("test", data).await;
            if PARSED.contains(&index) {
                let value = self.puppet.tell(json!({"do": "parse", "data": data})).await;
                assert_eq!(value, serde_json::from_str::<Value>(payload).unwrap(), "{payload}");
            }
        }
        for (message_type, called) in TYPES {
            self.publish(&broadcast, message_type, "1").await;
            self.arrives_at_both(called, "1").await;
        }
    }

    async fn a_channel_of_any_name_is_reached(&mut self) {
        for (name, in_query, in_path) in [
            ("a/b c", "a%2Fb+c", "a%2Fb%20c"),
            ("é+&=%41?#", "%C3%A9%2B%26%3D%2541%3F%23", "%C3%A9+&=%2541%3F%23"),
            ("🙂'\"", "%F0%9F%99%82'%22", "%F0%9F%99%82'%22"),
        ] {
            let created = self.puppet.ask("PUT", &format!("/create?channel_id={in_query}")).await;
            assert_eq!(created, ok(&json!({"channel_id": name}).to_string()));
            let path = format!("/subscribe?channel_id={in_query}");
            let listener = id(self.puppet.ask("POST", &path).await, "listener_id");
            let opened = self.puppet.open("named", &format!("/stream/{in_path}/{listener}"), &["test"]).await;
            assert_eq!(opened, json!({"open": true}), "{name}");
            let path = format!("/dispatch?channel_id={in_query}&listener_id={listener}");
            self.publish(&path, "test", "1").await;
            self.arrives("named", "test", "1").await;
            let deleted = self.puppet.ask("DELETE", &format!("/listener/{in_path}/{listener}")).await;
            assert_eq!(deleted, ok("null"), "{name}");
            assert_eq!(self.puppet.next("named").await, json!({"ended": true}));
            assert_eq!(self.puppet.ask("DELETE", &format!("/channel/{in_path}")).await, ok("null"), "{name}");
        }
    }

    /// A listener has one stream; the older ends, and its client stays away while there is another.
    async fn a_newer_stream_takes_over(&mut self) {
        let path = format!("/stream/news/{}", self.b);
        assert_eq!(self.puppet.open("newer b", &path, &["test"]).await, json!({"open": true}));
        assert_eq!(self.puppet.next("b").await, json!({"ended": true}));
    }

    /// Its stream ends, and that of the other listener does not.
    async fn a_removed_listener_is_gone(&mut self) {
        let (broadcast, to_a, _) = self.publishing();
        let path = format!("/listener/news/{}", self.a);
        assert_eq!(self.puppet.ask("DELETE", &path).await, ok("null"));
        assert_eq!(self.puppet.next("a").await, json!({"ended": true}));
        let gone = exception("InvalidListenerException", &self.a);
        assert_eq!(self.puppet.ask("DELETE", &path).await, (404, gone));
        let no_listener = exception("InvalidListenerException", &format!("Invalid listener {}", self.a));
        let answer = self.puppet.send("POST", &to_a, JSON, r#"{"type":"test","payload":1}"#).await;
        assert_eq!(answer, (404, no_listener));
        assert_eq!(self.puppet.ask("GET", "/").await, ok(&format!(r#"{{"news":["{}"]}}"#, self.b)));
        assert_eq!(self.puppet.again("a").await, self.puppet.refused(404));
        self.publish(&broadcast, "test", r#""for who is left""#).await;
        self.arrives("newer b", "test", "for who is left").await;
    }

    /// Its stream ends, and nothing brings it back.
    async fn a_removed_channel_is_gone(&mut self) {
        let puppet = &mut self.puppet;
        assert_eq!(puppet.ask("DELETE", "/channel/news").await, ok("null"));
        assert_eq!(puppet.next("newer b").await, json!({"ended": true}));
        assert_eq!(puppet.ask("GET", "/channels").await, ok("[]"));
        assert_eq!(puppet.ask("GET", "/").await, ok("{}"));
        let gone = exception("InvalidChannelException", "No channel with id news");
        assert_eq!(puppet.ask("DELETE", "/channel/news").await, (400, gone));
        assert_eq!(puppet.again("newer b").await, puppet.refused(404));
    }

    /// Where to publish to all, to `a` and to `b`.
    fn publishing(&self) -> (String, String, String) {
        let dispatch = |listener: &str| format!("/dispatch?channel_id=news&listener_id={listener}");
        ("/broadcast?channel_id=news".to_owned(), dispatch(&self.a), dispatch(&self.b))
    }

    /// The payload is JSON, sent as it stands.
    async fn publish(&mut self, path: &str, message_type: &str, payload: &str) {
        let body = format!(r#"{{"type": {}, "payload": {payload}}}"#, json!(message_type));
        assert_eq!(self.puppet.send("POST", path, JSON, &body).await, ok("null"), "{body}");
    }

    /// Waits for the next event of a stream, and returns its id.
    async fn arrives(&mut self, stream: &str, message_type: &str, data: &str) -> String {
        let event = self.puppet.next(stream).await;
        assert_eq!((&event["type"], &event["data"]), (&json!(message_type), &json!(data)), "on {stream}");
        event["id"].as_str().filter(|id| !id.is_empty()).expect("every event has an id").to_owned()
    }

    async fn arrives_at_both(&mut self, message_type: &str, data: &str) -> String {
        let at_a = self.arrives("a", message_type, data).await;
        assert_eq!(at_a, self.arrives("b", message_type, data).await, "one message has one id");
        at_a
    }
}

fn ok(body: &str) -> (u64, String) {
    (200, body.to_owned())
}

fn exception(class: &str, text: &str) -> String {
    json!({"message": format!("{class}('{text}')")}).to_string()
}

/// The id in an answer of 200, which was made up.
fn id((status, body): (u64, String), name: &str) -> String {
    let value: Value = serde_json::from_str(&body).unwrap();
    let id = value[name].as_str().filter(|id| status == 200 && id.len() == 36);
    id.unwrap_or_else(|| panic!("no {name}: {status} {body}")).to_owned()
}
