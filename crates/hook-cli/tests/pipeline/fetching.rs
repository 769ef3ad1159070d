//! `kafka_ingress` through the binary: what is in a topic of somebody else's is delivered, whatever is killed meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Contract, Home, pause, poll};

const KILLS: u64 = 5;
const KEYS: u64 = 8;
const RECORDS: u64 = 1200;

/// A topic that no pipeline under test has made: the log of another one, which has ended.
fn topic_of_others() -> (Home, String) {
    let mut home = Home::new(&Contract::new().target_topic("webhooks.core").file_output("file", "events.jsonl"));
    let variables = crate::LOG.environment();
    let (name, namespace) = variables.iter().find(|(name, _)| name == "KAFKA_NAMESPACE").unwrap();
    home.set(name, namespace);
    let topic = format!("{namespace}webhooks.core");
    home.up().terminate();
    (home, topic)
}

/// Writes events to a topic, with their numbers, in the order of their keys.
#[track_caller]
fn write(others: &Home, topic: &str, numbers: std::ops::Range<u64>) {
    let lines = numbers.map(|number| {
        let key = number % KEYS;
        json!({
            "id": format!("01900000-0000-7000-8000-{number:012x}"),
            "source": "shop",
            "event_type": "order.paid",
            "received_at": "2026-01-01T00:00:00Z",
            "payload": { "key": key, "n": number },
            "meta": { "route_key": format!("shop:{key}") },
        })
        .to_string()
    });
    std::fs::write(others.path("written.jsonl"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    others.run(&format!("replay kafka --topic {topic} --file written.jsonl")).ok();
}

fn contract(topic: &str) -> Contract {
    let brokers = std::env::var("KAFKA_BROKERS").unwrap();
    let keys = format!(
        "driver = \"kafka_ingress\"\ntopics = [\"{topic}\"]\ngroup_id = \"{topic}-in\"\nsource = \"orders\"\n\
         brokers = \"{brokers}\"\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true"
    );
    Contract::new()
        .ingress_adapter("orders-in", &keys)
        .with("[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n")
        .file_output("file", "events.jsonl")
}

/// A home on the log of the suite, or on the embedded one.
fn home(contract: &Contract, is_embedded: bool) -> Home {
    let mut home = Home::new(contract);
    if is_embedded {
        home.set("KAFKA_BROKERS", "");
    }
    home
}

/// Kills the pipeline while it fetches; everything is delivered, in order, and no copy of an event under another id.
#[expect(clippy::print_stdout, reason = "how often something was delivered twice is no promise, but a figure")]
fn kills(is_embedded: bool) {
    let (others, topic) = topic_of_others();
    let home = home(&contract(&topic), is_embedded);
    for kill in 0..KILLS {
        write(&others, &topic, RECORDS * kill / KILLS..RECORDS * (kill + 1) / KILLS);
        let pipeline = home.up_supervised();
        let listeners = &pipeline.ready["listeners"];
        assert_eq!(listeners[1]["topics"], json!([topic]), "{listeners}");
        // The group lets the one that was killed go after its session, and only then gives its partitions away.
        let before = home.untorn_lines_of("events.jsonl").len();
        poll("something has come in", || (home.untorn_lines_of("events.jsonl").len() > before).then_some(()));
        pause(Duration::from_millis(fastrand::u64(0..150)));
        pipeline.kill();
        println!(
            "killed when {} of {} were delivered",
            home.untorn_lines_of("events.jsonl").len(),
            RECORDS * (kill + 1) / KILLS
        );
    }
    let mut pipeline = home.up_supervised();
    let numbers = |events: &[Value]| {
        let number = |event: &Value| event["payload"]["n"].as_u64().unwrap();
        events.iter().map(number).collect::<Vec<_>>()
    };
    let events = poll("everything has come in", || {
        let events = home.untorn_lines_of("events.jsonl");
        let distinct: BTreeSet<_> = numbers(&events).into_iter().collect();
        (distinct.len() as u64 == RECORDS).then_some(events)
    });
    let mut ids: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let mut first: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (event, number) in events.iter().zip(numbers(&events)) {
        let known = ids.entry(number).or_default();
        if known.is_empty() {
            first.entry(number % KEYS).or_default().push(number);
        }
        known.insert(event["id"].to_string());
        assert_eq!(event["source"], "orders");
    }
    let twice = events.len() as u64 - RECORDS;
    println!("{RECORDS} records over {KILLS} kills: none lost, {twice} delivered more than once");
    assert!(ids.values().all(|ids| ids.len() == 1), "a record that was fetched twice is one event: {ids:?}");
    assert!(first.values().all(|numbers| numbers.is_sorted()), "{first:?}");
    assert!(home.run("dlq list --json").ok().lines().is_empty());
    assert!(pipeline.terminate().success());
}

#[test]
fn kills_while_fetching_lose_nothing_on_the_embedded_log() {
    kills(true);
}

#[test]
fn kills_while_fetching_lose_nothing_on_kafka() {
    kills(false);
}

#[test]
fn a_record_that_is_no_event_is_a_dead_letter_and_the_next_one_comes_in() {
    let (others, topic) = topic_of_others();
    // Every event of this topic has the type that the mapping finds, and the first has none.
    let contract =
        contract(&topic).text().replace("source = \"orders\"\n", "source = \"orders\"\nevent_type = \"/type\"\n");
    let mut home = home(&self::contract(&topic), true);
    std::fs::write(home.path("contract.toml"), contract).unwrap();
    home.set("RUST_LOG", "info");
    let checked = home.run("test env").ok().stdout;
    assert!(checked.contains("orders-in") && checked.contains("could be fetched from"), "{checked}");
    let pipeline = home.up();
    let event = |number: u64, payload: &str| {
        format!(
            "{{\"id\":\"01900000-0000-7000-8000-{number:012x}\",\"source\":\"shop\",\"event_type\":\"t\",\
             \"received_at\":\"2026-01-01T00:00:00Z\",\"payload\":{payload},\"meta\":{{\"route_key\":\"a\"}}}}\n"
        )
    };
    let text = event(1, "{\"n\":\"canary-1\"}") + &event(2, "{\"n\":2,\"type\":\"order.paid\"}");
    std::fs::write(others.path("written.jsonl"), text).unwrap();
    others.run(&format!("replay kafka --topic {topic} --file written.jsonl")).ok();
    let events = poll("the second has come in", || {
        let events = home.lines_of("events.jsonl");
        (!events.is_empty()).then_some(events)
    });
    assert_eq!((&events[0]["payload"]["n"], &events[0]["event_type"]), (&json!(2), &json!("order.paid")));
    let letters = home.run("dlq list --json").ok().lines();
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = letters[0].to_string();
    assert!(
        letter.contains("nothing says which type of event it is") && letter.contains("serve/orders-in"),
        "{letter}"
    );
    assert!(pipeline.metric("smash_dlq_total{topic=\"webhooks.dlq\"}") >= 1.0);
    let lag = "serve_upstream_lag{adapter=\"orders-in\"} 0\n";
    poll("nothing waits any more", || pipeline.page("/metrics").contains(lag).then_some(()));
    let status = pipeline.status();
    assert!(status.to_string().contains(&topic), "{status}");
    assert!(!pipeline.stderr().contains("canary"), "a payload is never logged");
}
