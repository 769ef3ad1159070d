//! The tree as the sections of a contract, read item by item, so that one broken item hides nothing of the others.

use std::collections::BTreeSet;

use hook_core::{
    names::AppId,
    problem::{Code, codes},
    transport::Transport,
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    findings::Findings,
    plan::App,
    shape::{self, Flaw},
    tree::Node,
    written,
};

/// One item of a list or table of the contract.
pub(crate) struct Item<'t, T> {
    /// Its id or name as written; empty where it has none.
    pub(crate) id: String,
    pub(crate) path: Vec<String>,
    pub(crate) node: &'t Node,
    /// `None` where it cannot be read, which was found.
    pub(crate) written: Option<T>,
}

/// The contract as written, as far as it can be read.
pub(crate) struct Written<'t> {
    pub(crate) root: &'t Node,
    pub(crate) app: Option<App>,
    pub(crate) policies: written::Policies,
    pub(crate) ingress: Vec<Item<'t, written::AdapterHead>>,
    pub(crate) serve_routes: Vec<Item<'t, written::ServeRoute>>,
    pub(crate) egress: Vec<Item<'t, written::AdapterHead>>,
    pub(crate) smash_routes: Vec<Item<'t, written::SmashRoute>>,
    pub(crate) profiles: Vec<Item<'t, written::Profile>>,
    pub(crate) transports: Vec<Item<'t, Transport>>,
    pub(crate) sources: Vec<Item<'t, written::SourceHead>>,
    pub(crate) relay: written::Relay,
    pub(crate) backbone: Option<written::Backbone>,
    pub(crate) log: written::LogSection,
    pub(crate) admin: written::Admin,
}

/// The JSON Schema of a type of the contract, with nothing left to look up elsewhere.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Reads the whole contract.
pub(crate) fn contract<'t>(root: &'t Node, findings: &mut Findings<'_>) -> Written<'t> {
    let flaws = shape::check(root, &schema_of::<written::Contract>(), &[]);
    let broken = flaws.iter().filter(|flaw| flaw.is_blocking()).map(|flaw| flaw.path.clone()).collect();
    report(flaws, findings);
    let mut reader = Reader { root, broken, findings };
    let written = Written {
        root,
        app: reader.app(),
        policies: reader.section(&["policies"]).unwrap_or_default(),
        ingress: reader.list(&["serve", "ingress_adapters"]),
        serve_routes: reader.list(&["serve", "routes"]),
        egress: reader.list(&["smash", "egress_adapters"]),
        smash_routes: reader.list(&["smash", "routes"]),
        profiles: reader.table("profiles"),
        transports: reader.table("transports"),
        sources: reader.table("sources"),
        relay: reader.section(&["relay"]).unwrap_or_default(),
        backbone: reader.section(&["backbone"]),
        log: reader.section(&["log"]).unwrap_or_default(),
        admin: reader.section(&["admin"]).unwrap_or_default(),
    };
    duplicates(&written.ingress, "ingress adapter", findings);
    duplicates(&written.egress, "egress adapter", findings);
    duplicates(&written.serve_routes, "serve route", findings);
    duplicates(&written.smash_routes, "smash route", findings);
    written
}

/// Turns deviations from a shape into findings.
pub(crate) fn report(flaws: Vec<Flaw>, findings: &mut Findings<'_>) {
    for flaw in flaws {
        let path: Vec<&str> = flaw.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            // Something can stand in for these: an app without a name runs as well.
            ["app", "name" | "version" | "description"] => {
                findings.lenient(flaw.code, flaw.span, flaw.message, flaw.help);
            }
            _ => findings.error(flaw.code, flaw.span, flaw.message, flaw.help),
        }
    }
}

/// Reads a value of the right shape into its type. Unknown keys are left out.
pub(crate) fn value<T: DeserializeOwned>(node: &Node, findings: &mut Findings<'_>) -> Option<T> {
    match serde_path_to_error::deserialize::<_, T>(node.to_json()) {
        Ok(value) => Some(value),
        Err(error) => {
            let steps = error.path().iter().map(|step| match step {
                serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
                serde_path_to_error::Segment::Map { key } => format!("/{key}"),
                _ => String::new(),
            });
            let pointer: String = steps.collect();
            let message = error.inner().to_string();
            findings.error(&codes::WRONG_VALUE, node.nearest(&pointer).span.clone(), message, "write another value");
            None
        }
    }
}

struct Reader<'r, 't, 'f> {
    root: &'t Node,
    /// The paths of what cannot be read.
    broken: BTreeSet<Vec<String>>,
    findings: &'r mut Findings<'f>,
}

impl<'t> Reader<'_, 't, '_> {
    fn app(&mut self) -> Option<App> {
        let id: AppId = self.section(&["app", "id"])?;
        let version: Option<String> = self.section(&["app", "version"]);
        Some(App {
            name: self.section(&["app", "name"]).unwrap_or_else(|| id.to_string()),
            version: version.and_then(|text| text.parse().ok()).unwrap_or(semver::Version::new(0, 0, 0)),
            description: self.section(&["app", "description"]),
            id,
        })
    }

    fn section<T: DeserializeOwned>(&mut self, path: &[&str]) -> Option<T> {
        let node = self.root.at(path)?;
        let path: Vec<String> = path.iter().map(|step| (*step).to_owned()).collect();
        self.read(node, &path)
    }

    fn list<T: DeserializeOwned>(&mut self, path: &[&str]) -> Vec<Item<'t, T>> {
        let nodes = self.root.at(path).map(Node::items).unwrap_or_default();
        let items = nodes.iter().enumerate().map(|(index, node)| {
            let index = index.to_string();
            let path: Vec<String> = path.iter().copied().chain([index.as_str()]).map(str::to_owned).collect();
            let id = node.get("id").and_then(Node::text).unwrap_or_default().to_owned();
            Item { id, node, written: self.read(node, &path), path }
        });
        items.collect()
    }

    fn table<T: DeserializeOwned>(&mut self, key: &str) -> Vec<Item<'t, T>> {
        let entries = self.root.get(key).map(Node::entries).unwrap_or_default();
        let items = entries.iter().map(|entry| {
            let path = vec![key.to_owned(), entry.key.clone()];
            Item { id: entry.key.clone(), node: &entry.node, written: self.read(&entry.node, &path), path }
        });
        items.collect()
    }

    fn read<T: DeserializeOwned>(&mut self, node: &Node, path: &[String]) -> Option<T> {
        // In the order of paths, what stands within a path follows it directly.
        let next = self.broken.range(path.to_vec()..).next();
        if next.is_some_and(|broken| broken.starts_with(path)) { None } else { value(node, self.findings) }
    }
}

fn duplicates<T>(items: &[Item<'_, T>], what: &str, findings: &mut Findings<'_>) {
    let mut seen = BTreeSet::new();
    for item in items.iter().filter(|item| !item.id.is_empty()) {
        if !seen.insert(item.id.as_str()) {
            duplicate(&codes::DUPLICATE_ID, item, what, findings);
        }
    }
}

fn duplicate<T>(code: &'static Code, item: &Item<'_, T>, what: &str, findings: &mut Findings<'_>) {
    let message = format!("there is another {what} with the id `{}` above", item.id);
    findings.error(code, item.node.span_of("id"), message, "give one of the two another id");
}

/// The item of that id; the first where there are several.
pub(crate) fn find<'i, 't, T>(items: &'i [Item<'t, T>], id: &str) -> Option<&'i Item<'t, T>> {
    items.iter().find(|item| item.id == id)
}

/// The ids of all items that have one.
pub(crate) fn ids<'i, T>(items: &'i [Item<'_, T>]) -> impl Iterator<Item = &'i str> {
    items.iter().map(|item| item.id.as_str()).filter(|id| !id.is_empty())
}
