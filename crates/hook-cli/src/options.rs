//! What the check of a contract is given beside its text: read from flags first, then from the environment.

pub mod kafka;
pub mod relay;

use std::{collections::BTreeSet, str::FromStr};

use hook_contract::{KafkaOptions, Options, RelayOptions, plan::ValidationMode};
use hook_core::{
    catalog::Catalog,
    names::{SourceName, TopicName},
    problem::{Problem, codes},
};

use crate::{
    environment::{Environment, Origin, variables},
    globals::Globals,
};

/// Reads the options; a value that cannot be used is a problem that says where it came from.
pub fn read(globals: &Globals, environment: &Environment, catalog: &Catalog, problems: &mut Vec<Problem>) -> Options {
    let mut reader = Reader { environment, problems };
    let profile =
        globals.profile.clone().or_else(|| reader.parsed(variables::PROFILE, "expected the name of a profile"));
    let mode = globals.validation_mode.or_else(|| reader.mode());
    Options {
        profile,
        mode,
        force: globals.force,
        dead_letters: reader.parsed::<TopicName>(
            variables::DLQ_TOPIC,
            "expected a topic of letters, digits, `.`, `_` and `-`, such as `webhooks.dlq`",
        ),
        enabled_sources: reader.sources(catalog),
        max_body_bytes: reader.max_body_bytes(),
        // Read apart: what is wrong there matters only where the log is Kafka.
        kafka: KafkaOptions::default(),
        // Only `hook relay` has flags for it.
        relay: RelayOptions::default(),
    }
}

struct Reader<'a> {
    environment: &'a Environment,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn text(&mut self, name: &str, help: &str) -> Option<(String, Origin)> {
        let found = self.environment.find(name)?;
        match found.value.expose_str() {
            Some(text) => Some((text.trim().to_owned(), found.origin)),
            None => {
                self.problems.push(wrong(name, "not UTF-8", &found.origin, help));
                None
            }
        }
    }

    fn parsed<T: FromStr>(&mut self, name: &str, help: &str) -> Option<T> {
        let (text, origin) = self.text(name, help)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.problems.push(wrong(name, &format!("`{text}`"), &origin, help));
        }
        value
    }

    fn mode(&mut self) -> Option<ValidationMode> {
        const HELP: &str = "expected `strict` or `debug`";
        let (text, origin) = self.text(variables::VALIDATION_MODE, HELP)?;
        match text.as_str() {
            "strict" => Some(ValidationMode::Strict),
            "debug" => Some(ValidationMode::Debug),
            _ => {
                self.problems.push(wrong(variables::VALIDATION_MODE, &format!("`{text}`"), &origin, HELP));
                None
            }
        }
    }

    fn max_body_bytes(&mut self) -> Option<u64> {
        let limit: std::num::NonZeroU64 =
            self.parsed(variables::MAX_PAYLOAD_BYTES, "expected a number of bytes above 0, such as `1048576`")?;
        Some(limit.get())
    }

    fn sources(&mut self, catalog: &Catalog) -> Option<BTreeSet<SourceName>> {
        let known: Vec<&str> = catalog.sources.iter().map(|source| source.name).collect();
        let help = format!("the built-in sources, separated by commas, are: {}", known.join(", "));
        let (text, origin) = self.text(variables::ENABLED_SOURCES, &help)?;
        let mut sources = BTreeSet::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match SourceName::new(part) {
                Ok(source) => {
                    if !known.contains(&part) {
                        self.problems.push(not_built_in(part, &origin, &help));
                    }
                    sources.insert(source);
                }
                Err(_) => self.problems.push(wrong(variables::ENABLED_SOURCES, &format!("`{text}`"), &origin, &help)),
            }
        }
        Some(sources)
    }
}

/// The variables that choose the contract or its profile: a profile comes too late to set them.
const TOO_LATE: [&str; 3] = [variables::PROFILE, variables::CONTRACT_PATH, variables::BIND];

/// Warns of values of a profile that cannot have an effect.
pub fn without_effect<'a>(profile: &str, names: impl Iterator<Item = &'a str>) -> Vec<Problem> {
    names
        .filter(|name| TOO_LATE.contains(name))
        .map(|name| {
            Problem::warning(
                &codes::ENVIRONMENT_VALUE,
                format!("profile {profile} sets {name}, which is read before a profile is chosen"),
                "set it in an env file or in the process environment",
            )
        })
        .collect()
}

fn wrong(name: &str, shown: &str, origin: &Origin, help: &str) -> Problem {
    Problem::error(&codes::ENVIRONMENT_VALUE, format!("{name} is {shown} ({origin})"), help)
}

fn not_built_in(name: &str, origin: &Origin, help: &str) -> Problem {
    Problem::warning(
        &codes::ENVIRONMENT_VALUE,
        format!("{} names `{name}`, which is no built-in source ({origin})", variables::ENABLED_SOURCES),
        help,
    )
}
