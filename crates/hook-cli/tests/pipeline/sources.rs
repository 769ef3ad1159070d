//! Providers that packs describe: their bodies, their challenges, the answers that they insist on, and the commands about them.

use serde_json::{Value, json};

use crate::{
    answers::{check_refused, check_taken, count_of_events, into_a_file},
    support::{
        Contract, Home, Pipeline,
        http::{Answer, exchange},
        keys, poll, sign,
        sign::Webhook,
        text,
    },
};

const SECRET: &str = "pack-secret-3f7a";

/// A pipeline that takes events of these packs, each as a source of its name.
fn with(packs: &[&str]) -> (Home, Pipeline) {
    let blocks = packs.iter().map(|name| format!("[sources.{name}]\nverifier = \"{name}\"\n"));
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl").with(&blocks.collect::<String>()));
    for name in packs {
        home.set(&format!("HMAC_SECRET_{}", name.to_uppercase()), SECRET);
    }
    home.set("VERIFY_TOKEN_META", "verify-token-51e0");
    let pipeline = home.up();
    (home, pipeline)
}

fn slack(body: &Value) -> Webhook {
    sign::slack(SECRET, body.to_string())
}

fn get(pipeline: &Pipeline, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: hook\r\nconnection: close\r\n\r\n");
    exchange(pipeline.ingress(), request.as_bytes()).unwrap()
}

fn event(home: &Home, id: &str) -> Value {
    poll("the event is in the file", || home.lines_of("events.jsonl").into_iter().find(|line| line["id"] == id))
}

#[test]
fn a_challenge_is_answered_once_its_signature_has_passed_and_nothing_is_stored() {
    let (home, pipeline) = with(&["slack", "meta", "intercom"]);
    let asks = json!({ "type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV" });
    let answer = pipeline.post(&slack(&asks));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"3eZbrw1aBm2rZgRNFdxV"[..]), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    check_refused(&pipeline.post(&Webhook::unsigned("slack", asks.to_string())), 401, "missing_signature");

    let path = "/webhook/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=";
    let answer = get(&pipeline, &format!("{path}verify-token-51e0"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"1158201444"[..]), "{answer:?}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    check_refused(&get(&pipeline, &format!("{path}another")), 401, "signature_mismatch");
    check_refused(&get(&pipeline, "/webhook/meta"), 405, "method_not_allowed");
    let head = |source: &str| {
        let request = format!("HEAD /webhook/{source} HTTP/1.1\r\nhost: hook\r\nconnection: close\r\n\r\n");
        exchange(pipeline.ingress(), request.as_bytes()).unwrap()
    };
    assert_eq!((head("intercom").status, head("slack").status, head("nobody").status), (200, 405, 404));
    check_refused(&get(&pipeline, "/webhook/slack"), 405, "method_not_allowed");
    assert_eq!(count_of_events(&home), 0);
}

#[test]
fn a_form_becomes_an_object_and_an_array_the_items_of_one() {
    let (home, pipeline) = with(&["slack", "hubspot", "twilio"]);
    let form = "team_id=T1&channel_id=C1&command=%2Fdeploy&text=a+b&trigger_id=t.1";
    let answer = pipeline.post(&sign::slack(SECRET, form));
    assert_eq!((answer.status, answer.body.len()), (200, 0), "what is answered is shown to who typed the command");
    let stored = event(&home, answer.header("x-hook-event-id").unwrap());
    assert_eq!((text(&stored, "/event_type"), text(&stored, "/meta/delivery_id")), ("/deploy", "t.1"));
    let fields =
        json!({ "team_id": "T1", "channel_id": "C1", "command": "/deploy", "text": "a b", "trigger_id": "t.1" });
    assert_eq!(stored["payload"], fields);
    assert_eq!(text(&stored, "/meta/received_body"), form);

    let sent = home.run("send hubspot contact.creation --json").ok().json();
    let stored = event(&home, text(&sent, "/answer/event_id"));
    assert_eq!(text(&stored, "/event_type"), "contact.creation");
    assert_eq!(stored["payload"]["items"][0]["objectId"], 123);
    assert!(stored["meta"].get("received_body").is_none());

    let sent = home.run("send twilio message.received --json").ok().json();
    assert_eq!((&sent["status"], text(&sent, "/answer")), (&200.into(), "<Response></Response>"));
    assert_eq!(text(&event(&home, text(&sent, "/id")), "/event_type"), "message.received");
}

#[test]
fn an_event_whose_id_is_not_signed_is_known_by_its_body_too() {
    let (home, pipeline) = with(&["gitlab"]);
    let body = json!({ "object_kind": "push", "project": { "path_with_namespace": "team/hello" } }).to_string();
    let sent = |id: &str| {
        Webhook::unsigned("gitlab", body.as_str()).header("X-Gitlab-Token", SECRET).header("Idempotency-Key", id)
    };
    let first = check_taken(&pipeline.post(&sent("d-1")), 202, "accepted", "event_id");
    assert_eq!(check_taken(&pipeline.post(&sent("d-2")), 200, "duplicate", "event_id"), first);
    let stored = event(&home, &first);
    assert_eq!((text(&stored, "/event_type"), text(&stored, "/meta/route_key")), ("push", "gitlab:team/hello"));
}

#[test]
fn send_signs_as_every_pack_and_sources_test_says_which_rule_fails() {
    let packs = ["adyen", "mailgun", "dockerhub", "figma", "netlify", "square", "twitch", "zoom", "svix", "gitlab"];
    let (mut home, _pipeline) = with(&[]);
    drop(_pipeline);
    let secret = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    let blocks = packs.iter().map(|name| format!("[sources.{name}]\nverifier = \"{name}\"\n"));
    home.contract(&Contract::new().file_output("file", "events.jsonl").with(&blocks.collect::<String>()));
    packs.iter().for_each(|name| home.set(&format!("HMAC_SECRET_{}", name.to_uppercase()), secret));
    let _pipeline = home.up();
    for name in packs {
        let sent = home.run(&format!("send {name} thing.happened --json")).ok().json();
        assert!([200, 202].map(Value::from).contains(&sent["status"]), "{name}: {sent}");
    }

    std::fs::write(home.path("body.json"), "{\"event\":\"meeting.started\"}").unwrap();
    let judged = |arguments: &str| home.run(&format!("sources test {arguments} --file body.json --json"));
    let rules = |judgement: &Value| -> Vec<Value> {
        judgement["rules"].as_array().unwrap().iter().map(|rule| rule["passed"].clone()).collect()
    };
    let ran = judged("gitlab --header X-Gitlab-Token:wrong");
    assert_eq!(ran.code, 1);
    let judgement = ran.json();
    assert_eq!(rules(&judgement), json!([true, true, true, true, false, null]).as_array().unwrap().clone());
    assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret));
    let ran = judged(&format!("gitlab --header X-Gitlab-Token:{secret}")).ok();
    assert!(!ran.stdout.contains(secret));
    assert_eq!(keys(&ran.json()), ["passed", "rules", "secret_env", "source"]);
    let ran = judged("zoom --header x-zm-signature:v0=00 --header x-zm-request-timestamp:1");
    assert_eq!(rules(&ran.json())[..3], [true.into(), true.into(), Value::from(false)]);
    // What is missing is named, and not what would have been made of it; and each failure says what to do.
    let time = "svix-timestamp:1763755200";
    for (header, expected) in [(time, "header svix-id is signed too"), ("svix-id:m-1", "timestamp is missing")] {
        let signature = format!("--header svix-signature:v1,{}=", "A".repeat(43));
        let ran = judged(&format!("svix {signature} --header {header}")).json();
        let failed = ran["rules"].as_array().unwrap().iter().find(|rule| rule["passed"] == false).unwrap();
        assert!(text(failed, "/because").contains(expected), "{failed}");
        assert!(!text(failed, "/help").is_empty(), "{failed}");
    }
}

#[test]
fn every_verifier_is_listed_and_shown() {
    let (home, pipeline) = into_a_file(Contract::new());
    drop(pipeline);
    let listed = home.run("sources list --json").ok().lines();
    assert!(listed.len() > 35, "{}", listed.len());
    for source in &listed {
        let name = text(source, "/name");
        let shown = home.run(&format!("sources show {name} --json")).ok().json();
        assert_eq!(shown["checks"]["scheme"], source["checks"]["scheme"], "{name}");
    }
    let shown = home.run("sources show shopify").ok().stdout;
    for part in ["X-Shopify-Hmac-Sha256", "HMAC_SECRET_SHOPIFY", "not signed", "[sources.shopify]"] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
    let ran = home.run("sources show nobody");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("hook sources list"), "{ran:?}");
}
