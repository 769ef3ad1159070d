//! Every value as it will be used, and where it came from.

use hook_core::problem::Place;
use serde_json::Value;

use crate::{Origin, ResolvedValue, findings::Findings, tree::Node};

/// Collects values in the order in which they are added.
#[derive(Default)]
pub(crate) struct Resolved {
    values: Vec<ResolvedValue>,
}

impl Resolved {
    /// Adds every leaf of `complete`. What stands in `node`, at the same path, came from there; the rest is a default.
    pub(crate) fn add(&mut self, prefix: &str, complete: &Value, node: Option<&Node>, findings: &Findings<'_>) {
        match complete {
            Value::Null => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.add(&format!("{prefix}.{key}"), value, node.and_then(|node| node.get(key)), findings);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (index, value) in items.iter().enumerate() {
                    let node = node.and_then(|node| node.items().get(index));
                    self.add(&format!("{prefix}.{index}"), value, node, findings);
                }
            }
            leaf => self.add_leaf(prefix, leaf.clone(), origin(node, findings), findings),
        }
    }

    /// Adds one value whose origin is known.
    pub(crate) fn add_leaf(&mut self, key: &str, value: Value, origin: Origin, findings: &Findings<'_>) {
        self.values.push(ResolvedValue { key: key.to_owned(), value: without_secrets(value, findings), origin });
    }

    /// Where a file gives the value of that key.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        self.values.iter().find(|value| value.key == key).and_then(|value| match &value.origin {
            Origin::Contract(place) | Origin::File(place) => Some(place.clone()),
            Origin::Default | Origin::Option(_) | Origin::Environment(_) => None,
        })
    }

    /// Whether a value of that key was added.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.iter().any(|value| value.key == key)
    }

    /// Where the value of that key came from; the default where there is none.
    pub(crate) fn origin_of(&self, key: &str) -> Origin {
        let value = self.values.iter().find(|value| value.key == key);
        value.map_or(Origin::Default, |value| value.origin.clone())
    }

    pub(crate) fn into_values(self) -> Vec<ResolvedValue> {
        self.values
    }
}

/// Where the value of a node came from.
pub(crate) fn origin(node: Option<&Node>, findings: &Findings<'_>) -> Origin {
    node.map_or(Origin::Default, |node| Origin::Contract(findings.text.place(node.span.clone())))
}

fn without_secrets(value: Value, findings: &Findings<'_>) -> Value {
    match value {
        Value::String(text) => Value::String(findings.without_secrets(&text)),
        Value::Array(items) => items.into_iter().map(|item| without_secrets(item, findings)).collect(),
        other => other,
    }
}
