//! Every route that answers with a body, as documented.

use serde_json::{Value, json};

use crate::server::TestServer;

fn offset(position: &Value) -> u64 {
    position.as_str().unwrap().rsplit_once('-').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_channel_is_made_changed_shown_listed_and_removed() {
    let server = TestServer::start();
    let made = server.expect(201, "PUT", "/v1/channels/c", r#"{"retry_ms":500}"#).await;
    assert_eq!(made["id"], "c");
    assert_eq!(made["settings"]["retry_ms"], 500);
    assert_eq!(made["settings"]["max_bytes"], 64 << 20);
    assert_eq!(made["tail"], Value::Null);
    let changed = server.expect(200, "PUT", "/v1/channels/c", r#"{"overflow":"reject"}"#).await;
    assert_eq!(
        (&changed["settings"]["retry_ms"], &changed["settings"]["overflow"]),
        (&json!(500), &json!("reject"))
    );
    let generated = server.expect(201, "POST", "/v1/channels", "").await;
    assert_eq!(generated["id"].as_str().unwrap().len(), 36);
    server.expect(201, "PUT", "/v1/channels/a%2Fb%20%C3%A9", "").await;

    let page = server.expect(200, "GET", "/v1/channels?limit=2", "").await;
    assert_eq!(page["channels"][0]["id"], "c");
    assert_eq!(page["next"], generated["id"]);
    let after = format!("/v1/channels?limit=2&after={}", generated["id"].as_str().unwrap());
    let page = server.expect(200, "GET", &after, "").await;
    assert_eq!((&page["channels"][0]["id"], &page["next"]), (&json!("a/b é"), &Value::Null));

    server.expect(204, "DELETE", "/v1/channels/c", "").await;
    server.expect(404, "DELETE", "/v1/channels/c", "").await;
    server.expect(404, "GET", "/v1/channels/c", "").await;
}

#[tokio::test]
async fn messages_are_published_once_per_key_and_listed() {
    let server = TestServer::start();
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    let path = "/v1/channels/c/messages";
    let message = r#"{"type":"t","payload":{ "n": 12345678901234567890123 },"id":"k","sender_id":"s"}"#;
    let first = server.expect(201, "POST", path, message).await;
    assert_eq!(server.expect(200, "POST", path, message).await, first);
    let lines = "{\"type\":\"a\"}\n\n{\"type\":\"t\",\"payload\":{\"n\":12345678901234567890123},\"id\":\"k\",\"sender_id\":\"s\"}\n{\"type\":\"b\"}";
    let ndjson = "Content-Type: application/x-ndjson\r\n";
    let batch = server.send_with("POST", path, ndjson, lines).await;
    assert_eq!(batch.status, 201);
    let ids: Value = serde_json::from_str(&batch.body).unwrap();
    let offsets: Vec<u64> = ids["ids"].as_array().unwrap().iter().map(offset).collect();
    assert_eq!(offsets, [2, 1, 3]);
    let repeated = server
        .send_with("POST", path, ndjson, lines.split("\n\n").nth(1).unwrap().split('\n').next().unwrap())
        .await;
    assert_eq!(repeated.status, 200, "all were repetitions");
    let keyed = server.send_with("POST", path, "Idempotency-Key: k2\r\n", r#"{"type":"t"}"#).await.status;
    let again = server.send_with("POST", path, "Idempotency-Key: k2\r\n", r#"{"type":"t"}"#).await.status;
    assert_eq!((keyed, again), (201, 200));

    let page = server.expect(200, "GET", &format!("{path}?limit=2"), "").await;
    let entry = &page["messages"][0];
    assert_eq!(
        (&entry["id"], &entry["message_id"], &entry["sender_id"]),
        (&first["id"], &json!("k"), &json!("s"))
    );
    assert!(entry["taken_at"].as_str().unwrap().ends_with('Z'));
    let raw = server.send("GET", &format!("{path}?limit=1"), "").await.body;
    assert!(raw.contains(r#""payload":{"n":12345678901234567890123}"#), "{raw}");
    let next = page["next"].as_str().unwrap();
    let rest = server.expect(200, "GET", &format!("{path}?after={next}"), "").await;
    assert_eq!((rest["messages"].as_array().unwrap().len(), &rest["next"]), (2, &Value::Null));
    let channel = server.expect(200, "GET", "/v1/channels/c", "").await;
    assert_eq!((&channel["messages"], offset(&channel["tail"])), (&json!(4), 4));
}

#[tokio::test]
async fn listeners_come_acknowledge_are_listed_and_go() {
    let server = TestServer::start();
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    let base = "/v1/channels/c/listeners";
    let generated = server.expect(201, "POST", base, "").await["listener_id"].as_str().unwrap().to_owned();
    assert_eq!(server.expect(201, "PUT", &format!("{base}/l"), "").await["listener_id"], "l");
    let first = server.expect(201, "POST", "/v1/channels/c/messages", r#"{"type":"t"}"#).await;
    let second =
        server.expect(201, "POST", &format!("{base}/l/messages"), r#"{"type":"t","payload":"x"}"#).await;
    assert_eq!(server.expect(200, "PUT", &format!("{base}/l"), "").await["listener_id"], "l");
    let shown = server.expect(200, "GET", &format!("{base}/l"), "").await;
    assert_eq!(
        (&shown["backlog"], &shown["backlog_bytes"], &shown["connected"]),
        (&json!(2), &json!(9), &json!(false))
    );

    server.expect(204, "POST", &format!("{base}/l/ack"), &json!({"id": first["id"]}).to_string()).await;
    let shown = server.expect(200, "GET", &format!("{base}/l"), "").await;
    assert_eq!((&shown["backlog"], &shown["cursor"]), (&json!(1), &first["id"]));
    server.expect(204, "POST", &format!("{base}/l/ack"), &json!({"id": second["id"]}).to_string()).await;
    server.expect(204, "POST", &format!("{base}/l/ack"), &json!({"id": first["id"]}).to_string()).await;
    assert_eq!(
        server.expect(200, "GET", &format!("{base}/l"), "").await["cursor"],
        second["id"],
        "acks never go back"
    );

    let listed = server.expect(200, "GET", &format!("{base}?limit=1"), "").await;
    assert_eq!(
        (&listed["listeners"][0]["listener_id"], &listed["next"]),
        (&json!(generated), &json!(generated))
    );
    let fullest = server.expect(200, "GET", &format!("{base}?sort=backlog"), "").await;
    assert_eq!(fullest["listeners"][0]["listener_id"], generated.as_str());
    assert_eq!(fullest["listeners"][1]["backlog"], 0);
    server.expect(204, "DELETE", &format!("{base}/l"), "").await;
    server.expect(404, "DELETE", &format!("{base}/l"), "").await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_names_the_limit_and_who_holds_it() {
    let server = TestServer::start();
    server
        .expect(
            201,
            "PUT",
            "/v1/channels/c",
            r#"{"overflow":"reject","max_messages":2,"max_unread_per_listener":1}"#,
        )
        .await;
    server.expect(201, "PUT", "/v1/channels/c/listeners/slow", "").await;
    let message = r#"{"type":"t"}"#;
    for _ in 0..2 {
        server.expect(201, "POST", "/v1/channels/c/messages", message).await;
    }
    let refused = server.expect(429, "POST", "/v1/channels/c/messages", message).await;
    assert_eq!((&refused["code"], &refused["limit"]), (&json!("limit_exceeded"), &json!("max_messages")));
    assert!(refused["detail"].as_str().unwrap().contains("id=slow"), "{refused}");
    server.expect(201, "POST", "/v1/channels/c/listeners/slow/messages", message).await;
    let refused = server.expect(429, "POST", "/v1/channels/c/listeners/slow/messages", message).await;
    assert_eq!(refused["limit"], "max_unread_per_listener");
}

#[tokio::test]
async fn health_tells_that_it_lives_and_is_ready() {
    let server = TestServer::start();
    assert_eq!(server.expect(200, "GET", "/health/live", "").await, json!({"status": "live"}));
    assert_eq!(server.expect(200, "GET", "/health/ready", "").await["status"], "ready");
}

#[tokio::test]
async fn pages_of_the_named_origins_may_use_the_hub_and_others_may_not() {
    let origins = ["https://app.example".to_owned()];
    let cors_origins = eric_server::CorsOrigins::parse(&origins).unwrap();
    let server = TestServer::start_with(eric_server::ServerSettings { cors_origins, ..Default::default() });
    server.expect(201, "PUT", "/v1/channels/c", "").await;
    let preflight = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\
                     Access-Control-Request-Headers: content-type,last-event-id\r\n";
    let answer = server.send_with("OPTIONS", "/v1/channels/c/messages", preflight, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("access-control-allow-origin: https://app.example"), "{}", answer.head);
    assert!(answer.head.contains("last-event-id"), "{}", answer.head);
    assert!(answer.head.contains("access-control-allow-credentials: true"), "{}", answer.head);
    let stranger = server.send_with("GET", "/v1/channels/c", "Origin: https://evil.example\r\n", "").await;
    assert!(!stranger.head.contains("access-control-allow-origin"), "{}", stranger.head);
    let friend = server.send_with("GET", "/v1/channels/nope", "Origin: https://app.example\r\n", "").await;
    assert!(friend.head.contains("access-control-allow-origin"), "errors can be read too: {}", friend.head);
}
