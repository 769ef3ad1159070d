//! Stored events again: `replay`, `dlq redrive`, and the story that tells of them.

use std::{
    collections::HashSet,
    io::{Read, Write},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    Contract, Home, Pipeline, Receiver, Reply,
    home::{Ran, run},
    poll, sign, text,
};

/// One destination at a receiver, one that is a file.
fn to(receiver: &Receiver) -> (Home, Pipeline) {
    let contract = Contract::new().http_output("service", receiver, "").file_output("file", "events.jsonl");
    let home = Home::new(&contract);
    let pipeline = home.up();
    (home, pipeline)
}

/// How often each event came to the receiver, and was taken.
fn taken(receiver: &Receiver) -> Vec<String> {
    let taken = receiver.deliveries().into_iter().filter(|delivery| delivery.status == 200);
    taken.map(|delivery| delivery.header("webhook-id").to_owned()).collect()
}

fn dead_letters(home: &Home) -> Vec<Value> {
    home.run("dlq list --limit 1000 --json").ok().lines()
}

/// Events that every destination but the file refuses, in the dead letters.
fn refused(home: &Home, pipeline: &Pipeline, receiver: &Receiver, count: usize) -> Vec<String> {
    receiver.script(|_, _| Reply::status(422));
    let ids: Vec<_> =
        (0..count).map(|number| pipeline.accept(&sign::issue(number as u64, &format!("delivery-{number}")))).collect();
    poll("everything is in the dead letters", || (dead_letters(home).len() == count).then_some(()));
    receiver.script(|_, _| Reply::status(200));
    ids
}

#[test]
fn a_selection_is_counted_and_sent_only_when_that_is_said() {
    let receiver = Receiver::start();
    let (home, pipeline) = to(&receiver);
    let ids: Vec<_> = (0..3).map(|n| pipeline.accept(&sign::issue(n, &format!("delivery-{n}")))).collect();
    pipeline.accept(&sign::github("push", "delivery-9", "{}"));
    receiver.wait_for(4);
    poll("the file has all", || (home.lines_of("events.jsonl").len() == 4).then_some(()));

    let count = home.run("replay --type issues.* --since 1h --dry-run --json").ok().json();
    assert_eq!(count["events"], 3);
    let group = |group: &Value| (text(group, "/destination").to_owned(), group["events"].clone());
    let groups: Vec<_> = count["groups"].as_array().unwrap().iter().map(group).collect();
    assert_eq!(groups, [("core-to-all/file".to_owned(), 3.into()), ("core-to-all/service".to_owned(), 3.into())]);
    let count = home.run("replay --where type==\"push\"||payload.issue.number==1 --dry-run --json").ok().json();
    assert_eq!(count["events"], 2);
    let shown = home.run("replay --type issues.* --dry-run").ok().stdout;
    assert!(shown.contains("issues.opened") && shown.trim_start().starts_with("events"), "{shown}");

    for (arguments, said) in
        [("replay --type issues.*", "--yes"), ("replay", "--all"), ("replay --all --to nobody", "core-to-all/service")]
    {
        let unsure = home.run(arguments);
        assert_eq!(unsure.code, 1, "{unsure:?}");
        assert!(unsure.stderr.contains(said), "{unsure:?}");
    }
    assert_eq!(receiver.deliveries().len(), 4, "nothing was sent");
    assert_eq!(home.run("replay list --json").ok().stdout, "");

    // To one destination alone, although the route delivers to both.
    let done = home.run("replay --type issues.* --to service --yes --json").ok().json();
    assert_eq!((&done["sent"], &done["counted"]), (&3.into(), &3.into()));
    let again: Vec<_> = receiver.wait_for(7).split_off(4).iter().map(|delivery| delivery.id()).collect();
    assert_eq!(HashSet::from_iter(&again), HashSet::<&String>::from_iter(&ids));
    assert_eq!(home.lines_of("events.jsonl").len(), 4, "the file was not asked for");
    assert_eq!(home.run("replay --source nobody --yes").ok().stdout, "nothing to send\n");

    let jobs = home.run("replay list --json").ok().lines();
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!((text(job, "/end"), text(job, "/command")), ("finished", "hook replay --type 'issues.*' --to service"));
    assert_eq!((text(job, "/id"), &job["reached"]["tally"]["sent"]), (text(&done, "/job"), &3.into()));
    let story = poll("the replay is delivered", || {
        let story = home.run(&format!("explain {} --json", ids[0])).ok().json();
        let steps = story["steps"].as_array().unwrap();
        (steps.iter().filter(|step| step["step"] == "delivered").count() == 3).then_some(story)
    });
    assert_eq!(text(&story, "/replays/0/by"), text(job, "/by"));
    assert_eq!(text(&story, "/replays/0/to/0"), "core-to-all/service");
    let for_people = home.run(&format!("explain {}", ids[0])).ok().stdout;
    assert!(for_people.contains(&format!("as job {}", text(job, "/id"))), "{for_people}");
}

#[test]
fn the_story_says_why_each_route_takes_an_event_and_when_it_was_where() {
    let receiver = Receiver::start();
    receiver.answers(&[503]);
    let contract =
        Contract::new().smash_keys("event_filters = [\"github:issues.*\"]").http_output("service", &receiver, "");
    let home = Home::new(&contract);
    let pipeline = home.up();
    let taken = pipeline.accept(&sign::issue(1, "delivery-1"));
    let left = pipeline.accept(&sign::github("push", "delivery-2", "{}"));
    receiver.wait_for(2);
    let story = poll("it is delivered", || {
        let story = home.run(&format!("explain {taken} --json")).ok().json();
        (story.pointer("/destinations/0/state")? == "delivered").then_some(story)
    });
    let route = |story: &Value, at: usize| {
        let route = &story["routes"][at];
        (text(route, "/route").to_owned(), route["takes"].clone(), text(route, "/reason").to_owned())
    };
    let (serve, takes, reason) = route(&story, 0);
    assert_eq!((serve.as_str(), takes), ("by-source", true.into()));
    assert!(reason.contains("github is `*`") && reason.contains("webhooks.github"), "{reason}");
    let (smash, takes, reason) = route(&story, 1);
    assert_eq!((smash.as_str(), takes), ("core-to-all", true.into()));
    assert!(reason.contains("`github:issues.*`"), "{reason}");
    let destination = &story["destinations"][0];
    let [read, tried, ended] =
        ["read_ms", "first_attempt_ms", "ended_ms"].map(|key| destination[key].as_i64().unwrap());
    assert!(0 <= read && read <= tried && tried <= ended, "{destination}");
    let failed = &story["steps"][0];
    assert!(failed["retry_in_ms"].is_u64() && failed["class"] == "transient", "{failed}");
    let signed =
        pipeline.accept(&sign::stripe(&serde_json::json!({ "id": "evt_1", "type": "ping" }), sign::unix_seconds()));
    let for_people = home.run(&format!("explain {signed}")).ok().stdout;
    assert!(for_people.contains("sent by stripe, by the time that it has signed"), "{for_people}");
    let for_people = home.run(&format!("explain {taken}")).ok().stdout;
    for part in [
        "signature verified (github)",
        "read from the log",
        "relayed into webhooks.core/",
        ", durable by +",
        "; again in ",
        "routes, by the contract in force",
    ] {
        assert!(for_people.contains(part), "no `{part}` in {for_people}");
    }

    let story = poll("the other is relayed", || {
        let story = home.run(&format!("explain {left} --json")).ok().json();
        (story["stored"].as_array()?.len() == 2).then_some(story)
    });
    let (_, takes, reason) = route(&story, 1);
    assert!(takes == false && reason.contains("no filter takes github:push"), "{reason}");
}

#[test]
fn dead_letters_are_redriven_to_their_destination_and_once() {
    let receiver = Receiver::start();
    let (home, pipeline) = to(&receiver);
    let ids = refused(&home, &pipeline, &receiver, 3);
    let before = receiver.deliveries().len();
    let one = home.run(&format!("dlq redrive {} --json", ids[0])).ok().json();
    assert_eq!(one["sent"], 1);
    assert_eq!(receiver.wait_for(before + 1)[before].id(), ids[0]);
    let redriven = |home: &Home| dead_letters(home).iter().filter(|letter| letter.get("redriven_by").is_some()).count();
    assert_eq!(redriven(&home), 1);
    assert_eq!(home.run(&format!("dlq redrive {}", ids[0])).code, 1, "once");

    let none = home.run("dlq redrive --error-class transient --dry-run --json").ok().json();
    assert_eq!(none["events"], 0);
    assert_eq!(home.run("dlq redrive --older-than 1h --yes").ok().stdout, "nothing to send\n");
    let rest = home.run("dlq redrive --error-class rejected --error *422* --newer-than 1h --yes --json").ok().json();
    assert_eq!((&rest["sent"], &rest["redriven_before"]), (&2.into(), &1.into()));
    receiver.wait_for(before + 3);
    assert_eq!(redriven(&home), 3);
    assert_eq!(home.lines_of("events.jsonl").len(), 3, "the file has taken them, and is left alone");
    let story = home.run(&format!("explain {}", ids[1])).ok().stdout;
    assert!(story.contains("for core-to-all/service as job") && story.contains("hook dlq redrive"), "{story}");
}

#[test]
fn a_redrive_that_is_killed_goes_on_and_skips_nothing() {
    const EVENTS: usize = 120;
    let receiver = Receiver::start();
    let home = Home::new(&Contract::new().http_output("service", &receiver, "concurrency = 8"));
    let pipeline = home.up();
    let ids = refused(&home, &pipeline, &receiver, EVENTS);

    let mut redrive = home.command("dlq redrive --all --yes --rate 40/s");
    let mut redrive = redrive.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    receiver.wait("some are redriven", |all| (all.iter().filter(|one| one.status == 200).count() > 20).then_some(()));
    // The owner is killed, and with it the job.
    pipeline.kill();
    assert!(!poll("the command ends", || redrive.try_wait().unwrap()).success());
    let said = std::io::read_to_string(redrive.stderr.take().unwrap()).unwrap();
    assert!(said.contains("interrupted after") && said.contains("hook replay resume"), "{said}");
    let pipeline = home.up_supervised();
    let job = home.run("replay list --json").ok().json();
    let id = text(&job, "/id");
    assert_eq!(job.get("end"), None, "{job}");
    let same = home.run("dlq redrive --all --yes");
    assert!(same.code == 1 && same.stderr.contains(&format!("hook replay resume {id}")), "{same:?}");

    // The client is killed, and with it the job.
    let mut resumed = home.command(&format!("replay resume {id} --rate 40/s"));
    let mut resumed = resumed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let so_far = taken(&receiver).len();
    receiver.wait("more are redriven", |all| {
        (all.iter().filter(|one| one.status == 200).count() > so_far + 10).then_some(())
    });
    resumed.kill().unwrap();
    resumed.wait().unwrap();
    let done: Ran = poll("nobody is at it any more", || {
        let ran = run(home.command(&format!("replay resume {id} --json")), "replay resume");
        (!ran.stderr.contains("is being worked at")).then_some(ran)
    });
    let done = done.ok().json();
    let (sent, known) = (done["sent"].as_u64().unwrap(), done["known"].as_u64().unwrap_or(0));
    assert_eq!(sent + known, EVENTS as u64, "{done}");

    receiver.wait("every event is there", |all| {
        let there: HashSet<_> = all.iter().filter(|one| one.status == 200).map(|one| one.id()).collect();
        (there.len() == EVENTS).then_some(())
    });
    let there: HashSet<_> = receiver.deliveries().iter().filter(|one| one.status == 200).map(|one| one.id()).collect();
    assert_eq!(there, ids.iter().cloned().collect());
    // Each stands in the log once more. What came twice, came because the destination's worker was killed.
    let stored = home.run("events list --topic webhooks.core --limit 1000 --json").ok().lines();
    let copies: Vec<_> = stored.iter().filter(|event| event.pointer("/meta/replay/id").is_some()).collect();
    let marks: HashSet<_> = copies.iter().map(|copy| text(copy, "/meta/replay/id")).collect();
    assert_eq!((copies.len(), marks), (EVENTS, HashSet::from([id])));
    drop(pipeline);
}

#[test]
fn what_is_stored_goes_to_a_url_and_a_file_to_the_ingress() {
    let (receiver, elsewhere) = (Receiver::start(), Receiver::start());
    let (home, pipeline) = to(&receiver);
    let first = pipeline.accept(&sign::issue(1, "delivery-1"));
    let second = pipeline.accept(&sign::issue(2, "delivery-2"));
    receiver.wait_for(2);
    let to_url = format!("replay --all --yes --to-url {} --sign-env SIGNING_SECRET --json", elsewhere.url());
    let done = home.run(&to_url).ok().json();
    assert_eq!(done["sent"], 2);
    let posted = elsewhere.wait_for(2);
    posted.iter().for_each(|delivery| delivery.check_signature());
    let ids: HashSet<_> = posted.iter().map(|delivery| delivery.id()).collect();
    assert_eq!(ids, HashSet::from([first.clone(), second]));
    assert!(posted[0].header("webhook-id").contains('_'));
    let story = home.run(&format!("explain {first}")).ok().stdout;
    assert!(story.contains(&format!("sent to {}", elsewhere.url())), "{story}");
    assert_eq!(receiver.deliveries().len(), 2, "the contract's destinations get nothing");
    elsewhere.script(|_, _| Reply::status(404));
    let refused = home.run(&format!("replay {first} --to-url {} --concurrency 4", elsewhere.url()));
    assert!(refused.code == 1 && refused.stderr.contains("1 refused for good"), "{refused:?}");
    assert!(!refused.stdout.contains("goes again"), "{refused:?}");
    let lost = home.run("replay --all --yes --concurrency 4");
    assert!(lost.code == 1 && lost.stderr.contains("--to-url"), "{lost:?}");

    let stored = home.run("events list --topic webhooks.core --json").ok().stdout;
    std::fs::write(home.path("stored.jsonl"), stored).unwrap();
    let url = format!("http://{}/webhook/{{source}}", pipeline.ingress());
    let unsigned = home.run(&format!("replay webhook --url {url} --file stored.jsonl --json"));
    assert_eq!((unsigned.code, unsigned.lines()[0]["status"].clone()), (1, 401.into()));
    let signed = home.run(&format!("replay webhook --url {url} --file stored.jsonl --sign github --json")).ok().lines();
    let (status, code) = crate::LOG.answer_to_a_copy();
    for answer in &signed {
        assert_eq!((&answer["status"], text(answer, "/answer/code")), (&status.into(), code), "it is known");
    }
    std::fs::write(home.path("body.json"), sign::issue_body(3, "new").to_string()).unwrap();
    let arguments = format!("replay webhook --url {url} --file body.json --sign github --event issues --json");
    let new = home.run(&arguments).ok().json();
    assert_eq!(text(&new, "/answer/code"), "accepted");
    receiver.taken(text(&new, "/answer/event_id"));
}

#[test]
fn at_rest_it_is_stored_and_delivered_at_the_next_start() {
    let receiver = Receiver::start();
    let (home, mut pipeline) = to(&receiver);
    let id = pipeline.accept(&sign::issue(1, "delivery-1"));
    receiver.wait_for(1);
    assert!(pipeline.terminate().success());
    let ran = home.run(&format!("replay {id} --to service")).ok();
    assert!(ran.stdout.contains("core-to-all/service"), "{ran:?}");
    assert_eq!(receiver.deliveries().len(), 1);
    let _pipeline = home.up();
    assert_eq!(receiver.wait_for(2)[1].id(), id);
}

/// Runs a command at a terminal, and types an answer.
fn at_a_terminal(home: &Home, arguments: &str, answer: &str) -> Ran {
    let inner = home.command(arguments);
    let words: Vec<_> = std::iter::once(inner.get_program()).chain(inner.get_args()).collect();
    let quoted: Vec<_> = words.iter().map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--echo", "never", "--command", &quoted.join(" "), "/dev/null"]);
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(inner.get_current_dir().unwrap()).env("SHELL", "/bin/sh").env("TERM", "xterm");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    // It has asked: what is typed before that would be an answer, too, but none to this question.
    while !String::from_utf8_lossy(&shown).contains("[y/N]") {
        let mut bytes = [0; 512];
        let read = stdout.read(&mut bytes).unwrap();
        assert!(read > 0, "it has ended without asking: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&bytes[..read]);
    }
    writeln!(stdin, "{answer}").unwrap();
    drop(stdin);
    stdout.read_to_end(&mut shown).unwrap();
    let code = poll("it has ended", || child.try_wait().unwrap()).code().unwrap();
    Ran { code, stdout: String::from_utf8_lossy(&shown).into_owned(), stderr: String::new() }
}

#[test]
fn at_a_terminal_more_than_one_event_is_asked_about_and_only_a_yes_sends() {
    let receiver = Receiver::start();
    let (home, pipeline) = to(&receiver);
    for number in 0..2 {
        pipeline.accept(&sign::issue(number, &format!("delivery-{number}")));
    }
    receiver.wait_for(2);
    for no in ["n", "", "yes please"] {
        let asked = at_a_terminal(&home, "replay --all --to service", no);
        assert!(asked.code == 1 && asked.stdout.contains("nothing was sent"), "{asked:?}");
        assert!(asked.stdout.contains("core-to-all/service"), "what would be sent is shown: {asked:?}");
    }
    assert_eq!(home.run("replay list --json").ok().stdout, "");
    for yes in ["y", "yes"] {
        let sent = at_a_terminal(&home, "replay --all --to service", yes);
        assert!(sent.code == 0 && sent.stdout.contains("2 of 2 events sent again"), "{sent:?}");
    }
    let third = at_a_terminal(&home, "replay --all --to service", "n").stdout;
    assert!(third.contains("all of them were replayed there before"), "{third}");
    receiver.wait_for(6);
}
