//! `kafka_ingress`: the records of topics on a cluster of the adapter's own, each an event.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
};

use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    names::{EventType, SourceName, TopicName},
    ports::{
        egress::CheckError,
        ingress::{AddressClaim, Behind, IngressDriver, ListenError, Listener, Opening, Trouble},
    },
    secret::Secrets,
    selector::Selector,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    connection::{Brokers, Connection, Sasl, SecurityProtocol, Tls, connection_of},
    consumer::{Consumer, Group},
    incoming::Mapping,
    lag,
};

pub use super::incoming::{InputFormat, Word};

/// A record holds a whole value, and so does memory.
const LARGEST_BODY_BYTES: u64 = 32 << 20;
/// More than a log takes in at once.
const MOST_IN_FLIGHT: usize = 10_000;

/// The topics that are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Topics {
    /// One text, with commas between several.
    Text(#[schemars(length(min = 1))] String),
    /// A list.
    List(#[schemars(length(min = 1))] Vec<TopicName>),
}

impl Topics {
    /// The names, or the first text that is none.
    fn to_list(&self) -> Result<Vec<TopicName>, String> {
        let mut topics = match self {
            Self::List(list) => list.clone(),
            Self::Text(text) => {
                let names = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                names.map(|name| TopicName::new(name).map_err(|error| error.to_string())).collect::<Result<_, _>>()?
            }
        };
        topics.sort();
        topics.dedup();
        Ok(topics)
    }
}

/// The settings of `kafka_ingress`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The topics to read, as the cluster calls them: a list, or one text with commas. They are read from their beginning where the
    /// group has no offset in them yet.
    pub topics: Topics,
    /// The group whose offsets say what was taken: `group.id`. Several processes of one group share the partitions.
    #[schemars(length(min = 1))]
    pub group_id: String,
    /// What the values of records are.
    #[serde(default)]
    pub format: InputFormat,
    /// The source of the events: a name that `[sources]` declares, or `header:NAME` or a JSON pointer where each record says it.
    /// The topic's name where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Word>,
    /// The type of the events: `header:NAME`, a JSON pointer into the payload, or the type itself. Where it is left out, what the
    /// format says (`ce_type`, the envelope), then the header `event_type`, then what the source says, then `unknown`. A record
    /// without the type that is looked for here goes to the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<Word>,
    /// Where a record says what tells its copies: `header:NAME` or a JSON pointer into the payload. Where it is left out, and
    /// where a record has none, its place and time: `TOPIC-PARTITION-OFFSET-MILLISECONDS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<Selector>,
    /// What events keep their order by: `header:NAME`, a JSON pointer into the payload, or one key for all. The record's key where it
    /// is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<Word>,
    /// The brokers that are asked first, each `HOST:PORT`: a list, or one text with commas. Where it is left out, those of the
    /// Kafka log, and how they are reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brokers: Option<Brokers>,
    /// How connections are protected. `plaintext` and `sasl_plaintext` need `allow_plaintext` as well.
    #[serde(default)]
    pub security_protocol: SecurityProtocol,
    /// Allows connections without encryption: whoever is on the network can then read and change events.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// The files of TLS.
    #[serde(default)]
    pub tls: Tls,
    /// How we prove who we are, with `sasl_ssl` and `sasl_plaintext`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// The largest value that is taken. A record with a larger one goes to the dead letters, by its place alone.
    #[serde(default = "default_max_body_bytes")]
    pub max_body_bytes: NonZeroU64,
    /// How many records may be on their way into the log at once. Those of one ordering key are one after the other, and so are
    /// those of a partition that have none.
    #[serde(default = "default_max_in_flight")]
    pub max_in_flight: NonZeroUsize,
}

fn default_max_body_bytes() -> NonZeroU64 {
    const { NonZeroU64::new(1 << 20).expect("not zero") }
}

fn default_max_in_flight() -> NonZeroUsize {
    const { NonZeroUsize::new(256).expect("not zero") }
}

/// The driver `kafka_ingress`.
pub struct KafkaIngress {
    group: Group,
    connection: Connection,
    mapping: Mapping,
    sources: Vec<SourceName>,
}

impl Kind for KafkaIngress {
    const NAME: &'static str = "kafka_ingress";
    const ABOUT: &'static str = "Takes the records of topics of Apache Kafka.";
    type Settings = Settings;
    type Driver = dyn IngressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = faults(&settings);
        let topics = settings.topics.to_list().unwrap_or_default();
        let mapping = Mapping {
            format: settings.format,
            source: settings.source,
            event_type: settings.event_type,
            delivery_id: settings.delivery_id,
            ordering_key: settings.ordering_key,
            max_body_bytes: usize::try_from(settings.max_body_bytes.get()).unwrap_or(usize::MAX),
        };
        let unnamed =
            topics.iter().find(|topic| mapping.source.is_none() && mapping.source_of(topic.as_str()).is_none());
        if let Some(topic) = unnamed {
            let message = format!("no source can be called `{topic}`, like the topic");
            faults.push(Fault::at(
                "/topics",
                message,
                "write `source = \"NAME\"`, in lower case, with `-` and `_` only",
            ));
        }
        let connection = connection_of!(settings);
        faults.extend(connection.faults());
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut sources: Vec<_> = topics.iter().filter_map(|topic| mapping.source_of(topic.as_str())).collect();
        sources.dedup();
        let topics = topics.iter().map(TopicName::to_string).collect();
        let group = Group { topics, id: settings.group_id, max_in_flight: settings.max_in_flight.get() };
        Ok(Arc::new(Self { group, connection, mapping, sources }))
    }
}

fn faults(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut wrong = |pointer: &str, message: String, help: &str| faults.push(Fault::at(pointer, message, help));
    match settings.topics.to_list() {
        Ok(topics) if topics.is_empty() => {
            wrong("/topics", "there is no topic".to_owned(), "write `topics = [\"orders\"]`")
        }
        Ok(_) => {}
        Err(error) => wrong("/topics", error, "write `topics = [\"orders\"]`, with names and no patterns"),
    }
    if settings.group_id.trim().is_empty() {
        wrong("/group_id", "the group has no name".to_owned(), "write `group_id = \"hook\"`");
    }
    if let Some(Word::Constant(name)) = &settings.source
        && let Err(error) = SourceName::new(name)
    {
        wrong("/source", error.to_string(), "write a name that `[sources]` declares, `header:NAME`, or a JSON pointer");
    }
    if let Some(Word::Constant(text)) = &settings.event_type
        && let Err(error) = EventType::new(text)
    {
        wrong("/event_type", error.to_string(), "write the type, `header:NAME`, or a JSON pointer");
    }
    let bytes = settings.max_body_bytes.get();
    if bytes > LARGEST_BODY_BYTES {
        wrong("/max_body_bytes", format!("{bytes} is too much"), &format!("write at most {LARGEST_BODY_BYTES}"));
    }
    let records = settings.max_in_flight.get();
    if records > MOST_IN_FLIGHT {
        wrong("/max_in_flight", format!("{records} is too much"), &format!("write at most {MOST_IN_FLIGHT}"));
    }
    faults
}

impl IngressDriver for KafkaIngress {
    fn claims(&self) -> Vec<AddressClaim> {
        Vec::new()
    }

    fn sources(&self) -> Vec<SourceName> {
        self.sources.clone()
    }

    fn check<'a>(&'a self, secrets: &'a Secrets) -> BoxFuture<'a, Result<(), CheckError>> {
        Box::pin(async move {
            let known = self.connection.look_up(secrets).map_err(CheckError::MissingSecret)?;
            let (settings, group) = (self.connection.settings(&known), self.group.clone());
            let knocked = tokio::task::spawn_blocking(move || lag::knock(settings, &group)).await;
            let knocked = knocked.unwrap_or_else(|error| Err(error.to_string()));
            knocked.map_err(|reason| CheckError::Unreachable(format!("{}: {reason}", self.connection.address())))
        })
    }

    fn listen<'a>(&'a self, opening: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>> {
        Box::pin(async move {
            let known = self.connection.look_up(opening.secrets).map_err(ListenError::MissingSecret)?;
            let consumer = Consumer {
                adapter: opening.adapter.clone(),
                group: self.group.clone(),
                connection: self.connection.clone(),
                mapping: self.mapping.clone(),
                secrets: Arc::clone(opening.secrets),
                trouble: Trouble::default(),
                behind: Behind::default(),
            };
            consumer.try_out(&known).map_err(|error| ListenError::Client {
                address: self.connection.address(),
                reason: error.to_string(),
            })?;
            Ok(Box::new(consumer) as Box<dyn Listener>)
        })
    }
}

#[cfg(test)]
mod tests {
    use hook_core::{
        catalog::{BuildError, Entry},
        names::AdapterId,
        ports::ingress::Doors,
    };
    use serde_json::{Value, json};

    use super::*;

    fn settings() -> Value {
        json!({
            "topics": ["orders"],
            "group_id": "hook",
            "brokers": "kafka-1:9092",
            "security_protocol": "plaintext",
            "allow_plaintext": true,
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut settings = settings();
        settings[key] = value;
        settings
    }

    #[track_caller]
    fn faulty(settings: Value, expected: &[&str]) {
        let Err(BuildError::Faulty(faults)) = Entry::of::<KafkaIngress>().build(settings) else { panic!() };
        assert!(faults.iter().all(|fault| !fault.help.is_empty()));
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, expected);
    }

    #[test]
    fn topics_a_group_and_brokers_are_all_that_must_be_said_where_plaintext_is_allowed() {
        let built = Entry::of::<KafkaIngress>().build(settings()).ok().unwrap();
        let mut expected = settings();
        for (key, value) in [
            ("format", json!("auto")),
            ("tls", json!({})),
            ("max_body_bytes", json!(1_048_576)),
            ("max_in_flight", json!(256)),
        ] {
            expected[key] = value;
        }
        assert_eq!(built.settings, expected);
        assert_eq!(built.driver.sources(), [SourceName::new("orders").unwrap()]);
        assert_eq!(built.driver.claims(), []);
    }

    #[test]
    fn a_source_is_named_by_the_adapter_unless_each_record_names_its_own() {
        let sources = |settings| Entry::of::<KafkaIngress>().build(settings).ok().unwrap().driver.sources();
        assert_eq!(sources(with("topics", json!("payments, orders"))).len(), 2);
        assert_eq!(sources(with("source", json!("shop"))), [SourceName::new("shop").unwrap()]);
        assert_eq!(sources(with("source", json!("header:source"))), []);
        faulty(with("topics", json!(["shop.orders"])), &["/topics"]);
    }

    #[test]
    fn every_wrong_setting_is_named() {
        faulty(with("topics", json!("a b")), &["/topics"]);
        faulty(with("topics", json!(",")), &["/topics"]);
        faulty(with("group_id", json!(" ")), &["/group_id"]);
        faulty(with("source", json!("A Shop")), &["/source"]);
        faulty(with("event_type", json!("a\nb")), &["/event_type"]);
        faulty(with("max_body_bytes", json!(1u64 << 40)), &["/max_body_bytes"]);
        faulty(with("max_in_flight", json!(20_000)), &["/max_in_flight"]);
        faulty(with("brokers", json!("kafka")), &["/brokers"]);
        for (key, value) in [("delivery_id", json!("id")), ("source", json!("header: ")), ("max_in_flight", json!(0))] {
            let Err(BuildError::Unreadable { pointer, .. }) = Entry::of::<KafkaIngress>().build(with(key, value))
            else {
                panic!("{key}")
            };
            assert_eq!(pointer, format!("/{key}"));
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_not_set_is_met_at_the_start() {
        let mut settings = with("security_protocol", json!("sasl_plaintext"));
        settings["sasl"] = json!({ "mechanism": "PLAIN", "username_env": "USER_OF", "password_env": "PASSWORD_OF" });
        let driver = Entry::of::<KafkaIngress>().build(settings).ok().unwrap().driver;
        let secrets: Secrets = Arc::new(std::collections::BTreeMap::new());
        let (adapter, doors) = (AdapterId::new("orders-in").unwrap(), Doors::default());
        let opening = Opening { adapter: &adapter, secrets: &secrets, beside: None, tls: None, doors: &doors };
        let error = driver.listen(opening).await.err().unwrap();
        assert_eq!(error.to_string(), "USER_OF is not set");
    }
}
