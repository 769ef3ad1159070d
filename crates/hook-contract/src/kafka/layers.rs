//! Who says what about Kafka: the contract before the environment, and that before `kafka-core.toml`.

use std::collections::BTreeMap;

use hook_core::problem::{Place, codes};
use serde_json::Value;

use crate::{
    ConfigFile, KafkaOptions, Origin,
    findings::Findings,
    read::{self, schema_of},
    secrets, shape,
    text::Text,
    tree::{self, Node},
    written::KafkaSection,
};

/// The table of the file.
const TABLE: &str = "kafka_core";

/// A value, and who gave it.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
}

/// What a text says, and where it says it.
pub(super) struct Layer {
    written: KafkaSection,
    /// By path, such as `tls.ca_path`.
    places: BTreeMap<String, Place>,
}

/// All who have a say.
pub(super) struct Layers<'o> {
    pub(super) contract: Option<Layer>,
    pub(super) environment: &'o KafkaOptions,
    pub(super) file: Option<Layer>,
}

impl Layer {
    /// Reads a table. `None` where it cannot be used, which was found.
    pub(super) fn of(node: &Node, path: &str, schema: &Value, findings: &mut Findings<'_>) -> Option<Self> {
        let flaws = shape::check(node, schema, &[path.to_owned()]);
        let is_sound = !flaws.iter().any(shape::Flaw::is_blocking);
        read::report(flaws, findings);
        let written = if is_sound { read::value(node, findings)? } else { return None };
        let mut places = BTreeMap::new();
        find_places(node, "", findings.text, &mut places);
        Some(Self { written, places })
    }
}

/// Reads the file. What is wrong with it is found, with places in it.
pub(super) fn of_file(file: &ConfigFile, findings: &mut Findings<'_>) -> Option<Layer> {
    let text = Text::new(&file.name, &file.text);
    let mut own = Findings::new(&text);
    let layer = table_of(&file.text, &mut own);
    findings.absorb(own);
    layer
}

fn table_of(text: &str, findings: &mut Findings<'_>) -> Option<Layer> {
    let tree = tree::parse(text, findings);
    secrets::find(text, &tree, findings);
    if findings.has(&codes::SYNTAX) {
        return None;
    }
    for entry in tree.entries().iter().filter(|entry| entry.key != TABLE) {
        let message = format!("unknown table `{}` in this file", entry.key);
        findings.error(&codes::UNKNOWN_KEY, entry.key_span.clone(), message, format!("write [{TABLE}]"));
    }
    match tree.get(TABLE) {
        Some(node) => Layer::of(node, TABLE, &closed(schema_of::<KafkaSection>()), findings),
        None => {
            let message = format!("[{TABLE}] is missing in this file");
            findings.error(&codes::MISSING_KEY, tree.span.clone(), message, format!("begin it with [{TABLE}]"));
            None
        }
    }
}

fn closed(mut schema: Value) -> Value {
    schema["additionalProperties"] = Value::Bool(false);
    schema
}

fn find_places(node: &Node, prefix: &str, text: &Text<'_>, places: &mut BTreeMap<String, Place>) {
    for entry in node.entries() {
        let path = format!("{prefix}{}", entry.key);
        find_places(&entry.node, &format!("{path}."), text, places);
        places.insert(path, text.place(entry.node.span.clone()));
    }
}

impl Layers<'_> {
    /// The value of the first who has one.
    pub(super) fn find<T>(&self, path: &str, of: impl Fn(&KafkaSection) -> Option<T>) -> Option<Found<T>> {
        if let Some((layer, value)) = self.contract.as_ref().and_then(|layer| Some((layer, of(&layer.written)?))) {
            return Some(Found { value, origin: layer.places.get(path).map_or(Origin::Default, contract_origin) });
        }
        if let Some(value) = of(&self.environment.environment) {
            let who = self.environment.origins.get(path).cloned().unwrap_or_else(|| "the environment".to_owned());
            return Some(Found { value, origin: Origin::Environment(who) });
        }
        let layer = self.file.as_ref()?;
        let value = of(&layer.written)?;
        Some(Found { value, origin: layer.places.get(path).map_or(Origin::Default, file_origin) })
    }

    /// The properties of a table, each of the first who sets it.
    pub(super) fn properties(
        &self,
        table: &str,
        of: impl Fn(&KafkaSection) -> &BTreeMap<String, String>,
    ) -> BTreeMap<String, Found<String>> {
        let layers = [self.contract.as_ref(), self.file.as_ref()];
        let names = layers.into_iter().flatten().flat_map(|layer| of(&layer.written).keys());
        let names = names.chain(of(&self.environment.environment).keys());
        let found = names.filter_map(|name| {
            let found = self.find(&format!("{table}.{name}"), |written| of(written).get(name).cloned())?;
            Some((name.clone(), found))
        });
        found.collect()
    }
}

fn contract_origin(place: &Place) -> Origin {
    Origin::Contract(place.clone())
}

fn file_origin(place: &Place) -> Origin {
    Origin::File(place.clone())
}

/// The place of a value, where a file gives it.
pub(super) fn place_of(origin: &Origin) -> Option<Place> {
    match origin {
        Origin::Contract(place) | Origin::File(place) => Some(place.clone()),
        Origin::Default | Origin::Option(_) | Origin::Environment(_) => None,
    }
}
