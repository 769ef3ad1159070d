//! TLS from one end to the other: certificates of our own, senders over HTTPS, one pipeline that delivers to another over HTTPS and
//! WSS, and certificates that are renewed while it runs.

use serde_json::{Value, json};

use crate::support::{Contract, Home, Pipeline, home::run, http, poll, poll_until, sign, text};

const TLS: &str = "tls = { cert_path = \"certs/ingress.pem\", key_path = \"certs/ingress.key\" }";
const SOURCES: &str = "[sources.relayed]\nverifier = \"standard-webhooks\"\nsecret_env = \"SIGNING_SECRET\"\n\n\
                       [sources.frames]\nverifier = \"none\"\nallow_unverified = true\n";

/// A home whose ingress speaks TLS: the HTTP adapter says so, and the WebSocket adapter shares its address.
fn home() -> Home {
    let sockets = "driver = \"websocket_ingress\"\nauth_mode = \"none\"";
    let contract = Contract::new().ingress(TLS).ingress_adapter("ws-in", sockets).with(SOURCES);
    let home = Home::new(&contract.file_output("file", "events.jsonl"));
    certify(&home, "");
    home
}

#[track_caller]
fn certify(home: &Home, more: &str) {
    let arguments = format!("infra certs gen --server ingress {more}");
    run(home.bare(&arguments), &arguments).ok();
}

/// Sends an event as a user does, who trusts the authority.
#[track_caller]
fn send(home: &Home) {
    let sent = home.run("send github issues.opened --ca certs/ca.pem --json").ok().json();
    assert_eq!((&sent["status"], text(&sent, "/answer/code")), (&202.into(), "accepted"));
}

fn certificate(pipeline: &Pipeline) -> Value {
    pipeline.status()["listeners"][0]["certificate"].clone()
}

#[test]
fn events_come_in_and_go_out_over_tls_and_certificates_are_renewed_meanwhile() {
    let home = home();
    let mut pipeline = home.up();
    send(&home);
    let untrusted = home.run("send github issues.opened");
    assert!(untrusted.code == 1 && untrusted.stderr.contains("https://"), "{untrusted:?}");
    let in_the_clear = http::exchange(pipeline.ingress(), &sign::issue(1, "d-1").request()).unwrap();
    assert_eq!((in_the_clear.status, in_the_clear.header("content-type")), (400, Some("text/plain")));

    let (address, authority) = (pipeline.ingress(), home.path("certs/ca.pem"));
    let tls = |url: String| format!("url = \"{url}\"\nca_path = \"{}\"", authority.display());
    let https = tls(format!("https://{address}/webhook/relayed"));
    let https = format!("driver = \"http_output\"\n{https}\nsigning_secret_env = \"SIGNING_SECRET\"");
    let wss = tls(format!("wss://{address}/ingest/ws/frames"));
    let policy = "auth_mode = \"none\"\nsend_timeout_ms = 5000\nretry_policy = \"exponential\"";
    let wss = format!("driver = \"websocket_client_output\"\n{wss}\n{policy}");
    let first = Home::new(&Contract::new().adapter("https", &https).adapter("wss", &wss));
    let sending = first.up();
    sending.accept(&sign::issue(7, "d-7"));
    let came = poll("the event came in from the other pipeline", || {
        home.lines_of("events.jsonl").into_iter().find(|line| line["source"] == "relayed")
    });
    assert_eq!(came.pointer("/payload/payload/issue/number"), Some(&json!(7)));
    let frame = poll("the same event came in as a frame", || {
        home.lines_of("events.jsonl").into_iter().find(|line| line["source"] == "frames")
    });
    assert_eq!(frame.pointer("/payload/issue/number"), Some(&json!(7)), "an envelope is a frame");
    drop(sending);

    certify(&home, "--force");
    poll_until("the new certificate is in use", || certificate(&pipeline)["reloads"] == 1);
    send(&home);
    std::fs::write(home.path("certs/ingress.key"), "half a ke").unwrap();
    let refused = poll("the torn key is refused", || certificate(&pipeline)["trouble"].as_str().map(str::to_owned));
    assert!(refused.contains("certs/ingress.key"), "{refused}");
    send(&home);
    let sample = |name: &str| pipeline.metric(&format!("tls_{name}{{adapter=\"http-in\"}}"));
    assert_eq!(sample("certificate_reloads_total"), 1.0);
    assert!(sample("certificate_reload_failures_total") >= 1.0 && sample("handshake_failures_total") >= 2.0);
    assert!(sample("certificate_expires_seconds") > sign::unix_seconds() as f64);
    assert!(pipeline.terminate().success());
}

#[test]
fn files_that_cannot_be_used_stop_the_start_at_their_place() {
    let home = home();
    std::fs::remove_file(home.path("certs/ingress.key")).unwrap();
    let ran = home.run("up --json");
    let problem = &ran.json()["problems"][0];
    assert_eq!((ran.code, text(problem, "/code"), text(problem, "/file")), (1, "HOOK0216", "contract.toml"));
    assert!(text(problem, "/message").contains("`tls.key_path` names certs/ingress.key"), "{problem}");
    let line = std::fs::read_to_string(home.path("contract.toml")).unwrap();
    let line = line.lines().position(|line| line.starts_with("tls =")).unwrap() + 1;
    assert_eq!(problem["line"], line);
    let validate = |more: &str| run(home.bare(&format!("config validate {more}")), "config validate").code;
    assert_eq!(validate(""), 0, "the machine that checks a contract need not have its keys");
    assert_eq!(validate("--with-env"), 1);
}
