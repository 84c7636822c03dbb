//! What `SocketClient` can ask for, and what it is told: in the words of the package's own server where it has any.

use serde_json::{Value, json};

use super::stage::Stage;

#[tokio::test]
async fn every_call_of_the_client_does_what_it_says() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    client.acknowledged(json!(["broadcast_message", channel, "nobody", "is there yet"])).await;
    let listener = client.register(&channel).await;
    let other = client.register(&channel).await;
    client.acknowledged(json!(["broadcast_message", channel, "greeting", "Hi there!"])).await;
    client.acknowledged(json!(["dispatch", channel, listener, "note", {"for": [listener, null]}])).await;
    client.acknowledged(json!(["send_payload", {"v": "d", "c": channel, "r": listener, "t": "empty"}])).await;
    // Unknown fields are ignored, among them those that another verb knows.
    let made = client.id(json!(["send_payload", {"v": "c", "c": "ignored", "x": [{}]}])).await;
    assert_ne!(made, channel);

    let greeting = r#"{"event": "greeting", "retry": 3000, "data": "Hi there!"}"#;
    let note = format!(r#"{{"event": "note", "retry": 3000, "data": {{"for": ["{listener}", null]}}}}"#);
    let empty = r#"{"event": "empty", "retry": 3000, "data": null}"#;
    let mut stream = stage.stream(&channel, &listener, 3);
    for expected in [greeting, &note, empty] {
        assert_eq!(stream.next().await, json!(format!("{expected}\n")));
    }
    stream.end().await;
    let mut stream = stage.stream(&channel, &other, 1);
    assert_eq!(stream.next().await, json!(format!("{greeting}\n")));
    stream.end().await;

    client.acknowledged(json!(["remove_listener", channel, listener])).await;
    let gone = format!("InvalidListenerException('Invalid listener {listener}')");
    client.check(json!(["remove_listener", channel, listener]), &gone).await;
    client.check(json!(["dispatch", channel, listener, "t", 0]), &gone).await;
    client.acknowledged(json!(["dispatch", channel, other, "t", 0])).await;
    client.acknowledged(json!(["remove_channel", channel])).await;
    let gone = format!("InvalidChannelException('No channel with id {channel}')");
    client.check(json!(["remove_channel", channel]), &gone).await;
    client.check(json!(["dispatch", channel, other, "t", 0]), &gone).await;
    client.0.end().await;
}

#[tokio::test]
async fn what_is_unknown_is_refused_in_the_reference_s_words() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let listener = client.register(&channel).await;
    let no_id = "x".repeat(129);
    for (name, repr) in [
        ("nope", "No channel with id nope"),
        ("", "No channel with id "),
        ("*", "No channel with id *"),
        (&no_id, &format!("No channel with id {no_id}")),
        ("é\n\u{1}", "No channel with id é\\n\\x01"),
    ] {
        let unknown = format!("InvalidChannelException('{repr}')");
        client.check(json!(["register", name]), &unknown).await;
        client.check(json!(["broadcast_message", name, "t", 0]), &unknown).await;
        client.check(json!(["dispatch", name, listener, "t", 0]), &unknown).await;
        client.check(json!(["remove_listener", name, "neither"]), &unknown).await;
        client.check(json!(["remove_channel", name]), &unknown).await;
        client.check(json!(["send_payload", {"v": "l", "c": name, "r": listener}]), &unknown).await;
        client.check(json!(["send_payload", {"v": "w", "c": name}]), &unknown).await;
    }
    for (name, repr) in [
        ("nope", "'Invalid listener nope'"),
        ("", "'Invalid listener '"),
        ("it's", "\"Invalid listener it's\""),
    ] {
        let unknown = format!("InvalidListenerException({repr})");
        client.check(json!(["dispatch", channel, name, "t", 0]), &unknown).await;
        client.check(json!(["remove_listener", channel, name]), &unknown).await;
        client.check(json!(["send_payload", {"v": "l", "c": channel, "r": name}]), &unknown).await;
    }
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_a_reason_and_without_an_echo() {
    let Some(stage) = Stage::set().await else { return };
    let mut client = stage.calls();
    let channel = client.create_channel().await;
    let listener = client.register(&channel).await;
    let publish = |field: &str, value: Value| {
        let mut request = json!({"v": "d", "c": channel, "r": listener, "t": "secret", "p": "secret"});
        request[field] = value;
        request.to_string()
    };
    let mut requests: Vec<String> =
        ["null", "true", "5", "\"secret\"", "[]", "[\"secret\"]", "{}"].map(str::to_owned).into();
    for request in [
        json!({"c": channel}),
        json!({"v": "secret"}),
        json!({"v": "secret", "t": "x"}),
        json!({"v": "R", "c": channel}),
        json!({"v": ["c"]}),
        json!({"v": null}),
        json!({"v": "r"}),
        json!({"v": "r", "c": null}),
        json!({"v": "r", "c": 5}),
        json!({"v": "b", "c": ["secret"], "t": "x"}),
        json!({"v": "b", "c": channel}),
        json!({"v": "d", "c": channel, "t": "secret"}),
        json!({"v": "d", "c": channel, "r": {}, "t": "secret"}),
        json!({"v": "l", "c": channel}),
        json!({"v": "w"}),
        json!({"v": "rl", "c": channel}),
        json!({"v": "rc"}),
    ] {
        requests.push(request.to_string());
    }
    for no_type in [json!(5), json!(null), json!("secret\nid: 1"), json!("\r"), json!("\0"), json!("eric.x")]
    {
        requests.push(publish("t", no_type));
    }
    requests.push(publish("t", json!("x".repeat(8 * 1024 + 1))));
    requests.push(publish("t", json!("SURROGATE")).replace("SURROGATE", "secret\\ud800"));
    requests.push(publish("p", json!("x".repeat(16 << 20))));
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    for no_payload in ["NaN", "Infinity", "-Infinity", &deep] {
        requests.push(publish("p", json!("NONE")).replace("\"NONE\"", no_payload));
    }
    for request in requests {
        let reply = client.0.ask(format!("[\"send_payload\", {request}]")).await;
        let reply = reply.as_str().unwrap();
        let short = &request[..request.len().min(200)];
        let reason = reply.strip_prefix("InvalidMessageFormat(").and_then(|rest| rest.strip_suffix(')'));
        let reason = reason.unwrap_or_else(|| panic!("{short} -> {reply}"));
        assert!(reason.len() > 10 && reason.len() < 200 && !reason.contains('\n'), "{short} -> {reply}");
        assert!(!reply.contains("secret"), "{short} -> {reply}");
    }
    client.acknowledged(json!(["remove_listener", channel, listener])).await;
}
