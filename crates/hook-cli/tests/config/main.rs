//! Transcripts of the binary: which contract is found, which value wins, what is printed, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod cases;
mod certs;
mod kafka;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const CANARY: &str = "canary-3f9c1e7a";

const CONTRACT: &str = r#"
[app]
id = "my-app"
name = "My app"
version = "1.0.0"

[[serve.ingress_adapters]]
id = "webhooks"
driver = "http_webhook_ingress"
bind = "127.0.0.1:0"

[[serve.routes]]
id = "all"
source_match = "github"
event_type_pattern = "*"
target_topic = "webhooks.{source}"

[[smash.egress_adapters]]
id = "agent"
driver = "openclaw_http_output"
url = "http://127.0.0.1:18789/hooks/agent"
token_env = "AGENT_TOKEN"
timeout_seconds = 20
max_retries = 3

[[smash.routes]]
id = "to-agent"
source_topic_pattern = "webhooks.core"
event_filters = []
destinations = [{ adapter_id = "agent", required = true }]

[profiles.default]
label = "Default"
serve_adapters = ["webhooks"]
serve_routes = ["all"]
smash_adapters = ["agent"]
smash_routes = ["to-agent"]
"#;

/// A directory with files, and an environment without anything of ours.
struct Place {
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    fn with_contract() -> Self {
        Self::empty().file("contract.toml", CONTRACT)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn hook(&self, arguments: &str) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hook"));
        command.args(arguments.split_whitespace()).current_dir(self.directory.path()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Answer::of(&command.output().unwrap())
    }

    /// The app of the contract that is found.
    fn app(&self, arguments: &str) -> String {
        let answer = self.hook(&format!("config show --json {arguments}"));
        assert_eq!(answer.code, 0, "{answer:?}");
        answer.json()["app"]["id"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug)]
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The codes of the problems, with their severities.
    fn problems(&self) -> Vec<(String, String)> {
        let problems = self.json()["problems"].as_array().unwrap().clone();
        let text = |problem: &Value, key: &str| problem[key].as_str().unwrap().to_owned();
        problems.iter().map(|problem| (text(problem, "code"), text(problem, "severity"))).collect()
    }

    #[track_caller]
    fn has_error(&self, code: &str) {
        assert_eq!(self.code, 1, "{self:?}");
        assert!(self.problems().contains(&(code.into(), "error".into())), "{self:?}");
    }
}

fn contract_of(app: &str) -> String {
    CONTRACT.replace("my-app", app)
}

fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps")
}

#[test]
fn the_contract_is_looked_for_in_order() {
    let place = Place::empty();
    assert_eq!(place.app(""), "default-openclaw");
    let place = place.file("contract.toml", &contract_of("here"));
    assert_eq!(place.app(""), "here");
    let place = place.file("variable.toml", &contract_of("variable")).variable("RELAY_CONTRACT_PATH", "variable.toml");
    assert_eq!(place.app(""), "variable");
    let place = place.file("apps/named/contract.toml", &contract_of("named"));
    assert_eq!(place.app("--app named"), "named");
    let place = place.file("flag.toml", &contract_of("flag"));
    assert_eq!(place.app("--contract flag.toml"), "flag");

    let both = place.hook("config validate --json --contract flag.toml --app named");
    assert_eq!((both.code, both.problems()), (0, vec![("HOOK0206".into(), "warning".into())]));
}

#[test]
fn a_contract_that_is_named_is_not_replaced_by_another() {
    let place = Place::with_contract().file("apps/other/contract.toml", CONTRACT);
    let missing = place.hook("config validate --json --contract nowhere.toml");
    missing.has_error("HOOK0201");
    let missing = place.hook("config validate --app oter");
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("apps/oter/contract.toml"), "{missing:?}");
    assert!(missing.stderr.contains("the apps here are: other"), "{missing:?}");
    assert_eq!(place.hook("config validate --app ../other").code, 2);
    place.hook("config validate --json --contract .").has_error("HOOK0201");
}

#[test]
fn a_contract_that_is_too_large_or_no_text_is_refused() {
    let place = Place::empty().file("large.toml", &"#".repeat(1024 * 1024 + 1));
    place.hook("config validate --json --contract large.toml").has_error("HOOK0201");
    std::fs::write(place.directory.path().join("binary.toml"), b"[app]\nid = \"\xff\"\n").unwrap();
    let answer = place.hook("config validate --json --contract binary.toml");
    answer.has_error("HOOK0201");
    let problem = &answer.json()["problems"][0];
    assert_eq!((&problem["line"], &problem["column"]), (&Value::from(2), &Value::from(7)));
}

#[test]
fn validate_as_json_is_one_object_of_problems() {
    let place = Place::with_contract();
    let good = place.hook("config validate --json");
    assert_eq!((good.code, good.stdout.as_str(), good.stderr.as_str()), (0, "{\"problems\":[]}\n", ""));

    let place = Place::empty().file("contract.toml", &CONTRACT.replace("bind =", "bindd ="));
    let bad = place.hook("config validate --json");
    bad.has_error("HOOK0101");
    let answer = bad.json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["problems"]);
    let problems = answer["problems"].as_array().unwrap();
    let problem = problems.iter().find(|problem| problem["code"] == "HOOK0101").unwrap();
    let keys: Vec<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "severity", "file", "line", "column", "message", "help"]);
    assert_eq!(problem["file"], "contract.toml");
    assert_eq!((&problem["line"], &problem["column"]), (&Value::from(10), &Value::from(1)));
}

#[test]
fn validate_shows_the_line_and_what_was_meant() {
    let place = Place::empty().file("contract.toml", &CONTRACT.replace("bind =", "bindd ="));
    let bad = place.hook("config validate");
    assert_eq!(bad.code, 1);
    for expected in ["HOOK0101", "contract.toml:10:1", "bindd = \"127.0.0.1:0\"", "did you mean `bind`"] {
        assert!(bad.stderr.contains(expected), "{expected}: {bad:?}");
    }
    assert!(!bad.stderr.contains('\u{1b}'), "{bad:?}");
    assert!(bad.stdout.starts_with("contract.toml: "), "{bad:?}");
    assert!(place.hook("config validate --color always").stderr.contains('\u{1b}'));
}

#[test]
fn validate_says_when_all_is_well() {
    let good = Place::with_contract().hook("config validate");
    let expected = "contract.toml: ok: app my-app 1.0.0, profile default, 2 adapters, 2 routes\n";
    assert_eq!((good.code, good.stdout.as_str(), good.stderr.as_str()), (0, expected, ""));
}

#[test]
fn every_app_of_the_repository_is_valid() {
    let place = Place::empty();
    let contracts: Vec<PathBuf> = std::fs::read_dir(apps())
        .unwrap()
        .map(|app| app.unwrap().path().join("contract.toml"))
        .filter(|contract| contract.exists())
        .collect();
    assert!(!contracts.is_empty());
    for contract in contracts {
        let answer = place.hook(&format!("config validate --json --contract {}", contract.display()));
        let needs_kafka = std::fs::read_to_string(&contract).unwrap().contains("\"kafka_");
        // A build without Kafka names the driver that it lacks, and nothing else.
        let expected = match needs_kafka && cfg!(not(feature = "kafka")) {
            true => (1, vec![("HOOK0106".into(), "error".into())]),
            false => (0, vec![]),
        };
        assert_eq!((answer.code, answer.problems()), expected, "{}", contract.display());
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let place = Place::with_contract();
    for wrong in [
        "",
        "config",
        "configure",
        "config validate --nonsense",
        "config validate --validation-mode lenient",
        "config explain HOOK9999",
        "completions bash --json",
        "completions tcsh",
    ] {
        let answer = place.hook(wrong);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "`{wrong}`: {answer:?}");
        assert!(!answer.stderr.is_empty(), "`{wrong}`");
    }
}

#[test]
fn help_and_version_are_answers() {
    let place = Place::empty();
    assert_eq!(place.hook("--version").stdout, format!("hook {}\n", env!("CARGO_PKG_VERSION")));
    for command in ["--help", "config --help", "config validate --help", "debug env --help", "completions --help"] {
        let help = place.hook(command);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{command}");
        assert!(help.stdout.contains("Usage: hook"), "{command}");
    }
    assert!(!place.hook("--help").stdout.contains('\u{1b}'));
}

#[test]
fn with_env_wants_what_the_contract_names() {
    let place = Place::with_contract();
    assert_eq!(place.hook("config validate").code, 0);
    let missing = place.hook("config validate --with-env --json");
    missing.has_error("HOOK0202");
    assert!(missing.stdout.contains("AGENT_TOKEN is not set"), "{missing:?}");

    let place = place.file(".env", "AGENT_TOKEN=\nHMAC_SECRET_GITHUB=x\n").variable("AGENT_TOKEN", CANARY);
    let empty = place.hook("config validate --with-env --json");
    assert!(empty.stdout.contains("AGENT_TOKEN is set to nothing (.env:1)"), "{empty:?}");

    let place = place.file(".env", "HMAC_SECRET_GITHUB=x\n");
    assert_eq!(place.hook("config validate --with-env").code, 0);
}

#[test]
fn the_default_env_file_is_read_only_where_none_is_named() {
    let place = Place::with_contract().file(".env", "AGENT_TOKEN=a\n").file("other.env", "HMAC_SECRET_GITHUB=b\n");
    let origin = |arguments: &str, name: &str| {
        let answer = place.hook(&format!("debug env --json {arguments}")).json();
        let variables = answer["variables"].as_array().unwrap().clone();
        let variable = variables.into_iter().find(|variable| variable["name"] == name).unwrap();
        variable["origins"].clone()
    };
    assert_eq!(origin("", "AGENT_TOKEN"), Value::from(vec![".env:1"]));
    assert_eq!(origin("--env-file other.env", "AGENT_TOKEN"), Value::Array(vec![]));
    assert_eq!(
        origin("--env-file other.env --env-file .env --env-file other.env", "HMAC_SECRET_GITHUB"),
        Value::from(vec!["other.env:1", "other.env:1"])
    );
    place.hook("config validate --json --env-file nowhere.env").has_error("HOOK0204");
}

#[test]
fn flags_come_before_the_profile_and_that_before_files_and_the_process() {
    let topic = |place: &Place| place.hook("config show --json").json()["dead_letters"].clone();
    let place = Place::with_contract();
    assert_eq!(topic(&place), "webhooks.dlq");
    let place = place.variable("KAFKA_DLQ_TOPIC", "from.process");
    assert_eq!(topic(&place), "from.process");
    let place = place.file(".env", "KAFKA_DLQ_TOPIC=from.file");
    assert_eq!(topic(&place), "from.file");
    let with_profile = format!("{CONTRACT}env = {{ KAFKA_DLQ_TOPIC = \"from.profile\" }}\n");
    let place = place.file("contract.toml", &with_profile);
    assert_eq!(topic(&place), "from.profile");
    let overrides = place.hook("config show --json").json()["overrides"]["KAFKA_DLQ_TOPIC"].clone();
    assert_eq!(overrides, Value::from(vec!["profile default", ".env:1", "process environment"]));

    let mode = |place: &Place, flags: &str| {
        place.hook(&format!("config show --json {flags}")).json()["validation_mode"].as_str().unwrap().to_owned()
    };
    assert_eq!(mode(&place, ""), "strict");
    let place = place.variable("RELAY_VALIDATION_MODE", "debug");
    assert_eq!(mode(&place, ""), "debug");
    assert_eq!(mode(&place, "--validation-mode strict"), "strict");
}

#[test]
fn a_profile_is_chosen_by_flag_then_by_variable() {
    let (_, lists) = CONTRACT.split_once("label = \"Default\"").unwrap();
    let two = format!("{CONTRACT}\n[profiles.quiet]\nlabel = \"Quiet\"{lists}");
    let place = Place::empty().file("contract.toml", &two);
    let profile = |place: &Place, flags: &str| {
        let answer = place.hook(&format!("config show --json {flags}"));
        answer.json()["profile"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(profile(&place, ""), "default");
    let place = place.variable("RELAY_PROFILE", "quiet");
    assert_eq!(profile(&place, ""), "quiet");
    assert_eq!(profile(&place, "--profile default"), "default");
    let unknown = place.hook("config validate --profile defualt");
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("did you mean `default`"), "{unknown:?}");
}

#[test]
fn a_profile_may_set_the_mode_that_forgives_its_contract() {
    let unknown_key = CONTRACT.replace("id = \"my-app\"", "id = \"my-app\"\nnonsense = 1");
    let place = Place::empty().file("contract.toml", &unknown_key);
    place.hook("config validate --json").has_error("HOOK0101");
    let forgiving = format!("{unknown_key}env = {{ RELAY_VALIDATION_MODE = \"debug\" }}\n");
    let place = place.file("contract.toml", &forgiving);
    let answer = place.hook("config validate --json");
    assert_eq!((answer.code, answer.problems()), (0, vec![("HOOK0101".into(), "warning".into())]));
    place.hook("config validate --json --validation-mode strict").has_error("HOOK0101");
    assert_eq!(place.hook("config validate --json --validation-mode strict --force").code, 0);
}

#[test]
fn a_profile_cannot_choose_itself() {
    let contract = format!("{CONTRACT}env = {{ RELAY_PROFILE = \"other\" }}\n");
    let answer = Place::empty().file("contract.toml", &contract).hook("config validate --json");
    assert_eq!((answer.code, answer.problems()), (0, vec![("HOOK0203".into(), "warning".into())]));
}

#[test]
fn a_bad_value_names_the_variable_and_where_it_came_from() {
    for (name, value) in [
        ("RELAY_VALIDATION_MODE", "lenient"),
        ("RELAY_MAX_PAYLOAD_BYTES", "1MB"),
        ("RELAY_MAX_PAYLOAD_BYTES", "0"),
        ("KAFKA_DLQ_TOPIC", "no topic"),
        ("RELAY_ENABLED_SOURCES", "git hub"),
    ] {
        let place = Place::with_contract().file(".env", &format!("# one\n{name}={value}\n"));
        let answer = place.hook("config validate --json");
        answer.has_error("HOOK0203");
        assert!(answer.stdout.contains(&format!("{name} is `{value}` (.env:2)")), "{answer:?}");
    }
    let place = Place::empty().variable("RELAY_BIND", "8080");
    let answer = place.hook("config validate --json");
    answer.has_error("HOOK0203");
    assert!(answer.stdout.contains("RELAY_BIND is `8080` (process environment)"), "{answer:?}");
}

#[test]
fn relay_bind_moves_the_built_in_contract_and_no_other() {
    let bind = |place: &Place| {
        let values = place.hook("config show --json").json()["values"].as_array().unwrap().clone();
        let ends = |value: &&Value| {
            let key = value["key"].as_str().unwrap();
            key.starts_with("serve.ingress_adapters.") && key.ends_with(".bind")
        };
        values.iter().find(ends).unwrap()["value"].as_str().unwrap().to_owned()
    };
    let place = Place::empty().variable("RELAY_BIND", "127.0.0.1:4711");
    assert_eq!(bind(&place), "127.0.0.1:4711");
    assert_eq!(bind(&place.file("contract.toml", CONTRACT)), "127.0.0.1:0");
}

#[test]
fn show_tells_where_values_and_secrets_come_from() {
    let place = Place::with_contract().file(".env", "AGENT_TOKEN=a\n").variable("RELAY_MAX_PAYLOAD_BYTES", "4096");
    let shown = place.hook("config show --json").json();
    let origin = |key: &str| {
        let values = shown["values"].as_array().unwrap();
        let value = values.iter().find(|value| value["key"] == key);
        value.unwrap_or_else(|| panic!("{key} is not in {values:#?}"))["origin"].as_str().unwrap().to_owned()
    };
    assert_eq!(origin("app.id"), "contract.toml:3");
    assert_eq!(origin("smash.egress_adapters.agent.timeout_seconds"), "contract.toml:23");
    assert_eq!(origin("serve.ingress_adapters.webhooks.path_template"), "default");
    assert_eq!(
        origin("serve.ingress_adapters.webhooks.max_body_bytes"),
        "RELAY_MAX_PAYLOAD_BYTES (process environment)"
    );
    let source = |name: &str| {
        let sources = shown["sources"].as_array().unwrap();
        sources.iter().find(|source| source["name"] == name).unwrap().clone()
    };
    assert_eq!(source("github")["state"], "no secret");
    assert_eq!(shown["relay"]["inputs"], Value::from(vec!["webhooks.github"]));
    assert_eq!(shown["destinations"][0]["cursor"], "my-app.to-agent.agent");
    assert_eq!(shown["environment"][0]["name"], "AGENT_TOKEN");
    assert_eq!(shown["environment"][0]["origin"], ".env:1");

    let text = place.hook("config show");
    assert_eq!(text.code, 0);
    for expected in ["my-app 1.0.0", "no secret", "webhooks.github → webhooks.core", "contract.toml:23", ".env:1"] {
        assert!(text.stdout.contains(expected), "{expected}: {}", text.stdout);
    }
}

#[test]
fn show_with_an_error_shows_the_problems() {
    let place = Place::empty().file("contract.toml", "[app]\n");
    let answer = place.hook("config show --json");
    assert_eq!(answer.code, 1);
    assert!(!answer.problems().is_empty());
    let text = place.hook("config show");
    assert_eq!((text.code, text.stdout.as_str()), (1, ""));
    assert!(text.stderr.contains("HOOK01"), "{text:?}");
}

#[test]
fn no_command_prints_a_secret() {
    let in_profile = format!("{CONTRACT}env = {{ AGENT_TOKEN = \"{CANARY}-profile\" }}\n");
    let in_contract = CONTRACT.replace("token_env = \"AGENT_TOKEN\"", &format!("token_env = \"{CANARY}-key\""));
    let token = CONTRACT.replace("token_env =", &format!("token = \"{CANARY}-token\"\ntoken_env ="));
    let place = Place::with_contract()
        .file("profile.toml", &in_profile)
        .file("contract-key.toml", &in_contract)
        .file("token.toml", &token)
        .file(".env", &format!("AGENT_TOKEN={CANARY}-file\nOPENCLAW_WEBHOOK_TOKEN=\"{CANARY}\"\n"))
        .file("bad.env", &format!("AGENT_TOKEN=\"{CANARY}\n{CANARY}\n"))
        .variable("HMAC_SECRET_GITHUB", &format!("{CANARY}-process"))
        .variable("HMAC_SECRET_STRIPE", &format!("{CANARY}-process"));
    let contracts = ["contract.toml", "profile.toml", "contract-key.toml", "token.toml"];
    for contract in contracts {
        for command in ["config show", "config validate --with-env", "debug env", "debug capabilities", "config schema"]
        {
            for flags in ["", "--json", "--env-file bad.env", "--force", "--validation-mode debug"] {
                let arguments = format!("{command} --contract {contract} {flags}");
                let answer = place.hook(&arguments);
                let printed = format!("{}{}", answer.stdout, answer.stderr);
                assert!(!printed.is_empty() && !printed.contains(CANARY), "`{arguments}` printed {printed}");
            }
        }
    }
}

#[test]
fn capabilities_and_env_are_data_too() {
    let place = Place::with_contract().variable("RUST_LOG", "debug");
    let capabilities = place.hook("debug capabilities --json").json();
    assert_eq!(capabilities["version"], env!("CARGO_PKG_VERSION"));
    let names = |key: &str| {
        let list = capabilities[key].as_array().unwrap().clone();
        list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(names("ingress_drivers").contains(&"http_webhook_ingress".to_owned()));
    assert!(names("egress_drivers").contains(&"openclaw_http_output".to_owned()));
    let kafka = if cfg!(feature = "kafka") { "egress_drivers" } else { "planned_drivers" };
    assert!(names(kafka).contains(&"kafka_output".to_owned()));
    let mcp = if cfg!(feature = "mcp") { "egress_drivers" } else { "planned_drivers" };
    assert!(names(mcp).contains(&"mcp_tool_output".to_owned()));
    assert!(names("sources").contains(&"github".to_owned()));
    let logs: &[&str] = if cfg!(feature = "kafka") { &["embedded", "kafka"] } else { &["embedded"] };
    assert_eq!(names("logs"), logs);
    assert!(place.hook("debug capabilities").stdout.contains("openclaw_http_output"));

    let env = place.hook("debug env --json").json();
    let variables = env["variables"].as_array().unwrap();
    let rust_log = variables.iter().find(|variable| variable["name"] == "RUST_LOG").unwrap();
    assert_eq!((&rust_log["set"], &rust_log["value"]), (&Value::Bool(true), &Value::from("debug")));
    assert!(variables.iter().any(|variable| variable["name"] == "HMAC_SECRET_GITHUB" && variable["set"] == false));
}

#[test]
fn the_schema_knows_the_drivers() {
    let schema = Place::empty().hook("config schema");
    assert_eq!(schema.code, 0);
    let value: Value = serde_json::from_str(&schema.stdout).unwrap();
    assert!(value["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert!(schema.stdout.contains("openclaw_http_output"));
}

#[test]
fn every_code_can_be_explained() {
    let place = Place::empty();
    let all = place.hook("config explain --json").json();
    let codes: Vec<&str> = all.as_array().unwrap().iter().map(|code| code["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"HOOK0101"));
    for code in ["hook0101", "HOOK0202"] {
        let page = place.hook(&format!("config explain {code}"));
        assert_eq!(page.code, 0);
        assert!(page.stdout.starts_with(&code.to_uppercase()), "{page:?}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Place::empty().hook(&format!("completions {shell}"));
        assert_eq!(script.code, 0, "{shell}");
        assert!(script.stdout.contains("validate") && script.stdout.contains("env-file"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hook"));
    command.args(["completions", "bash"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
