//! JSON Schemas of contracts and of the wire types.

use hook_cli::commands::config::test::TestFile;
use hook_contract::schema::contract_schema;
use hook_core::{
    catalog::Catalog,
    envelope::{DeadLetterHeader, EventHeader},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Every schema, by path.
pub(super) fn files(catalog: &Catalog) -> Vec<(String, String)> {
    vec![
        file("contract", &contract_schema(catalog)),
        file("event-envelope", &event_envelope()),
        file("dlq-envelope", &dlq_envelope()),
        file("contract-test", &contract_test()),
    ]
}

fn file(name: &str, schema: &Value) -> (String, String) {
    (format!("schemas/{name}.schema.json"), format!("{schema:#}\n"))
}

/// What destinations are given: the header of an event, and its payload.
fn event_envelope() -> Value {
    let mut schema = schema_of::<EventHeader>();
    describe(&mut schema, "EventEnvelope", "An event as destinations are given it. New optional fields may come.");
    add(
        &mut schema,
        "payload",
        json!({
            "type": "object",
            "description": "The body as received.",
        }),
    );
    format(&mut schema, "id", "uuid");
    format(&mut schema, "received_at", "date-time");
    schema
}

/// What an operator finds in the dead letters: why, and the event unchanged.
fn dlq_envelope() -> Value {
    let mut schema = schema_of::<DeadLetterHeader>();
    describe(&mut schema, "DlqEnvelope", "An event that one destination did not take. New optional fields may come.");
    remove(&mut schema, "event");
    add(
        &mut schema,
        "envelope",
        json!({
            "$ref": "event-envelope.schema.json",
            "description": "The event, unchanged.",
        }),
    );
    schema["properties"]["first_attempt_at"]["format"] = json!("date-time");
    format(&mut schema, "failed_at", "date-time");
    schema
}

/// What `hook config test` reads.
fn contract_test() -> Value {
    let mut schema = schema_of::<TestFile>();
    schema["title"] = json!("Tests of a contract");
    schema
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Puts what the schema is about where a reader looks first.
fn describe(schema: &mut Value, title: &str, description: &str) {
    let dialect = schema["$schema"].take();
    let mut described = json!({ "$schema": dialect, "title": title, "description": description });
    for (name, value) in schema.as_object().into_iter().flatten() {
        if described.get(name).is_none() {
            described[name] = value.clone();
        }
    }
    *schema = described;
}

fn format(schema: &mut Value, property: &str, format: &str) {
    schema["properties"][property]["format"] = json!(format);
}

fn add(schema: &mut Value, property: &str, value: Value) {
    schema["properties"][property] = value;
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(json!(property));
    }
}

fn remove(schema: &mut Value, property: &str) {
    if let Some(properties) = schema["properties"].as_object_mut() {
        *properties =
            std::mem::take(properties).into_iter().filter(|(name, _)| name != property).collect::<Map<_, _>>();
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| name != property);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hook_core::{
        Timestamp,
        envelope::{DeadLetter, Envelope, Layout, Meta, Replay, Trust},
        event::{EventId, TraceId},
        names::{AdapterId, EventType, SourceName},
        payload::Payload,
    };

    use super::*;

    /// An envelope in which every optional field is set.
    fn envelope() -> Envelope {
        let id = EventId::from_bytes([7; 16]);
        let trace = TraceId::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let replay = json!({ "id": id, "at": "2026-01-02T03:04:05Z" });
        let replay: Replay = serde_json::from_value(replay).unwrap();
        let meta = Meta {
            trace_id: trace,
            ingress_adapter: Some(AdapterId::new("http").unwrap()),
            route_key: Some("github:a/b".into()),
            flags: vec!["flag".into()],
            trust: Some(Trust { user_text: vec![String::new()], ..Trust::default() }),
            delivery_id: Some("1".into()),
            body_sha256: Some("00".into()),
            sent_at: Some(Timestamp::UNIX_EPOCH),
            received_body: Some("a=1".into()),
            replay: Some(replay),
        };
        let header = EventHeader {
            id,
            source: SourceName::new("github").unwrap(),
            event_type: EventType::new("ping").unwrap(),
            received_at: Timestamp::UNIX_EPOCH,
            meta,
        };
        Envelope { header, payload: Payload::parse(Bytes::from_static(b"{}")).unwrap() }
    }

    /// Names of the fields that a value has and its schema does not, and of the required ones that it lacks.
    fn mismatches(value: &Value, schema: &Value) -> Vec<String> {
        let (value, properties) = (value.as_object().unwrap(), schema["properties"].as_object().unwrap());
        let unknown = value.keys().filter(|name| !properties.contains_key(*name)).cloned();
        let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        unknown.chain(required.filter(|name| !value.contains_key(name))).collect()
    }

    #[test]
    fn an_envelope_has_the_fields_of_its_schema() {
        let rendered: Value = serde_json::from_slice(&envelope().to_json(Layout::Verbatim)).unwrap();
        assert_eq!(mismatches(&rendered, &event_envelope()), [""; 0]);
        let meta = event_envelope()["properties"]["meta"].clone();
        let known: Vec<&String> = meta["properties"].as_object().unwrap().keys().collect();
        let found: Vec<&String> = rendered["meta"].as_object().unwrap().keys().collect();
        assert_eq!(found, known);
    }

    #[test]
    fn a_dead_letter_has_the_fields_of_its_schema() {
        let Envelope { header: event, payload } = envelope();
        let header = DeadLetterHeader {
            failed_at: Timestamp::UNIX_EPOCH,
            error: "gone".into(),
            destination: "route/adapter".into(),
            attempts: 1,
            first_attempt_at: Some(Timestamp::UNIX_EPOCH),
            class: None,
            event,
        };
        let letter = DeadLetter { header, payload };
        let rendered: Value = serde_json::from_slice(&letter.to_json(Layout::Verbatim)).unwrap();
        assert_eq!(mismatches(&rendered, &dlq_envelope()), [""; 0]);
    }
}
