//! Secrets are rotated without a restart: an env file is written anew, the process gets SIGHUP, and nothing is lost meanwhile.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::support::{Contract, Home, Pipeline, Receiver, http, poll, sign, text};

const OLD: &str = "rotated7secret-old";
const NEW: &str = "rotated7secret-new";
const OLD_SIGNING: &str = "whsec_cm90YXRlZDdzZWNyZXQtb2xk";
const NEW_SIGNING: &str = "whsec_cm90YXRlZDdzZWNyZXQtbmV3";

/// What a file says beside the secrets of github.
fn outgoing(token: &str, signing: &str) -> String {
    format!("TOKEN={token}\nSIGNING_SECRET={signing}\n")
}

/// Writes `.env` as a careful operator does: nobody reads half of it.
fn write(home: &Home, lines: &str) {
    std::fs::write(home.path(".env.new"), lines).unwrap();
    std::fs::rename(home.path(".env.new"), home.path(".env")).unwrap();
}

/// Sends SIGHUP, and waits for what the process says about it.
#[track_caller]
fn hang_up(pipeline: &Pipeline) -> Value {
    let said = || {
        let is_it = |line: &Value| line["message"].as_str().is_some_and(|message| message.starts_with("env files"));
        pipeline.logs().into_iter().filter(is_it).collect::<Vec<_>>()
    };
    let before = said().len();
    pipeline.signal("HUP");
    poll("the process says that it has read its env files", || said().into_iter().nth(before))
}

#[track_caller]
fn github(pipeline: &Pipeline, secret: &str, delivery: &str) -> (u16, String) {
    let body = sign::issue_body(1, delivery).to_string();
    let answer = pipeline.post(&sign::github_with(secret, "issues", delivery, body));
    (answer.status, answer.code())
}

/// Ends the flood, also where the test fails.
#[derive(Default)]
struct Over(AtomicBool);

struct Ending<'a>(&'a Over);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Posts events of another source until it is told to end; all of them have to be accepted. Their ids.
fn flood(pipeline: &Pipeline, is_over: &Over) -> Vec<String> {
    let mut ids = Vec::new();
    while !is_over.0.load(Ordering::Relaxed) {
        let delivery = format!("linear-{}", ids.len());
        let webhook = sign::linear(&delivery, json!({ "type": "Issue", "number": ids.len() }), sign::unix_millis());
        let answer = http::exchange(pipeline.ingress(), &webhook.request()).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        ids.push(text(&answer.json(), "/event_id").to_owned());
    }
    ids
}

#[test]
fn an_old_secret_gives_way_to_a_new_one_while_events_flow() {
    let receiver = Receiver::start();
    let github_secrets = r#"secret_env = ["GITHUB_CURRENT", "GITHUB_PREVIOUS"]"#;
    let contract = Contract::new()
        .http_output("service", &receiver, "token_env = \"TOKEN\"")
        .with(&format!("[sources.github]\nverifier = \"github\"\n{github_secrets}"));
    let home = Home::new(&contract);
    write(&home, &format!("GITHUB_CURRENT={OLD}\n{}", outgoing("token-one", OLD_SIGNING)));
    let mut pipeline = home.up();
    assert_eq!(github(&pipeline, OLD, "d-1").0, 202);
    assert_eq!(github(&pipeline, NEW, "d-2"), (401, "signature_mismatch".to_owned()));

    let is_over = Over::default();
    let flooded = thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&pipeline, &is_over));
        let ending = Ending(&is_over);

        // Both, for as long as senders change over.
        let both = format!("GITHUB_CURRENT={NEW}\nGITHUB_PREVIOUS={OLD}\n{}", outgoing("token-two", NEW_SIGNING));
        write(&home, &both);
        let said = hang_up(&pipeline);
        assert_eq!(said["changed"], "GITHUB_CURRENT, GITHUB_PREVIOUS, SIGNING_SECRET, TOKEN", "{said}");
        assert_eq!((github(&pipeline, OLD, "d-3").0, github(&pipeline, NEW, "d-4").0), (202, 202));

        // What goes out proves itself with the new ones.
        let body = sign::issue_body(2, "d-5").to_string();
        let id = pipeline.accept(&sign::github_with(NEW, "issues", "d-5", body));
        let delivery = receiver.taken(&id);
        assert_eq!(delivery.header("authorization"), "Bearer token-two");
        let [id, time, signature] =
            ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| delivery.header(name));
        sign::check_standard(NEW_SIGNING, id, time, signature, &delivery.body).unwrap();

        // A file that is wrong, or takes away what is needed, changes nothing.
        let right = format!("GITHUB_CURRENT={NEW}\n{}", outgoing("token-two", NEW_SIGNING));
        for (wrong, why) in [
            (format!("{right}nonsense\n"), "expected `NAME=value`"),
            (right.replace("token-two", ""), "TOKEN is set to nothing (.env:2)"),
            (right.replace("GITHUB_CURRENT", "GITHUB_OTHER"), "GITHUB_CURRENT is not set"),
        ] {
            write(&home, &wrong);
            let said = hang_up(&pipeline);
            assert!(said.to_string().contains("everything stays as it was"), "{said}");
            assert!(text(&said, "/problem").contains(why), "{said}");
            let line = wrong.lines().position(|line| line == "nonsense");
            assert!(line.is_none_or(|at| text(&said, "/at").ends_with(&format!(".env:{}", at + 1))), "{said}");
        }
        assert_eq!((github(&pipeline, OLD, "d-6").0, github(&pipeline, NEW, "d-7").0), (202, 202));

        // The old one has gone.
        write(&home, &right);
        assert_eq!(hang_up(&pipeline)["changed"], "GITHUB_PREVIOUS");
        assert_eq!(github(&pipeline, OLD, "d-8"), (401, "signature_mismatch".to_owned()));
        assert_eq!(github(&pipeline, NEW, "d-9").0, 202);
        assert_eq!(hang_up(&pipeline)["changed"], Value::Null, "nothing is different");

        drop(ending);
        flooding.join().unwrap()
    });
    receiver.wait("everything that was accepted has come", |all| {
        flooded.iter().all(|id| all.iter().any(|delivery| delivery.id() == *id)).then_some(())
    });
    assert!(pipeline.terminate().success());
    let written = format!("{}{}", pipeline.stderr(), pipeline.stdout());
    for secret in ["rotated7secret", "token-one", "token-two", OLD_SIGNING, NEW_SIGNING] {
        assert!(!written.contains(secret), "{secret} is written somewhere");
    }
}
