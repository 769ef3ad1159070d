//! The JSON Schema of a whole contract, with the drivers, verifiers and plugins of a build: for editors and for readers.

use std::collections::HashMap;

use hook_core::catalog::{Catalog, Entry};
use serde_json::{Map, Value, json};

use crate::{
    build::merged_schema,
    read::schema_of,
    written::{Backbone, Contract, EgressCommon, IngressCommon, KafkaSection, PluginHead, SourceCommon},
};

/// The schema of contracts that a build with this catalog takes (JSON Schema 2020-12).
pub fn contract_schema(catalog: &Catalog) -> Value {
    let mut schema = schema_of::<Contract>();
    let plugins = json!({
        "type": "array",
        "description": "Steps that look at every event of the adapter, in this order.",
        "items": choice("driver", &schema_of::<PluginHead>(), &choices(&catalog.plugins), &[]),
    });
    let with_plugins = |mut common: Value| {
        common["properties"]["plugins"] = plugins.clone();
        common
    };
    let planned = |side: &str| -> Vec<&str> {
        catalog.planned.iter().filter(|planned| planned.side == side).map(|planned| planned.name).collect()
    };
    let ingress = with_plugins(schema_of::<IngressCommon>());
    let egress = with_plugins(schema_of::<EgressCommon>());
    let sections = &mut schema["properties"];
    sections["serve"]["properties"]["ingress_adapters"]["items"] =
        choice("driver", &ingress, &choices(&catalog.ingress), &planned("serve"));
    sections["smash"]["properties"]["egress_adapters"]["items"] =
        choice("driver", &egress, &choices(&catalog.egress), &planned("smash"));
    sections["sources"]["additionalProperties"] =
        choice("verifier", &schema_of::<SourceCommon>(), &choices(&catalog.verifiers), &[]);
    sections["backbone"] = backbone();
    tidy(&mut schema);
    let mut schema = share(schema);
    schema["title"] = json!("Contract of hook");
    schema
}

/// The logs, each with its keys.
fn backbone() -> Value {
    let choices = [
        Choice { name: "embedded", about: "In this process, on this disk. It has no keys.", schema: json!({}) },
        Choice { name: "kafka", about: "Apache Kafka.", schema: schema_of::<KafkaSection>() },
    ];
    let mut schema = choice("driver", &schema_of::<Backbone>(), &choices, &[]);
    schema["description"] = json!("Which log keeps the events.");
    schema
}

/// A driver as an alternative of a table.
struct Choice {
    name: &'static str,
    about: &'static str,
    schema: Value,
}

fn choices<D: ?Sized>(entries: &[Entry<D>]) -> Vec<Choice> {
    let choice =
        |entry: &Entry<D>| Choice { name: entry.name(), about: entry.about(), schema: entry.schema().to_value() };
    entries.iter().map(choice).collect()
}

/// A table whose keys depend on the one that names its driver. Of `planned` drivers the keys are not known.
fn choice(key: &str, common: &Value, choices: &[Choice], planned: &[&str]) -> Value {
    let names: Vec<&str> = choices.iter().map(|choice| choice.name).chain(planned.iter().copied()).collect();
    let mut head = common["properties"][key].clone();
    head["enum"] = json!(names);
    let conditions = choices.iter().map(|choice| {
        json!({
            "if": { "properties": { key: { "const": choice.name } }, "required": [key] },
            "then": alternative(key, common, choice),
        })
    });
    let required = &common["required"];
    let mut properties = Map::from_iter([(key.to_owned(), head)]);
    if let Some(id) = common["properties"].get("id") {
        properties.insert("id".to_owned(), id.clone());
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": true,
        "allOf": conditions.collect::<Vec<_>>(),
    })
}

fn alternative(key: &str, common: &Value, choice: &Choice) -> Value {
    let mut schema = merged_schema(common, &choice.schema);
    schema["title"] = json!(choice.name);
    schema["description"] = json!(choice.about);
    schema["properties"][key] = json!({ "const": choice.name, "description": choice.about });
    let has_retry = common["properties"].get("retry").is_some();
    let required = schema["required"].as_array_mut();
    if let Some(required) = required.filter(|required| has_retry && required.contains(&json!("max_retries"))) {
        // `retry.max_retries` is the same setting.
        required.retain(|key| key != "max_retries");
        let in_retry = json!({ "required": ["retry"], "properties": { "retry": { "required": ["max_retries"] } } });
        schema["anyOf"] = json!([{ "required": ["max_retries"] }, in_retry]);
    }
    schema
}

/// What a contract cannot write goes, and tables take no other keys than those that they name.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(values)) = fields.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            for key in ["anyOf", "oneOf"] {
                if let Some(Value::Array(alternatives)) = fields.get_mut(key) {
                    alternatives.retain(|alternative| alternative["type"] != "null");
                }
            }
            if fields.get("default").is_some_and(Value::is_null) {
                fields.shift_remove("default");
            }
            let is_table = fields.get("type").is_some_and(|name| name == "object") && fields.contains_key("properties");
            if is_table && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// What is written in fewer bytes is as readable where it stands.
const SHORTEST_SHARED: usize = 160;

/// What a schema says of a key, in one place or in several.
struct Said {
    key: String,
    schema: Value,
    times: usize,
}

/// Writes once, below `$defs`, what several tables say of a key: most keys of a driver are those that all drivers take.
fn share(mut schema: Value) -> Value {
    let mut said = Vec::new();
    collect(&schema, &mut said);
    said.retain(|said| said.times > 1);
    let mut names: HashMap<String, usize> = HashMap::new();
    for Said { key, .. } in &mut said {
        let number = names.entry(key.clone()).and_modify(|number| *number += 1).or_insert(1);
        if *number > 1 {
            *key = format!("{key}-{number}");
        }
    }
    refer(&mut schema, &said);
    let definition = |each: &Said| {
        let mut schema = each.schema.clone();
        refer(&mut schema, &said);
        (each.key.clone(), schema)
    };
    schema["$defs"] = said.iter().map(definition).collect::<Map<_, _>>().into();
    schema
}

fn collect(schema: &Value, said: &mut Vec<Said>) {
    for (key, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        match said.iter_mut().find(|said| said.schema == *schema) {
            Some(known) => known.times += 1,
            None if schema.to_string().len() < SHORTEST_SHARED => {}
            None => said.push(Said { key: key.clone(), schema: schema.clone(), times: 1 }),
        }
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, said)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, said)),
        _ => {}
    }
}

/// Puts a reference wherever something shared stands.
fn refer(schema: &mut Value, shared: &[Said]) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for schema in properties.into_iter().flat_map(Map::values_mut) {
        if let Some(said) = shared.iter().find(|said| said.schema == *schema) {
            *schema = json!({ "$ref": format!("#/$defs/{}", said.key) });
        }
    }
    match schema {
        Value::Object(fields) => fields.values_mut().for_each(|value| refer(value, shared)),
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, shared)),
        _ => {}
    }
}
