//! What destinations get, and what happens where they fail.

use crate::support::{Contract, Home, Pipeline, Receiver, Reply, keys, poll, poll_until, sign, text};
use serde_json::Value;
use std::time::Duration;

fn to(receiver: &Receiver, keys: &str) -> (Home, Pipeline) {
    let home = Home::new(&Contract::new().http_output("service", receiver, keys));
    let pipeline = home.up();
    (home, pipeline)
}

fn dead_letters(home: &Home) -> Vec<Value> {
    home.run("dlq list --json").ok().lines()
}

#[test]
fn a_retry_follows_503_and_succeeds_under_the_same_id() {
    let receiver = Receiver::start();
    receiver.answers(&[503, 503]);
    let (home, pipeline) = to(&receiver, "");
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    let deliveries = receiver.wait_for(3);
    assert_eq!(deliveries.iter().map(|delivery| delivery.status).collect::<Vec<_>>(), [503, 503, 200]);
    for delivery in &deliveries {
        delivery.check_signature();
        assert_eq!((delivery.header("webhook-id"), &delivery.body), (id.as_str(), &deliveries[0].body));
    }
    assert_eq!(dead_letters(&home).len(), 0);
}

#[test]
fn a_lost_connection_is_tried_again() {
    let receiver = Receiver::start();
    // A status that is no status: the client gives the answer up.
    receiver.script(|_, before| if before == 0 { Reply::status(7) } else { Reply::status(200) });
    let (_home, pipeline) = to(&receiver, "");
    receiver.taken(&pipeline.accept(&sign::issue(1, "delivery-1")));
}

#[test]
fn the_time_that_a_destination_asks_for_is_given_to_it() {
    let receiver = Receiver::start();
    receiver.script(|_, before| match before {
        0 => Reply { retry_after: Some("1"), ..Reply::status(429) },
        _ => Reply::status(200),
    });
    let (_home, pipeline) = to(&receiver, "");
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.taken(&id);
    let deliveries = receiver.deliveries();
    let waited = deliveries[1].at - deliveries[0].at;
    assert!(waited >= Duration::from_millis(950), "{waited:?}");
}

#[test]
fn what_a_destination_refuses_for_good_is_a_dead_letter_at_once() {
    let receiver = Receiver::start();
    receiver.answers(&[400]);
    let (home, pipeline) = to(&receiver, "");
    let webhook = sign::issue(1, "delivery-1");
    let refused = pipeline.accept(&webhook);
    let next = pipeline.accept(&sign::issue(1, "delivery-2"));
    receiver.taken(&next);
    assert_eq!(receiver.deliveries().len(), 2, "400 is not tried again, and the next of its key goes on");

    let letters = dead_letters(&home);
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        keys(letter),
        ["attempts", "class", "destination", "envelope", "error", "failed_at", "first_attempt_at"]
    );
    assert_eq!((text(letter, "/destination"), &letter["attempts"]), ("core-to-all/service", &1.into()));
    assert!(text(letter, "/error").contains("400"), "{letter}");
    assert!(text(letter, "/first_attempt_at") <= text(letter, "/failed_at"));
    assert_eq!(letter["envelope"], receiver.deliveries()[0].json(), "the original, unchanged");
    assert_eq!(text(letter, "/envelope/id"), refused);

    let shown = home.run(&format!("dlq show {refused} --json")).ok();
    assert_eq!(&shown.json(), letter);
    assert!(shown.stdout.contains(std::str::from_utf8(&webhook.body).unwrap()), "the payload verbatim");
    assert_eq!(home.run(&format!("dlq show {next}")).code, 1);
    assert_eq!(pipeline.metric("smash_dlq_total{topic=\"webhooks.dlq\"}"), 1.0);
}

#[test]
fn an_event_whose_retries_are_used_up_is_a_dead_letter() {
    let receiver = Receiver::start();
    receiver.answers(&[500; 3]);
    let (home, pipeline) = to(&receiver, "retry = { max_retries = 2, base_ms = 10, cap_ms = 20 }");
    let given_up = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.taken(&pipeline.accept(&sign::issue(1, "delivery-2")));
    assert_eq!(receiver.deliveries().len(), 4, "the first, two retries, and the next event");
    let letters = dead_letters(&home);
    assert_eq!(letters.len(), 1);
    assert_eq!((text(&letters[0], "/envelope/id"), &letters[0]["attempts"]), (given_up.as_str(), &3.into()));
}

#[test]
fn what_a_destination_that_is_not_required_does_not_take_is_dropped() {
    let receiver = Receiver::start();
    receiver.answers(&[400]);
    let contract = Contract::new().http_output("service", &receiver, "").destination("required = false");
    let home = Home::new(&contract);
    let pipeline = home.up();
    let dropped = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.taken(&pipeline.accept(&sign::issue(1, "delivery-2")));
    assert_eq!(dead_letters(&home).len(), 0);
    let sample = "smash_egress_dropped_total{destination=\"core-to-all/service\"}";
    poll_until("the drop is counted", || pipeline.metric(sample) == 1.0);
    let state = poll("the drop is in the story", || {
        let story = home.run(&format!("explain {dropped} --json")).ok().json();
        let state = text(&story, "/destinations/0/state").to_owned();
        (state != "pending").then_some(state)
    });
    assert_eq!(state, "dropped");
}

#[test]
fn a_key_that_is_held_waits_and_other_keys_go_on() {
    let receiver = Receiver::start();
    receiver.script(|delivery, _| match delivery.json()["payload"]["note"].as_str() {
        Some("stuck") => Reply::status(400),
        _ => Reply::status(200),
    });
    let (home, pipeline) =
        to(&receiver, "on_give_up = \"hold\"\nretry = { max_retries = 1, base_ms = 10, cap_ms = 50 }");
    pipeline.accept(&sign::issue(1, "stuck"));
    let behind = pipeline.accept(&sign::issue(1, "behind"));
    receiver.taken(&pipeline.accept(&sign::issue(2, "free")));
    receiver.wait("the held event was tried again", |all| {
        (all.iter().filter(|delivery| delivery.status == 400).count() > 3).then_some(())
    });
    assert!(receiver.deliveries().iter().all(|delivery| delivery.id() != behind), "its key is held");
    assert_eq!(dead_letters(&home).len(), 0);
    receiver.script(|_, _| Reply::status(200));
    receiver.taken(&behind);
}

#[test]
fn a_stored_event_that_no_smash_route_takes_is_counted_and_goes_where_the_policy_says() {
    let receiver = Receiver::start();
    let filtered = |contract: Contract| {
        contract.http_output("service", &receiver, "").smash_keys("event_filters = [\"issues.*\"]")
    };
    let home = Home::new(&filtered(Contract::new()));
    let pipeline = home.up();
    let unrouted = pipeline.accept(&sign::github("push", "delivery-1", "{}"));
    poll_until("it is counted", || pipeline.metric("smash_unrouted_total{topic=\"webhooks.core\"}") == 1.0);
    receiver.taken(&pipeline.accept(&sign::issue(1, "delivery-2")));
    assert_eq!(receiver.deliveries().len(), 1);
    let shown = home.run(&format!("events show {unrouted} --json")).ok().json();
    assert_eq!(shown["destinations"], serde_json::json!([]));
    assert_eq!(dead_letters(&home).len(), 0);

    let policy = "[policies]\nallow_no_output = true\nno_output_sink = \"dlq\"";
    let home = Home::new(&filtered(Contract::new().with(policy)));
    let pipeline = home.up();
    let unrouted = pipeline.accept(&sign::github("push", "delivery-1", "{}"));
    let letter = poll("its dead letter is there", || dead_letters(&home).into_iter().next());
    assert_eq!(text(&letter, "/envelope/id"), unrouted);
}

#[test]
fn what_was_bridged_before_is_not_unrouted_once_the_relay_is_gone() {
    let receiver = Receiver::start();
    let policy = "[policies]\nallow_no_output = true\nno_output_sink = \"dlq\"";
    let contract = Contract::new().with(policy).http_output("service", &receiver, "");
    let home = Home::new(&contract);
    let mut pipeline = home.up();
    for number in 1..=3 {
        receiver.taken(&pipeline.accept(&sign::issue(number, &format!("delivery-{number}"))));
    }
    poll_until("the cursor behind all routes has passed what was bridged", || {
        let passed = unrouted_in(&pipeline, "webhooks.github").into_iter();
        passed.filter_map(|partition| partition["watermark"].as_u64()).sum::<u64>() >= 3
    });
    assert!(pipeline.terminate().success());

    home.contract(&contract.target_topic("webhooks.core"));
    let pipeline = home.up();
    let id = pipeline.accept(&sign::issue(4, "delivery-4"));
    receiver.taken(&id);
    let stored = home.run(&format!("events show {id} --json")).ok().json();
    poll_until("the cursor behind all routes has passed the new event", || {
        let mut core = unrouted_in(&pipeline, "webhooks.core").into_iter();
        let partition = core.find(|partition| partition["partition"] == stored["partition"]);
        partition.is_some_and(|partition| partition["watermark"].as_u64() > stored["offset"].as_u64())
    });
    assert_eq!(dead_letters(&home).len(), 0);
}

/// Where the cursor behind all routes stands in each partition of a topic.
fn unrouted_in(pipeline: &Pipeline, topic: &str) -> Vec<Value> {
    let status = pipeline.status();
    let cursors = status["log"]["cursors"].as_array().unwrap();
    let unrouted = cursors.iter().find(|cursor| text(cursor, "/name").ends_with(".unrouted")).unwrap();
    let partitions = unrouted["partitions"].as_array().unwrap().iter();
    partitions.filter(|partition| partition["topic"] == topic).cloned().collect()
}

#[test]
fn a_wrong_token_opens_the_breaker_and_nothing_is_lost() {
    let receiver = Receiver::start();
    receiver.script(|_, before| Reply::status(if before == 0 { 401 } else { 200 }));
    let (home, pipeline) = to(&receiver, "");
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.wait_for(1);
    let sample = "smash_breaker_open{destination=\"core-to-all/service\"}";
    // The probe comes after at most a second and finds the token mended.
    receiver.taken(&id);
    poll_until("the breaker is closed again", || pipeline.metric(sample) == 0.0);
    let opened = pipeline.logs().iter().any(|line| text(line, "/message").starts_with("breaker open"));
    assert!(opened, "{}", pipeline.stderr());
    assert_eq!(dead_letters(&home).len(), 0);
}

#[test]
fn a_service_may_want_the_payload_alone_or_a_cloud_event() {
    let receivers = [Receiver::start(), Receiver::start()];
    let contract = Contract::new()
        .http_output("payload", &receivers[0], "body = \"payload\"\nmethod = \"PUT\"\nheaders = { X-Team = \"a\" }")
        .http_output("cloudevents", &receivers[1], "body = \"cloudevents\"");
    let home = Home::new(&contract);
    let pipeline = home.up();
    let webhook = sign::issue(1, "delivery-1");
    let id = pipeline.accept(&webhook);
    let [payload, cloud_event] = receivers.each_ref().map(|receiver| receiver.wait_for(1).remove(0));
    assert_eq!((payload.body.as_slice(), payload.header("x-team")), (webhook.body.as_slice(), "a"));
    payload.check_signature();
    assert_eq!(cloud_event.header("content-type"), "application/cloudevents+json");
    let cloud_event = cloud_event.json();
    assert_eq!((text(&cloud_event, "/specversion"), text(&cloud_event, "/id")), ("1.0", id.as_str()));
    assert_eq!(cloud_event["data"], serde_json::from_slice::<serde_json::Value>(&webhook.body).unwrap());
}
