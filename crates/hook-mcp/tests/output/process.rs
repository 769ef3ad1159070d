//! A server that is a process: this program again, told by files what to do.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hook_core::{
    BoxFuture,
    names::EnvName,
    outcome::FailureClass,
    ports::egress::{Delivery, EgressDriver, Host},
    secret::{Secret, Secrets},
    stop::Stop,
};
use hook_testkit::egress_conformance::{Behaviour, EgressFixture, Received};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use super::{Request, build, deliver, delivered, event, failure, received, secrets};

/// Where a server finds its files.
const DIRECTORY: &str = "TOOL_DIRECTORY";
/// Something else than a message, and a line that no message is as long as.
const NOISE: usize = 5 * 1024 * 1024;
/// No condition here takes so long.
const LIMIT: Duration = Duration::from_secs(120);

/// The server.
pub(crate) fn serve() {
    let Some(directory) = env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let is = |name: &str| fs::read_to_string(directory.join("behave")).unwrap_or_default() == name;
    note(&directory, "started", &std::process::id().to_string());
    if is("Away") {
        return;
    }
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        let request: Request<'_> = serde_json::from_str(&line).unwrap();
        let answer = match request.method.as_str() {
            "notifications/cancelled" => {
                note(&directory, "cancelled", &line);
                continue;
            }
            _ if is("Away") => return,
            _ if is("Silent") => continue,
            "initialize" => result(&json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "test", "version": "1" },
            })),
            "tools/list" if is("Forbidding") => result(&json!({ "tools": [] })),
            "tools/list" => result(&json!({ "tools": [{ "name": "take", "inputSchema": { "type": "object" } }] })),
            "tools/call" if is("Dying") => {
                fs::remove_file(directory.join("behave")).unwrap();
                return;
            }
            "tools/call" if is("Failing") => error(-32603, "canary is out of order"),
            "tools/call" if is("Refusing") => error(-32602, "a canary is no bird"),
            "tools/call" if is("Forbidding") => error(-32602, "no such tool"),
            "tools/call" if is("Erring") => result(&json!({
                "isError": true, "content": [{ "type": "text", "text": "cannot take 'a canary sings'; ask again" }],
            })),
            "tools/call" => {
                note(&directory, "received", request.arguments());
                note(&directory, "meta", &request.meta().to_string());
                result(&json!({ "content": [{ "type": "text", "text": "a canary is taken" }] }))
            }
            _ => continue,
        };
        let mut out = io::stdout().lock();
        if is("Noisy") {
            out.write_all(b"listening on nothing\n{\"jsonrpc\":\n").unwrap();
            out.write_all(&vec![b'x'; NOISE]).unwrap();
            out.write_all(b"\n").unwrap();
            let mut log = io::stderr();
            writeln!(log, "{}", "canary ".repeat(10_000)).unwrap();
        }
        let mut message = json!({ "jsonrpc": "2.0", "id": request.id });
        message.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        writeln!(out, "{message}").unwrap();
        out.flush().unwrap();
    }
    note(&directory, "ended", "");
}

fn result(value: &Value) -> Value {
    json!({ "result": value })
}

fn error(code: i32, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

fn note(directory: &Path, file: &str, line: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(directory.join(file)).unwrap();
    writeln!(file, "{line}").unwrap();
}

/// A server that the driver starts.
struct Program {
    directory: TempDir,
}

impl Program {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn settings(&self) -> Value {
        json!({
            "tool_name": "take",
            "transport_ref": {
                "driver": "stdio_jsonrpc",
                "command": env::current_exe().unwrap(),
                "args": ["server", "--exact", "--ignored", "--nocapture", "--test-threads", "2"],
                "env": { DIRECTORY: self.directory.path() },
                "pass_env": ["PASSED"],
            },
            // A process has to start first.
            "timeout_seconds": 5,
        })
    }

    /// With all the time that a busy machine may need.
    fn patient(&self) -> Value {
        let mut settings = self.settings();
        settings["timeout_seconds"] = json!(60);
        settings
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn is(&self, name: &str) {
        fs::write(self.directory.path().join("behave"), name).unwrap();
    }
}

impl EgressFixture for Program {
    fn driver(&self) -> Arc<dyn EgressDriver> {
        build(self.settings()).unwrap()
    }

    fn secrets(&self) -> Secrets {
        secrets()
    }

    fn behave(&self, behaviour: Behaviour) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            self.is(&format!("{behaviour:?}"));
            // Nothing in JSON-RPC asks for patience.
            behaviour != Behaviour::Overloaded
        })
    }

    fn received(&self) -> BoxFuture<'_, Vec<Received>> {
        Box::pin(async {
            let metas: Vec<Value> = self.lines("meta").iter().map(|meta| serde_json::from_str(meta).unwrap()).collect();
            self.lines("received").iter().zip(&metas).map(|(arguments, meta)| received(arguments, meta)).collect()
        })
    }
}

mod promises {
    use super::Program;
    hook_testkit::egress_conformance!(Program::new());
}

#[tokio::test]
async fn one_process_serves_all_calls_and_each_says_whose_event_it_is() {
    let program = Program::new();
    let driver = build(program.patient()).unwrap();
    let (one, other) = (event(), event());
    delivered(&deliver(&*driver, &one).await);
    delivered(&deliver(&*driver, &other).await);
    assert_eq!(program.lines("started").len(), 1);
    let meta: Value = serde_json::from_str(&program.lines("meta")[1]).unwrap();
    let id = other.header.id.to_string();
    assert_eq!((&meta["io.hook/event_id"], &meta["io.hook/idempotency_key"]), (&json!(id), &json!(id)));
    assert_eq!(meta["io.hook/attempt"], 1);
    assert!(meta["traceparent"].as_str().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{meta}");
    assert!(!meta["progressToken"].is_null());
}

#[tokio::test]
async fn arguments_are_what_the_template_says() {
    let program = Program::new();
    let mut settings = program.patient();
    settings["arguments"] =
        json!({ "title": "#{{payload.issue.number}} {{payload.issue.title}}", "n": "{{payload.issue.number}}" });
    let driver = build(settings.clone()).unwrap();
    delivered(&deliver(&*driver, &event()).await);
    assert_eq!(program.lines("received"), [r##"{"title":"#7 a canary sings","n":7}"##]);

    settings["arguments"] = json!({ "title": "{{payload.nothing.here}}" });
    let failure = failure(deliver(&*build(settings).unwrap(), &event()).await);
    assert_eq!(failure.class, FailureClass::Rejected);
    assert!(failure.error.contains("`payload.nothing.here`"), "{}", failure.error);
}

#[tokio::test]
async fn a_process_that_dies_in_a_call_fails_that_call_and_is_started_again() {
    let program = Program::new();
    let driver = build(program.patient()).unwrap();
    delivered(&deliver(&*driver, &event()).await);
    program.is("Dying");
    let lost = event();
    let failure = failure(deliver(&*driver, &lost).await);
    assert_eq!(failure.class, FailureClass::Transient);
    assert_eq!(failure.error, "the server ended (exit status: 0) before it answered");
    delivered(&deliver(&*driver, &lost).await);
    assert_eq!((program.lines("started").len(), program.lines("received").len()), (2, 2));
}

#[tokio::test]
async fn what_is_no_message_is_passed_over_however_long_it_is() {
    let program = Program::new();
    let driver = build(program.patient()).unwrap();
    program.is("Noisy");
    for _ in 0..3 {
        delivered(&deliver(&*driver, &event()).await);
    }
    assert_eq!(program.lines("started").len(), 1);
}

#[tokio::test]
async fn a_tools_own_error_is_tried_again_unless_the_contract_says_otherwise() {
    let program = Program::new();
    program.is("Erring");
    let failed = failure(deliver(&*build(program.patient()).unwrap(), &event()).await);
    assert_eq!(failed.class, FailureClass::Transient);
    assert_eq!(failed.error, "the tool failed: cannot take '…'; ask again");
    let mut settings = program.patient();
    settings["on_tool_error"] = json!("reject");
    assert_eq!(failure(deliver(&*build(settings).unwrap(), &event()).await).class, FailureClass::Rejected);
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_the_contracts_fault_and_those_that_are_there_are_named() {
    let program = Program::new();
    let mut settings = program.patient();
    settings["tool_name"] = json!("tkae");
    let driver = build(settings).unwrap();
    let failure = failure(deliver(&*driver, &event()).await);
    assert_eq!(failure.class, FailureClass::Misconfigured);
    assert_eq!(failure.error, "the server has no tool `tkae`; it has: take");
    let checked = driver.check(&secrets()).await.unwrap_err();
    assert_eq!(checked.to_string(), failure.error);
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled() {
    let program = Program::new();
    let driver = program.driver();
    delivered(&deliver(&*driver, &event()).await);
    program.is("Silent");
    let failure = failure(deliver(&*driver, &event()).await);
    assert_eq!((failure.class, failure.error.as_str()), (FailureClass::Transient, "no answer within 5 s"));
    program.is("Well");
    // It reads one after the other.
    delivered(&deliver(&*driver, &event()).await);
    assert_eq!((program.lines("started").len(), program.lines("cancelled").len()), (1, 1));
}

#[tokio::test]
async fn a_process_ends_with_the_destination_and_not_before_its_calls() {
    let program = Program::new();
    let driver = build(program.patient()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stop_signal = Stop::when(async { drop(stopped.await) });
    let running = tokio::spawn({
        let driver = Arc::clone(&driver);
        async move { driver.run(Host::without_log(stop_signal, secrets())).await }
    });
    delivered(&deliver(&*driver, &event()).await);
    assert!(program.lines("ended").is_empty());
    drop(stop);
    timeout(LIMIT, running).await.unwrap().unwrap();
    assert_eq!(program.lines("ended").len(), 1, "the end of its input was enough");
    let late = failure(deliver(&*driver, &event()).await);
    assert_eq!(late.class, FailureClass::Unreachable, "none is started after the end");
    assert_eq!(program.lines("started").len(), 1);
}

#[tokio::test]
async fn another_secret_starts_another_process_and_ends_the_first() {
    let program = Program::new();
    let driver = build(program.patient()).unwrap();
    delivered(&deliver(&*driver, &event()).await);
    let other = BTreeMap::from([(EnvName::new("PASSED").unwrap(), Secret::new("canary-rotated"))]);
    let other: Secrets = Arc::new(other);
    let event = event();
    let delivery = Delivery { envelope: &event, attempt: 1, secrets: &other, place: None };
    delivered(&driver.deliver(delivery).await);
    assert_eq!(program.lines("started").len(), 2);
    let ended = async {
        while program.lines("ended").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, ended).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_named_before_anything_is_started() {
    let program = Program::new();
    let driver = build(program.patient()).unwrap();
    let nothing: Secrets = Arc::new(BTreeMap::new());
    assert_eq!(driver.check(&nothing).await.unwrap_err().to_string(), "PASSED is not set");
    assert!(program.lines("started").is_empty());
}
