//! From what a contract, the environment and `kafka-core.toml` say about Kafka to the settings of its log.
//!
//! | module | says |
//! |---|---|
//! | [`layers`] | who says what, and where |
//! | [`security`] | how connections are protected |
//! | [`adapters`] | what of it adapters share that speak to the same cluster |
//! | [`loops`] | which topics adapters must leave to the log |
//! | [`properties`] | which properties of librdkafka may be set |

mod adapters;
mod layers;
mod loops;
mod properties;
mod security;

use std::collections::BTreeMap;

use hook_core::{names::TopicName, problem::codes};
use serde_json::{Value, json};

use crate::{
    Check, KafkaOptions, Origin, plan,
    read::{Written, schema_of},
    tree::Node,
    written::{Backbone, BackboneName, KafkaSection},
};

pub(crate) use adapters::{fill_in, find_for_adapters};
pub(crate) use loops::{Roles, find_loops};

use layers::{Found, Layer, Layers, place_of};
use properties::{Side, Verdict};

/// How the topics begin that the contract does not name.
const PREFIX: &str = "webhooks";
const PARTITIONS: u32 = 3;
const REPLICATION_FACTOR: u16 = 1;
const FETCH_MEMORY: u64 = 64 * 1024 * 1024;

/// Which log: the contract says, else `brokers` in the environment, else it is the embedded one.
pub(crate) fn is_chosen(check: &Check<'_, '_>, written: &Written<'_>) -> bool {
    match &written.backbone {
        Some(backbone) => backbone.driver == BackboneName::Kafka,
        // A section that cannot be read says something, if not what.
        None => {
            let KafkaOptions { environment, brokers, .. } = &check.options.kafka;
            (environment.brokers.is_some() || brokers.is_some()) && written.root.get("backbone").is_none()
        }
    }
}

/// The settings of the log, and the topics that depend on them. `None` where something is wrong, which was found.
pub(crate) fn plan(check: &mut Check<'_, '_>, written: &Written<'_>) -> Option<plan::Kafka> {
    let options = check.options;
    let contract = written.root.get("backbone").map(|node| of_contract(check, node));
    let file = options.kafka.file.as_ref().map(|file| layers::of_file(file, &mut check.findings));
    let is_readable = !matches!(contract, Some(None)) && !matches!(file, Some(None));
    let layers = Layers { contract: contract.flatten(), environment: &options.kafka, file: file.flatten() };
    let mut resolve = Resolve { check, layers };
    // What cannot be read may be what is missing: only what can be is looked at then.
    let kafka = resolve.kafka(is_readable);
    kafka.filter(|_| is_readable)
}

fn of_contract(check: &mut Check<'_, '_>, node: &Node) -> Option<Layer> {
    Layer::of(node, "backbone", &backbone_schema(), &mut check.findings)
}

/// The schema of `[backbone]` with `driver = "kafka"`.
fn backbone_schema() -> Value {
    crate::build::merged_schema(&schema_of::<Backbone>(), &schema_of::<KafkaSection>())
}

/// Puts together what the layers say, and shows it.
struct Resolve<'r, 'c, 't, 'o> {
    check: &'r mut Check<'c, 't>,
    layers: Layers<'o>,
}

impl Resolve<'_, '_, '_, '_> {
    fn kafka(&mut self, is_readable: bool) -> Option<plan::Kafka> {
        let brokers = self.brokers();
        if brokers.is_none() && is_readable {
            let message = "nothing says where the brokers are";
            let help = "write `brokers = [\"HOST:PORT\"]` under [backbone], or set KAFKA_BROKERS; `hook relay` also takes \
                        --brokers";
            let place = self.driver_place();
            self.check.findings.error_at(&codes::KAFKA_SETTINGS, place, message, help);
        }
        let security = security::plan(self);
        let namespace = self.find("namespace", |written| written.namespace.clone()).map(|found| found.value);
        self.topics();
        let topics = plan::KafkaTopics {
            auto_create: self.or("auto_create_topics", |written| written.auto_create_topics, true).value,
            partitions: self.or("topic_partitions", |written| written.topic_partitions, PARTITIONS).value,
            replication_factor: {
                let factor = |written: &KafkaSection| written.topic_replication_factor;
                self.or("topic_replication_factor", factor, REPLICATION_FACTOR).value
            },
        };
        let fetch_memory = self.or("fetch_memory", |written| written.fetch_memory, FETCH_MEMORY).value;
        let producer_defaults =
            self.properties("producer_defaults", Side::Producer, |written| &written.producer_defaults.0);
        let consumer_defaults =
            self.properties("consumer_defaults", Side::Consumer, |written| &written.consumer_defaults.0);
        let brokers = brokers?;
        Some(plan::Kafka {
            brokers,
            namespace,
            security: security?,
            topics,
            fetch_memory,
            producer_defaults,
            consumer_defaults,
        })
    }

    fn brokers(&mut self) -> Option<Vec<String>> {
        if let Some(brokers) = &self.check.options.kafka.brokers {
            let brokers = brokers.to_list();
            self.show("brokers", json!(brokers), Origin::Option("brokers"));
            return Some(brokers);
        }
        let found = self.find("brokers", |written| written.brokers.as_ref().map(|brokers| brokers.to_list()));
        found.map(|found| found.value)
    }

    /// The topics that the contract does not name.
    fn topics(&mut self) {
        let prefix = TopicName::new(PREFIX).expect("the literal is a topic name");
        let prefix = self.or("topic_prefix_core", |written| written.topic_prefix_core.clone(), prefix).value;
        let topic = |name: &str| TopicName::new(format!("{prefix}.{name}")).expect("a prefix leaves room for a name");
        self.check.core_topic = topic("core");
        self.check.journal = topic("journal");
        self.check.dead_letters = self.or("dlq_topic", |written| written.dlq_topic.clone(), topic("dlq")).value;
    }

    fn properties(
        &mut self,
        table: &str,
        side: Side,
        of: impl Fn(&KafkaSection) -> &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut allowed = BTreeMap::new();
        for (name, Found { value, origin }) in self.layers.properties(table, of) {
            let findings = &mut self.check.findings;
            match properties::judge(side, &name) {
                Verdict::Allowed => {
                    self.show(&format!("{table}.{name}"), json!(value), origin);
                    allowed.insert(name, value);
                }
                Verdict::Refused(reason, help) => {
                    let message = format!("`{name}` cannot be set in `{table}`: {reason}");
                    findings.error_at(&codes::KAFKA_PROPERTY, place_of(&origin), message, help);
                }
                Verdict::Forgotten(instead) => {
                    let message = format!("`{name}` has no effect: {instead}");
                    findings.warning_at(&codes::NO_EFFECT, place_of(&origin), message, "leave it out");
                }
            }
        }
        allowed
    }

    /// A value that somebody gives, shown.
    fn find<T: serde::Serialize>(&mut self, path: &str, of: impl Fn(&KafkaSection) -> Option<T>) -> Option<Found<T>> {
        let found = self.layers.find(path, of)?;
        self.show(path, json!(found.value), found.origin.clone());
        Some(found)
    }

    /// A value that somebody gives, or else its default, shown.
    fn or<T: serde::Serialize>(&mut self, path: &str, of: impl Fn(&KafkaSection) -> Option<T>, default: T) -> Found<T> {
        let found = self.layers.find(path, of).unwrap_or(Found { value: default, origin: Origin::Default });
        self.show(path, json!(found.value), found.origin.clone());
        found
    }

    fn show(&mut self, path: &str, value: Value, origin: Origin) {
        self.check.resolved.add_leaf(&format!("backbone.{path}"), value, origin, &self.check.findings);
    }

    /// Where the contract chooses Kafka.
    fn driver_place(&self) -> Option<hook_core::problem::Place> {
        self.check.resolved.place_of("backbone.driver")
    }
}

/// What a value is called beside its problem: its key, and the variable that gave it.
fn called(path: &str, origin: &Origin) -> String {
    match origin {
        Origin::Environment(who) => format!("`{path}`, from {who},"),
        _ => format!("`{path}`"),
    }
}
