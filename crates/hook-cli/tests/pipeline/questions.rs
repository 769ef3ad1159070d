//! What `events`, `dlq`, `explain` and `replay` say, while the pipeline runs and while nothing does.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::support::{Contract, Home, Pipeline, Receiver, Reply, home::run, keys, poll, sign, text};

fn to(receiver: &Receiver) -> (Home, Pipeline) {
    let home = Home::new(&Contract::new().http_output("service", receiver, ""));
    let pipeline = home.up();
    (home, pipeline)
}

/// The story of an event once it is as the function wants it.
#[track_caller]
fn story(home: &Home, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    poll("the story is told", || {
        let story = home.run(&format!("explain {id} --json")).ok().json();
        is_so(&story).then_some(story)
    })
}

fn state(story: &Value) -> &str {
    // Before the relay has bridged it, an event has no destinations yet.
    story.pointer("/destinations/0/state").map_or("", |state| state.as_str().unwrap())
}

#[test]
fn events_are_listed_with_their_place_and_filtered() {
    let receiver = Receiver::start();
    let (home, pipeline) = to(&receiver);
    let first = pipeline.accept(&sign::issue(1, "delivery-1"));
    let second = pipeline.accept(&sign::github("push", "delivery-2", "{ \"zebra\": 1.50,  \"a\": 1 }"));
    receiver.wait_for(2);

    let listed = home.run("events list --json").ok();
    let events = listed.lines();
    assert_eq!(events.len(), 4, "two in webhooks.github, two in webhooks.core");
    for event in &events {
        let beside = ["event_type", "id", "meta", "offset", "partition", "payload", "received_at", "source", "topic"];
        assert_eq!(keys(event), beside);
    }
    assert!(listed.stdout.contains("{\"zebra\":1.50,\"a\":1}"), "verbatim, without the whitespace: {listed:?}");

    let ids = |arguments: &str| -> Vec<String> {
        let events = home.run(&format!("events list --json {arguments}")).ok().lines();
        events.iter().map(|event| text(event, "/id").to_owned()).collect()
    };
    assert_eq!(ids("--topic webhooks.core"), [first.as_str(), second.as_str()]);
    assert_eq!(ids("--topic webhooks.core --type issues.*"), [first.as_str()]);
    assert_eq!(ids("--topic webhooks.core --limit 1"), [second.as_str()]);
    assert_eq!(ids("--source linear"), Vec::<String>::new());
    assert_eq!(ids("--topic webhooks.core --since 1h").len(), 2);
    assert_eq!(home.run("events list --since tomorrow").code, 2);

    assert_eq!(home.run("events list --limit 0").code, 2);

    let for_people = home.run("events list").ok().stdout;
    let titles: Vec<_> = for_people.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(titles, ["received", "event", "source", "type", "topic@offset"]);
    assert!(for_people.contains(&first) && for_people.contains("issues.opened"), "{for_people}");
}

#[test]
fn an_event_is_shown_with_its_payload_and_where_it_goes() {
    let receiver = Receiver::start();
    let (home, pipeline) = to(&receiver);
    let webhook = sign::issue(1, "delivery-1");
    let id = pipeline.accept(&webhook);
    receiver.taken(&id);
    let shown = home.run(&format!("events show {id} --json")).ok().json();
    assert_eq!(shown["payload"], serde_json::from_slice::<Value>(&webhook.body).unwrap());
    assert_eq!(shown["destinations"], serde_json::json!(["core-to-all/service"]));
    assert_eq!((text(&shown, "/topic"), &shown["offset"]), ("webhooks.core", &0.into()));
    assert_eq!((text(&shown, "/relayed_from/topic"), &shown["relayed_from"]["offset"]), ("webhooks.github", &0.into()));
    assert!(home.run(&format!("events show {id}")).ok().stderr.contains("was relayed from: webhooks.github/"));

    let unknown = home.run("events show 01900000-0000-7000-8000-000000000000");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (1, ""));
    assert!(unknown.stderr.contains("01900000-0000-7000-8000-000000000000"), "{unknown:?}");
    let wrong = home.run("events show not-an-id");
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("expected an event id such as"), "{wrong:?}");
}

#[test]
fn tail_prints_events_as_they_come_and_ends_with_the_pipeline() {
    let receiver = Receiver::start();
    let (home, mut pipeline) = to(&receiver);
    let before = pipeline.accept(&sign::issue(1, "before"));
    receiver.taken(&before);
    let mut tail = home.command("events tail --topic webhooks.core --json").stdout(Stdio::piped()).spawn().unwrap();
    let printed = Arc::new(Mutex::new(Vec::<Value>::new()));
    let (lines, reading) = (BufReader::new(tail.stdout.take().unwrap()).lines(), Arc::clone(&printed));
    let reader = std::thread::spawn(move || {
        lines.for_each(|line| reading.lock().unwrap().push(serde_json::from_str(&line.unwrap()).unwrap()));
    });
    // When it has begun to follow, nobody is told: events are sent until one is seen.
    let mut sent = Vec::new();
    poll("tail has printed an event", || {
        sent.push(pipeline.accept(&sign::issue(2, &format!("delivery-{}", sent.len()))));
        (!printed.lock().unwrap().is_empty()).then_some(())
    });
    let last = pipeline.accept(&sign::issue(3, "the-last"));
    poll("tail has printed the last", || printed.lock().unwrap().iter().any(|event| event["id"] == last).then_some(()));
    sent.push(last);
    let mut seen: Vec<_> = printed.lock().unwrap().iter().map(|event| text(event, "/id").to_owned()).collect();
    if crate::LOG.is_kafka() {
        // Order is that of a partition, and each key has its own. Ids are in the order in which events came.
        seen.sort_unstable();
    }
    assert!(sent.ends_with(&seen), "each once, in order, from the first that was followed: {seen:?} of {sent:?}");

    assert!(pipeline.terminate().success());
    assert!(poll("tail has ended", || tail.try_wait().unwrap()).success());
    reader.join().unwrap();
    let nothing_runs = home.run("events tail");
    assert_eq!(nothing_runs.code, 1);
    assert!(nothing_runs.stderr.contains("hook up"), "{nothing_runs:?}");
}

#[test]
fn the_story_of_an_event_tells_every_attempt() {
    let receiver = Receiver::start();
    receiver.answers(&[503]);
    let (home, pipeline) = to(&receiver);
    let webhook = sign::issue(1, "delivery-1");
    let id = pipeline.accept(&webhook);
    story(&home, &id, |story| state(story) == "delivered");
    pipeline.post(&webhook);
    // On Kafka the relay removes the copy, which has an id and a story of its own.
    let steps: &[&str] = match crate::LOG.answer_to_a_copy() {
        (200, _) => &["attempt_failed", "delivered", "duplicate"],
        _ => &["attempt_failed", "delivered"],
    };
    let story = story(&home, &id, |story| story["steps"].as_array().unwrap().len() == steps.len());
    assert_eq!((text(&story, "/kind"), text(&story, "/id")), ("event", id.as_str()));
    let told: Vec<_> = story["steps"].as_array().unwrap().iter().map(|step| text(step, "/step")).collect();
    assert_eq!(told, steps);
    assert!(text(&story, "/steps/0/error").contains("503"));
    assert_eq!(text(&story, "/destinations/0/destination"), "core-to-all/service");
    assert_eq!(story["destinations"][0]["attempts"], 2);
    assert_eq!(story.get("payload"), None, "a story has no payload");
    let mut topics: Vec<_> = story["stored"].as_array().unwrap().iter().map(|place| text(place, "/topic")).collect();
    if crate::LOG.is_kafka() {
        // Both have the time at which the event was received: nothing says which was stored first.
        topics.sort_unstable_by(|first, second| second.cmp(first));
    }
    assert_eq!(topics, ["webhooks.github", "webhooks.core"]);

    let for_people = home.run(&format!("explain {id}")).ok().stdout;
    assert!(for_people.contains("attempt 1 failed") && for_people.contains("delivered with attempt 2"), "{for_people}");
}

#[test]
fn the_story_of_a_refused_request_tells_the_rule() {
    let receiver = Receiver::start();
    let (home, mut pipeline) = to(&receiver);
    let refused = |webhook| text(&pipeline.post(&webhook).json(), "/request_id").to_owned();
    let forged = refused(sign::github_with("another secret", "issues", "delivery-1", "{}"));
    let malformed = refused(sign::github("issues", "delivery-1", "[]"));
    let told = |id: &str| {
        let story = home.run(&format!("explain {id} --json")).ok().json();
        assert_eq!((text(&story, "/kind"), text(&story, "/request_id")), ("request", id));
        (text(&story, "/step").to_owned(), text(&story, "/code").to_owned())
    };
    assert_eq!(told(&forged), ("refused".into(), "signature_mismatch".into()));
    assert_eq!(told(&malformed), ("refused".into(), "malformed_body".into()));

    assert!(pipeline.terminate().success());
    assert_eq!(
        told(&malformed),
        ("refused".into(), "malformed_body".into()),
        "its sender was verified: it is in the log"
    );
    let forgotten = home.run(&format!("explain {forged}"));
    assert_eq!(forgotten.code, 1, "forgeries cost no disk: {forgotten:?}");
}

#[test]
fn while_nothing_runs_the_log_itself_is_asked() {
    let receiver = Receiver::start();
    receiver.script(|delivery, _| match delivery.json()["payload"]["note"].as_str() {
        Some("refused") => Reply::status(400),
        _ => Reply::status(200),
    });
    let (home, mut pipeline) = to(&receiver);
    let refused = pipeline.accept(&sign::issue(1, "refused"));
    let id = pipeline.accept(&sign::issue(2, "delivery-2"));
    receiver.taken(&id);
    story(&home, &refused, |story| state(story) == "dead_lettered");
    let for_people = home.run("dlq list").ok();
    assert!(for_people.stdout.trim_start().starts_with("failed"), "{for_people:?}");
    assert!(for_people.stdout.contains(&refused) && for_people.stderr.contains("hook replay"), "{for_people:?}");
    let asked = ["events list", "dlq list"].map(|question| home.run(&format!("{question} --json")).ok().stdout);
    assert!(pipeline.terminate().success());
    assert_eq!(["events list", "dlq list"].map(|question| home.run(&format!("{question} --json")).ok().stdout), asked);
    assert_eq!(state(&home.run(&format!("explain {id} --json")).ok().json()), "delivered");
    assert_eq!(state(&home.run(&format!("explain {refused} --json")).ok().json()), "dead_lettered");
    assert_eq!(home.run(&format!("events show {id} --json")).ok().json()["id"], id);
    let count = home.run(&format!("replay {id} --dry-run --json")).ok().json();
    assert_eq!(count["events"], 1);
    // A look leaves everything as it was.
    let pipeline = home.up();
    receiver.taken(&pipeline.accept(&sign::issue(3, "delivery-3")));
    assert_eq!(receiver.deliveries().len(), 3);
}

#[test]
fn a_replayed_event_keeps_its_id_and_says_that_it_is_a_replay() {
    let receiver = Receiver::start();
    let (home, pipeline) = to(&receiver);
    let webhook = sign::issue(1, "delivery-1");
    let id = pipeline.accept(&webhook);
    let first = receiver.taken(&id).json();
    let replayed = home.run(&format!("replay {id} --json")).ok().json();
    assert_eq!(keys(&replayed), ["destinations", "event_id", "replay_id", "topics"]);
    assert_eq!(
        (text(&replayed, "/event_id"), text(&replayed, "/destinations/0")),
        (id.as_str(), "core-to-all/service")
    );

    let second = receiver.wait_for(2).remove(1);
    second.check_signature();
    let replay_id = text(&replayed, "/replay_id");
    assert_eq!(second.header("webhook-id"), format!("{id}_{replay_id}"));
    let mut again = second.json();
    assert_eq!(keys(&again["meta"]["replay"]), ["at", "id"]);
    assert_eq!(text(&again, "/meta/replay/id"), replay_id);
    again["meta"].as_object_mut().unwrap().remove("replay");
    assert_eq!(again, first, "nothing else has changed");

    let unknown = home.run("replay 01900000-0000-7000-8000-000000000000");
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let copy = pipeline.post(&webhook);
    let expected = crate::LOG.answer_to_a_copy();
    assert_eq!((copy.status, copy.code().as_str()), expected, "a replay changes nothing for the sender");
    receiver.taken(&pipeline.accept(&sign::issue(1, "delivery-2")));
    assert_eq!(receiver.deliveries().len(), 3, "the copy is not delivered, whoever removes it");
}

#[test]
fn what_is_only_worth_a_look_is_told_by_the_check_and_not_beside_every_answer() {
    let home = Home::new(&Contract::new().serves_only("nobody").file_output("file", "events.jsonl"));
    let _pipeline = home.up();
    let checked = run(home.bare("config validate --contract contract.toml"), "config validate").ok();
    assert!(checked.stderr.contains("HOOK0128"), "{checked:?}");
    for question in
        ["events list", "dlq list", "replay list", "cursors list", "replay --all --dry-run", "dlq redrive --all"]
    {
        let answer = home.run(question).ok();
        assert_eq!(answer.stderr, "", "{question}: {answer:?}");
    }
    let forced = home.run("events list --force").ok();
    assert!(forced.stderr.contains("HOOK0128"), "{forced:?}");
}
