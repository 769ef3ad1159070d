//! Starts, ends and restarts; one role at a time; where cursors begin and what becomes of those left behind.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    LOG,
    support::{Contract, Home, Pipeline, Receiver, Reply, home::run, http, keys, poll, poll_until, sign, text},
};

pub(crate) fn problem(ran: &crate::support::home::Ran) -> (String, String) {
    let problems = ran.json()["problems"].clone();
    assert_eq!(problems.as_array().unwrap().len(), 1, "{ran:?}");
    (text(&problems, "/0/code").to_owned(), text(&problems, "/0/help").to_owned())
}

fn is_delivered(receiver: &Receiver, id: &str) -> bool {
    receiver.deliveries().iter().any(|delivery| delivery.id() == id)
}

#[test]
fn the_ready_line_names_the_addresses_and_the_log() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let mut pipeline = home.up();
    let ready = &pipeline.ready;
    assert_eq!(keys(ready), ["admin", "listeners", "log", "ready"]);
    let of_log = if LOG.is_kafka() { vec!["brokers", "driver", "reason"] } else { vec!["driver", "reason"] };
    assert_eq!((&ready["ready"], keys(&ready["log"])), (&json!(true), of_log));
    assert_eq!(
        (keys(&ready["listeners"][0]), text(ready, "/listeners/0/adapter")),
        (vec!["adapter", "address"], "http-in")
    );
    assert_eq!(text(ready, "/log/driver"), LOG.name());
    assert!(pipeline.ingress().port() != 0 && pipeline.admin().port() != 0);
    assert_eq!(pipeline.status()["ready"], json!(true));
    assert_eq!(serde_json::from_str::<Value>(&pipeline.page("/health")).unwrap(), json!({ "status": "alive" }));
    let socket = std::fs::read_dir(home.path("data")).unwrap().map(|entry| entry.unwrap());
    let modes: Vec<_> = socket
        .map(|entry| entry.metadata().unwrap())
        .filter(|metadata| std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()))
        .map(|metadata| metadata.permissions().mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o600], "only the user may ask");
    assert!(pipeline.terminate().success());
    assert_eq!(pipeline.stdout().lines().count(), 1, "logs go to stderr: {}", pipeline.stdout());
    assert!(pipeline.stderr().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", pipeline.stderr());
}

#[test]
fn an_address_that_is_taken_is_met_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for contract in [Contract::new().bind(&address), Contract::new().with(&format!("[admin]\nbind = \"{address}\""))] {
        let home = Home::new(&contract.file_output("file", "events.jsonl"));
        let ran = home.run("up --json");
        assert_eq!((ran.code, problem(&ran).0.as_str()), (1, "HOOK0209"));
        assert!(ran.stdout.contains(&address), "{ran:?}");
        // The log was let go: the same directory starts with another address.
        home.contract(&Contract::new().file_output("file", "events.jsonl"));
        home.up().accept(&sign::issue(1, "delivery-1"));
    }
}

#[test]
fn a_secret_that_is_missing_stops_the_start_and_is_named() {
    let receiver = Receiver::start();
    let mut home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    home.set("SIGNING_SECRET", "");
    let ran = home.run("up --json");
    assert_eq!((ran.code, problem(&ran).0.as_str()), (1, "HOOK0202"));
    assert!(ran.stdout.contains("SIGNING_SECRET"), "{ran:?}");
    // serve signs nothing.
    home.start("serve").accept(&sign::issue(1, "delivery-1"));
}

#[test]
fn sigterm_finishes_what_has_begun_and_ends_with_0() {
    let receiver = Receiver::start();
    receiver.script(|_, _| Reply { after: Duration::from_millis(400), ..Reply::status(200) });
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.wait_for(1);
    assert_eq!(pipeline.terminate().code(), Some(0), "{}", pipeline.stderr());

    // The delivery that was in flight was waited for and noted: it does not come again.
    let pipeline = home.up();
    let next = pipeline.accept(&sign::issue(1, "delivery-2"));
    receiver.taken(&next);
    let ids: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.id()).collect();
    assert_eq!(ids, [id, next]);
}

#[test]
fn ctrl_c_drains_and_a_second_signal_ends_at_once() {
    let receiver = Receiver::start();
    receiver.script(|_, _| Reply { after: Duration::from_secs(3), ..Reply::status(200) });
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.wait_for(1);
    let began = Instant::now();
    pipeline.signal("INT");
    poll_until("it drains", || pipeline.logs().iter().any(|line| line["signal"] == "Ctrl-C"));
    assert!(pipeline.is_alive(), "it waits for what is in flight");
    assert_eq!(pipeline.terminate().code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(3), "the second signal was not heard");

    // What was not waited for is done again.
    receiver.script(|_, _| Reply::status(200));
    let _pipeline = home.up();
    receiver
        .wait("it came twice", |all| (all.iter().filter(|delivery| delivery.id() == id).count() == 2).then_some(()));
}

#[test]
fn sigterm_waits_for_no_destination_that_is_down() {
    let receiver = Receiver::start();
    receiver.go_down();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    poll_until("an attempt has failed", || {
        pipeline.metric("smash_egress_failure_total{adapter=\"service\",reason=\"unreachable\"}") > 0.0
    });
    assert_eq!(pipeline.terminate().code(), Some(0));
    receiver.come_back();
    let _pipeline = home.up();
    receiver.taken(&id);
}

#[test]
fn each_role_runs_alone_on_what_the_others_left() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut serve = home.start("serve");
    let webhook = sign::issue(1, "delivery-1");
    let id = serve.accept(&webhook);
    assert!(serve.terminate().success());
    let mut relay = home.start("relay");
    assert_eq!(relay.ready["listeners"], json!([]));
    poll_until("the event is relayed", || relay.metric("relay_events_total{topic=\"webhooks.github\"}") == 1.0);
    assert!(relay.terminate().success());
    assert_eq!(receiver.deliveries().len(), 0, "no role does what is another's");
    let mut smash = home.start("smash");
    let delivery = receiver.taken(&id);
    delivery.check_signature();
    assert!(smash.terminate().success());
    let up = home.up();
    let copy = up.post(&webhook);
    assert_eq!((copy.status, copy.code().as_str()), LOG.answer_to_a_copy());
    receiver.taken(&up.accept(&sign::issue(1, "delivery-2")));
    assert_eq!(receiver.deliveries().len(), 2, "nothing is delivered twice");
}

#[test]
fn a_route_straight_into_the_core_topic_needs_no_relay() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().target_topic("webhooks.core").http_output("service", &receiver, ""));
    let mut serve = home.start("serve");
    let id = serve.accept(&sign::issue(1, "delivery-1"));
    assert!(serve.terminate().success());
    let mut smash = home.start("smash");
    receiver.taken(&id).check_signature();
    assert!(smash.terminate().success());
    let stored = home.run("events list --json").ok().lines();
    assert_eq!(stored.iter().map(|event| text(event, "/topic")).collect::<Vec<_>>(), ["webhooks.core"]);
}

#[test]
fn a_destination_that_is_added_later_begins_where_it_says() {
    let [first, by_default, from_now, from_earliest] = [(); 4].map(|()| Receiver::start());
    let contract = Contract::new().http_output("first", &first, "");
    let home = Home::new(&contract);
    let mut pipeline = home.up();
    let old = pipeline.accept(&sign::issue(1, "old"));
    first.taken(&old);
    assert!(pipeline.terminate().success());

    let contract = contract
        .http_output("by-default", &by_default, "")
        .http_output("from-now", &from_now, "")
        .destination("from = \"now\"")
        .http_output("from-earliest", &from_earliest, "")
        .destination("from = \"earliest\"");
    home.contract(&contract);
    let pipeline = home.up();
    let new = pipeline.accept(&sign::issue(1, "new"));
    for receiver in [&first, &by_default, &from_now, &from_earliest] {
        receiver.taken(&new);
    }
    let got_the_old = [&by_default, &from_now, &from_earliest].map(|receiver| is_delivered(receiver, &old));
    assert_eq!(got_the_old, [false, false, true]);
}

#[test]
fn events_that_came_before_the_first_start_of_smash_are_delivered() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut serve = home.start("serve");
    let early = serve.accept(&sign::issue(1, "early"));
    assert!(serve.terminate().success());
    let _pipeline = home.up();
    receiver.taken(&early);
}

/// A destination that has taken one event, if any, and has not taken three; then its route is renamed.
fn leave_three_behind(has_taken_one: bool) -> (Receiver, Contract, Home, Vec<String>) {
    let receiver = Receiver::start();
    let contract = Contract::new().http_output("service", &receiver, "");
    let home = Home::new(&contract);
    if has_taken_one {
        let mut pipeline = home.up();
        receiver.taken(&pipeline.accept(&sign::issue(8, "delivery-8")));
        assert!(pipeline.terminate().success());
    }
    receiver.go_down();
    let mut pipeline = home.up();
    let ids = [1, 2, 3].map(|number| pipeline.accept(&sign::issue(number, &format!("delivery-{number}"))));
    poll_until("an attempt at them has failed", || {
        pipeline.metric("smash_egress_failure_total{adapter=\"service\",reason=\"unreachable\"}") > 0.0
            && pipeline.metric("relay_events_total{topic=\"webhooks.github\"}") == 3.0
    });
    assert!(pipeline.terminate().success());
    receiver.come_back();
    home.contract(&contract.clone().smash_route("renamed"));
    (receiver, contract, home, ids.into())
}

/// The orphan of `/ready`, which the start must have warned of in the same words.
#[track_caller]
fn orphan(pipeline: &Pipeline) -> Value {
    let orphans = pipeline.status()["orphans"].clone();
    assert_eq!(orphans.as_array().unwrap().len(), 1, "{orphans}");
    let orphan = orphans[0].clone();
    let is_warning = |line: &Value| line["level"] == "WARN" && line["cursor"] == orphan["cursor"];
    let warning = pipeline.logs().into_iter().find(is_warning);
    let warning = warning.unwrap_or_else(|| panic!("no warning in {}", pipeline.stderr()));
    assert_eq!((&warning["undelivered"], warning.get("from")), (&orphan["undelivered"], orphan.get("from")));
    orphan
}

#[test]
fn a_renamed_route_leaves_an_orphan_and_the_start_says_what_it_has_not_delivered() {
    let (receiver, contract, home, ids) = leave_three_behind(true);
    let mut pipeline = home.up();
    let orphan = orphan(&pipeline);
    assert_eq!(text(&orphan, "/cursor"), "tested.core-to-all.service");
    assert!(LOG.counts(&orphan["undelivered"], 3), "{orphan}");
    receiver.taken(&pipeline.accept(&sign::issue(9, "delivery-9")));
    assert!(ids.iter().all(|id| !is_delivered(&receiver, id)), "a new cursor begins at the end");
    assert!(pipeline.terminate().success());

    // The value that the warning names delivers what was left.
    let from = text(&orphan, "/from");
    home.contract(&contract.clone().smash_route("renamed-again").destination(&format!("from = \"{from}\"")));
    let mut pipeline = home.up();
    ids.iter().for_each(|id| drop(receiver.taken(id)));
    assert!(pipeline.terminate().success());

    // The old name finds its cursor where it was.
    home.contract(&contract);
    let before = receiver.deliveries().len();
    let _pipeline = home.up();
    let again = receiver.wait_for(before + 4);
    let again: Vec<_> = again[before..].iter().map(|delivery| delivery.id()).collect();
    assert!(ids.iter().all(|id| again.contains(id)), "{again:?}");
}

#[test]
fn an_orphan_is_listed_and_can_be_deleted_and_a_cursor_in_use_cannot() {
    let (_receiver, _contract, home, _ids) = leave_three_behind(true);
    let mut pipeline = home.up();
    let orphan = text(&orphan(&pipeline), "/cursor").to_owned();
    let listed = || home.run("cursors list --json").ok().lines();
    let (left, used): (Vec<_>, Vec<_>) = listed().into_iter().partition(|cursor| cursor["orphan"] == json!(true));
    assert_eq!(left.iter().map(|cursor| text(cursor, "/name")).collect::<Vec<_>>(), [orphan.as_str()]);
    let in_use = text(&used[0], "/name").to_owned();
    assert_eq!(home.run(&format!("cursors delete {in_use}")).code, 1);
    home.run(&format!("cursors delete {orphan}")).ok();
    assert_eq!(home.run(&format!("cursors delete {orphan}")).code, 1, "it is gone");
    assert_eq!(listed().len(), used.len());
    assert_eq!(pipeline.status()["orphans"], json!([]));
    assert!(pipeline.terminate().success());
    assert_eq!(listed().len(), used.len(), "also after the end, read from the log itself");
}

#[test]
fn an_orphan_that_never_delivered_anything_is_counted_too() {
    let (_receiver, _contract, home, _ids) = leave_three_behind(false);
    let pipeline = home.up();
    let orphan = orphan(&pipeline);
    assert!(LOG.counts(&orphan["undelivered"], 3), "{orphan}");
}

#[test]
fn without_a_contract_the_one_in_the_binary_runs() {
    let mut home = Home::new(&Contract::new());
    std::fs::remove_file(home.path("contract.toml")).unwrap();
    home.set("RELAY_BIND", "127.0.0.1:0");
    home.set("HOOK_DATA_DIR", home.path("elsewhere").to_str().unwrap());
    home.set("OPENCLAW_WEBHOOK_TOKEN", "token-of-the-tests");
    let mut pipeline = Pipeline::start(home.bare("up --json"), &home.path("stderr"));
    pipeline.accept(&sign::issue(1, "delivery-1"));
    assert!(home.path("elsewhere").is_dir());
    assert!(pipeline.terminate().success());
}

#[test]
fn secrets_in_an_env_file_are_read_again_on_sighup() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    home.set("HMAC_SECRET_GITHUB", "hidden-by-the-file");
    let write =
        |secret: &str| std::fs::write(home.path("secrets.env"), format!("HMAC_SECRET_GITHUB={secret}\n")).unwrap();
    write("first");
    let command = home.command("up --json --env-file secrets.env");
    let pipeline = Pipeline::start(command, &home.path("stderr"));
    pipeline.accept(&sign::github_with("first", "push", "delivery-1", "{\"n\": 1}"));
    write("second");
    pipeline.signal("HUP");
    let webhook = sign::github_with("second", "push", "delivery-2", "{\"n\": 2}");
    poll_until("the new secret is taken", || pipeline.post(&webhook).status == 202);
    assert_eq!(pipeline.post(&sign::github_with("first", "push", "delivery-3", "{\"n\": 3}")).status, 401);
}

#[test]
fn the_admin_address_may_ask_for_a_token() {
    let mut home =
        Home::new(&Contract::new().file_output("file", "e.jsonl").with("[admin]\ntoken_env = \"ADMIN_TOKEN\""));
    home.set("ADMIN_TOKEN", "token-of-the-tests");
    let pipeline = home.up();
    let ask = |path: &str, token: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nauthorization: Bearer {token}\r\n\r\n");
        http::exchange(pipeline.admin(), request.as_bytes()).unwrap().status
    };
    for path in ["/metrics", "/ready"] {
        assert_eq!([ask(path, "wrong"), ask(path, "token-of-the-tests")], [401, 200], "{path}");
    }
    assert_eq!(ask("/health", "wrong"), 200, "liveness needs no token");
}

#[test]
fn for_people_one_line_says_that_it_is_ready() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let stdout = std::fs::File::create(home.path("stdout")).unwrap();
    let mut child = home.command("up").stdout(stdout).stderr(std::process::Stdio::null()).spawn().unwrap();
    let line = poll("the ready line is there", || {
        let said = std::fs::read_to_string(home.path("stdout")).unwrap();
        said.ends_with('\n').then_some(said)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    let log = format!("log {}", LOG.name());
    for part in ["ready: http-in on http://127.0.0.1:", "/webhook/{source}, admin on 127.0.0.1:", &log] {
        assert!(line.contains(part), "no `{part}` in {line}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let home = Home::new(&Contract::new());
    assert_eq!(run(home.bare("up --no-such-flag"), "up").code, 2);
}
