//! Which log is chosen, and who says how Kafka is reached.

use serde_json::Value;

use super::{Answer, CANARY, CONTRACT, Place};

/// The contract with Kafka as its log, and these keys.
fn on_kafka(keys: &str) -> Place {
    Place::empty().file("contract.toml", &format!("{CONTRACT}\n[backbone]\ndriver = \"kafka\"\n{keys}\n"))
}

/// The codes and severities of what `config validate` finds, without what this build lacks.
fn found(place: &Place, arguments: &str) -> Vec<(String, String)> {
    let problems = place.hook(&format!("config validate --json {arguments}")).problems();
    problems.into_iter().filter(|(code, _)| !NOT_BUILT.contains(&code.as_str())).collect()
}

const NOT_BUILT: [&str; 2] = ["HOOK0132", "HOOK0205"];

fn error(code: &str) -> Vec<(String, String)> {
    vec![(code.into(), "error".into())]
}

fn show(place: &Place, arguments: &str) -> Value {
    let answer = place.hook(&format!("config show --json {arguments}"));
    assert_eq!(answer.code, 0, "{answer:?}");
    answer.json()
}

/// A value as it will be used, and who says so.
fn said(shown: &Value, key: &str) -> (String, String) {
    let values = shown["values"].as_array().unwrap();
    let value = values.iter().find(|value| value["key"] == format!("backbone.{key}"));
    let value = value.unwrap_or_else(|| panic!("backbone.{key} is not in {values:#?}"));
    (value["value"].to_string(), value["origin"].as_str().unwrap().to_owned())
}

#[test]
fn the_contract_chooses_the_log_then_the_environment() {
    let log = |place: &Place| show(place, "")["log"].clone();
    let place = Place::with_contract();
    assert_eq!(log(&place)["driver"], "embedded");
    assert_eq!(log(&place)["reason"], "the default, as the contract names none");
    let place = place.variable("KAFKA_BROKERS", "a:1,b:2");
    assert_eq!(log(&place)["driver"], "kafka");
    assert_eq!(log(&place)["brokers"], Value::from(vec!["a:1", "b:2"]));
    assert_eq!(log(&place)["reason"], "KAFKA_BROKERS is set (process environment), and the contract names no log");
    let place = place.file("contract.toml", &format!("{CONTRACT}\n[backbone]\ndriver = \"embedded\"\n"));
    assert_eq!((&log(&place)["driver"], &log(&place)["reason"]), (&"embedded".into(), &"the contract says so".into()));
    let place = place.file("contract.toml", CONTRACT).file(".env", "KAFKA_BROKERS=\n");
    assert_eq!(log(&place)["driver"], "embedded", "set to nothing, it chooses nothing");
    let shown = on_kafka("brokers = \"c:3\"").hook("config show");
    assert!(shown.stdout.contains("kafka at c:3 (the contract says so)"), "{shown:?}");
}

// By default connections are over TLS, which needs a feature of its own.
#[cfg(not(any(feature = "kafka-tls", feature = "kafka-vendored")))]
#[test]
fn a_log_that_needs_what_the_build_lacks_is_looked_at_and_not_started() {
    let declared = on_kafka("brokers = \"b:1\"");
    let chosen = Place::with_contract().variable("KAFKA_BROKERS", "b:1");
    for (place, code) in [(declared, "HOOK0132"), (chosen, "HOOK0205")] {
        let place = place.variable("AGENT_TOKEN", "x").variable("HMAC_SECRET_GITHUB", "x");
        let roles = ["up", "serve", "relay", "smash", "events list"].map(|role| format!("{role} --data-dir data"));
        for command in roles.iter().map(String::as_str).chain(["config validate"]) {
            for flags in ["", "--force --validation-mode debug"] {
                let answer = place.hook(&format!("{command} --json {flags}"));
                answer.has_error(code);
                let feature = if cfg!(feature = "kafka") { "--features kafka-tls" } else { "--features kafka`" };
                assert!(answer.stdout.contains(feature), "{answer:?}");
            }
        }
        assert!(!place.directory.path().join("data").exists(), "nothing was started");
        let shown = show(&place, "");
        assert_eq!(
            (&shown["warnings"][0]["code"], &shown["warnings"][0]["severity"]),
            (&code.into(), &"warning".into())
        );
    }
}

#[cfg(feature = "kafka")]
#[test]
fn without_tls_the_default_build_has_what_it_takes() {
    let open = "brokers = \"b:1\"\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true";
    let answer = on_kafka(open).hook("config validate --json");
    assert_eq!((answer.code, answer.problems()), (0, Vec::new()), "{answer:?}");
}

#[cfg(feature = "kafka")]
#[test]
fn brokers_that_do_not_answer_are_a_problem() {
    let open = "brokers = \"127.0.0.1:1\"\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true";
    let place = on_kafka(open).variable("AGENT_TOKEN", "x").variable("HMAC_SECRET_GITHUB", "x");
    let answer = place.hook("events list --json --data-dir data");
    answer.has_error("HOOK0212");
    assert!(answer.stdout.contains("127.0.0.1:1"), "{answer:?}");
}

#[test]
fn every_variable_is_read_and_a_profile_comes_before_a_file_and_that_before_the_process() {
    let file = "KAFKA_BROKERS=f:1\nKAFKA_SECURITY_PROTOCOL=ssl\nKAFKA_ALLOW_PLAINTEXT=no\nKAFKA_DLQ_TOPIC=dead.f\n\
                KAFKA_NAMESPACE=f.\nRELAY_SOURCE_TOPIC_PREFIX=f\nKAFKA_AUTO_CREATE_TOPICS=no\nKAFKA_TOPIC_PARTITIONS=11\n\
                KAFKA_TOPIC_REPLICATION_FACTOR=2\nKAFKA_TLS_CERT=f.crt\nKAFKA_TLS_KEY=f.key\nKAFKA_TLS_CA=f.ca\n";
    let keys = [
        ("brokers", "KAFKA_BROKERS", ["f:1", "p:1"]),
        ("security_protocol", "KAFKA_SECURITY_PROTOCOL", ["ssl", "SSL"]),
        ("allow_plaintext", "KAFKA_ALLOW_PLAINTEXT", ["no", "off"]),
        ("dlq_topic", "KAFKA_DLQ_TOPIC", ["dead.f", "dead.p"]),
        ("namespace", "KAFKA_NAMESPACE", ["f.", "p."]),
        ("topic_prefix_core", "RELAY_SOURCE_TOPIC_PREFIX", ["f", "p"]),
        ("auto_create_topics", "KAFKA_AUTO_CREATE_TOPICS", ["no", "yes"]),
        ("topic_partitions", "KAFKA_TOPIC_PARTITIONS", ["11", "12"]),
        ("topic_replication_factor", "KAFKA_TOPIC_REPLICATION_FACTOR", ["2", "3"]),
        ("tls.cert_path", "KAFKA_TLS_CERT", ["f.crt", "p.crt"]),
        ("tls.key_path", "KAFKA_TLS_KEY", ["f.key", "p.key"]),
        ("tls.ca_path", "KAFKA_TLS_CA", ["f.ca", "p.ca"]),
    ];
    let mut place = Place::with_contract().file(".env", file);
    for name in ["f.crt", "f.key", "f.ca", "p.crt", "p.key", "p.ca"] {
        place = place.file(name, "a certificate or key");
    }
    // What the process says is hidden by the file.
    for (_, variable, _) in keys {
        place = place.variable(variable, "nothing:that:could:be:used");
    }
    let shown = show(&place, "");
    for (at, (key, variable, _)) in keys.iter().enumerate() {
        let line = file.lines().position(|line| line.starts_with(variable)).unwrap() + 1;
        assert_eq!(said(&shown, key).1, format!("{variable} (.env:{line})"), "{at}");
    }
    assert_eq!(said(&shown, "tls.ca_path").0, "\"f.ca\"");
    assert_eq!((&shown["dead_letters"], &shown["relay"]["output"]), (&"dead.f".into(), &"f.core".into()));

    let of_profile = |(_, variable, [_, value]): &(&str, &str, [&str; 2])| format!("{variable} = \"{value}\"");
    let env: Vec<String> = keys.iter().map(of_profile).collect();
    let place = place.file("contract.toml", &format!("{CONTRACT}env = {{ {} }}\n", env.join(", ")));
    let shown = show(&place, "");
    for (key, variable, _) in keys {
        assert_eq!(said(&shown, key).1, format!("{variable} (profile default)"));
    }
    assert_eq!(said(&shown, "topic_partitions").0, "12");

    let place = Place::with_contract().variable("KAFKA_BROKERS", "a:1").variable("KAFKA_TOPIC_PARTITIONS", "9");
    let shown = show(&place, "");
    let process = "KAFKA_TOPIC_PARTITIONS (process environment)";
    assert_eq!(said(&shown, "topic_partitions"), ("9".into(), process.into()));
    assert_eq!(said(&shown, "fetch_memory"), ("67108864".into(), "default".into()));
}

#[test]
fn the_contract_comes_before_variables_and_those_before_the_file() {
    let core = "[kafka_core]\nbrokers = [\"core:1\"]\ntopic_partitions = 7\ntopic_replication_factor = 7\n";
    let place = on_kafka("topic_partitions = 5")
        .file("config/kafka-core.toml", core)
        .file("other.toml", "[kafka_core]\nbrokers = \"other:1\"\n")
        .variable("KAFKA_TOPIC_PARTITIONS", "6")
        .variable("KAFKA_TOPIC_REPLICATION_FACTOR", "6");
    let shown = show(&place, "");
    let line = CONTRACT.lines().count() + 4;
    assert_eq!(said(&shown, "topic_partitions"), ("5".into(), format!("contract.toml:{line}")));
    let process = "KAFKA_TOPIC_REPLICATION_FACTOR (process environment)";
    assert_eq!(said(&shown, "topic_replication_factor"), ("6".into(), process.into()));
    assert_eq!(said(&shown, "brokers"), ("[\"core:1\"]".into(), "config/kafka-core.toml:2".into()));
    let named = show(&place, "--config other.toml");
    assert_eq!(said(&named, "brokers"), ("[\"other:1\"]".into(), "other.toml:2".into()));
}

#[test]
fn plaintext_needs_both_words_whoever_says_them() {
    let place = on_kafka("brokers = \"b:1\"").variable("KAFKA_SECURITY_PROTOCOL", "plaintext");
    for flags in ["", "--force", "--validation-mode debug"] {
        assert_eq!(found(&place, flags), error("HOOK0137"));
    }
    let place = place.variable("KAFKA_ALLOW_PLAINTEXT", "true");
    assert_eq!(found(&place, ""), []);
    let answer = place.file(".env", "KAFKA_ALLOW_PLAINTEXT=maybe").hook("config validate --json");
    answer.has_error("HOOK0203");
    assert!(answer.stdout.contains("KAFKA_ALLOW_PLAINTEXT is `maybe` (.env:1)"), "{answer:?}");
}

#[test]
fn a_file_of_tls_that_cannot_be_read_is_named_with_who_names_it() {
    let message = |answer: &Answer| {
        let problems = answer.json()["problems"].as_array().unwrap().clone();
        let problem = problems.into_iter().find(|problem| problem["code"] == "HOOK0211").unwrap();
        (problem["message"].as_str().unwrap().to_owned(), problem["file"].clone())
    };
    let place = on_kafka("brokers = \"b:1\"\ntls.ca_path = \"nowhere.pem\"");
    assert_eq!(found(&place, ""), error("HOOK0211"));
    let (text, file) = message(&place.hook("config validate --json"));
    assert!(text.contains("`tls.ca_path` names nowhere.pem") && file == "contract.toml", "{text}");
    assert_eq!(found(&place.file("nowhere.pem", "now it is there"), ""), []);

    let place = on_kafka("brokers = \"b:1\"").variable("KAFKA_TLS_CA", ".");
    let (text, _) = message(&place.hook("config validate --json"));
    assert!(text.contains("KAFKA_TLS_CA (process environment) names ., which cannot be read: it is no file"), "{text}");

    let half = on_kafka("brokers = \"b:1\"").file("our.crt", "x").variable("KAFKA_TLS_CERT", "our.crt");
    let answer = half.hook("config validate --json");
    answer.has_error("HOOK0138");
    assert!(answer.stdout.contains("from KAFKA_TLS_CERT (process environment), is given"), "{answer:?}");
}

#[test]
fn the_file_of_kafka_is_checked_where_the_log_is_kafka() {
    let place = on_kafka("").file("config/kafka-core.toml", "[kafka_core]\nbrokers = \"b:1\"\nfetch_memry = 2000000\n");
    let answer = place.hook("config validate");
    assert!(answer.stderr.contains("config/kafka-core.toml:3:1: unknown key `fetch_memry`"), "{answer:?}");
    assert!(answer.stderr.contains("did you mean `fetch_memory`"), "{answer:?}");
    assert_eq!(found(&place, "--config nowhere.toml"), [error("HOOK0210"), error("HOOK0138")].concat());
    assert_eq!(found(&place, "--config ."), [error("HOOK0210"), error("HOOK0138")].concat());

    let embedded = Place::with_contract().file("config/kafka-core.toml", "nonsense").variable("KAFKA_TLS_CA", "no.pem");
    let embedded = embedded.variable("KAFKA_TOPIC_PARTITIONS", "many");
    assert_eq!(found(&embedded, ""), [], "nobody reads what is not used");
    let unused = vec![("HOOK0206".to_owned(), "warning".to_owned())];
    assert_eq!(found(&embedded, "--config config/kafka-core.toml"), unused);
}

#[test]
fn secrets_of_sasl_are_needed_at_start_and_never_written_down() {
    let place = on_kafka("brokers = \"b:1\"\nsecurity_protocol = \"sasl_ssl\"\nsasl.mechanism = \"SCRAM-SHA-512\"")
        .variable("AGENT_TOKEN", "x")
        .variable("HMAC_SECRET_GITHUB", "x");
    let missing = place.hook("config validate --with-env --json");
    for name in ["KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] {
        assert!(missing.stdout.contains(&format!("{name} is not set; needed by the Kafka log")), "{missing:?}");
    }
    let place = place.variable("KAFKA_SASL_USERNAME", CANARY).variable("KAFKA_SASL_PASSWORD", CANARY);
    assert_eq!(found(&place, "--with-env"), []);
    let written = format!("[kafka_core.sasl]\npassword = \"{CANARY}\"\nusername = \"{CANARY}\"\n");
    let properties = format!("[kafka_core.producer_defaults]\n\"sasl.password\" = \"{CANARY}\"\n");
    let place = place.file("bad.toml", &format!("{written}{properties}"));
    for command in ["config validate", "config show", "config validate --config bad.toml", "debug env", "up"] {
        for flags in ["", "--json"] {
            let answer = place.hook(&format!("{command} {flags}"));
            let printed = format!("{}{}", answer.stdout, answer.stderr);
            assert!(!printed.is_empty() && !printed.contains(CANARY), "`{command} {flags}` printed {printed}");
        }
    }
    let found = found(&place, "--config bad.toml");
    for code in ["HOOK0119", "HOOK0139"] {
        assert!(found.contains(&(code.into(), "error".into())), "{found:?}");
    }
}
