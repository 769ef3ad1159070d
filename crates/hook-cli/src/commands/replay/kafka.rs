//! `hook replay kafka`: events of a file into a topic.

use std::path::PathBuf;

use bytes::Bytes;
use hook_core::{
    envelope::{Envelope, Written},
    event::EventId,
    names::TopicName,
    outcome::Outcome,
    ports::egress::{Delivery, EgressDriver},
    secret::Secrets,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    commands::posting::read_file,
    context::Context,
    exit::Exit,
    load::{self, Loaded},
    owner::{block_on, fail},
};

/// Produce the events of a file to a topic of Kafka
///
/// The file holds envelopes, one or several, as `file_output` and `kafka_output` write them. Each becomes one record with its own
/// id; events of one ordering key keep their order. Kafka is reached as the log is, or else as the environment says.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The topic, as the cluster calls it
    #[arg(long, value_name = "TOPIC")]
    topic: TopicName,

    /// The file of the envelopes; `-` reads stdin
    #[arg(long, value_name = "PATH")]
    file: PathBuf,
}

/// Sends everything that is in the file, and stops at the first event that is not taken.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let Loaded { plan, environment, .. } = load::load(context, &[])?;
    let file = arguments.file.display();
    let text = read_file(&arguments.file).map_err(|error| fail(context, &format!("{file}: {error}")))?;
    let events = read(&text.into()).map_err(|error| fail(context, &format!("{file}: {error}")))?;
    let mut settings = plan.kafka_of_adapters;
    settings.insert("topic".to_owned(), json!(arguments.topic));
    settings.insert("key_mode".to_owned(), json!("ordering_key"));
    let driver = driver(settings.into()).map_err(|error| fail(context, &error))?;
    let secrets: Secrets = environment;
    block_on(context, send(context, arguments, (&*driver, &secrets), &events))
}

/// The driver that writes to topics writes these, too.
fn driver(settings: serde_json::Value) -> Result<std::sync::Arc<dyn EgressDriver>, String> {
    use hook_core::catalog::BuildError;
    let mut entries = hook_kafka::adapters::egress().into_iter();
    let entry = entries.find(|entry| entry.name() == "kafka_output").ok_or("this build cannot write to Kafka")?;
    let built = entry.build(settings).map_err(|error| match error {
        BuildError::Unreadable { pointer, message } => format!("{pointer}: {message}"),
        BuildError::Faulty(faults) => {
            let said = faults.iter().map(|fault| format!("{}; {}", fault.message, fault.help));
            said.collect::<Vec<_>>().join("; ")
        }
    })?;
    Ok(built.driver)
}

#[derive(Serialize)]
struct Produced {
    event_id: EventId,
    topic: TopicName,
    answer: String,
}

async fn send(
    context: &Context,
    arguments: &Arguments,
    (driver, secrets): (&dyn EgressDriver, &Secrets),
    events: &[Envelope],
) -> Result<(), Exit> {
    for (index, envelope) in events.iter().enumerate() {
        let event_id = envelope.header.id;
        match driver.deliver(Delivery { envelope, attempt: 1, secrets, place: None }).await {
            Outcome::Delivered { answer } => {
                let produced = Produced { event_id, topic: arguments.topic.clone(), answer };
                if context.output.is_json() {
                    context.output.json(&produced)?;
                } else {
                    context.output.line(&format!("event {event_id} is in {}, {}", produced.topic, produced.answer))?;
                }
            }
            Outcome::Failed(failure) => {
                let left = events.len() - index;
                let message =
                    format!("event {event_id} is not in {}: {} ({left} not produced)", arguments.topic, failure.error);
                return Err(fail(context, &message));
            }
        }
    }
    Ok(())
}

/// The envelopes of a text, one after the other.
fn read(text: &Bytes) -> Result<Vec<Envelope>, String> {
    let mut events = Vec::new();
    for written in Written::read_all(text) {
        let number = events.len() + 1;
        let written = written.map_err(|error| {
            format!(
                "event {number} is no envelope: {error}; write `id`, `source`, `event_type`, `received_at`, `payload`"
            )
        })?;
        events.push(written.check().map_err(|error| format!("event {number}: {error}"))?);
    }
    if events.is_empty() {
        return Err("there is no event in it".to_owned());
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use hook_core::envelope::Layout;

    use super::*;

    const EVENT: &str = r#"{"id":"07070707-0707-0707-0707-070707070707","source":"github","event_type":"ping","received_at":"1970-01-01T00:00:00Z","payload":{ "n": 1.0 },"meta":{"route_key":"github:a"}}"#;

    #[test]
    fn envelopes_come_back_as_they_were_written() {
        let events = read(&format!("{EVENT}\n{EVENT}\n").into()).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].to_json(Layout::Verbatim), EVENT.as_bytes());
    }

    #[test]
    fn what_is_no_envelope_is_named_and_not_shown() {
        let said = |text: &str| read(&text.to_owned().into()).unwrap_err();
        assert_eq!(said("\n"), "there is no event in it");
        let second = said(&format!("{EVENT} {{\"canary\": 1}}"));
        assert!(second.starts_with("event 2 is no envelope") && !second.contains("canary"), "{second}");
        let list = said(&EVENT.replace("{ \"n\": 1.0 }", "[1]"));
        assert!(list.contains("not an object"), "{list}");
    }

    #[test]
    fn a_cluster_that_nobody_names_is_a_fault_with_its_remedy() {
        let error = driver(json!({ "topic": "orders", "key_mode": "none" })).err().unwrap();
        assert!(error.contains("set KAFKA_BROKERS"), "{error}");
    }
}
