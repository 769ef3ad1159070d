//! `websocket_server_output` with clients that we have not written.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{
    peer::{Peer, installed},
    support::{Contract, Home, Pipeline, sign, text},
};

fn contract(keys: &str) -> Contract {
    let keys = format!(
        "driver = \"websocket_server_output\"\nbind = \"127.0.0.1:0\"\npath = \"/events\"\nmax_clients = 10\n\
         queue_depth_per_client = 1000\nsend_timeout_ms = 5000\n{keys}"
    );
    Contract::new().adapter("stream", &keys)
}

/// Where clients are taken, with a query.
fn url(pipeline: &Pipeline, query: &str) -> String {
    let listeners = pipeline.ready["listeners"].as_array().unwrap();
    let stream = listeners.iter().find(|listener| listener["adapter"] == "stream").unwrap();
    let address: SocketAddr = text(stream, "/address").parse().unwrap();
    format!("ws://{address}/events{query}")
}

fn accept(pipeline: &Pipeline, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| pipeline.accept(&sign::issue(1, &format!("delivery-{number}")))).collect()
}

fn ids(taken: &Value) -> Vec<&str> {
    taken["messages"].as_array().unwrap().iter().map(|event| text(event, "/id")).collect()
}

#[test]
fn a_page_receives_events_and_gets_what_it_has_missed_when_it_comes_back() {
    let mut browser = Peer::start("browser.mjs", &[installed().join("chromium").to_str().unwrap()]);
    let origins = browser.ask("origins", json!({}))["origins"].take();
    let home = Home::new(&contract(&format!("auth_mode = \"none\"\nallowed_origins = [{}]", origins[0])));
    let pipeline = home.up();
    browser.ask("visit", json!({ "origin": origins[0] }));
    assert_eq!(browser.ask("open", json!({ "url": url(&pipeline, "") })), json!({ "open": true }));
    let seen = accept(&pipeline, 0..3);
    let taken = browser.ask("take", json!({ "count": 3 }));
    assert_eq!(ids(&taken), seen);
    assert_eq!(taken["messages"][0]["payload"], sign::issue_body(1, "delivery-0"));
    assert_eq!(browser.ask("close", json!({}))["wasClean"], true);

    let missed = accept(&pipeline, 3..7);
    let after = format!("?after={}", seen[2]);
    assert_eq!(browser.ask("open", json!({ "url": url(&pipeline, &after) })), json!({ "open": true }));
    assert_eq!(ids(&browser.ask("take", json!({ "count": 4 }))), missed);
    let live = accept(&pipeline, 7..8);
    assert_eq!(ids(&browser.ask("take", json!({ "count": 1 }))), live);
    browser.ask("close", json!({}));

    browser.ask("open", json!({ "url": url(&pipeline, "?source=git*&type=pull*") }));
    accept(&pipeline, 8..9);
    let pull = pipeline.accept(&sign::github("pull_request", "delivery-9", sign::issue_body(1, "pull").to_string()));
    assert_eq!(ids(&browser.ask("take", json!({ "count": 1 }))), [pull]);

    browser.ask("visit", json!({ "origin": origins[1] }));
    let refused = browser.ask("open", json!({ "url": url(&pipeline, "") }));
    assert_eq!((&refused["open"], &refused["code"]), (&json!(false), &json!(1006)));
}

#[test]
fn the_example_page_shows_events_and_misses_none_over_a_restart_and_a_reload() {
    let mut browser = Peer::start("browser.mjs", &[installed().join("chromium").to_str().unwrap()]);
    let origin = browser.ask("origins", json!({}))["origins"][0].take();
    let home = Home::new(&contract(&format!("auth_mode = \"none\"\nallowed_origins = [{origin}]")));
    let mut pipeline = home.up();
    let address = url(&pipeline, "");
    browser.ask("follow", json!({ "origin": origin, "url": address, "types": "issues.*" }));
    browser.ask("rows", json!({ "count": 0, "state": "connected" }));
    let seen = accept(&pipeline, 0..2);
    let shown = |browser: &mut Peer, count: usize, state: &str| {
        let rows = browser.ask("rows", json!({ "count": count, "state": state }))["rows"].take();
        let id = |row: &Value| text(row, "/3").to_owned();
        rows.as_array().unwrap().iter().rev().map(id).collect::<Vec<_>>()
    };
    assert_eq!(shown(&mut browser, 2, "connected"), seen);

    assert!(pipeline.terminate().success());
    shown(&mut browser, 2, "not connected");
    let port = address.rsplit(':').next().unwrap().split('/').next().unwrap();
    let text = std::fs::read_to_string(home.path("contract.toml")).unwrap();
    let stays = text.replacen("bind = \"127.0.0.1:0\"\npath", &format!("bind = \"127.0.0.1:{port}\"\npath"), 1);
    std::fs::write(home.path("contract.toml"), stays).unwrap();
    let pipeline = home.up();
    let missed = accept(&pipeline, 2..5);
    assert_eq!(shown(&mut browser, 5, "connected"), [seen, missed].concat());

    // What comes while nobody looks is there after a reload.
    browser.ask("visit", json!({ "origin": origin }));
    let meanwhile = accept(&pipeline, 5..7);
    browser.ask("follow", json!({ "origin": origin, "url": address, "types": "" }));
    assert_eq!(shown(&mut browser, 2, "connected"), meanwhile);
}

#[test]
fn the_python_library_receives_events_across_a_restart() {
    let mut home = Home::new(&contract("auth_mode = \"bearer\"\ntoken_env = \"STREAM_TOKEN\""));
    home.set("STREAM_TOKEN", "canary-token");
    let mut client = Peer::start("websockets_client.py", &[]);
    let mut pipeline = home.up();
    assert_eq!(client.ask("open", json!({ "url": url(&pipeline, "") }))["status"], 401);
    client.ask("open", json!({ "url": url(&pipeline, ""), "token": "canary-token" }));
    let mut seen = Vec::new();
    for id in accept(&pipeline, 0..20) {
        let event = client.ask("receive", json!({}));
        assert_eq!(text(&event, "/id"), id);
        seen.push(id);
    }
    assert!(pipeline.terminate().success());
    assert_eq!(client.ask("ended", json!({}))["code"], 1001);

    let pipeline = home.up();
    let missed = accept(&pipeline, 20..40);
    let after = format!("?after={}", seen.last().unwrap());
    client.ask("open", json!({ "url": url(&pipeline, &after), "token": "canary-token" }));
    for id in missed.into_iter().chain(accept(&pipeline, 40..41)) {
        assert_eq!(text(&client.ask("receive", json!({})), "/id"), id);
    }
    assert_eq!(client.ask("close", json!({})), json!({ "code": 1000 }));
}
