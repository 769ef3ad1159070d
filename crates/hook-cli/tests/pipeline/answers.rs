//! What a sender is told, and what is then stored.

use serde_json::{Value, json};

use crate::support::{
    Contract, Home, Pipeline, Receiver,
    home::secrets,
    http::{Answer, exchange},
    keys, poll_until, sign,
    sign::Webhook,
    text,
};

/// A pipeline that stores in a file whatever it takes.
pub(crate) fn into_a_file(contract: Contract) -> (Home, Pipeline) {
    let home = Home::new(&contract.file_output("file", "events.jsonl"));
    let pipeline = home.up();
    (home, pipeline)
}

/// A refusal: this status, this code, a message, a request id, and nothing else.
#[track_caller]
pub(crate) fn check_refused(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(keys(&answer.json()), ["code", "message", "request_id"]);
    assert!(!text(&answer.json(), "/message").is_empty());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    text(&answer.json(), "/request_id").to_owned()
}

/// An answer of two fields: the code, and one id.
#[track_caller]
pub(crate) fn check_taken(answer: &Answer, status: u16, code: &str, id: &str) -> String {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(keys(&answer.json()), ["code", id]);
    text(&answer.json(), &format!("/{id}")).to_owned()
}

pub(crate) fn count_of_events(home: &Home) -> usize {
    home.run("events list --limit 100000 --json").ok().lines().len()
}

#[test]
fn a_signed_event_of_every_provider_reaches_every_destination_unchanged() {
    let receiver = Receiver::start();
    let contract = Contract::new().http_output("service", &receiver, "").file_output("file", "events.jsonl");
    let home = Home::new(&contract);
    let pipeline = home.up();

    // Whitespace, the order of keys, numbers and escapes must come out as they went in.
    let github = "{ \"zebra\": 1.50,\n  \"action\": \"opened\", \"issue\": {\"number\": 12}, \"a\": \"\\u00e9\",\n \
                  \"repository\": {\"full_name\": \"octo/repo\"}, \"big\": 12345678901234567890 }";
    let linear = json!({ "type": "Issue", "action": "create", "data": { "id": "issue-7" } });
    let stripe = json!({ "id": "evt_1", "type": "invoice.paid" });
    let sent = [
        (sign::github("issues", "delivery-1", github), "issues.opened", Some("github:octo/repo#12"), "delivery-1"),
        (sign::linear("delivery-2", linear, sign::unix_millis()), "Issue.create", Some("linear:issue-7"), "delivery-2"),
        (sign::stripe(&stripe, sign::unix_seconds()), "invoice.paid", None, "evt_1"),
    ];
    for (webhook, event_type, route_key, delivery_id) in sent {
        let source = webhook.path.strip_prefix("/webhook/").unwrap().to_owned();
        let id = check_taken(&pipeline.post(&webhook), 202, "accepted", "event_id");
        let delivery = receiver.taken(&id);
        delivery.check_signature();
        assert_eq!(delivery.header("webhook-id"), id);

        let envelope = delivery.json();
        assert_eq!(keys(&envelope), ["event_type", "id", "meta", "payload", "received_at", "source"]);
        assert_eq!((text(&envelope, "/source"), text(&envelope, "/event_type")), (source.as_str(), event_type));
        assert!(text(&envelope, "/received_at").ends_with('Z'));
        assert_eq!(text(&envelope, "/meta/ingress_adapter"), "http-in");
        assert_eq!(envelope.pointer("/meta/route_key").and_then(Value::as_str), route_key);
        assert_eq!(text(&envelope, "/meta/delivery_id"), delivery_id);
        assert_eq!(text(&envelope, "/meta/body_sha256"), sha256(&webhook.body));
        let delivered = String::from_utf8(delivery.body).unwrap();
        assert!(delivered.contains(std::str::from_utf8(&webhook.body).unwrap()), "{delivered}");

        poll_until("the event is in the file", || home.lines_of("events.jsonl").iter().any(|line| line["id"] == id));
        let in_file = home.lines_of("events.jsonl").into_iter().find(|line| line["id"] == id).unwrap();
        assert_eq!(in_file, envelope);
        let topics: Vec<_> = home.run(&format!("events list --source {source} --json")).ok().lines();
        let topics: Vec<_> = topics.iter().map(|event| text(event, "/topic")).collect();
        assert!(
            topics.contains(&format!("webhooks.{source}").as_str()) && topics.contains(&"webhooks.core"),
            "{topics:?}"
        );
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[test]
fn an_event_that_no_route_takes_is_no_error_and_is_not_stored() {
    let (home, pipeline) = into_a_file(Contract::new().serves_only("github"));
    let linear = sign::linear("delivery-1", json!({ "type": "Issue", "action": "create" }), sign::unix_millis());
    check_taken(&pipeline.post(&linear), 200, "not_routed", "request_id");
    assert_eq!(count_of_events(&home), 0);
}

#[test]
fn whatever_is_wrong_has_a_status_and_a_code_and_stores_nothing() {
    let (home, pipeline) = into_a_file(Contract::new().ingress("max_body_bytes = 1000"));
    let good = || sign::issue(1, "delivery-1");
    let signed = |body: &str| sign::github("issues", "delivery-1", body);
    let now = sign::unix_seconds();
    let stripe = json!({ "id": "evt_1", "type": "invoice.paid" });
    let linear = json!({ "type": "Issue", "action": "create" });
    let cases: Vec<(Webhook, u16, &str)> = vec![
        (Webhook { path: "/elsewhere".into(), ..good() }, 404, "not_found"),
        (Webhook { path: "/webhook/gitlab".into(), ..good() }, 404, "unknown_source"),
        (Webhook { method: "PUT", ..good() }, 405, "method_not_allowed"),
        (Webhook { method: "GET", body: Vec::new(), ..good() }, 405, "method_not_allowed"),
        (signed(&format!("{{\"a\": \"{}\"}}", "x".repeat(1000))), 413, "body_too_large"),
        (Webhook::unsigned("github", good().body), 401, "missing_signature"),
        (good().header("X-Hub-Signature-256", "sha256=short"), 401, "malformed_signature"),
        (sign::github_with("another secret", "issues", "delivery-1", good().body), 401, "signature_mismatch"),
        (Webhook { body: b"{}".to_vec(), ..good() }, 401, "signature_mismatch"),
        (sign::stripe(&stripe, now - 3600), 401, "stale_timestamp"),
        (sign::stripe(&stripe, now + 3600), 401, "stale_timestamp"),
        (sign::linear("delivery-1", linear, sign::unix_millis() - 3_600_000), 401, "stale_timestamp"),
        (signed(""), 400, "malformed_body"),
        (signed("not json"), 400, "malformed_body"),
        (signed("[1]"), 400, "malformed_body"),
        (signed("{\"a\": 1, \"a\": 2}"), 400, "malformed_body"),
        (signed("{\"a\": 1} {}"), 400, "malformed_body"),
        (
            sign::github("issues", "delivery-1", [b"{\"a\": \"".as_slice(), &[0xff], b"\"}"].concat()),
            400,
            "malformed_body",
        ),
        (signed(&format!("{}{}", "{\"a\":".repeat(129), "}".repeat(129))), 400, "malformed_body"),
    ];
    for (webhook, status, code) in cases {
        let answer = pipeline.post(&webhook);
        check_refused(&answer, status, code);
        assert_eq!(answer.header("allow"), (status == 405).then_some("POST"));
    }
    let form = check_message(&pipeline.post(&signed("payload=%7B%7D&a=b")), 400);
    assert!(form.contains("application/json"), "{form}");
    assert_eq!(count_of_events(&home), 0);
    // Nothing of this has left a mark: the delivery id is still free.
    pipeline.accept(&good());
}

#[track_caller]
fn check_message(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{answer:?}");
    text(&answer.json(), "/message").to_owned()
}

#[test]
fn a_source_whose_secret_is_not_set_refuses_everything_and_ready_says_so() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    home.set("HMAC_SECRET_GITHUB", "");
    let pipeline = home.up();
    let empty_key = sign::github_with("", "issues", "delivery-1", "{}");
    check_refused(&pipeline.post(&empty_key), 401, "no_secret");
    let sources = pipeline.status()["sources"].clone();
    let state =
        |name| sources.as_array().unwrap().iter().find(|source| source["source"] == name).unwrap()["state"].clone();
    assert_eq!((state("github"), state("linear")), (json!("no secret"), json!("ready")));
}

#[test]
fn a_plugin_refuses_with_422_and_another_changes_what_is_stored() {
    let plugins = r#"plugins = [
  { driver = "require_payload_field", pointer = "/issue" },
  { driver = "event_type_alias", from = "issues.opened", to = "ticket.created" },
  { driver = "add_meta_flag", flag = "seen" },
]"#;
    let (home, pipeline) = into_a_file(Contract::new().ingress(plugins));
    check_refused(&pipeline.post(&sign::github("push", "delivery-1", "{}")), 422, "refused_by_plugin");
    pipeline.accept(&sign::issue(1, "delivery-2"));
    poll_until("the event is in the file", || !home.lines_of("events.jsonl").is_empty());
    let event = &home.lines_of("events.jsonl")[0];
    assert_eq!((text(event, "/event_type"), &event["meta"]["flags"]), ("ticket.created", &json!(["seen"])));
}

#[test]
fn over_a_rate_the_answer_is_429_with_a_time_and_forgeries_do_not_count() {
    let limited = "[sources.github]\nverifier = \"github\"\nsecret_env = \"HMAC_SECRET_GITHUB\"\nrate_per_minute = 1";
    let (_home, pipeline) = into_a_file(Contract::new().with(limited));
    for _ in 0..5 {
        let forged = sign::github_with("another secret", "issues", "delivery-1", "{}");
        check_refused(&pipeline.post(&forged), 401, "signature_mismatch");
    }
    pipeline.accept(&sign::issue(1, "delivery-1"));
    let over = pipeline.post(&sign::issue(2, "delivery-2"));
    check_refused(&over, 429, "rate_limited");
    let wait: u64 = over.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");

    let (_home, pipeline) = into_a_file(Contract::new().ingress("rate_per_minute_per_address = 2"));
    pipeline.accept(&sign::issue(1, "delivery-1"));
    pipeline.accept(&sign::issue(2, "delivery-2"));
    let over = pipeline.post(&sign::issue(3, "delivery-3"));
    check_refused(&over, 429, "rate_limited");
    assert!(over.header("retry-after").is_some());
}

#[test]
fn both_secrets_of_a_rotation_are_taken_and_a_metric_says_which() {
    let rotating = "[sources.github]\nverifier = \"github\"\nsecret_env = [\"HMAC_SECRET_GITHUB\", \"NEW_SECRET\"]";
    let mut home = Home::new(&Contract::new().with(rotating).file_output("file", "events.jsonl"));
    home.set("NEW_SECRET", "the-new-secret-31");
    let pipeline = home.up();
    pipeline.accept(&sign::github_with(secrets::GITHUB, "push", "delivery-1", "{\"n\": 1}"));
    pipeline.accept(&sign::github_with("the-new-secret-31", "push", "delivery-2", "{\"n\": 2}"));
    pipeline.accept(&sign::github_with("the-new-secret-31", "push", "delivery-3", "{\"n\": 3}"));
    let used = |slot| pipeline.metric(&format!("serve_secret_used_total{{source=\"github\",slot=\"{slot}\"}}"));
    assert_eq!((used(0), used(1)), (1.0, 2.0));
}

#[test]
fn the_trace_of_the_sender_is_kept_and_passed_on() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let pipeline = home.up();
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = sign::issue(1, "delivery-1").header("traceparent", &format!("00-{trace}-b7ad6b7169203331-01"));
    let delivery = receiver.taken(&pipeline.accept(&traced));
    assert_eq!(text(&delivery.json(), "/meta/trace_id"), trace);
    let passed_on = delivery.header("traceparent");
    assert!(passed_on.starts_with(&format!("00-{trace}-")) && !passed_on.contains("b7ad6b7169203331"), "{passed_on}");

    let malformed = sign::issue(2, "delivery-2").header("traceparent", "00-xyz-1-01");
    let delivery = receiver.taken(&pipeline.accept(&malformed));
    assert_eq!(delivery.json().pointer("/meta/trace_id"), None);
}

#[test]
fn one_connection_carries_one_request_after_the_other() {
    let (_home, pipeline) = into_a_file(Contract::new());
    let [first, second] = [1, 2].map(|number| sign::issue(number, &format!("delivery-{number}")).request());
    let mut connection = crate::support::http::Connection::open(pipeline.ingress()).unwrap();
    connection.send(&[first, second].concat()).unwrap();
    assert_eq!([connection.receive().unwrap().status, connection.receive().unwrap().status], [202, 202]);
}

#[test]
fn an_error_in_http_itself_is_answered_and_the_next_connection_is_served() {
    let (_home, pipeline) = into_a_file(Contract::new());
    for garbage in ["\x16\x03\x01 hello\r\n\r\n", "POST /webhook/github HTTP/1.1\r\ncontent-length: -1\r\n\r\n"] {
        if let Ok(answer) = exchange(pipeline.ingress(), garbage.as_bytes()) {
            assert_eq!(answer.status, 400, "{answer:?}");
        }
    }
    pipeline.accept(&sign::issue(1, "delivery-1"));
}
