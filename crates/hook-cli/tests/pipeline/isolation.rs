//! A dead and a slow destination beside a good one: nobody waits for them, and the dead one gets everything later.

use std::time::Duration;

use crate::support::{Contract, Home, Receiver, Reply, poll_until, receiver::Delivery, sign};

const KEYS: u64 = 8;
const EVENTS_OF_A_KEY: u64 = 10;

/// For each key, the numbers as they were taken.
fn taken(deliveries: &[Delivery]) -> Vec<Vec<u64>> {
    let of = |key: u64| {
        let payloads = deliveries
            .iter()
            .filter(|delivery| delivery.status == 200)
            .map(|delivery| delivery.json()["payload"].clone());
        payloads
            .filter(|payload| payload["issue"]["number"] == key)
            .map(|payload| payload["number"].as_u64().unwrap())
            .collect()
    };
    (1..=KEYS).map(of).collect()
}

/// Waits until a receiver has everything, and checks the order of every key.
#[track_caller]
fn has_everything_in_order(receiver: &Receiver, name: &str) {
    let all = usize::try_from(KEYS * EVENTS_OF_A_KEY).unwrap();
    let deliveries = receiver.wait(&format!("the {name} one has everything"), |deliveries| {
        (deliveries.iter().filter(|delivery| delivery.status == 200).count() >= all).then(|| deliveries.to_vec())
    });
    for numbers in taken(&deliveries) {
        assert_eq!(numbers, (0..EVENTS_OF_A_KEY).collect::<Vec<_>>(), "at the {name} one");
    }
}

#[test]
fn a_dead_and_a_slow_destination_delay_no_other_and_the_dead_one_gets_everything_in_order() {
    let [good, slow, dead] = [(); 3].map(|()| Receiver::start());
    let delay = Duration::from_millis(100);
    slow.script(move |_, _| Reply { after: delay, ..Reply::status(200) });
    dead.go_down();
    let contract =
        Contract::new().http_output("good", &good, "").http_output("slow", &slow, "").http_output("dead", &dead, "");
    let home = Home::new(&contract);
    let pipeline = home.up();
    for number in 0..EVENTS_OF_A_KEY {
        for key in 1..=KEYS {
            let mut body = sign::issue_body(key, "isolation");
            body["number"] = number.into();
            pipeline.accept(&sign::github("issues", &format!("{key}-{number}"), body.to_string()));
        }
    }
    has_everything_in_order(&good, "good");
    assert!(dead.deliveries().is_empty());
    let breaker =
        |destination| pipeline.metric(&format!("smash_breaker_open{{destination=\"core-to-all/{destination}\"}}"));
    poll_until("the breaker of the dead one is open", || breaker("dead") == 1.0);
    assert_eq!((breaker("good"), breaker("slow")), (0.0, 0.0));
    let of_ready = pipeline.status()["destinations"].clone();
    let dead_status =
        of_ready.as_array().unwrap().iter().find(|status| status["destination"] == "core-to-all/dead").unwrap();
    assert!(dead_status["breaker_open_since"].is_string() && dead_status["last_error"].is_string(), "{dead_status}");
    has_everything_in_order(&slow, "slow");

    dead.come_back();
    has_everything_in_order(&dead, "dead");
    poll_until("its breaker is closed", || breaker("dead") == 0.0);
    assert_eq!(home.run("dlq list --json").ok().stdout, "", "nothing was given up");
    assert_eq!(pipeline.metric("smash_dlq_total{topic=\"webhooks.dlq\"}"), 0.0);
}

#[test]
fn what_was_spent_on_a_destination_that_is_down_is_given_back() {
    let receiver = Receiver::start();
    // Each of the five fails once, which opens the breaker, and two probes fail: a second failure would be one too many.
    let sick = Reply { retry_after: Some("1"), ..Reply::status(503) };
    receiver.script(move |_, before| if before < 7 { sick.clone() } else { Reply::status(200) });
    let keys = "retry = { max_retries = 1, base_ms = 10, cap_ms = 20 }";
    let home = Home::new(&Contract::new().http_output("service", &receiver, keys));
    let pipeline = home.up();
    let ids: Vec<_> = (1..=5).map(|key| pipeline.accept(&sign::issue(key, &format!("delivery-{key}")))).collect();
    let taken = |all: &[Delivery]| all.iter().filter(|delivery| delivery.status == 200).count() == ids.len();
    receiver.wait("all are taken", |all| taken(all).then_some(()));
    assert_eq!(home.run("dlq list --json").ok().stdout, "");
}
