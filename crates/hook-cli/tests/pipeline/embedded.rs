//! What is the embedded log's alone: it answers copies, lives in one process and one directory, and can be damaged.

use crate::{
    answers::{check_refused, check_taken, count_of_events, into_a_file},
    lifecycle::problem,
    support::{Contract, Home, Receiver, home::files_below, poll_until, sign, text},
};

#[test]
fn a_copy_is_answered_with_the_first_id_also_after_a_restart() {
    let (home, mut pipeline) = into_a_file(Contract::new());
    let webhook = sign::issue(1, "delivery-1");
    let first = pipeline.accept(&webhook);
    let copy = pipeline.post(&webhook);
    assert_eq!(check_taken(&copy, 200, "duplicate", "event_id"), first);
    assert_eq!(copy.header("x-hook-hint"), Some(format!("hook replay {first}").as_str()));

    assert!(pipeline.terminate().success());
    let pipeline = home.up();
    assert_eq!(check_taken(&pipeline.post(&webhook), 200, "duplicate", "event_id"), first);
    drop(pipeline);
    let pipeline = home.up();
    assert_eq!(check_taken(&pipeline.post(&webhook), 200, "duplicate", "event_id"), first);
    assert_eq!(count_of_events(&home), 2, "one in webhooks.github, one in webhooks.core");
}

#[test]
fn a_captured_body_under_a_new_delivery_id_is_a_copy_unless_the_contract_says_otherwise() {
    let (_home, pipeline) = into_a_file(Contract::new());
    let body = sign::issue_body(1, "captured").to_string();
    let first = pipeline.accept(&sign::github("issues", "delivery-1", body.clone()));
    let captured = pipeline.post(&sign::github("issues", "delivery-2", body.clone()));
    assert_eq!(check_taken(&captured, 200, "duplicate", "event_id"), first);
    // The id of a delivery that was recognised by its body is no mark of its own.
    let other = sign::github("issues", "delivery-2", sign::issue_body(2, "other").to_string());
    assert_ne!(pipeline.accept(&other), first);

    let by_id = "[sources.github]\nverifier = \"github\"\nsecret_env = \"HMAC_SECRET_GITHUB\"\ndedup = { by = \"delivery_id\" }";
    let (_home, pipeline) = into_a_file(Contract::new().with(by_id));
    let first = pipeline.accept(&sign::github("issues", "delivery-1", body.clone()));
    assert_ne!(pipeline.accept(&sign::github("issues", "delivery-2", body)), first);
}

#[test]
fn copies_that_race_are_stored_once() {
    let (home, pipeline) = into_a_file(Contract::new());
    let webhook = sign::issue(1, "delivery-1");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..16).map(|_| scope.spawn(|| pipeline.post(&webhook))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    let ids: std::collections::HashSet<_> =
        answers.iter().map(|answer| text(&answer.json(), "/event_id").to_owned()).collect();
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!((ids.len(), accepted), (1, 1), "{answers:?}");
    poll_until("the event is relayed", || count_of_events(&home) == 2);
}

#[test]
fn a_log_that_may_hold_no_more_answers_503_until_there_is_room() {
    let receiver = Receiver::start();
    receiver.go_down();
    let small = "[log]\nsegment_bytes = 65536\nmax_pinned = 200000";
    let home = Home::new(&Contract::new().http_output("service", &receiver, "").with(small));
    let pipeline = home.up();
    let big = |number: usize| {
        let mut body = sign::issue_body(1, &"x".repeat(10_000));
        body["number"] = number.into();
        sign::github("issues", &format!("delivery-{number}"), body.to_string())
    };
    let mut accepted = Vec::new();
    let refused = loop {
        let answer = pipeline.post(&big(accepted.len()));
        match answer.status {
            202 => accepted.push(text(&answer.json(), "/event_id").to_owned()),
            _ => break answer,
        }
        assert!(accepted.len() < 100, "a megabyte is more than 200000 bytes");
    };
    check_refused(&refused, 503, "log_unavailable");
    assert!(refused.header("retry-after").is_some());
    assert!(!accepted.is_empty());

    receiver.come_back();
    accepted.iter().for_each(|id| drop(receiver.taken(id)));
    // The sender does as it was told: the refused delivery has left no mark and is taken now.
    let again = big(accepted.len());
    poll_until("there is room again", || pipeline.post(&again).status == 202);
}

#[test]
fn a_second_process_on_the_same_log_is_refused_with_the_remedies() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let mut pipeline = home.up();
    for role in ["up", "serve", "smash"] {
        let second = home.run(&format!("{role} --json"));
        assert_eq!(second.code, 1, "{second:?}");
        let (code, help) = problem(&second);
        assert_eq!(code, "HOOK0207");
        assert!(help.contains("hook up") && help.contains("--data-dir"), "{help}");
    }
    assert!(pipeline.is_alive());
    pipeline.accept(&sign::issue(1, "delivery-1"));
}

#[test]
fn a_log_that_is_damaged_is_named_and_left_as_it_is() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let mut pipeline = home.up();
    pipeline.accept(&sign::issue(1, "damaged-here"));
    pipeline.accept(&sign::issue(2, "delivery-2"));
    poll_until("both are in the file", || home.lines_of("events.jsonl").len() == 2);
    assert!(pipeline.terminate().success());

    let place = |bytes: &[u8]| bytes.windows(12).position(|window| window == b"damaged-here");
    let (segment, whole) = files_below(&home.path("data"))
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .find(|(_, bytes)| place(bytes).is_some())
        .unwrap();
    let mut damaged = whole.clone();
    damaged[place(&whole).unwrap()] ^= 1;
    std::fs::write(&segment, &damaged).unwrap();
    let ran = home.run("up --json");
    assert_eq!((ran.code, problem(&ran).0.as_str()), (1, "HOOK0208"));
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(ran.stdout.contains(name) && ran.stdout.contains("damaged"), "{ran:?}");
    assert_eq!(std::fs::read(&segment).unwrap(), damaged, "it can be copied away before anything else is tried");

    std::fs::write(&segment, &whole).unwrap();
    let pipeline = home.up();
    assert_eq!(pipeline.post(&sign::issue(1, "damaged-here")).code(), "duplicate");
}

#[test]
fn a_data_directory_that_is_none_is_a_problem() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    std::fs::write(home.path("data"), "a file").unwrap();
    let ran = home.run("up --json");
    assert_eq!((ran.code, problem(&ran).0.as_str()), (1, "HOOK0208"));
}

#[cfg(feature = "kafka")]
#[test]
fn undelivered_events_are_not_left_behind_in_another_log() {
    let receiver = Receiver::start();
    receiver.go_down();
    let mut home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    poll_until("it is relayed", || pipeline.metric("relay_events_total{topic=\"webhooks.github\"}") == 1.0);
    assert!(pipeline.terminate().success());

    // Nothing listens there: that is met only where the start goes on.
    let elsewhere = [("BROKERS", "127.0.0.1:1"), ("SECURITY_PROTOCOL", "plaintext"), ("ALLOW_PLAINTEXT", "true")];
    elsewhere.iter().for_each(|(name, value)| home.set(&format!("KAFKA_{name}"), value));
    for role in ["up", "serve", "smash"] {
        let refused = home.run(&format!("{role} --json"));
        assert_eq!((refused.code, problem(&refused).0.as_str()), (1, "HOOK0214"));
        assert!(refused.stdout.contains("1 deliveries left"), "{refused:?}");
    }
    let forced = home.run("up --json --force");
    assert_eq!((forced.code, problem(&forced).0.as_str()), (1, "HOOK0212"));
    assert!(forced.stderr.contains("HOOK0214"), "{forced:?}");

    elsewhere.iter().for_each(|(name, _)| home.set(&format!("KAFKA_{name}"), ""));
    receiver.come_back();
    let _pipeline = home.up();
    receiver.taken(&id);
}

// The default protocol is TLS, which the default build lacks.
#[cfg(not(any(feature = "kafka-tls", feature = "kafka-vendored")))]
#[test]
fn brokers_in_the_environment_choose_kafka_and_the_embedded_log_is_not_taken_instead() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    home.set("KAFKA_BROKERS", "broker:9093");
    let refused = home.run("up");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("HOOK0205") && refused.stderr.contains("KAFKA_BROKERS"), "{refused:?}");
    assert!(!home.path("data").exists(), "nothing was begun");
}

#[test]
fn where_no_pipeline_has_ever_run_the_answer_says_how_to_start_one() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    for question in ["events list", "dlq list", "explain 01900000-0000-7000-8000-000000000000"] {
        let ran = home.run(question);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains("hook up"), "{ran:?}");
    }
}

#[test]
fn a_relay_takes_no_flag_that_only_kafka_understands() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let refused = home.run("relay --group-id mine --json");
    let problem = &refused.json()["problems"][0];
    assert_eq!((refused.code, text(problem, "/code")), (1, "HOOK0206"));
    assert!(text(problem, "/message").contains("--group-id means nothing on the embedded log"), "{problem}");
    let relay = home.start("relay --topics webhooks.github --output-topic webhooks.other");
    assert_eq!(text(&relay.status(), "/relay/output"), "webhooks.other");
}
