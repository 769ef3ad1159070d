//! Events as calls of tools: over a process, which is this program again, and over HTTP, by another pipeline.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, BufRead, Write},
    path::Path,
};

use serde_json::{Value, json};

use crate::support::{Contract, Home, Receiver, poll_until, sign, text};

/// Where the server finds its files.
const DIRECTORY: &str = "TOOL_DIRECTORY";
const TOKEN: &str = "canary-tool-token";

/// Not a test: the server that the pipelines start.
#[test]
#[ignore = "the tests start it"]
fn server() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let note = |file: &str, line: &str| {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(directory.join(file)).unwrap();
        writeln!(file, "{line}").unwrap();
    };
    note("started", "");
    let names: Vec<_> = env::vars().map(|(name, _)| name).collect();
    note("variables", &names.join(" "));
    let mut log = io::stderr();
    writeln!(log, "the tool is ready, {}", env::var("TOOL_TOKEN").unwrap_or_default()).unwrap();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let result = match request["method"].as_str().unwrap() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "test", "version": "1" },
            }),
            "tools/list" => json!({ "tools": [{ "name": "take", "inputSchema": { "type": "object" } }] }),
            "tools/call" => {
                note("calls", &request["params"].to_string());
                json!({ "content": [] })
            }
            _ => continue,
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{}", json!({ "jsonrpc": "2.0", "id": request["id"], "result": result })).unwrap();
        out.flush().unwrap();
    }
    note("ended", "");
}

/// A pipeline whose tool is the server above.
fn home() -> Home {
    let keys = "driver = \"mcp_tool_output\"\ntool_name = \"take\"\ntransport_ref = \"tool\"\n\
                arguments = { title = \"{{source}}: {{payload.repository.full_name}}\", number = \"{{payload.issue.number}}\" }\n\
                retry = { max_retries = 5, base_ms = 20, cap_ms = 100 }";
    let contract = Contract::new().adapter("tool-out", keys);
    let mut home = Home::new(&contract);
    let program = env::current_exe().unwrap();
    home.contract(&contract.with(&format!(
        "[transports.tool]\ndriver = \"stdio_jsonrpc\"\ncommand = \"{}\"\n\
         args = [\"tools::server\", \"--exact\", \"--ignored\", \"--nocapture\", \"--test-threads\", \"2\"]\n\
         env = {{ {DIRECTORY} = \"{}\" }}\npass_env = [\"TOOL_TOKEN\"]\n",
        program.display(),
        home.path("").display(),
    )));
    home.set("TOOL_TOKEN", TOKEN);
    home
}

fn lines(home: &Home, file: &str) -> Vec<String> {
    let text = fs::read_to_string(home.path(file)).unwrap_or_default();
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

/// The ids of the events of all calls.
fn called(home: &Home) -> BTreeSet<String> {
    let calls = lines(home, "calls").into_iter();
    calls
        .map(|call| {
            let call: Value = serde_json::from_str(&call).unwrap();
            text(&call["_meta"], "/io.hook~1event_id").to_owned()
        })
        .collect()
}

#[test]
fn each_event_is_a_call_of_a_tool_in_a_process_that_ends_with_the_pipeline() {
    let home = home();
    let mut pipeline = home.up();
    let ids: BTreeSet<_> =
        (1..=3).map(|number| pipeline.accept(&sign::issue(number, &format!("delivery-{number}")))).collect();
    poll_until("all are delivered", || pipeline.status()["destinations"][0]["delivered"] == 3);
    assert_eq!(called(&home), ids);
    assert_eq!(lines(&home, "started").len(), 1, "one process serves them all");
    let call: Value = serde_json::from_str(&lines(&home, "calls")[0]).unwrap();
    assert_eq!(call["name"], "take");
    assert_eq!(text(&call, "/arguments/title"), "github: o/r");
    assert!(call["arguments"]["number"].is_u64(), "{call}");

    let variables = lines(&home, "variables").remove(0);
    assert!(variables.contains("TOOL_TOKEN") && !variables.contains("SECRET"), "{variables}");
    let said = |line: &Value| line["message"] == "the server says";
    poll_until("what it says is in the log", || pipeline.logs().iter().any(said));
    assert!(pipeline.terminate().success());
    assert_eq!(lines(&home, "ended").len(), 1, "it has ended before the pipeline");
    let log = pipeline.stderr();
    assert!(log.contains("the tool is ready") && !log.contains(TOKEN), "{log}");
}

#[test]
fn what_was_accepted_is_called_at_least_once_whatever_is_killed_and_no_process_stays() {
    const ROUNDS: u64 = 3;
    let home = home();
    let mut accepted = BTreeSet::new();
    for round in 0..ROUNDS {
        let pipeline = home.up_supervised();
        for number in 0..10 {
            let id = pipeline.accept(&sign::issue(number, &format!("delivery-{round}-{number}")));
            accepted.insert(id);
        }
        // It is killed in the middle of its calls, wherever that is.
        poll_until("a call was made", || !called(&home).is_empty());
        pipeline.kill();
        poll_until("no process stays", || lines(&home, "ended").len() == lines(&home, "started").len());
    }
    let _pipeline = home.up_supervised();
    poll_until("everything that was accepted is called", || accepted.is_subset(&called(&home)));
}

#[test]
fn a_pipeline_calls_the_tool_of_another_over_http() {
    let receiver = Receiver::start();
    let keys = "driver = \"mcp_ingest_exposed\"\ntransport_driver = \"http_sse\"\nbind = \"127.0.0.1:0\"\n\
                auth_mode = \"bearer\"\ntoken_env = \"MCP_TOKEN\"\nmax_payload_bytes = 65536";
    let sources = "[sources.orders]\nverifier = \"none\"\nallow_unverified = true\n";
    let far = Contract::new().ingress_adapter("mcp-in", keys).with(sources).http_output("service", &receiver, "");
    let mut far = Home::new(&far);
    far.set("MCP_TOKEN", TOKEN);
    far.set("RUST_LOG", "trace");
    let far = far.up();
    let listeners = far.ready["listeners"].as_array().unwrap();
    let address =
        listeners.iter().map(|listener| text(listener, "/address")).find(|at| *at != far.ingress().to_string());

    let keys = "driver = \"mcp_tool_output\"\ntool_name = \"serve_ingest_event\"\ntransport_ref = \"far\"\n\
                arguments = { source = \"orders\", event_type = \"{{event_type}}\", payload = \"{{payload}}\" }";
    let transport = format!(
        "[transports.far]\ndriver = \"http_sse\"\nurl = \"http://{}/mcp\"\nauth_mode = \"bearer\"\ntoken_env = \"MCP_TOKEN\"\n",
        address.unwrap(),
    );
    let mut near = Home::new(&Contract::new().adapter("tool-out", keys).with(&transport));
    near.set("MCP_TOKEN", TOKEN);
    near.set("RUST_LOG", "trace");
    let near = near.up();
    near.accept(&sign::github("issues", "delivery-1", sign::issue_body(1, "a canary sings").to_string()));
    poll_until("the tool was called", || near.status()["destinations"][0]["delivered"] == 1);
    let envelope = receiver.wait_for(1)[0].json();
    assert_eq!((text(&envelope, "/source"), text(&envelope, "/event_type")), ("orders", "issues.opened"));
    assert_eq!(envelope["payload"]["note"], "a canary sings");
    assert!(
        !near.stderr().contains("canary") && !far.stderr().contains("canary"),
        "neither payload nor secret is logged"
    );
}
