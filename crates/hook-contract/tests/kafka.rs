//! How Kafka is chosen and configured: what the contract, the environment and `kafka-core.toml` say, in this order.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeMap;

use hook_contract::{
    Checked, ConfigFile, KafkaOptions, Options, Origin, check,
    plan::{BackboneDriver, Kafka, KafkaSasl, Role},
    written::{BackboneName, KafkaSection},
};
use hook_core::problem::{Problem, codes};
use support::{FILE, catalog, lines, of};

/// A contract in which every event passes the relay.
const FLOW: &str = r#"
[app]
id = "my-app"
name = "My app"
version = "1.0.0"

[[serve.ingress_adapters]]
id = "http-in"
driver = "http_webhook_ingress"
bind = "127.0.0.1:8080"

[[serve.routes]]
id = "by-source"
source_match = "*"
event_type_pattern = "*"
target_topic = "webhooks.{source}"

[[smash.egress_adapters]]
id = "file-out"
driver = "file_output"
path = "events.jsonl"

[[smash.routes]]
id = "core-to-file"
source_topic_pattern = "webhooks.core"
destinations = [{ adapter_id = "file-out" }]

[profiles.default]
label = "Everything"
serve_adapters = ["http-in"]
smash_adapters = ["file-out"]
serve_routes = ["by-source"]
smash_routes = ["core-to-file"]
"#;

/// The name of the other file in problems.
const CORE_FILE: &str = "config/kafka-core.toml";

/// What the environment says, as the caller hands it over; every value comes from a variable called like its key.
fn environment(text: &str) -> KafkaOptions {
    let environment: KafkaSection = toml::from_str(text).unwrap();
    let keys = [
        "brokers",
        "security_protocol",
        "allow_plaintext",
        "namespace",
        "topic_prefix_core",
        "dlq_topic",
        "auto_create_topics",
        "topic_partitions",
        "topic_replication_factor",
        "fetch_memory",
        "tls.cert_path",
        "tls.key_path",
        "tls.ca_path",
        "sasl.mechanism",
        "sasl.username_env",
        "sasl.password_env",
        "tls.key_password_env",
        "sasl.token_file",
    ];
    let origins = keys.map(|key| (key, format!("variable {key}")));
    KafkaOptions { environment, origins: BTreeMap::from(origins), ..KafkaOptions::default() }
}

/// Checks the contract with that `[backbone]` (none where it is empty), environment and file (none where it is empty).
fn with(backbone: &str, variables: &str, file: &str) -> Checked {
    let section = match backbone {
        "" => String::new(),
        keys => format!("[backbone]\ndriver = \"kafka\"\n{keys}\n"),
    };
    let file = Some(file).filter(|file| !file.is_empty());
    let file = file.map(|text| ConfigFile { name: CORE_FILE.into(), text: text.into() });
    let options = Options { kafka: KafkaOptions { file, ..environment(variables) }, ..Options::default() };
    check(FILE, &format!("{FLOW}{section}"), &catalog(), &options)
}

/// The settings where nothing is wrong.
#[track_caller]
fn kafka(checked: Checked) -> Kafka {
    let problems = lines(&checked.problems);
    match checked.plan.unwrap_or_else(|| panic!("{problems}")).backbone.driver {
        BackboneDriver::Kafka(kafka) => *kafka,
        BackboneDriver::Embedded => panic!("the embedded log was chosen"),
    }
}

const BROKERS: &str = "brokers = \"b:9092\"";

#[test]
fn the_contract_chooses_the_log_and_the_environment_where_it_is_silent() {
    assert_eq!(with(BROKERS, "", "").log, BackboneName::Kafka);
    assert_eq!(with("", BROKERS, "").log, BackboneName::Kafka);
    assert!(!with("", BROKERS, "").plan.unwrap().backbone.is_declared);
    assert_eq!(with("", "", "").log, BackboneName::Embedded);
    assert_eq!(with("", "topic_partitions = 7", "").log, BackboneName::Embedded, "only brokers choose Kafka");
    assert_eq!(with("", "", &format!("[kafka_core]\n{BROKERS}")).log, BackboneName::Embedded, "a file chooses nothing");

    let options = Options { kafka: environment(BROKERS), ..Options::default() };
    let embedded = check(FILE, &format!("{FLOW}[backbone]\ndriver = \"embedded\"\n"), &catalog(), &options);
    assert_eq!((embedded.log, lines(&embedded.problems).as_str()), (BackboneName::Embedded, ""));
}

#[test]
fn defaults_are_those_of_the_field() {
    let checked = with(BROKERS, "", "");
    assert_eq!(lines(&checked.problems), "");
    let plan = checked.plan.as_ref().unwrap();
    let topics = [&plan.dead_letters, &plan.journal, &plan.relay.as_ref().unwrap().output].map(ToString::to_string);
    assert_eq!(topics, ["webhooks.dlq", "webhooks.journal", "webhooks.core"]);
    let kafka = kafka(checked);
    assert_eq!(kafka.brokers, ["b:9092"]);
    assert!(kafka.security.tls.is_some_and(|tls| tls.ca.is_none() && tls.client.is_none()), "encrypted");
    assert_eq!(kafka.security.sasl, None);
    assert_eq!((kafka.topics.auto_create, kafka.topics.partitions, kafka.topics.replication_factor), (true, 3, 1));
    assert_eq!(kafka.fetch_memory, 64 * 1024 * 1024);
}

/// A key, three values of it as TOML, what else has to be said for it to have an effect, and what it is in the end.
struct Case {
    key: &'static str,
    values: [&'static str; 3],
    beside: &'static str,
}

const CASES: &[Case] = &[
    Case { key: "brokers", values: ["\"a:1\"", "\"b:2,c:3\"", "[\"d:4\", \"e:5\"]"], beside: "" },
    Case {
        key: "security_protocol",
        values: ["\"ssl\"", "\"plaintext\"", "\"sasl_ssl\""],
        beside: "allow_plaintext = true\nsasl.mechanism = \"PLAIN\"",
    },
    Case { key: "allow_plaintext", values: ["true", "false", "true"], beside: "" },
    Case { key: "namespace", values: ["\"a.\"", "\"b-\"", "\"c_\""], beside: "" },
    Case { key: "topic_prefix_core", values: ["\"first\"", "\"second\"", "\"third\""], beside: "" },
    Case { key: "dlq_topic", values: ["\"dead.1\"", "\"dead.2\"", "\"dead.3\""], beside: "" },
    Case { key: "auto_create_topics", values: ["false", "true", "false"], beside: "" },
    Case { key: "topic_partitions", values: ["4", "5", "6"], beside: "" },
    Case { key: "topic_replication_factor", values: ["2", "3", "4"], beside: "" },
    Case { key: "fetch_memory", values: ["2000000", "3000000", "4000000"], beside: "" },
    Case { key: "tls.cert_path", values: ["\"1.pem\"", "\"2.pem\"", "\"3.pem\""], beside: "tls.key_path = \"k\"" },
    Case { key: "tls.key_path", values: ["\"1.key\"", "\"2.key\"", "\"3.key\""], beside: "tls.cert_path = \"c\"" },
    Case { key: "tls.ca_path", values: ["\"1.ca\"", "\"2.ca\"", "\"3.ca\""], beside: "" },
    Case {
        key: "sasl.mechanism",
        values: ["\"PLAIN\"", "\"SCRAM-SHA-256\"", "\"SCRAM-SHA-512\""],
        beside: "security_protocol = \"sasl_ssl\"",
    },
    Case {
        key: "sasl.username_env",
        values: ["\"USER_1\"", "\"USER_2\"", "\"USER_3\""],
        beside: "security_protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"",
    },
    Case {
        key: "sasl.password_env",
        values: ["\"PASS_1\"", "\"PASS_2\"", "\"PASS_3\""],
        beside: "security_protocol = \"sasl_ssl\"\nsasl.mechanism = \"PLAIN\"",
    },
    Case {
        key: "sasl.token_file",
        values: ["\"1.jwt\"", "\"2.jwt\"", "\"3.jwt\""],
        beside: "security_protocol = \"sasl_ssl\"\nsasl.mechanism = \"OAUTHBEARER\"",
    },
    Case {
        key: "tls.key_password_env",
        values: ["\"KEY_1\"", "\"KEY_2\"", "\"KEY_3\""],
        beside: "tls.cert_path = \"c\"\ntls.key_path = \"k\"",
    },
];

/// What was resolved for a key, and who said it.
fn said(checked: &Checked, key: &str) -> (String, String) {
    let key = format!("backbone.{key}");
    let value = checked.resolved.iter().find(|value| value.key == key);
    let value = value.unwrap_or_else(|| panic!("{key} is not shown: {}", lines(&checked.problems)));
    let origin = match &value.origin {
        Origin::Contract(place) | Origin::File(place) => place.file.clone(),
        Origin::Environment(who) => who.clone(),
        Origin::Default => "default".into(),
        Origin::Option(option) => (*option).to_owned(),
    };
    (value.value.to_string(), origin)
}

/// A value as it is shown.
fn shown(key: &str, value: &str) -> String {
    let written: toml::Table = toml::from_str(&format!("value = {value}")).unwrap();
    let value = serde_json::to_value(&written["value"]).unwrap();
    match (key, value.as_str()) {
        ("brokers", Some(text)) => serde_json::json!(text.split(',').collect::<Vec<_>>()).to_string(),
        _ => value.to_string(),
    }
}

#[test]
fn the_contract_comes_before_the_environment_and_that_before_the_file_for_every_key() {
    for Case { key, values, beside } in CASES {
        let line = |value: &str| format!("{key} = {value}\n");
        let [first, second, third] = values.map(line);
        // What a key needs beside it stands where it overrides nothing: in the file, and brokers wherever they are free.
        let free = if *key == "brokers" { "" } else { BROKERS };
        let file = |own: &str| format!("[kafka_core]\n{own}{beside}\n{free}\n");
        let chosen = |own: &str| if own.is_empty() { "fetch_memory = 1048576".to_owned() } else { own.to_owned() };
        let check = |contract: &str, variable: &str, own: &str, expected: (&str, &str)| {
            let contract = match *key {
                "fetch_memory" if contract.is_empty() => "topic_partitions = 1".to_owned(),
                _ => chosen(contract),
            };
            let checked = with(&contract, variable, &file(own));
            let (value, who) = expected;
            assert_eq!(said(&checked, key), (shown(key, value), who.to_owned()), "{}", lines(&checked.problems));
        };
        check(&first, &second, &third, (values[0], FILE));
        check("", &second, &third, (values[1], &format!("variable {key}")));
        check("", "", &third, (values[2], CORE_FILE));
        check(&first, "", &third, (values[0], FILE));
    }
}

#[test]
fn every_key_is_used() {
    let text = "brokers = [\"a:1\", \"b:2\"]\nsecurity_protocol = \"sasl_ssl\"\ntopic_prefix_core = \"team\"\n\
                auto_create_topics = false\ntopic_partitions = 12\ntopic_replication_factor = 3\nfetch_memory = 2000000\n\
                tls = { cert_path = \"c.pem\", key_path = \"k.pem\", key_password_env = \"KEY\", ca_path = \"ca.pem\" }\n\
                sasl = { mechanism = \"SCRAM-SHA-256\", username_env = \"ID\", password_env = \"SECRET\" }\n\
                producer_defaults = { \"linger.ms\" = 5, compression.type = \"zstd\" }\n\
                consumer_defaults = { \"socket.keepalive.enable\" = true }";
    let checked = with(text, "", "");
    let plan = checked.plan.as_ref().unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let relay = plan.relay.as_ref().unwrap();
    let topics = [&plan.dead_letters, &plan.journal, &relay.output].map(ToString::to_string);
    assert_eq!(topics, ["team.dlq", "team.journal", "team.core"]);
    let needed: Vec<(&str, Role)> = plan
        .environment
        .iter()
        .filter(|requirement| requirement.needed_by == "the Kafka log")
        .map(|requirement| (requirement.name.as_str(), requirement.role))
        .collect();
    let roles = [Role::Serve, Role::Relay, Role::Smash];
    assert_eq!(
        needed,
        ["KEY", "ID", "SECRET"].iter().flat_map(|name| roles.map(|role| (*name, role))).collect::<Vec<_>>()
    );

    let kafka = kafka(checked);
    assert_eq!(kafka.brokers, ["a:1", "b:2"]);
    let tls = kafka.security.tls.unwrap();
    let client = tls.client.unwrap();
    let paths = [tls.ca.unwrap(), client.certificate, client.key].map(|path| path.display().to_string());
    assert_eq!(paths, ["ca.pem", "c.pem", "k.pem"]);
    assert_eq!(client.key_password_env.unwrap().as_str(), "KEY");
    let Some(KafkaSasl::ScramSha256(login)) = kafka.security.sasl else { panic!("{:?}", kafka.security.sasl) };
    assert_eq!((login.username_env.as_str(), login.password_env.as_str()), ("ID", "SECRET"));
    assert_eq!((kafka.topics.auto_create, kafka.topics.partitions, kafka.topics.replication_factor), (false, 12, 3));
    assert_eq!(kafka.fetch_memory, 2_000_000);
    let pairs = |map: &BTreeMap<String, String>| format!("{map:?}");
    assert_eq!(pairs(&kafka.producer_defaults), r#"{"compression.type": "zstd", "linger.ms": "5"}"#);
    assert_eq!(pairs(&kafka.consumer_defaults), r#"{"socket.keepalive.enable": "true"}"#);
}

#[test]
fn a_bearer_has_a_token_and_no_password() {
    let keys = format!("{BROKERS}\nsecurity_protocol = \"sasl_ssl\"\nsasl.mechanism = \"OAUTHBEARER\"");
    let bearer = with(&format!("{keys}\nsasl.token_file = \"/run/token\""), "", "");
    assert!(bearer.plan.as_ref().unwrap().environment.iter().all(|needed| needed.needed_by != "the Kafka log"));
    let expected = KafkaSasl::OAuthBearer { token_file: "/run/token".into() };
    assert_eq!(kafka(bearer).security.sasl, Some(expected));
}

#[test]
fn properties_of_the_contract_come_before_those_of_the_file_one_by_one() {
    let file = format!("[kafka_core]\n{BROKERS}\nproducer_defaults = {{ linger.ms = 1, batch.size = 1000 }}\n");
    let checked = with("producer_defaults = { linger.ms = 9 }", "", &file);
    assert_eq!(said(&checked, "producer_defaults.linger.ms"), ("\"9\"".into(), FILE.into()));
    assert_eq!(said(&checked, "producer_defaults.batch.size"), ("\"1000\"".into(), CORE_FILE.into()));
    assert_eq!(kafka(checked).producer_defaults.len(), 2);
}

/// The only problem, as one line.
#[track_caller]
fn problem(checked: &Checked) -> String {
    assert_eq!(checked.problems.len(), 1, "{}", lines(&checked.problems));
    lines(&checked.problems)
}

#[test]
fn plaintext_takes_two_words_in_every_mode() {
    for protocol in ["plaintext", "sasl_plaintext"] {
        let keys = format!("{BROKERS}\nsecurity_protocol = \"{protocol}\"\nsasl.mechanism = \"PLAIN\"");
        let refused = with(&keys, "", "");
        let found = of(&codes::KAFKA_PLAINTEXT, &refused.problems);
        assert!(found.len() == 1 && found[0].is_error() && refused.plan.is_none(), "{}", lines(&refused.problems));
        assert!(of(&codes::KAFKA_PLAINTEXT, &with(&keys, "allow_plaintext = true", "").problems).is_empty());
        let again = with(&format!("{keys}\nallow_plaintext = false"), "allow_plaintext = true", "");
        assert!(!of(&codes::KAFKA_PLAINTEXT, &again.problems).is_empty(), "the contract comes first");
    }
    let lenient = Options {
        kafka: environment("brokers = \"b:1\"\nsecurity_protocol = \"plaintext\""),
        mode: Some(hook_contract::plan::ValidationMode::Debug),
        force: true,
        ..Options::default()
    };
    let checked = check(FILE, FLOW, &catalog(), &lenient);
    assert!(problem(&checked).contains("error `security_protocol`, from variable security_protocol, sends events"));
    let open = kafka(with(&format!("{BROKERS}\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true"), "", ""));
    assert_eq!(open.security.tls, None);
}

#[test]
fn what_a_connection_lacks_is_named() {
    let lacks = |backbone: &str, variables: &str, expected: &[&str]| {
        let checked = with(backbone, variables, "");
        let found = problem(&checked);
        assert!(checked.plan.is_none() && found.contains("HOOK0138 error"), "{found}");
        for part in expected {
            assert!(found.contains(part), "{part}: {found}");
        }
    };
    lacks("topic_partitions = 1", "", &["35:10 ", "where the brokers are", "KAFKA_BROKERS"]);
    lacks(&format!("{BROKERS}\ntls.cert_path = \"c\""), "", &["37:17", "`tls.cert_path` is given", "KAFKA_TLS_KEY"]);
    lacks(BROKERS, "tls.key_path = \"k\"", &["from variable tls.key_path, is given without `tls.cert_path`"]);
    lacks(&format!("{BROKERS}\nsecurity_protocol = \"sasl_ssl\""), "", &["mechanism", "SCRAM-SHA-512"]);
    let bearer = format!("{BROKERS}\nsecurity_protocol = \"sasl_ssl\"\nsasl.mechanism = \"OAUTHBEARER\"");
    lacks(&bearer, "", &["where `OAUTHBEARER` finds its token", "token_file"]);
}

#[test]
fn what_changes_nothing_is_told() {
    let warns = |backbone: &str, expected: &str| {
        let checked = with(&format!("{BROKERS}\n{backbone}"), "", "");
        let found = problem(&checked);
        assert!(checked.plan.is_some() && found.contains("HOOK0135 warning") && found.contains(expected), "{found}");
    };
    warns("allow_plaintext = true", "connections are encrypted");
    warns("sasl.username_env = \"NAME\"", "asks for no SASL");
    warns(
        "security_protocol = \"sasl_ssl\"\nsasl = { mechanism = \"PLAIN\", token_file = \"x\" }",
        "only `OAUTHBEARER` takes a token",
    );
    warns(
        "security_protocol = \"sasl_ssl\"\nsasl = { mechanism = \"OAUTHBEARER\", token_file = \"x\", password_env = \"X\" }",
        "`sasl.password_env` has no effect: `OAUTHBEARER` takes a token",
    );
    warns("tls.key_password_env = \"X\"", "there is no key");
    warns(
        "security_protocol = \"plaintext\"\nallow_plaintext = true\ntls.ca_path = \"ca\"",
        "connections are not encrypted",
    );
    warns("consumer_defaults = { commit_mode = \"async\" }", "`commit_mode` has no effect");
    warns("[log]\nsegment_bytes = 1000000", "[log] has no effect");
    warns(
        "[sources.github]\nverifier = \"github\"\ndedup = { window = \"1h\" }",
        "the relay removes copies that come within 24 hours",
    );
}

#[test]
fn a_property_on_which_a_promise_rests_is_refused_and_its_value_not_shown() {
    let file = "[kafka_core]\nbrokers = \"b:1\"\n[kafka_core.producer_defaults]\nacks = 77\nlinger.ms = 5\n\
                [kafka_core.consumer_defaults]\n\"ssl.key.location\" = \"canary\"\n";
    let checked = with("topic_partitions = 1", "", file);
    let found = of(&codes::KAFKA_PROPERTY, &checked.problems);
    let places: Vec<_> = found.iter().map(|problem| problem.place.clone().unwrap()).collect();
    assert_eq!(
        places.iter().map(|place| (place.file.as_str(), place.line)).collect::<Vec<_>>(),
        [(CORE_FILE, 4), (CORE_FILE, 7)]
    );
    let text = lines(&checked.problems);
    assert!(text.contains("replicas in sync") && text.contains("tls = {"), "{text}");
    assert!(!text.contains("77") && !text.contains("canary"), "{text}");
}

#[test]
fn the_file_is_checked_as_a_contract_is() {
    let found = |file: &str| -> Vec<Problem> { with(BROKERS, "", file).problems };
    let text = lines(&found("[kafka_core]\nsecurity_protcol = \"ssl\"\n"));
    assert!(text.contains("2:1 HOOK0101 error unknown key `security_protcol` in [kafka_core]"), "{text}");
    assert!(text.contains("did you mean `security_protocol`"), "{text}");
    let text = lines(&found("[kafka_core]\ntopic_partitions = \"3\"\n"));
    assert!(text.contains("2:20 HOOK0103 error"), "{text}");
    let text = lines(&found("[kafka]\ntopic_partitions = 3\n"));
    assert!(text.contains("unknown table `kafka`") && text.contains("[kafka_core] is missing"), "{text}");
    assert!(lines(&found("[kafka_core\n")).contains("HOOK0100 error"));
    let text = lines(&found("[kafka_core.sasl]\nmechanism = \"PLAIN\"\npassword = \"canary\"\n"));
    assert!(text.contains("HOOK0119") && !text.contains("canary"), "{text}");
    for problem in found("[kafka_core]\nnonsense = 1\n") {
        assert_eq!(problem.place.unwrap().file, CORE_FILE);
    }

    let embedded = with("", "", "[kafka_core\n");
    assert_eq!(lines(&embedded.problems), "", "where the log is another, nobody reads the file");
}

#[test]
fn a_contract_of_older_releases_of_the_field_finds_its_file_usable() {
    let file = r#"
[kafka_core]
brokers = ["100.64.0.10:9093"]
security_protocol = "ssl"
allow_plaintext = false
topic_prefix_core = "webhooks"
dlq_topic = "webhooks.dlq"
auto_create_topics = true
topic_partitions = 3
topic_replication_factor = 1

[kafka_core.producer_defaults]
publish_queue_capacity = 4096
publish_max_retries = 5
publish_backoff_base_ms = 200
publish_backoff_max_ms = 5000

[kafka_core.consumer_defaults]
commit_mode = "async"
auto_offset_reset = "latest"

[kafka_core.tls]
cert_path = "/etc/relay/certs/relay.crt"
key_path = "/etc/relay/certs/relay.key"
ca_path = "/etc/relay/certs/ca.crt"
"#;
    let checked = with("", "brokers = \"b:1\"", file);
    assert_eq!(of(&codes::NO_EFFECT, &checked.problems).len(), 6, "{}", lines(&checked.problems));
    assert_eq!(checked.problems.len(), 6);
    assert_eq!(kafka(checked).brokers, ["b:1"]);
}

#[test]
fn a_topic_that_is_read_without_a_relay_keeps_its_copies_on_kafka_only() {
    let direct = FLOW.replace("webhooks.{source}", "webhooks.core");
    let on = |backbone: &str| check(FILE, &format!("{direct}{backbone}"), &catalog(), &Options::default());
    let kafka = on(&format!("[backbone]\ndriver = \"kafka\"\n{BROKERS}\n"));
    let found = problem(&kafka);
    assert!(
        found.contains("16:16 HOOK0140 warning") && found.contains("`webhooks.core` is read without it"),
        "{found}"
    );
    assert!(kafka.plan.is_some());
    assert_eq!(lines(&on("").problems), "");
    assert_eq!(lines(&with(BROKERS, "", "").problems), "", "the relay is in between");
}

/// The flow with an adapter that writes to Kafka.
fn with_output(keys: &str) -> String {
    let adapter =
        format!("id = \"file-out\"\ndriver = \"kafka_output\"\ntopic = \"orders\"\nkey_mode = \"none\"\n{keys}");
    FLOW.replace("id = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"", &adapter)
}

const ADAPTER: &str = "smash.egress_adapters.file-out";

#[test]
fn an_adapter_without_brokers_reaches_kafka_as_the_log_does() {
    let log = "[backbone]\ndriver = \"kafka\"\nbrokers = \"a:1\"\nsecurity_protocol = \"sasl_ssl\"\n\
               tls = { ca_path = \"ca.pem\" }\nsasl = { mechanism = \"SCRAM-SHA-512\", password_env = \"CORE_PASSWORD\" }\n";
    let text = format!("{}\n{log}", with_output(""));
    let checked = check(FILE, &text, &catalog(), &Options::default());
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let settings = &plan.smash.adapters[0].settings;
    assert_eq!(settings["brokers"], serde_json::json!(["a:1"]));
    assert_eq!(settings["security_protocol"], "sasl_ssl");
    assert_eq!(settings["tls"]["ca_path"], "ca.pem");
    assert_eq!(settings["sasl"]["username_env"], "KAFKA_SASL_USERNAME");
    let needed = |adapter: &str| {
        let of_adapter = plan.environment.iter().filter(|needed| needed.needed_by.ends_with(adapter));
        of_adapter.map(|needed| needed.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(needed("file-out"), ["KAFKA_SASL_USERNAME", "CORE_PASSWORD"]);
    let origin = |key: &str| checked.resolved.iter().find(|value| value.key == key).map(|value| value.origin.clone());
    assert!(matches!(origin(&format!("{ADAPTER}.brokers")), Some(Origin::Contract(_))));
    assert!(matches!(origin(&format!("{ADAPTER}.sasl.username_env")), Some(Origin::Default)));
}

#[test]
fn an_adapter_with_brokers_of_its_own_gets_nothing_of_the_log() {
    let log = "[backbone]\ndriver = \"kafka\"\nbrokers = \"a:1\"\nsecurity_protocol = \"sasl_plaintext\"\n\
               allow_plaintext = true\nsasl = { mechanism = \"PLAIN\" }\n";
    let text = format!("{}\n{log}", with_output("brokers = \"b:2\""));
    let checked = check(FILE, &text, &catalog(), &Options::default());
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let settings = &plan.smash.adapters[0].settings;
    assert_eq!(settings["brokers"], "b:2");
    for key in ["security_protocol", "allow_plaintext", "tls", "sasl"] {
        assert!(settings[key].is_null(), "{key}: {settings}");
    }
}

#[test]
fn beside_the_embedded_log_the_environment_says_how_adapters_reach_kafka() {
    let text = format!("{}\n[backbone]\ndriver = \"embedded\"\n", with_output(""));
    let said = "brokers = \"a:1\"\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true\ntopic_partitions = 7";
    let options = Options { kafka: environment(said), ..Options::default() };
    let checked = check(FILE, &text, &catalog(), &options);
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let settings = &plan.smash.adapters[0].settings;
    assert_eq!((&settings["brokers"], &settings["allow_plaintext"]), (&"a:1".into(), &true.into()));
    let origin = checked.resolved.iter().find(|value| value.key == format!("{ADAPTER}.brokers")).unwrap();
    assert!(matches!(origin.origin, Origin::Environment(_)), "{origin:?}");
    let silent = check(FILE, &text, &catalog(), &Options::default());
    assert!(lines(&silent.problems).contains("nothing says where the brokers are"), "{}", lines(&silent.problems));
}

#[test]
fn a_log_that_cannot_be_read_is_found_once() {
    let text = format!("{}\n[backbone]\ndriver = \"kafka\"\nbrokers = 7\n", with_output(""));
    let checked = check(FILE, &text, &catalog(), &Options::default());
    assert!(checked.plan.is_none());
    assert!(!lines(&checked.problems).contains("where the brokers are"), "{}", lines(&checked.problems));
}

#[test]
fn brokers_of_a_flag_come_before_all_others() {
    let flagged = |backbone: &str, variables: &str| {
        let kafka = KafkaOptions { brokers: "flag:1,flag:2".parse().ok(), ..environment(variables) };
        check(FILE, &format!("{FLOW}{backbone}"), &catalog(), &Options { kafka, ..Options::default() })
    };
    let plaintext = "security_protocol = \"plaintext\"\nallow_plaintext = true";
    let contract = format!("[backbone]\ndriver = \"kafka\"\n{BROKERS}\n{plaintext}\n");
    for (backbone, variables) in [(contract.as_str(), ""), ("", BROKERS), ("", "")] {
        let variables = format!("{variables}\n{plaintext}");
        assert_eq!(kafka(flagged(backbone, &variables)).brokers, ["flag:1", "flag:2"], "{backbone} {variables}");
    }
    let embedded = flagged("[backbone]\ndriver = \"embedded\"\n", plaintext);
    assert_eq!(embedded.log, BackboneName::Embedded, "where the contract names a log, it is that");
}

#[test]
fn an_adapter_leaves_the_topics_of_the_log_to_the_log() {
    let loops = |adapter: &str, kafka: &str| {
        let text = with_output(adapter).replace("topic = \"orders\"", "topic = \"webhooks.core\"");
        let text = format!("{text}\n[backbone]\ndriver = \"kafka\"\n{kafka}");
        let checked = check(FILE, &text, &catalog(), &Options::default());
        of(&codes::ADAPTER_LOOP, &checked.problems).len()
    };
    assert_eq!(loops("", BROKERS), 1, "it reaches Kafka as the log does");
    assert_eq!(loops("brokers = [\"other:9093\"]", BROKERS), 0, "another cluster may have the same name");
    assert_eq!(loops("", &format!("{BROKERS}\nnamespace = \"ours.\"")), 0, "the log calls its own another name");
}
