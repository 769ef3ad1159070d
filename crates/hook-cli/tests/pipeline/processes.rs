//! On Kafka: each role in processes of its own, on one data directory or on several.

use std::time::Duration;

use serde_json::Value;

use crate::{
    streams::{Client, KEYS},
    support::{Contract, Home, Pipeline, Receiver, Reply, home::run, poll, poll_until, receiver::Delivery, sign, text},
};

#[test]
fn each_role_in_a_process_of_its_own_makes_one_pipeline() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut serve = home.start("serve");
    let mut relay = home.start("relay");
    let mut smash = home.start("smash");
    assert_eq!(text(&serve.ready, "/log/driver"), "kafka");
    let ids: Vec<_> = (1..=5).map(|number| serve.accept(&sign::issue(1, &format!("delivery-{number}")))).collect();
    for id in &ids {
        receiver.taken(id).check_signature();
    }
    let delivered: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.id()).collect();
    assert_eq!(delivered, ids, "one key, in the order in which its events were accepted");

    for role in ["serve", "relay", "smash"] {
        assert!(home.path(&format!("data/admin-{role}.tested.sock")).exists(), "{role}");
    }
    // Whoever takes events in is asked; with that gone, another; with all gone, the brokers.
    let ids_listed = || {
        let events = home.run("events list --topic webhooks.core --json").ok().lines();
        events.iter().map(|event| text(event, "/id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids_listed(), ids);
    assert!(serve.terminate().success());
    assert_eq!(ids_listed(), ids);
    assert!(relay.terminate().success());
    assert!(smash.terminate().success());
    assert_eq!(ids_listed(), ids);
}

#[test]
fn a_copy_is_stored_and_the_relay_removes_it_also_after_a_restart() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let webhook = sign::issue(1, "delivery-1");
    let first = pipeline.accept(&webhook);
    assert_ne!(pipeline.accept(&webhook), first, "it is an event of its own until it is looked at");
    receiver.taken(&first);
    assert!(pipeline.terminate().success());
    let pipeline = home.up();
    pipeline.accept(&webhook);
    // What the signature does not cover makes no new event of a captured body.
    pipeline.accept(&sign::github("issues", "delivery-2", webhook.body));
    let last = pipeline.accept(&sign::issue(1, "delivery-3"));
    receiver.taken(&last);
    let delivered: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.id()).collect();
    assert_eq!(delivered, [first, last]);
}

#[test]
fn a_second_process_of_a_role_shares_the_work_under_a_name_of_its_own() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let (first, mut second) = (home.up(), home.start("up --instance-id second"));
    assert_eq!(text(&second.status(), "/instance"), "second");
    let ids: Vec<_> = (1..=20)
        .map(|number| {
            let pipeline = if number % 2 == 0 { &first } else { &second };
            pipeline.accept(&sign::issue(number, &format!("delivery-{number}")))
        })
        .collect();
    ids.iter().for_each(|id| drop(receiver.taken(id)));
    assert!(second.terminate().success());
    let last = first.accept(&sign::issue(21, "delivery-21"));
    receiver.taken(&last);
    let mut delivered: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.id()).collect();
    delivered.sort_unstable();
    delivered.dedup();
    assert_eq!(delivered.len(), 21, "nothing is lost, whoever goes");
}

#[test]
fn a_process_that_comes_or_goes_repeats_nothing_of_what_another_is_delivering() {
    const KEYS: u64 = 12;
    const EACH: u64 = 10;
    let receiver = Receiver::start();
    receiver.script(|_, _| Reply { after: Duration::from_millis(200), ..Reply::status(200) });
    let home = Home::new(&Contract::new().http_output("service", &receiver, "concurrency = 4\n"));
    let first = home.up();
    let numbers = (0..EACH).flat_map(|round| (1..=KEYS).map(move |key| (key, round)));
    let accepted: Vec<_> =
        numbers.map(|(key, round)| (key, first.accept(&sign::issue(key, &format!("{key}-{round}"))))).collect();
    receiver.wait_for(10);
    let mut second = home.start("smash --instance-id second");
    let delivered_by = |pipeline: &Pipeline| pipeline.status()["destinations"][0]["delivered"].as_u64().unwrap_or(0);
    poll_until("the second delivers too", || delivered_by(&second) >= 5);
    assert!(receiver.deliveries().len() < accepted.len(), "there is still something to share");
    assert!(second.terminate().success());
    let all = receiver.wait_for(accepted.len());

    let ids: Vec<_> = all.iter().map(Delivery::id).collect();
    for key in 1..=KEYS {
        let expected: Vec<_> = accepted.iter().filter(|(of, _)| *of == key).map(|(_, id)| id).collect();
        let in_order: Vec<_> = ids.iter().filter(|id| expected.contains(id)).collect();
        assert_eq!(in_order, expected, "each event of key {key} once, in order");
    }
}

#[test]
fn a_client_that_watches_misses_nothing_while_smash_is_killed_and_events_go_on_coming() {
    const ROUNDS: u64 = 3;
    const LANES: u64 = 6;
    let home = Home::new(&Contract::new().adapter("stream", KEYS));
    let (serve, _relay) = (home.start("serve"), home.start("relay"));
    let smash = || {
        poll("it has started", || {
            let smash = home.start("smash");
            smash.is_ready().then_some(smash)
        })
    };
    let (mut accepted, mut seen) = (Vec::new(), Vec::new());
    let accept = |numbers: std::ops::Range<u64>, accepted: &mut Vec<(u64, String)>| {
        for number in numbers {
            let lane = number % LANES;
            accepted.push((lane, serve.accept(&sign::issue(lane, &format!("delivery-{number}")))));
        }
    };
    let id_of = |event: Value| text(&event, "/id").to_owned();
    for round in 0..ROUNDS {
        let smash = smash();
        let mut client = Client::back(&smash, &seen);
        accept(round * 100..round * 100 + 20, &mut accepted);
        seen.extend((0..10).map(|_| id_of(client.event().unwrap())));
        smash.kill();
        accept(round * 100 + 20..round * 100 + 30, &mut accepted);
        // What was on its way when it was killed may be there.
        while let Ok(event) = client.event() {
            seen.push(id_of(event));
        }
    }
    let smash = smash();
    let mut client = Client::back(&smash, &seen);
    while !accepted.iter().all(|(_, id)| seen.contains(id)) {
        seen.push(id_of(client.event().unwrap()));
    }
    // Of other partitions than that of the last event, some may come again.
    for lane in 0..LANES {
        let expected: Vec<_> = accepted.iter().filter(|(of, _)| *of == lane).map(|(_, id)| id).collect();
        let mut in_order: Vec<&String> = Vec::new();
        for id in seen.iter().filter(|id| expected.contains(id)) {
            if !in_order.contains(&id) {
                in_order.push(id);
            }
        }
        assert_eq!(in_order, expected, "the events of key {lane}, in order");
    }
}

#[test]
fn topics_that_are_missing_and_must_not_be_made_are_named_before_anything_starts() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    home.set("KAFKA_AUTO_CREATE_TOPICS", "false");
    let refused = home.run("up --json");
    let problem = &refused.json()["problems"][0];
    assert_eq!((refused.code, text(problem, "/code")), (1, "HOOK0213"));
    for topic in ["webhooks.core", "webhooks.dlq", "webhooks.github"] {
        assert!(text(problem, "/message").contains(&format!("topic {topic} does not exist")), "{problem}");
    }
    home.set("KAFKA_AUTO_CREATE_TOPICS", "true");
    let pipeline = home.up();
    pipeline.accept(&sign::issue(1, "delivery-1"));
    poll_until("it is delivered", || home.lines_of("events.jsonl").len() == 1);
}

#[test]
fn pipelines_with_different_namespaces_see_nothing_of_each_other() {
    let contract = Contract::new().file_output("file", "events.jsonl");
    let homes = [Home::new(&contract), Home::new(&contract)];
    let pipelines = homes.each_ref().map(Home::up);
    let ids = [1, 2].map(|number| pipelines[number - 1].accept(&sign::issue(1, &format!("delivery-{number}"))));
    for (home, id) in homes.iter().zip(&ids) {
        poll_until("it is delivered", || !home.lines_of("events.jsonl").is_empty());
        let lines = home.lines_of("events.jsonl");
        assert_eq!(lines.iter().map(|line| text(line, "/id")).collect::<Vec<_>>(), [id.as_str()]);
    }
}

/// The flags of a relay that needs no contract: in a directory where there is none.
fn without_contract(home: &Home, flags: &str) -> std::process::Command {
    std::fs::create_dir_all(home.path("elsewhere")).unwrap();
    let mut command = home.bare(&format!("relay {flags} --json --data-dir ../data"));
    command.current_dir(home.path("elsewhere"));
    command
}

#[test]
fn a_relay_needs_no_contract_where_its_flags_say_everything() {
    let receiver = Receiver::start();
    let mut home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let (serve, _smash) = (home.start("serve"), home.start("smash"));
    let brokers = std::env::var("KAFKA_BROKERS").unwrap();
    home.set("KAFKA_BROKERS", "");
    let flags = format!(
        "--topics webhooks.github,webhooks.linear --output-topic webhooks.core --brokers {brokers} --group-id bridge \
         --instance-id bare"
    );
    let mut relay = Pipeline::start(without_contract(&home, &flags), &home.path("stderr-relay"));
    assert_eq!(text(&relay.ready, "/log/brokers/0"), brokers);
    let status = relay.status();
    assert_eq!((text(&status, "/app"), text(&status, "/instance")), ("relay", "bare"));
    assert_eq!(status["relay"]["inputs"], serde_json::json!(["webhooks.github", "webhooks.linear"]));
    let webhook = sign::issue(1, "delivery-1");
    let first = serve.accept(&webhook);
    receiver.taken(&first).check_signature();
    serve.accept(&webhook);
    let last = serve.accept(&sign::issue(1, "delivery-2"));
    receiver.taken(&last);
    let delivered: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.id()).collect();
    assert_eq!(delivered, [first, last], "the copy was removed");

    let status = relay.status();
    let cursors = status["log"]["cursors"].as_array().unwrap();
    let names: Vec<_> = cursors.iter().map(|cursor| text(cursor, "/name")).collect();
    assert!(names.contains(&"bridge") && !names.iter().any(|name| name.starts_with("relay.")), "{names:?}");
    assert!(relay.terminate().success());
}

#[test]
fn the_flags_of_a_relay_come_before_its_contract() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let (serve, _smash) = (home.start("serve"), home.start("smash"));
    let relay = home.start("relay --topics webhooks.linear");
    assert_eq!(relay.status()["relay"]["inputs"], serde_json::json!(["webhooks.linear"]));
    serve.accept(&sign::issue(1, "left-where-it-is"));
    let issue = serde_json::json!({ "type": "Issue", "action": "create", "data": { "id": "issue-7" } });
    let bridged = serve.accept(&sign::linear("delivery-1", issue, sign::unix_millis()));
    receiver.taken(&bridged);
    assert_eq!(receiver.deliveries().len(), 1, "only what the flag names is relayed");
}

#[test]
fn the_output_topic_of_a_flag_is_checked_like_those_of_the_contract() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let mut serve = home.start("serve");
    let mut command = home.command("relay --json --output-topic webhooks.elsewhere");
    command.env("KAFKA_AUTO_CREATE_TOPICS", "false");
    let refused = run(command, "relay");
    let problem = &refused.json()["problems"][0];
    assert_eq!((refused.code, text(problem, "/code")), (1, "HOOK0213"));
    assert!(text(problem, "/message").contains("webhooks.elsewhere does not exist"), "{problem}");
    assert!(serve.terminate().success());
}

#[test]
fn a_relay_without_contract_or_brokers_is_told_what_is_missing() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    home.set("KAFKA_BROKERS", "");
    let refused = run(without_contract(&home, "--topics webhooks.github"), "relay");
    assert_eq!((refused.code, text(&refused.json(), "/problems/0/code")), (1, "HOOK0138"));
    assert!(text(&refused.json(), "/problems/0/help").contains("--brokers"), "{refused:?}");
}

#[test]
fn a_refused_request_is_explained_by_whoever_has_refused_it() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let pipelines = ["serve --instance-id a", "serve --instance-id b", "smash"].map(|role| home.start(role));
    for serve in &pipelines[..2] {
        let forged = serve.post(&sign::github_with("another secret", "issues", "delivery-1", "{}"));
        let id = text(&forged.json(), "/request_id").to_owned();
        let story = home.run(&format!("explain {id} --json")).ok().json();
        assert_eq!((text(&story, "/request_id"), text(&story, "/code")), (id.as_str(), "signature_mismatch"));
    }
    let unknown = home.run("explain 01900000-0000-7000-8000-000000000000");
    assert_eq!(unknown.code, 1, "{unknown:?}");
}
