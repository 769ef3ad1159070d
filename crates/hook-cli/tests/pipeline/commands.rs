//! `demo`, `send` and `test`: what a newcomer types first.

use serde_json::Value;

use crate::support::{
    Contract, Home, Receiver,
    home::{Ran, run},
    poll_until, text,
};

fn home() -> Home {
    Home::new(&Contract::new().file_output("file", "events.jsonl"))
}

/// A command in a directory and an environment that hold nothing of ours.
fn in_an_empty_place(arguments: &str) -> Ran {
    let home = home();
    std::fs::remove_file(home.path("contract.toml")).unwrap();
    let mut command = home.bare(arguments);
    for name in ["HMAC_SECRET_GITHUB", "HMAC_SECRET_LINEAR", "HMAC_SECRET_STRIPE", "SIGNING_SECRET"] {
        command.env_remove(name);
    }
    let ran = run(command, arguments);
    assert_eq!(
        crate::support::home::files_below(&home.path("")),
        Vec::<std::path::PathBuf>::new(),
        "it left something"
    );
    ran
}

#[test]
fn the_demo_shows_a_delivery_a_refusal_a_retry_and_a_duplicate() {
    let shown = in_an_empty_place("demo").ok().stdout;
    for part in ["github", "linear", "stripe", "202", "401", "duplicate", "retry", "signature", "hook up"] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
}

#[test]
fn the_demo_tells_programs_what_really_happened() {
    let mut lines = in_an_empty_place("demo --json").ok().lines();
    let done = lines.pop().unwrap();
    assert_eq!((text(&done, "/step"), &done["ok"]), ("done", &true.into()));
    let steps: Vec<_> =
        lines.iter().map(|line| (text(line, "/step"), text(line, "/source"), line["status"].clone())).collect();
    let expected = [
        ("delivered", "github", 202),
        ("delivered", "linear", 202),
        ("delivered", "stripe", 202),
        ("refused", "github", 401),
        ("duplicate", "github", 200),
    ];
    assert_eq!(steps, expected.map(|(step, source, status)| (step, source, Value::from(status))));
    let attempts: Vec<_> = lines[..3].iter().map(|line| line["attempts"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [1, 2, 1], "one of them met a receiver that was away");
}

#[test]
fn send_signs_as_every_provider_and_finds_the_running_pipeline() {
    let home = home();
    let pipeline = home.up();
    for (count, (source, event)) in
        [("github", "issues.opened"), ("linear", "Issue.create"), ("stripe", "invoice.paid")].into_iter().enumerate()
    {
        let sent = home.run(&format!("send {source} {event} --json")).ok().json();
        assert_eq!((&sent["status"], text(&sent, "/answer/code")), (&202.into(), "accepted"));
        poll_until("the event is in the file", || home.lines_of("events.jsonl").len() > count);
        let stored = home.lines_of("events.jsonl").pop().unwrap();
        assert_eq!((text(&stored, "/source"), text(&stored, "/event_type")), (source, event));
        assert_eq!(stored["id"], sent["answer"]["event_id"]);
    }

    std::fs::write(home.path("body.json"), "{ \"action\": \"closed\",  \"n\": 1.50 }").unwrap();
    let url = format!("http://{}/webhook/github", pipeline.ingress());
    let arguments = format!("send github issues.closed --file body.json --delivery-id d-1 --url {url} --json");
    let sent = home.run(&arguments).ok().json();
    let shown = home.run(&format!("events show {} --json", text(&sent, "/answer/event_id"))).ok();
    assert!(shown.stdout.contains("{\"action\":\"closed\",\"n\":1.50}"), "{shown:?}");
    assert_eq!(text(&shown.json(), "/meta/delivery_id"), "d-1");
    let again = home.run(&arguments).ok().json();
    assert_eq!((&again["status"], &again["answer"]["event_id"]), (&200.into(), &sent["answer"]["event_id"]));
}

#[test]
fn send_tells_people_the_id_and_what_to_do_with_it() {
    let home = home();
    let _pipeline = home.up();
    let sent = home.run("send github issues.opened").ok();
    let id = sent.stdout.strip_prefix("202 accepted ").and_then(|rest| rest.split_whitespace().next());
    let id = id.unwrap_or_else(|| panic!("{sent:?}"));
    assert!(sent.stderr.contains(&format!("hook explain {id}")), "{sent:?}");
    home.run(&format!("explain {id}")).ok();
}

#[test]
fn send_fails_where_the_pipeline_refuses_or_is_not_there() {
    let mut home = home();
    let nobody = home.run("send github push");
    assert_eq!((nobody.code, nobody.stdout.as_str()), (1, ""));
    assert!(nobody.stderr.contains("hook up"), "{nobody:?}");
    let _pipeline = home.up();
    let unknown = home.run("send gitlab push");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("github"), "it names those that there are: {unknown:?}");
    home.set("HMAC_SECRET_GITHUB", "another secret");
    let refused = home.run("send github push --json");
    assert_eq!((refused.code, text(&refused.json(), "/answer/code")), (1, "signature_mismatch"));
    let refused = home.run("send github push");
    assert!(refused.stdout.starts_with("401 signature_mismatch: "), "{refused:?}");
    assert!(refused.stderr.contains("hook explain "), "{refused:?}");
    home.set("HMAC_SECRET_GITHUB", "");
    let without = home.run("send github push");
    assert_eq!(without.code, 1);
    assert!(without.stderr.contains("HMAC_SECRET_GITHUB"), "{without:?}");
}

#[test]
fn the_test_of_the_environment_finds_what_is_there_and_what_is_missing() {
    let receiver = Receiver::start();
    let mut home =
        Home::new(&Contract::new().http_output("service", &receiver, "").file_output("file", "events.jsonl"));
    let checks = home.run("test env --json").ok().lines();
    assert!(checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    let names: Vec<_> = checks.iter().map(|check| text(check, "/check")).collect();
    for name in [
        "contract",
        "SIGNING_SECRET",
        "data directory",
        "ingress adapter http-in",
        "egress adapter service",
        "egress adapter file",
    ] {
        assert!(names.contains(&name), "no `{name}` in {names:?}");
    }
    assert_eq!(receiver.deliveries().len(), 0, "nothing is delivered");
    assert!(!home.path("data").exists(), "nothing is started");

    receiver.go_down();
    home.set("SIGNING_SECRET", "");
    let ran = home.run("test env --json");
    let failed: Vec<_> = ran.lines().into_iter().filter(|check| check["ok"] == false).collect();
    let failed: Vec<_> = failed.iter().map(|check| text(check, "/check")).collect();
    assert_eq!((ran.code, failed), (1, vec!["SIGNING_SECRET", "egress adapter service"]));
}

#[test]
fn a_source_that_a_route_names_and_that_has_no_secret_is_told() {
    let mut home = Home::new(&Contract::new().serves_only("github").file_output("file", "events.jsonl"));
    let warnings = |home: &Home| -> Vec<String> {
        let mut pipeline = home.up();
        assert!(pipeline.terminate().success());
        let logs = pipeline.logs().into_iter();
        logs.filter(|line| line["level"] == "WARN" && line["source"] == "github").map(|line| line.to_string()).collect()
    };
    assert_eq!(warnings(&home), [""; 0]);
    home.run("test env").ok();
    home.set("HMAC_SECRET_GITHUB", "");
    let told = warnings(&home);
    assert!(told.len() == 1 && told[0].contains("HMAC_SECRET_GITHUB is not set"), "{told:?}");
    let ran = home.run("test env --json");
    let failed: Vec<_> = ran.lines().into_iter().filter(|check| check["ok"] == false).collect();
    assert_eq!((ran.code, failed.len(), text(&failed[0], "/check")), (1, 1, "HMAC_SECRET_GITHUB"));
    // A route for all sources does not say which of them are used.
    home.contract(&Contract::new().file_output("file", "events.jsonl"));
    home.run("test env").ok();
}

#[test]
fn each_role_passes_its_smoke_test() {
    for role in ["serve", "relay", "smash"] {
        let report = in_an_empty_place(&format!("test smoke {role} --json")).ok().json();
        assert_eq!((text(&report, "/role"), &report["ok"]), (role, &true.into()));
        assert!(!text(&report, "/event_id").is_empty());
    }
}
