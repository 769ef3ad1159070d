//! On Kafka: what an operator asks of the cluster, and what processes say of themselves there.

use serde_json::Value;

use crate::support::{
    Contract, Home, Receiver,
    home::{Ran, run},
    poll, poll_until, sign, text,
};

/// A command that has no data directory.
#[track_caller]
fn ask(home: &Home, arguments: &str) -> Ran {
    run(home.bare(&format!("{arguments} --contract contract.toml")), arguments)
}

/// The findings of `infra broker check` with this verdict.
fn found(findings: &[Value], verdict: &str) -> Vec<String> {
    let with = findings.iter().filter(|finding| finding["verdict"] == verdict);
    with.map(|finding| text(finding, "/check").to_owned()).collect()
}

#[test]
fn a_cluster_that_is_fit_is_found_to_be_and_what_is_not_is_named_with_its_remedy() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    let findings = ask(&home, "infra broker check --json").ok().lines();
    assert_eq!(found(&findings, "failed"), [""; 0]);
    let checks = found(&findings, "ok");
    for check in ["reachable", "security", "version", "timeouts", "rights on groups", "rights on transactions"] {
        assert!(checks.iter().any(|found| found == check), "no `{check}` in {checks:?}");
    }
    assert!(checks.iter().any(|check| check.starts_with("topic ") && check.ends_with(".webhooks.core")), "{checks:?}");
    assert_eq!(ask(&home, "infra broker topics --json").ok().lines().len(), 8, "nothing was made");

    home.set("KAFKA_TOPIC_REPLICATION_FACTOR", "99");
    let ran = ask(&home, "infra broker check --json");
    assert_eq!((ran.code, found(&ran.lines(), "failed")), (1, vec!["replication".to_owned()]));
    home.set("KAFKA_TOPIC_REPLICATION_FACTOR", "1");
    home.set("KAFKA_AUTO_CREATE_TOPICS", "false");
    let ran = ask(&home, "infra broker check --json");
    assert_eq!((ran.code, found(&ran.lines(), "failed").len()), (1, 8), "{ran:?}");
    let env = home.run("test env --json");
    assert_eq!(env.code, 1);
    let missing = env.lines().into_iter().filter(|check| check["ok"] == false).collect::<Vec<_>>();
    assert!(text(&missing[0], "/check").starts_with("kafka: topic "), "{missing:?}");
    assert!(text(&missing[0], "/detail").contains("hook infra broker topics --apply"), "{missing:?}");

    home.set("KAFKA_BROKERS", "127.0.0.1:1");
    let ran = ask(&home, "infra broker check --json");
    let finding = ran.json();
    assert_eq!((ran.code, text(&finding, "/check"), text(&finding, "/verdict")), (1, "reachable", "failed"));
    assert!(text(&finding, "/detail").contains("refused") && text(&finding, "/remedy").contains("port"), "{finding}");
}

#[test]
fn topics_are_made_and_widened_only_when_that_is_asked_for() {
    let mut home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    home.set("KAFKA_AUTO_CREATE_TOPICS", "false");
    let steps = |home: &Home, flags: &str| -> Vec<(String, bool)> {
        let topics = ask(home, &format!("infra broker topics --json {flags}")).ok().lines();
        let step = |topic: &Value| (text(topic, "/step/do").to_owned(), topic["done"] == true);
        topics.iter().map(step).collect()
    };
    let all = |step: &str, done| vec![(step.to_owned(), done); 8];
    assert_eq!(steps(&home, ""), all("create", false));
    assert_eq!(steps(&home, "--apply"), all("create", true));
    poll_until("the topics are there", || steps(&home, "") == all("keep", false));
    ask(&home, "infra broker check").ok();
    let mut pipeline = home.up();
    pipeline.accept(&sign::issue(1, "delivery-1"));
    poll_until("it is delivered", || home.lines_of("events.jsonl").len() == 1);
    assert!(pipeline.terminate().success());

    home.set("KAFKA_TOPIC_PARTITIONS", "5");
    let few = steps(&home, "--apply");
    assert_eq!(few.iter().filter(|(step, done)| step == "add_partitions" && !done).count(), 6, "{few:?}");
    let warned = ask(&home, "infra broker topics --add-partitions").ok();
    assert!(
        warned.stderr.contains("break the order once") && warned.stderr.contains("--apply takes them"),
        "{warned:?}"
    );
    let widened = steps(&home, "--apply --add-partitions");
    assert_eq!(widened.iter().filter(|(step, done)| step == "add_partitions" && *done).count(), 6, "{widened:?}");
    poll_until("the partitions are there", || steps(&home, "") == all("keep", false));
    // Under the same name it would be given what it had, for as long as its session lasts.
    let pipeline = home.start("up --instance-id another");
    pipeline.accept(&sign::issue(2, "delivery-2"));
    poll_until("it is delivered", || home.lines_of("events.jsonl").len() == 2);
    let groups = home.run("log groups --json").ok().lines();
    assert!(groups.iter().all(|group| group["unread"] == serde_json::json!([])), "{groups:?}");
}

#[test]
fn groups_say_who_reads_which_partitions_on_which_machine() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let (first, mut second) = (home.up(), home.start("smash --instance-id second"));
    receiver.taken(&first.accept(&sign::issue(1, "delivery-1")));
    let groups = || home.run("log groups --json").ok().lines();
    let of = |groups: &[Value], cursor: &str| {
        groups.iter().find(|group| group["cursor"] == cursor).unwrap_or_else(|| panic!("{groups:?}")).clone()
    };
    let shared = poll("both read", || {
        let group = of(&groups(), "tested.core-to-all.service");
        let members = group["members"].as_array().unwrap().clone();
        let partitions: usize = members.iter().map(|member| member["partitions"].as_array().unwrap().len()).sum();
        (members.len() == 2 && partitions == 3 && group["state"] == "stable").then_some(members)
    });
    let instances: Vec<_> = shared.iter().map(|member| text(member, "/instance")).collect();
    assert_eq!(instances, ["second", "tested"]);
    assert!(shared.iter().all(|member| text(member, "/host") == "127.0.0.1"), "{shared:?}");
    let topics = shared.iter().flat_map(|member| member["partitions"].as_array().unwrap());
    assert!(topics.into_iter().all(|assigned| assigned["topic"] == "webhooks.core"));
    assert_eq!(of(&groups(), "tested.relay")["members"].as_array().unwrap().len(), 1, "the second does not relay");
    let for_people = home.run("log groups").ok().stdout;
    assert!(for_people.contains("second") && for_people.contains("webhooks.core/"), "{for_people}");

    assert!(second.terminate().success());
    drop(first);
    poll_until("nobody reads", || groups().iter().all(|group| group["state"] == "empty"));
}

#[test]
fn a_process_says_which_log_it_is_on_and_a_cursor_that_is_through_is_not_behind() {
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let ids: Vec<_> = (1..=4).map(|number| pipeline.accept(&sign::issue(number, &number.to_string()))).collect();
    ids.iter().for_each(|id| drop(receiver.taken(id)));
    // The relay has written marks behind the last event: they are not events.
    let behind =
        |lags: &Value| -> u64 { lags.as_array().unwrap().iter().map(|lag| lag["behind"].as_u64().unwrap()).sum() };
    let status = poll("nothing is behind", || Some(pipeline.status()).filter(|status| behind(&status["lag"]) == 0));
    assert_eq!((&status["ready"], text(&status, "/backbone/driver")), (&true.into(), "kafka"));
    assert_eq!(text(&status, "/backbone/brokers/0"), std::env::var("KAFKA_BROKERS").unwrap());
    assert!(!text(&status, "/log/brokers/0").is_empty());
    let topics = status["backbone"]["topics"].as_array().unwrap();
    assert!(topics.contains(&"webhooks.core".into()) && topics.contains(&"webhooks.github".into()), "{topics:?}");
    let lag = "cursor_lag{cursor=\"tested.core-to-all.service\",destination=\"core-to-all/service\"}";
    assert!(pipeline.page("/metrics").contains(&format!("{lag} 0")), "{}", pipeline.page("/metrics"));
    home.run("log lag --fail-above 0").ok();

    assert!(pipeline.terminate().success());
    home.run("log lag --fail-above 0").ok();
}

#[test]
fn each_role_passes_its_smoke_test_on_the_contracts_cluster_and_leaves_nothing_there() {
    let home = Home::new(&Contract::new().file_output("file", "events.jsonl"));
    for role in ["serve", "relay", "smash"] {
        let report = ask(&home, &format!("test smoke {role} --json")).ok().json();
        assert_eq!((text(&report, "/role"), text(&report, "/log"), &report["ok"]), (role, "kafka", &true.into()));
    }
    poll_until("its topics are gone", || home.run("log topics --json").ok().lines().is_empty());
    let report = ask(&home, "test smoke serve --log embedded --json").ok().json();
    assert_eq!(text(&report, "/log"), "embedded");
}
