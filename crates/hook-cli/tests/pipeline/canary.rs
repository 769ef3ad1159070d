//! Secrets and payloads that nobody asked for are written nowhere.

use crate::support::{
    Contract, Home, Receiver, Reply,
    home::{files_below, run},
    poll, sign, text,
};

/// In every secret.
const SECRET: &str = "canary7secret";
/// The same, as Standard Webhooks writes secrets: base64 of a text that holds [`SECRET`].
const SIGNING_SECRET: &str = "whsec_Y2FuYXJ5N3NlY3JldC1zaWduaW5n";
/// In every payload.
const PAYLOAD: &str = "canary9payload";

fn body(note: &str) -> String {
    let mut body = sign::issue_body(1, note);
    body[PAYLOAD] = format!("{PAYLOAD} {note}").into();
    body.to_string()
}

#[test]
fn no_secret_and_no_payload_is_found_in_what_the_pipeline_writes() {
    let receiver = Receiver::start();
    // A destination that says back what it was sent: with 400 a dead letter, with 503 a retry.
    receiver.script(|delivery, before| {
        let note = delivery.json()["payload"]["note"].as_str().unwrap().to_owned();
        let status = match note.as_str() {
            "refused" => 400,
            "retried" if before % 2 == 0 => 503,
            _ => 200,
        };
        Reply { body: delivery.body.clone(), ..Reply::status(status) }
    });
    let secret = |name: &str| format!("{SECRET}-{name}");
    let contract = Contract::new()
        .ingress("plugins = [{ driver = \"require_payload_field\", pointer = \"/issue\" }]")
        .http_output("service", &receiver, "token_env = \"TOKEN\"")
        .with("[admin]\ntoken_env = \"ADMIN_TOKEN\"");
    let mut home = Home::new(&contract);
    for name in ["HMAC_SECRET_GITHUB", "HMAC_SECRET_LINEAR", "HMAC_SECRET_STRIPE", "TOKEN", "ADMIN_TOKEN"] {
        home.set(name, &secret(name));
    }
    home.set("SIGNING_SECRET", SIGNING_SECRET);
    home.set("RUST_LOG", "trace");
    let mut pipeline = home.up();

    let github = secret("HMAC_SECRET_GITHUB");
    let signed = |delivery: &str, body: &str| sign::github_with(&github, "issues", delivery, body);
    let accepted = pipeline.accept(&signed("d-1", &body("accepted")));
    let retried = pipeline.accept(&signed("d-2", &body("retried")));
    let refused = pipeline.accept(&signed("d-3", &body("refused")));
    let copy = pipeline.post(&signed("d-1", &body("accepted")));
    let answers = [
        (copy, crate::LOG.answer_to_a_copy().0),
        (pipeline.post(&sign::github_with("wrong", "issues", "d-4", body("forged"))), 401),
        (pipeline.post(&signed("d-5", &body("truncated")[1..])), 400),
        (pipeline.post(&signed("d-6", &format!("{PAYLOAD}={PAYLOAD}&a=b"))), 400),
        (pipeline.post(&signed("d-7", &format!("{{\"{PAYLOAD}\":1,\"{PAYLOAD}\":2}}"))), 400),
        (pipeline.post(&signed("d-8", &format!("{{\"{PAYLOAD}\":1}}"))), 422),
        (pipeline.post(&sign::Webhook { path: "/webhook/unknown".into(), ..signed("d-9", &body("unknown")) }), 404),
    ];
    let mut written: Vec<(String, String)> = Vec::new();
    for (number, (answer, status)) in answers.iter().enumerate() {
        assert_eq!(answer.status, *status, "{answer:?}");
        written.push((format!("answer {number}"), String::from_utf8_lossy(&answer.body).into_owned()));
    }
    receiver.taken(&accepted);
    receiver.taken(&retried);
    // A dead letter that was asked for shows its payload: the search below would find it if it looked there.
    let letter = poll("the dead letter is there", || home.run("dlq list --json").ok().lines().into_iter().next());
    assert!(text(&letter, "/envelope/id") == refused && letter.to_string().contains(PAYLOAD));

    let token = secret("ADMIN_TOKEN");
    for path in ["/metrics", "/ready", "/health"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
        let answer = crate::support::http::exchange(pipeline.admin(), request.as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
        written.push((path.into(), String::from_utf8(answer.body).unwrap()));
    }
    // These tell of events and of the environment, and are not asked for payloads or secrets.
    let stories = [&accepted, &retried, &refused].map(|id| format!("explain {id}"));
    let about_the_log = stories.iter().map(String::as_str).chain(["test env"]).map(|arguments| home.run(arguments));
    let about_the_contract = ["config show", "config validate --with-env", "debug env", "debug capabilities"];
    let about_the_contract = about_the_contract
        .into_iter()
        .flat_map(|arguments| [arguments.to_owned(), format!("{arguments} --json")])
        .map(|arguments| run(home.bare(&arguments), &arguments));
    for ran in about_the_log.chain(about_the_contract) {
        let ran = ran.ok();
        written.push((format!("{ran:?}"), ran.stdout + &ran.stderr));
    }
    let listed = home.run("events list").ok();
    written.push(("events list".into(), listed.stdout + &listed.stderr));
    assert!(pipeline.terminate().success());
    written.push(("stdout".into(), pipeline.stdout()));
    written.push(("stderr".into(), pipeline.stderr()));
    assert!(pipeline.logs().iter().any(|line| line["level"] == "TRACE"), "the search had logs to look at");

    for (place, text) in &written {
        for canary in [SECRET, PAYLOAD, SIGNING_SECRET, SIGNING_SECRET.strip_prefix("whsec_").unwrap()] {
            let line = text.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{canary} in {place}: {line:?}");
        }
    }
    // Payloads rest in the log; secrets rest nowhere.
    for file in files_below(&home.path("data")) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let has = |canary: &str| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!has(SECRET) && !has(SIGNING_SECRET), "a secret in {}", file.display());
    }
}
