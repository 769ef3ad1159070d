//! From a table of the contract and an entry of the catalog to an inert driver.

use std::ops::Range;

use hook_core::{
    catalog::{BuildError, Built, Entry, Fault},
    names::EnvName,
    problem::codes,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{findings::Findings, format, read, schema_query::property_names, shape, transports, tree::Node};

/// The schema of a table that holds our own keys and a driver's.
pub(crate) fn merged_schema(common: &Value, driver: &Value) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<Value> = Vec::new();
    for schema in [common, driver] {
        properties.extend(schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
        required.extend(schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// A table whose shape was checked.
pub(crate) struct Table<'t, C> {
    pub(crate) node: &'t Node,
    /// Our own keys.
    pub(crate) common: C,
    /// The driver's keys.
    pub(crate) settings: Map<String, Value>,
}

/// Checks the shape of a table and reads our own keys. `None` where it cannot be used, which was found.
pub(crate) fn table<'t, C: DeserializeOwned>(
    node: &'t Node,
    path: &[String],
    (common, driver): (&Value, &Value),
    findings: &mut Findings<'_>,
) -> Option<Table<'t, C>> {
    let flaws = shape::check(node, &merged_schema(common, driver), path);
    let is_sound = !flaws.iter().any(shape::Flaw::is_blocking);
    read::report(flaws, findings);
    let common = if is_sound { read::value(node, findings)? } else { return None };
    let names = property_names(driver);
    let own = node.entries().iter().filter(|entry| names.contains(&entry.key.as_str()));
    let settings = own.map(|entry| (entry.key.clone(), entry.node.to_json())).collect();
    Some(Table { node, common, settings })
}

/// Where the settings of a driver were written.
#[derive(Clone, Copy)]
pub(crate) struct Places<'t> {
    /// The table of the adapter.
    pub(crate) own: &'t Node,
    /// The table of the transport that it names.
    pub(crate) transport: Option<&'t Node>,
}

impl<'t> From<&'t Node> for Places<'t> {
    fn from(own: &'t Node) -> Self {
        Self { own, transport: None }
    }
}

impl Places<'_> {
    fn of(&self, pointer: &str) -> Range<usize> {
        let in_transport = pointer.strip_prefix(transports::POINTER).filter(|rest| rest.starts_with('/'));
        let node = match (in_transport, self.transport) {
            (Some(rest), Some(transport)) => transport.nearest(rest),
            _ => self.own.nearest(pointer),
        };
        node.span.clone()
    }
}

/// Builds a driver; everything that is wrong with its settings is found.
pub(crate) fn driver<'t, D: ?Sized>(
    entry: &Entry<D>,
    settings: Map<String, Value>,
    places: impl Into<Places<'t>>,
    findings: &mut Findings<'_>,
) -> Option<Built<D>> {
    let places = places.into();
    match entry.build(Value::Object(settings)) {
        Ok(built) => Some(built),
        Err(BuildError::Unreadable { pointer, message }) => {
            let span = places.of(&pointer);
            let key = pointer.rsplit('/').next().filter(|key| !key.is_empty()).unwrap_or("the table");
            findings.error(&codes::WRONG_VALUE, span, format!("`{key}`: {}", readable(&message)), remedy(&message));
            None
        }
        Err(BuildError::Faulty(faults)) => {
            for Fault { pointer, is_security_critical, message, help } in faults {
                let code = if is_security_critical { &codes::UNSAFE_SETTINGS } else { &codes::SETTINGS_REFUSED };
                findings.error(code, places.of(&pointer), message, help);
            }
            None
        }
    }
}

/// The standard library's own words for an address, in ours.
fn readable(message: &str) -> &str {
    match message {
        message if message.contains("invalid socket address syntax") => "expected an address and a port",
        message => message,
    }
}

fn remedy(message: &str) -> &'static str {
    match message {
        message if message.contains("invalid socket address syntax") => "write it like `127.0.0.1:8080`",
        _ => "write another value",
    }
}

/// The environment variables that complete settings name, each with the path of its key.
pub(crate) fn environment_names(schema: &Value, settings: &Value) -> Vec<(Vec<String>, EnvName)> {
    let mut names = Vec::new();
    collect_names(schema, settings, &mut Vec::new(), &mut names);
    names
}

fn collect_names(schema: &Value, value: &Value, path: &mut Vec<String>, names: &mut Vec<(Vec<String>, EnvName)>) {
    if schema["format"].as_str() == Some(format::ENV_NAME)
        && let Some(name) = value.as_str().and_then(|text| EnvName::new(text).ok())
    {
        return names.push((path.clone(), name));
    }
    let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    for alternative in alternatives {
        collect_names(alternative, value, path, names);
    }
    let mut descend = |schema: &Value, step: String, value: &Value| {
        path.push(step);
        collect_names(schema, value, path, names);
        path.pop();
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let property = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
                if let Some(property) = property {
                    descend(property, key.clone(), value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter().enumerate().for_each(|(index, value)| descend(schema, index.to_string(), value));
            }
        }
        _ => {}
    }
}
