//! How a place, a shape and a remedy are said to people.

use serde_json::Value;

use crate::{
    format,
    schema_query::{limit, options, types},
};

/// A table's name for people: `[app]`, `[[serve.routes]]`, or the top of the contract.
pub(crate) fn place_name(path: &[String]) -> String {
    let keys: Vec<&str> = path.iter().map(String::as_str).filter(|step| step.parse::<usize>().is_err()).collect();
    let is_item = path.last().is_some_and(|step| step.parse::<usize>().is_ok());
    match (keys.is_empty(), is_item) {
        (true, _) => "the contract".into(),
        (false, true) => format!("[[{}]]", keys.join(".")),
        (false, false) => format!("[{}]", keys.join(".")),
    }
}

/// What a schema expects.
pub(crate) fn expectation(schema: &Value) -> String {
    let names: Vec<&str> = types(schema)
        .into_iter()
        .map(|name| match name {
            "object" => "a table",
            "array" => "a list",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "`true` or `false`",
            _ => "a text",
        })
        .collect();
    names.join(" or ")
}

/// A value of this schema, as TOML, to show what is meant.
pub(crate) fn sample(schema: &Value) -> String {
    let example = schema.get("examples").and_then(|examples| examples.get(0));
    let fixed = options(schema).and_then(|options| options.first().map(|option| format!("\"{option}\"")));
    if let Some(example) =
        example.or_else(|| schema.get("default")).filter(|value| !value.is_null() && !value.is_object())
    {
        return example.to_string();
    }
    fixed.unwrap_or_else(|| match types(schema).first().copied() {
        Some("integer" | "number") => {
            limit(schema, "minimum").filter(|min| *min > 0.0).map_or("10".into(), |min| min.to_string())
        }
        Some("boolean") => "true".into(),
        Some("array") => format!("[{}]", schema.get("items").map(sample).unwrap_or_default()),
        Some("object") => "{ … }".into(),
        _ => sample_of_format(schema["format"].as_str().unwrap_or_default()).to_owned(),
    })
}

/// A text of that format, in quotes.
pub(crate) fn sample_of_format(format: &str) -> &'static str {
    match format {
        "duration" => "\"30s\"",
        "app-id" => "\"github-to-agent\"",
        "adapter-id" => "\"http-in\"",
        "route-id" => "\"all-to-core\"",
        "source-name" => "\"github\"",
        "topic-name" | "target-topic" => "\"webhooks.core\"",
        "event-type" => "\"issues.opened\"",
        "event-filter" => "\"github:issues.*\"",
        format::ENV_NAME => "\"SERVICE_TOKEN\"",
        "selector" => "\"header:X-Event\"",
        "glob" => "\"*\"",
        "start-from" => "\"earliest\"",
        "semver" => "\"1.0.0\"",
        "socket-address" => "\"127.0.0.1:8080\"",
        "kafka-broker" | "kafka-brokers" => "\"kafka-1.example.com:9093\"",
        "uri" => "\"https://example.com\"",
        _ => "\"…\"",
    }
}

/// Enough of a description for a help line.
pub(crate) fn first_sentence(text: &str) -> &str {
    text.split(". ").next().and_then(|sentence| sentence.lines().next()).unwrap_or(text).trim_end_matches('.')
}
