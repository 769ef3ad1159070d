//! What a JSON Schema says, in the terms of a contract: no null, and texts as the only fixed values.

use serde_json::Value;

/// The texts that an enumeration allows; `None` where the schema is none.
pub(crate) fn options(schema: &Value) -> Option<Vec<&str>> {
    if let Some(listed) = schema.get("enum").and_then(Value::as_array) {
        return Some(listed.iter().filter_map(Value::as_str).collect());
    }
    if let Some(only) = schema.get("const") {
        return Some(only.as_str().into_iter().collect());
    }
    let alternatives = alternatives(schema);
    let nested: Option<Vec<Vec<&str>>> = alternatives.iter().map(|schema| options(schema)).collect();
    nested.map(|nested| nested.concat()).filter(|options| !options.is_empty())
}

/// The alternatives of a schema, without `null`, which a contract cannot write.
pub(crate) fn alternatives(schema: &Value) -> Vec<&Value> {
    ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten()
        .filter(|schema| schema.get("type") != Some(&Value::String("null".into())))
        .collect()
}

/// The key with a fixed value by which an alternative is told from the others.
pub(crate) fn discriminator(schema: &Value) -> Option<&str> {
    let properties = schema.get("properties")?.as_object()?;
    properties.iter().find(|(_, property)| property.get("const").is_some()).map(|(key, _)| key.as_str())
}

/// The types that a value may have.
pub(crate) fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    }
}

/// A bound, such as `minimum`.
pub(crate) fn limit(schema: &Value, key: &str) -> Option<f64> {
    schema.get(key).and_then(Value::as_f64)
}

/// Every key that a table of this schema may have, in the order of the schema.
pub(crate) fn property_names(schema: &Value) -> Vec<&str> {
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|properties| properties.keys());
    own.map(String::as_str).collect()
}
