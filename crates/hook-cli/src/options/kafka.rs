//! What is said about Kafka beside the contract: by variables, and by `config/kafka-core.toml`.

use std::{collections::BTreeMap, fmt::Display, fs::File, ops::RangeInclusive, path::Path, str::FromStr};

use hook_contract::{
    ConfigFile, KafkaOptions, Origin, ResolvedValue,
    written::{Brokers, KafkaSection, SecurityProtocol},
};
use hook_core::{
    names::TopicName,
    problem::{Problem, codes},
    sasl::Mechanism,
};

use super::{Reader, wrong};
use crate::{
    discovery,
    environment::{Environment, variables},
    globals::Globals,
};

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "config/kafka-core.toml";

/// The key that each variable gives a value to.
const KEYS: &[(&str, &str)] = &[
    ("brokers", variables::BROKERS),
    ("security_protocol", variables::SECURITY_PROTOCOL),
    ("allow_plaintext", variables::ALLOW_PLAINTEXT),
    ("namespace", variables::NAMESPACE),
    ("topic_prefix_core", variables::SOURCE_TOPIC_PREFIX),
    ("dlq_topic", variables::DLQ_TOPIC),
    ("auto_create_topics", variables::AUTO_CREATE_TOPICS),
    ("topic_partitions", variables::TOPIC_PARTITIONS),
    ("topic_replication_factor", variables::TOPIC_REPLICATION_FACTOR),
    ("tls.cert_path", variables::TLS_CERT),
    ("tls.key_path", variables::TLS_KEY),
    ("tls.ca_path", variables::TLS_CA),
    ("sasl.mechanism", variables::SASL_MECHANISM),
];

/// The keys whose values are files.
const FILES: [&str; 4] =
    ["backbone.tls.cert_path", "backbone.tls.key_path", "backbone.tls.ca_path", "backbone.sasl.token_file"];

/// Reads the variables. What is wrong with one is a problem where the log is Kafka, and nobody's business where it is not.
pub fn read(environment: &Environment, dlq_topic: Option<TopicName>, problems: &mut Vec<Problem>) -> KafkaOptions {
    let mut reader = Reader { environment, problems };
    let mut section = KafkaSection {
        brokers: reader.brokers(),
        security_protocol: reader.one_of(variables::SECURITY_PROTOCOL, &SecurityProtocol::NAMES),
        allow_plaintext: reader.yes_or_no(variables::ALLOW_PLAINTEXT),
        namespace: reader.name(variables::NAMESPACE, KafkaSection::LONGEST_NAMESPACE, "team-a."),
        topic_prefix_core: reader.name(variables::SOURCE_TOPIC_PREFIX, KafkaSection::LONGEST_PREFIX, "webhooks"),
        dlq_topic,
        auto_create_topics: reader.yes_or_no(variables::AUTO_CREATE_TOPICS),
        topic_partitions: reader.within(variables::TOPIC_PARTITIONS, 1..=10_000),
        topic_replication_factor: reader.within(variables::TOPIC_REPLICATION_FACTOR, 1..=100),
        ..KafkaSection::default()
    };
    section.tls.cert_path = reader.path(variables::TLS_CERT);
    section.tls.key_path = reader.path(variables::TLS_KEY);
    section.tls.ca_path = reader.path(variables::TLS_CA);
    section.sasl.mechanism = reader.one_of(variables::SASL_MECHANISM, &Mechanism::NAMES);
    KafkaOptions { environment: section, origins: origins(environment), ..KafkaOptions::default() }
}

/// Who says what: `KAFKA_TLS_CA (.env:2)` for `tls.ca_path`.
fn origins(environment: &Environment) -> BTreeMap<&'static str, String> {
    let origin = |(key, variable): &(&'static str, &'static str)| {
        let found = environment.find(variable)?;
        Some((*key, format!("{variable} ({})", found.origin)))
    };
    KEYS.iter().filter_map(origin).collect()
}

impl Reader<'_> {
    fn read_as<T>(&mut self, name: &str, help: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (text, origin) = self.text(name, help)?;
        let value = parse(&text);
        if value.is_none() {
            // What stands before an `@` may be a secret.
            let shown = if text.contains('@') { "not as expected".to_owned() } else { format!("`{text}`") };
            self.problems.push(wrong(name, &shown, &origin, help));
        }
        value
    }

    fn brokers(&mut self) -> Option<Brokers> {
        self.read_as(variables::BROKERS, "expected brokers such as `kafka-1.example.com:9093`", |text| {
            text.parse().ok()
        })
    }

    /// One of several words, in upper or lower case.
    fn one_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let list: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        self.read_as(name, &format!("it can be: {}", list.join(", ")), |text| {
            words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
        })
    }

    /// As older releases of the field read it, but that what is neither is refused.
    fn yes_or_no(&mut self, name: &str) -> Option<bool> {
        let words = ["true", "1", "yes", "on"].map(|word| (word, true)).into_iter();
        let words = words.chain(["false", "0", "no", "off"].map(|word| (word, false)));
        self.one_of(name, &words.collect::<Vec<_>>())
    }

    fn within<T: FromStr + PartialOrd + Display>(&mut self, name: &str, range: RangeInclusive<T>) -> Option<T> {
        let help = format!("expected a whole number from {} to {}", range.start(), range.end());
        self.read_as(name, &help, |text| text.parse().ok().filter(|number| range.contains(number)))
    }

    /// The beginning of names of topics.
    fn name(&mut self, name: &str, longest: usize, example: &str) -> Option<TopicName> {
        let help = format!("expected at most {longest} letters, digits, `.`, `_` and `-`, such as `{example}`");
        self.read_as(name, &help, |text| TopicName::new(text).ok().filter(|name| name.as_str().len() <= longest))
    }

    fn path(&mut self, name: &str) -> Option<String> {
        self.text(name, "expected the path of a file").map(|(path, _)| path)
    }
}

/// Reads `--config`, or the file that is there. What is wrong with it is a problem where the log is Kafka.
pub fn file(globals: &Globals, problems: &mut Vec<Problem>) -> Option<ConfigFile> {
    let path = match &globals.config {
        Some(path) => path.as_path(),
        None => Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists())?,
    };
    let name = path.display().to_string();
    let bytes = discovery::read_bounded(path).map_err(|error| error.to_string());
    match bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())) {
        Ok(text) => Some(ConfigFile { name, text }),
        Err(error) => {
            problems.push(Problem::error(
                &codes::CONFIG_UNREADABLE,
                format!("could not read {name}, which says how Kafka is reached: {error}"),
                "name a readable text file of at most 1 MiB with --config",
            ));
            None
        }
    }
}

/// A problem for every file that the settings name and that cannot be read.
pub fn unreadable_files(resolved: &[ResolvedValue]) -> Vec<Problem> {
    let files = resolved.iter().filter(|value| FILES.contains(&value.key.as_str()));
    files.filter_map(|value| unreadable(value.value.as_str()?, value)).collect()
}

fn unreadable(path: &str, value: &ResolvedValue) -> Option<Problem> {
    let error = match File::open(path).and_then(|file| file.metadata()) {
        Ok(file) if file.is_file() => return None,
        Ok(_) => "it is no file".to_owned(),
        Err(error) => error.to_string(),
    };
    let key = format!("`{}`", value.key.trim_start_matches("backbone."));
    let (who, place) = match &value.origin {
        Origin::Contract(place) | Origin::File(place) => (key, Some(place)),
        Origin::Environment(who) => (who.clone(), None),
        Origin::Default | Origin::Option(_) => (key, None),
    };
    let problem = Problem::error(
        &codes::KAFKA_FILE,
        format!("{who} names {path}, which cannot be read: {error}"),
        "name a file that this user may read; a relative path begins at the working directory",
    );
    Some(match place {
        Some(place) => problem.at(place.clone()),
        None => problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an env file with these lines says.
    fn said(lines: &str) -> (KafkaOptions, Vec<Problem>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.env");
        // Whatever the environment of the test says is hidden.
        let nothing: String = KEYS.iter().map(|(_, variable)| format!("{variable}=\n")).collect();
        let second = directory.path().join("b.env");
        std::fs::write(&path, nothing).unwrap();
        std::fs::write(&second, lines).unwrap();
        let (environment, _) = Environment::read(&[path, second]);
        let mut problems = Vec::new();
        let options = read(&environment, None, &mut problems);
        (options, problems)
    }

    #[test]
    fn words_are_read_in_any_case_and_yes_has_several() {
        let protocol = |text: &str| said(&format!("KAFKA_SECURITY_PROTOCOL={text}")).0.environment.security_protocol;
        assert_eq!(protocol("SASL_SSL"), Some(SecurityProtocol::SaslSsl));
        assert_eq!(protocol("plaintext"), Some(SecurityProtocol::Plaintext));
        let allows = |text: &str| said(&format!("KAFKA_ALLOW_PLAINTEXT={text}")).0.environment.allow_plaintext;
        assert_eq!(["true", "1", "Yes", "ON"].map(allows), [Some(true); 4]);
        assert_eq!(["false", "0", "no", "off"].map(allows), [Some(false); 4]);
        assert_eq!(allows(""), None);
        let mechanism = said("KAFKA_SASL_MECHANISM=scram-sha-512").0.environment.sasl.mechanism;
        assert_eq!(mechanism, Some(Mechanism::ScramSha512));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_a_problem_and_no_value() {
        let lines = [
            "KAFKA_BROKERS=kafka:none",
            "KAFKA_BROKERS=,",
            "KAFKA_SECURITY_PROTOCOL=tls",
            "KAFKA_ALLOW_PLAINTEXT=perhaps",
            "KAFKA_AUTO_CREATE_TOPICS=2",
            "KAFKA_TOPIC_PARTITIONS=0",
            "KAFKA_TOPIC_PARTITIONS=many",
            "KAFKA_TOPIC_REPLICATION_FACTOR=101",
            "KAFKA_SASL_MECHANISM=GSSAPI",
            "KAFKA_NAMESPACE=team a",
            "RELAY_SOURCE_TOPIC_PREFIX=web hooks",
        ];
        for line in lines {
            let (options, problems) = said(line);
            assert_eq!(options.environment, KafkaSection::default(), "{line}");
            let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
            let (variable, value) = line.split_once('=').unwrap();
            assert!(messages.len() == 1 && messages[0].contains(&format!("{variable} is `{value}`")), "{messages:?}");
        }
        let long = format!("RELAY_SOURCE_TOPIC_PREFIX={}", "w".repeat(201));
        assert_eq!(said(&long).1.len(), 1);
        let (_, problems) = said("KAFKA_BROKERS=user:canary@kafka:9092");
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }

    #[test]
    fn every_variable_gives_its_key_a_value_and_says_so() {
        let values = [
            ("KAFKA_BROKERS", "a:1"),
            ("KAFKA_SECURITY_PROTOCOL", "ssl"),
            ("KAFKA_ALLOW_PLAINTEXT", "no"),
            ("KAFKA_NAMESPACE", "team-a."),
            ("RELAY_SOURCE_TOPIC_PREFIX", "team"),
            ("KAFKA_DLQ_TOPIC", "dead"),
            ("KAFKA_AUTO_CREATE_TOPICS", "off"),
            ("KAFKA_TOPIC_PARTITIONS", "12"),
            ("KAFKA_TOPIC_REPLICATION_FACTOR", "3"),
            ("KAFKA_TLS_CERT", "c.pem"),
            ("KAFKA_TLS_KEY", "k.pem"),
            ("KAFKA_TLS_CA", "ca.pem"),
            ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ];
        assert_eq!(values.len(), KEYS.len());
        let lines: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (options, problems) = said(&lines.join("\n"));
        assert_eq!(problems, []);
        assert_eq!(options.origins.len(), KEYS.len());
        assert!(options.origins["tls.ca_path"].starts_with("KAFKA_TLS_CA ("), "{:?}", options.origins);
        let said = serde_json::to_value(&options.environment).unwrap();
        // The topic of dead letters is read for either log, and handed in.
        for (key, _) in KEYS.iter().filter(|(key, _)| *key != "dlq_topic") {
            assert!(!said.pointer(&format!("/{}", key.replace('.', "/"))).unwrap().is_null(), "{key}: {said}");
        }
    }
}
