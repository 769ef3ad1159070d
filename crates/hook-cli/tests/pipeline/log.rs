//! `hook log`: what is on the disk, whether it is sound, and how it opens again.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Contract, Home, Pipeline, poll, poll_until, sign, text};

/// A contract whose events pass the relay and end in a file, in segments that are sealed after a few of them.
fn home() -> Home {
    Home::new(&Contract::new().file_output("file", "events.jsonl"))
}

/// A pipeline that has delivered so many events, and has ended.
fn delivered(count: u64) -> (Home, Vec<String>) {
    let home = home();
    let mut pipeline = home.up();
    let ids = deliver(&home, &pipeline, 0, count);
    assert!(pipeline.terminate().success());
    (home, ids)
}

fn deliver(home: &Home, pipeline: &Pipeline, from: u64, count: u64) -> Vec<String> {
    let ids = (from..from + count)
        .map(|number| pipeline.accept(&sign::github("push", &format!("delivery-{number}"), body(number))))
        .collect();
    poll_until("all are delivered", || home.lines_of("events.jsonl").len() as u64 >= from + count);
    ids
}

fn body(number: u64) -> String {
    format!("{{\"mark\": \"mark-{number}-\"}}")
}

/// Flips a bit of the text, where it stands for the last time: in the core topic.
#[track_caller]
fn flip(file: &Path, text: &str) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(text.len()).rposition(|window| window == text.as_bytes()).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

fn events(home: &Home) -> PathBuf {
    home.path("data/events/000000000001.log")
}

fn listed(home: &Home) -> Vec<Value> {
    home.run("events list --topic webhooks.core --limit 100 --json").ok().lines()
}

#[test]
fn stat_says_the_same_beside_a_pipeline_and_without_one() {
    let home = home();
    assert_eq!(home.run("log stat").code, 1, "there is none yet");
    let mut pipeline = home.up();
    deliver(&home, &pipeline, 0, 3);
    // Progress reaches the disk a moment after the delivery.
    let beside = poll("nothing is pinned", || {
        let stat = home.run("log stat --json").ok().json();
        (stat["chains"][0]["pinned"] == json!(0)).then_some(stat)
    });
    assert_eq!(beside["running"], json!(true));
    assert!(pipeline.terminate().success());
    let without = home.run("log stat --json").ok().json();
    assert_eq!(without["running"], json!(false));
    for stat in [&beside, &without] {
        let chain = &stat["chains"][0];
        assert_eq!(text(chain, "/chain"), "events");
        assert_eq!((&chain["segments"], &chain["pinned"]), (&json!(1), &json!(0)), "{chain}");
        let core = json!({ "topic": "webhooks.core", "partition": 0, "start": 0, "end": 3 });
        assert!(chain["partitions"].as_array().unwrap().contains(&core), "{chain}");
        assert!(text(chain, "/oldest") <= text(chain, "/newest"));
        assert!(chain["written"].as_u64() <= chain["allocated"].as_u64());
        assert_eq!(text(chain, "/retention/max_age"), "7days");
    }
    let shown = home.run("log stat").ok().stdout;
    for part in ["no pipeline runs on it", "webhooks.core", "dead_letters", "journal"] {
        assert!(shown.contains(part), "no `{part}` in {shown}");
    }
}

#[test]
fn what_a_destination_has_not_taken_is_pinned_and_behind() {
    let contract = Contract::new().http_output("service", &crate::support::Receiver::start(), "");
    let home = Home::new(&contract);
    let mut pipeline = home.start("serve");
    for number in 0..3 {
        pipeline.accept(&sign::github("push", &format!("delivery-{number}"), body(number)));
    }
    assert!(pipeline.terminate().success());
    let stat = home.run("log stat --json").ok().json();
    assert!(stat["chains"][0]["pinned"].as_u64().unwrap() > 0, "the relay has not read it: {stat}");
    let cursors = home.run("log cursors --json").ok().lines();
    let relay = cursors.iter().find(|cursor| text(cursor, "/name") == "tested.relay").unwrap();
    assert_eq!((&relay["behind"], &relay["pins"], &relay["orphan"]), (&json!(3), &json!(true), &json!(false)));
    assert_eq!(cursors, home.run("cursors list --json").ok().lines());

    let lags = home.run("log lag --json").ok().lines();
    let relay = lags.iter().find(|lag| text(lag, "/cursor") == "tested.relay").unwrap();
    assert_eq!((&relay["behind"], &relay["most"], &relay["pins"]), (&json!(3), &json!(3), &json!(true)));
    home.run("log lag --fail-above 3").ok();
    let above = home.run("log lag --fail-above 2");
    assert_eq!(above.code, 1);
    assert!(above.stderr.contains("more than 2 records behind: tested.relay"), "{above:?}");

    let topics = home.run("log topics --json").ok().lines();
    let stored = topics.iter().find(|topic| text(topic, "/topic") == "webhooks.github").unwrap();
    assert_eq!((&stored["records"], &stored["partitions"][0]["end"]), (&json!(3), &json!(3)));
    assert!(home.run("log topics").ok().stdout.contains("webhooks.github  1           3        0..3"));
}

#[test]
fn a_sound_log_is_verified_also_beside_a_pipeline() {
    let home = home();
    let mut pipeline = home.up();
    deliver(&home, &pipeline, 0, 3);
    let beside = home.run("log verify --json").ok().json();
    assert_eq!(beside["damaged"], json!(false));
    let refused = home.run("log repair --yes");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("HOOK0207"), "{refused:?}");
    assert!(pipeline.terminate().success());
    let verified = home.run("log verify --json").ok().json();
    assert_eq!((&verified["damaged"], &verified["chains"][0]["records"]), (&json!(false), &json!(6)));
    let nothing = home.run("log repair").ok();
    assert!(nothing.stdout.contains("no damage"), "{nothing:?}");
}

#[test]
fn a_damaged_log_is_found_said_and_repaired_and_the_pipeline_goes_on() {
    let (home, ids) = delivered(6);
    flip(&events(&home), "mark-3-");
    let refused = home.run("events list");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("hook log verify"), "{refused:?}");

    let found = home.run("log verify --json");
    let damage = &found.json()["chains"][0]["damages"][0];
    assert_eq!((found.code, text(damage, "/file")), (3, "data/events/000000000001.log"));
    assert_eq!(
        damage["lost"],
        json!([{ "topic": "webhooks.core", "partition": 0, "first": 3, "end": 4, "is_exact": true }])
    );

    let damaged = std::fs::read(events(&home)).unwrap();
    let unsaid = home.run("log repair");
    assert_eq!(unsaid.code, 1);
    assert!(unsaid.stderr.contains("--yes") && unsaid.stdout.contains("webhooks.core, offset 3"), "{unsaid:?}");
    let dry = home.run("log repair --dry-run");
    assert_eq!(dry.code, 3);
    assert_eq!(std::fs::read(events(&home)).unwrap(), damaged, "nothing was changed");

    let repaired = home.run("log repair --yes --json").ok().json();
    assert_eq!(repaired["written"], json!(["data/events/000000000001.log"]));
    assert_eq!(std::fs::read(home.path(text(&repaired, "/kept/0"))).unwrap(), damaged);
    home.run("log verify").ok();
    let left: Vec<_> = listed(&home).iter().map(|event| text(event, "/id").to_owned()).collect();
    assert_eq!(left, [&ids[..3], &ids[4..]].concat());

    // The relay's progress was lost with the event that it had bridged, and so it bridges that one again.
    let mut pipeline = home.up();
    let more = deliver(&home, &pipeline, 6, 1);
    poll_until("nobody is behind", || {
        let cursors = home.run("log cursors --json").ok().lines();
        cursors.iter().all(|cursor| cursor["behind"] == json!(0))
    });
    let mut all: Vec<_> = listed(&home).iter().map(|event| text(event, "/id").to_owned()).collect();
    all.sort_unstable();
    let mut expected = [ids, more].concat();
    expected.sort_unstable();
    assert_eq!(all, expected);
    assert!(pipeline.terminate().success());
    home.run("log verify").ok();
}

#[test]
fn verify_and_repair_need_no_contract_where_the_directory_is_given() {
    let (home, _) = delivered(2);
    std::fs::write(home.path("contract.toml"), "this is no contract").unwrap();
    flip(&events(&home), "mark-1-");
    assert_eq!(home.run("log verify").code, 3);
    home.run("log repair --yes").ok();
    home.run("log verify").ok();
}

#[test]
fn a_directory_of_something_else_is_no_log_without_damage() {
    let home = home();
    std::fs::create_dir(home.path("data")).unwrap();
    for command in ["log verify", "log repair --dry-run", "log stat", "log export"] {
        let ran = home.run(command);
        assert_eq!(ran.code, 1, "{command}: {ran:?}");
        assert!(ran.stderr.contains("no pipeline has run in"), "{command}: {ran:?}");
    }
    assert_eq!(std::fs::read_dir(home.path("data")).unwrap().count(), 0, "nothing was left in it");
}

#[test]
fn the_file_of_a_later_version_is_no_damage_and_is_not_touched() {
    let (home, _) = delivered(1);
    let mut bytes = std::fs::read(events(&home)).unwrap();
    // A header that another version has written as a whole: nothing that it says can be read here.
    bytes[8] = 2;
    bytes[40..64].fill(9);
    std::fs::write(events(&home), &bytes).unwrap();
    for command in ["log verify", "log repair --yes", "log stat"] {
        let ran = home.run(command);
        assert_eq!(ran.code, 1, "{command}: {ran:?}");
        assert!(ran.stderr.contains("version 2"), "{command}: {ran:?}");
    }
    assert_eq!(std::fs::read(events(&home)).unwrap(), bytes);
}

/// The records of an export, without its first and last line.
fn records(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines[1..lines.len() - 1].to_vec()
}

#[test]
fn an_export_moves_a_log_and_keeps_what_was_delivered() {
    let (home, ids) = delivered(4);
    home.run("log export --output moved.jsonl").ok();
    assert_eq!(records(&home.path("moved.jsonl")).len(), 12, "source topic, core topic, journal");
    let into_its_own = home.run("log import moved.jsonl --json").ok().json();
    assert_eq!(into_its_own, json!({ "records": 12, "stored": 0, "known": 12, "dry_run": false }));

    std::fs::rename(home.path("data"), home.path("old")).unwrap();
    let moved = home.run("log import moved.jsonl --as-delivered --json").ok().json();
    assert_eq!((&moved["stored"], &moved["known"]), (&json!(12), &json!(0)));
    let again = home.run("log import moved.jsonl --as-delivered --json").ok().json();
    assert_eq!(again["stored"], json!(0));
    home.run("log export --output back.jsonl").ok();
    assert_eq!(records(&home.path("back.jsonl")), records(&home.path("moved.jsonl")), "byte for byte");
    let found: Vec<_> = listed(&home).iter().map(|event| text(event, "/id").to_owned()).collect();
    assert_eq!(found, ids);

    let mut pipeline = home.up();
    deliver(&home, &pipeline, 4, 1);
    assert_eq!(home.lines_of("events.jsonl").len(), 5, "nothing is delivered again");
    assert!(pipeline.terminate().success());
}

#[test]
fn a_running_pipeline_delivers_what_is_imported_once() {
    let (home, ids) = delivered(3);
    home.run("log export --topic webhooks.core --output core.jsonl").ok();
    std::fs::rename(home.path("data"), home.path("old")).unwrap();
    std::fs::remove_file(home.path("events.jsonl")).unwrap();
    let mut pipeline = home.up();
    let dry = home.run("log import core.jsonl --dry-run --json").ok().json();
    assert_eq!(dry, json!({ "records": 3, "stored": 3, "known": 0, "dry_run": true }));
    assert_eq!(home.run("log import core.jsonl --json").ok().json()["stored"], json!(3));
    poll_until("all are delivered", || home.lines_of("events.jsonl").len() == 3);
    assert_eq!(home.run("log import core.jsonl --json").ok().json()["known"], json!(3));
    let out: Vec<_> = home.lines_of("events.jsonl").iter().map(|event| text(event, "/id").to_owned()).collect();
    assert_eq!(out, ids);
    home.run("log export --topic webhooks.core --output again.jsonl").ok();
    assert_eq!(records(&home.path("again.jsonl")), records(&home.path("core.jsonl")));
    assert_eq!(home.run("log import core.jsonl --as-delivered").code, 1, "it would be delivered at once");
    assert!(pipeline.terminate().success());
}

#[test]
fn an_import_that_was_interrupted_goes_on_where_it_ended() {
    let (home, _) = delivered(4);
    home.run("log export --topic webhooks.core --output whole.jsonl").ok();
    let text = std::fs::read_to_string(home.path("whole.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let half = [&lines[..3], &["{\"end\":true,\"records\":2,\"topics\":{\"webhooks.core\":2}}"]].concat().join("\n");
    std::fs::write(home.path("half.jsonl"), half + "\n").unwrap();
    std::fs::rename(home.path("data"), home.path("old")).unwrap();
    assert_eq!(home.run("log import half.jsonl --json").ok().json()["stored"], json!(2));
    let rest = home.run("log import whole.jsonl --json").ok().json();
    assert_eq!((&rest["stored"], &rest["known"]), (&json!(2), &json!(2)));
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_line_and_changes_nothing() {
    let (home, _) = delivered(2);
    home.run("log export --topic webhooks.core --output whole.jsonl").ok();
    let whole = std::fs::read_to_string(home.path("whole.jsonl")).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    std::fs::rename(home.path("data"), home.path("old")).unwrap();
    let cases = [
        ("no first line", lines[1..].join("\n") + "\n", ":1: this is no export"),
        ("a later version", whole.replacen("\"version\":1", "\"version\":2", 1), ":1: version 2"),
        ("cut behind a record", lines[..3].join("\n") + "\n", ":4: the file ends here"),
        ("cut within a record", whole[..lines[0].len() + 40].to_owned(), ":2: the file ends here"),
        ("a record less", [&lines[..2], &lines[3..]].concat().join("\n") + "\n", ":3: 2 records should stand before"),
        ("no record", whole.replacen("\"time\"", "\"tim\"", 1), "wrong.jsonl:2: not a record"),
    ];
    for (name, text, expected) in cases {
        std::fs::write(home.path("wrong.jsonl"), text).unwrap();
        let ran = home.run("log import wrong.jsonl");
        assert_eq!(ran.code, 1, "{name}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{name}: {ran:?}");
        assert!(!home.path("data").exists(), "{name}");
    }
}

#[test]
fn groups_say_which_cursors_the_process_reads_with() {
    let home = home();
    let mut pipeline = home.start("up --instance-id mine");
    deliver(&home, &pipeline, 0, 1);
    let groups = || -> Vec<Value> { home.run("log groups --json").ok().lines() };
    let members = |groups: &[Value]| -> Vec<(String, usize)> {
        let of = |group: &Value| (text(group, "/cursor").to_owned(), group["members"].as_array().unwrap().len());
        groups.iter().map(of).collect()
    };
    let all = |count| ["tested.core-to-all.file", "tested.relay", "tested.unrouted"].map(|name| (name.into(), count));
    let running = groups();
    assert_eq!(members(&running), all(1));
    assert_eq!(text(&running[0], "/members/0/instance"), "mine");
    assert_eq!(running[0]["members"][0]["partitions"], json!([{ "topic": "webhooks.core", "partition": 0 }]));
    assert!(running.iter().all(|group| group["state"] == "stable" && group["unread"] == json!([])), "{running:?}");
    assert!(pipeline.terminate().success());
    assert_eq!(members(&groups()), all(0));
    assert!(home.run("log groups").ok().stdout.contains("empty"));
}
