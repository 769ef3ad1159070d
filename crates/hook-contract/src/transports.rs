//! The transports that adapters name: each is there, and its table is handed to the driver in place of its name.

use hook_core::{problem::codes, transport::Transport};
use serde_json::{Map, Value, json};

use crate::{
    Check, adapters,
    plan::Role,
    read::{self, Item, schema_of},
    suggest,
    tree::Node,
    written::AdapterHead,
};

/// The key with which an adapter names a transport.
const KEY: &str = "transport_ref";
/// Below this pointer a driver finds faults in its transport.
pub(crate) const POINTER: &str = "/transport_ref";

/// The transports that active adapters name are there.
pub(crate) fn references(
    check: &mut Check<'_, '_>,
    adapters: &[&Item<'_, AdapterHead>],
    transports: &[Item<'_, Transport>],
) {
    for item in adapters {
        let Some(reference) = item.node.get(KEY) else { continue };
        let Some(name) = reference.text() else { continue };
        if !read::ids(transports).any(|known| known == name) {
            let help = suggest::help(name, read::ids(transports), "the transports of this contract");
            let message = format!("there is no transport `{name}`");
            check.findings.error(&codes::UNKNOWN_TRANSPORT, reference.span.clone(), message, help);
        }
    }
}

/// Puts the table of the transport that an adapter names into the driver's settings, where the driver takes one. `None` where
/// there is no such transport, or it cannot be read, which was found.
pub(crate) fn hand_over<'i, 't>(
    transports: &'i [Item<'t, Transport>],
    schema: &Value,
    settings: &mut Map<String, Value>,
) -> Option<Option<&'i Item<'t, Transport>>> {
    let Some(Value::String(name)) = settings.get(KEY) else { return Some(None) };
    if schema["properties"].get(KEY).is_none() {
        return Some(None);
    }
    let transport = transports.iter().find(|transport| transport.id == *name && transport.written.is_some())?;
    settings.insert(KEY.to_owned(), transport.node.to_json());
    Some(Some(transport))
}

/// The settings of the adapter with the name of its transport again. The transport's own are shown once, under its name.
pub(crate) fn take_back(
    check: &mut Check<'_, '_>,
    transport: Option<&Item<'_, Transport>>,
    mut settings: Value,
) -> Value {
    let Some(transport) = transport else { return settings };
    let complete = std::mem::replace(&mut settings[KEY], json!(transport.id));
    let prefix = format!("transports.{}", transport.id);
    if !check.resolved.has(&format!("{prefix}.driver")) {
        let (what, schema) = (format!("transport {}", transport.id), schema_of::<Transport>());
        adapters::require(check, Role::Smash, &what, transport.node, &schema, &complete);
        check.resolved.add(&prefix, &complete, Some(transport.node), &check.findings);
    }
    settings
}

/// The name of the transport that an adapter names.
pub(crate) fn name_in(adapter: &Node) -> Option<&str> {
    adapter.get(KEY).and_then(Node::text)
}
