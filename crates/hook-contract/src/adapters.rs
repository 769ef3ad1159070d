//! Active adapters: their driver, their plugins, and when to try again.

use std::sync::Arc;

use hook_core::{
    catalog::{Built, Catalog, Entry},
    ports::plugin::Plugin,
    problem::codes,
    transport::Transport,
};
use serde_json::{Value, json};

use crate::{
    Check, Origin,
    build::{self, Places, Table},
    kafka,
    plan::{EgressAdapter, GiveUp, IngressAdapter, Requirement, RetryPlan, Role},
    read::{Item, schema_of},
    resolved, suggest, transports,
    tree::Node,
    written::{AdapterHead, EgressCommon, IngressCommon, OnGiveUp, PluginHead, Retry},
};

/// The key of a driver that means the same as our `retry.max_retries`.
const MAX_RETRIES: &str = "max_retries";
/// The key of an ingress driver that an option can fill in.
const MAX_BODY_BYTES: &str = "max_body_bytes";

/// Builds an active ingress adapter. `None` where something is wrong with it, which was found.
pub(crate) fn ingress(check: &mut Check<'_, '_>, item: &Item<'_, AdapterHead>) -> Option<IngressAdapter> {
    let catalog = check.catalog;
    let entry = driver(check, item, Side::Serve, &catalog.ingress)?;
    let schema = entry.schema().to_value();
    let common = schema_of::<IngressCommon>();
    let mut table: Table<'_, IngressCommon> =
        build::table(item.node, &item.path, (&common, &schema), &mut check.findings)?;
    let has_limit = schema["properties"].get(MAX_BODY_BYTES).is_some();
    let limit = check.options.max_body_bytes.filter(|_| has_limit && !table.settings.contains_key(MAX_BODY_BYTES));
    if let Some(limit) = limit {
        table.settings.insert(MAX_BODY_BYTES.to_owned(), json!(limit));
    }
    let shared = kafka::fill_in(check, &schema, &mut table.settings)?;
    let plugins = plugins(check, item);
    let built = build::driver(entry, table.settings, item.node, &mut check.findings)?;
    let what = format!("ingress adapter {}", item.id);
    require(check, Role::Serve, &what, item.node, &schema, &built.settings);

    let prefix = format!("serve.ingress_adapters.{}", item.id);
    check.resolved.add(
        &format!("{prefix}.driver"),
        &json!(table.common.driver),
        item.node.get("driver"),
        &check.findings,
    );
    let mut shown = built.settings.clone();
    if let (Some(limit), Some(fields)) = (limit, shown.as_object_mut()) {
        fields.shift_remove(MAX_BODY_BYTES);
        let key = format!("{prefix}.{MAX_BODY_BYTES}");
        check.resolved.add_leaf(&key, json!(limit), Origin::Option("max_body_bytes"), &check.findings);
    }
    shared.show(check, &prefix, &mut shown);
    check.resolved.add(&prefix, &shown, Some(item.node), &check.findings);
    let plugins = show_steps(check, &prefix, item.node, plugins?);
    Some(IngressAdapter {
        id: table.common.id,
        driver_name: table.common.driver,
        tls: built.driver.tls().cloned(),
        driver: built.driver,
        plugins,
        beside: None,
        settings: built.settings,
    })
}

/// Builds an active egress adapter. `None` where something is wrong with it, which was found.
pub(crate) fn egress(
    check: &mut Check<'_, '_>,
    item: &Item<'_, AdapterHead>,
    transports: &[Item<'_, Transport>],
) -> Option<EgressAdapter> {
    let catalog = check.catalog;
    let entry = driver(check, item, Side::Smash, &catalog.egress)?;
    let schema = entry.schema().to_value();
    let retry_node = item.node.get("retry").and_then(|retry| retry.get(MAX_RETRIES));
    let mut shape = schema.clone();
    if retry_node.is_some()
        && let Some(required) = shape.get_mut("required").and_then(Value::as_array_mut)
    {
        // It is the same setting: where `retry` has it, the driver's own key may be left out.
        required.retain(|key| key != MAX_RETRIES);
    }
    let common = schema_of::<EgressCommon>();
    let mut table: Table<'_, EgressCommon> =
        build::table(item.node, &item.path, (&common, &shape), &mut check.findings)?;
    let has_own = schema["properties"].get(MAX_RETRIES).is_some();
    if let (true, Some(max_retries)) = (has_own, table.common.retry.max_retries) {
        table.settings.entry(MAX_RETRIES).or_insert(json!(max_retries));
    }
    let shared = kafka::fill_in(check, &schema, &mut table.settings)?;
    let transport = transports::hand_over(transports, &schema, &mut table.settings)?;
    let plugins = plugins(check, item);
    let places = Places { own: item.node, transport: transport.map(|transport| transport.node) };
    let built = build::driver(entry, table.settings.clone(), places, &mut check.findings)?;
    let settings = transports::take_back(check, transport, built.settings);
    let what = format!("egress adapter {}", item.id);
    require(check, Role::Smash, &what, item.node, &schema, &settings);
    let retry = retry(check, item, &table, &settings)?;

    let prefix = format!("smash.egress_adapters.{}", item.id);
    let ours = json!({
        "driver": table.common.driver,
        "on_give_up": table.common.on_give_up,
        "concurrency": table.common.concurrency,
        "max_ahead": table.common.max_ahead,
    });
    check.resolved.add(&prefix, &ours, Some(item.node), &check.findings);
    let mut shown = settings.clone();
    shared.show(check, &prefix, &mut shown);
    check.resolved.add(&prefix, &shown, Some(item.node), &check.findings);
    let max_retries_node = retry_node.or_else(|| item.node.get(MAX_RETRIES).filter(|_| has_own));
    let max_retries_origin = resolved::origin(max_retries_node, &check.findings);
    let key = format!("{prefix}.retry.{MAX_RETRIES}");
    check.resolved.add_leaf(&key, json!(retry.max_retries), max_retries_origin, &check.findings);
    let others = Retry { max_retries: None, ..table.common.retry };
    check.resolved.add(&format!("{prefix}.retry"), &json!(others), item.node.get("retry"), &check.findings);
    let plugins = show_steps(check, &prefix, item.node, plugins?);
    Some(EgressAdapter {
        id: table.common.id,
        driver_name: table.common.driver,
        driver: built.driver,
        plugins,
        retry,
        on_give_up: match table.common.on_give_up {
            OnGiveUp::DeadLetter => GiveUp::DeadLetter,
            OnGiveUp::Hold => GiveUp::Hold,
        },
        concurrency: usize::try_from(table.common.concurrency).unwrap_or(usize::MAX),
        max_ahead: table.common.max_ahead,
        settings,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Serve,
    Smash,
}

/// The catalog's entry for an adapter's driver.
fn driver<'c, D: ?Sized>(
    check: &mut Check<'c, '_>,
    item: &Item<'_, AdapterHead>,
    side: Side,
    entries: &'c [Entry<D>],
) -> Option<&'c Entry<D>> {
    let name = item.node.get("driver")?.text()?;
    if let Some(entry) = entries.iter().find(|entry| entry.name() == name) {
        return Some(entry);
    }
    let span = item.node.span_of("driver");
    let names: Vec<&str> = entries.iter().map(Entry::name).collect();
    let section = match side {
        Side::Serve => "serve",
        Side::Smash => "smash",
    };
    let planned = check.catalog.planned.iter().find(|planned| planned.side == section && planned.name == name);
    if let Some(planned) = planned {
        let (message, install) = match planned.install {
            Some(install) => (format!("this build does not have the driver `{name}`"), format!("{install}, ")),
            None => (format!("this build does not have the driver `{name}` yet"), String::new()),
        };
        let help =
            format!("{install}take `{}` out of the profile, or use one of: {}", item.id, suggest::listed(&names));
        check.findings.error(&codes::DRIVER_NOT_BUILT, span, message, help);
        return None;
    }
    let help = match is_of_other_side(check.catalog, side, name) {
        Some(place) => format!("`{name}` belongs under {place}"),
        None => {
            let planned = check.catalog.planned.iter().filter(|planned| planned.side == section);
            let planned: Vec<&str> = planned.map(|planned| planned.name).collect();
            suggest::help_with_planned(name, &names, &planned, "the drivers here")
        }
    };
    check.findings.error(&codes::UNKNOWN_DRIVER, span, format!("there is no driver `{name}`"), help);
    None
}

fn is_of_other_side(catalog: &Catalog, side: Side, name: &str) -> Option<&'static str> {
    match side {
        Side::Serve => catalog.egress(name).map(|_| "[[smash.egress_adapters]]"),
        Side::Smash => catalog.ingress(name).map(|_| "[[serve.ingress_adapters]]"),
    }
}

/// A step of a plugin chain, built.
struct Step {
    name: &'static str,
    built: Built<dyn Plugin>,
}

/// The plugin chain of an adapter. `None` where a step is missing: events never pass an incomplete chain.
fn plugins(check: &mut Check<'_, '_>, item: &Item<'_, AdapterHead>) -> Option<Vec<Step>> {
    let nodes = item.node.get("plugins").map(Node::items).unwrap_or_default();
    let built: Vec<Option<Step>> =
        nodes.iter().enumerate().map(|(index, node)| plugin(check, item, index, node)).collect();
    built.into_iter().collect()
}

fn plugin(check: &mut Check<'_, '_>, item: &Item<'_, AdapterHead>, index: usize, node: &Node) -> Option<Step> {
    let name = node.get("driver")?.text()?;
    let Some(entry) = check.catalog.plugin(name) else {
        let help = suggest::help(name, check.catalog.plugins.iter().map(Entry::name), "the plugins");
        let message = format!("there is no plugin `{name}`");
        check.findings.error(&codes::UNKNOWN_PLUGIN, node.span_of("driver"), message, help);
        return None;
    };
    let path: Vec<String> = item.path.iter().cloned().chain(["plugins".to_owned(), index.to_string()]).collect();
    let (common, schema) = (schema_of::<PluginHead>(), entry.schema().to_value());
    let table: Table<'_, PluginHead> = build::table(node, &path, (&common, &schema), &mut check.findings)?;
    let built = build::driver(entry, table.settings, node, &mut check.findings)?;
    Some(Step { name: entry.name(), built })
}

/// Shows a chain's settings and hands out its plugins.
fn show_steps(check: &mut Check<'_, '_>, prefix: &str, adapter: &Node, steps: Vec<Step>) -> Vec<Arc<dyn Plugin>> {
    let nodes = adapter.get("plugins").map(Node::items).unwrap_or_default();
    for (index, (step, node)) in steps.iter().zip(nodes).enumerate() {
        let prefix = format!("{prefix}.plugins.{index}");
        check.resolved.add(&format!("{prefix}.driver"), &json!(step.name), node.get("driver"), &check.findings);
        check.resolved.add(&prefix, &step.built.settings, Some(node), &check.findings);
    }
    steps.into_iter().map(|step| step.built.driver).collect()
}

/// What the environment must hold for an adapter.
pub(crate) fn require(
    check: &mut Check<'_, '_>,
    role: Role,
    needed_by: &str,
    node: &Node,
    schema: &Value,
    settings: &Value,
) {
    for (path, name) in build::environment_names(schema, settings) {
        let place = node.at(&path).map(|node| check.findings.text.place(node.span.clone()));
        check.environment.push(Requirement { name, role, needed_by: needed_by.to_owned(), place });
    }
}

fn retry(
    check: &mut Check<'_, '_>,
    item: &Item<'_, AdapterHead>,
    table: &Table<'_, EgressCommon>,
    settings: &Value,
) -> Option<RetryPlan> {
    let written = &table.common.retry;
    let node = table.node.get("retry");
    let own = settings.get(MAX_RETRIES).and_then(Value::as_u64).and_then(|own| u32::try_from(own).ok());
    if let (Some(own), Some(ours)) = (own, written.max_retries)
        && own != ours
    {
        let span = node.map_or(item.node.span.clone(), |node| node.span_of(MAX_RETRIES));
        let message = format!("`max_retries` is {own} for the driver and {ours} in `retry`: it is one setting");
        check.findings.error(&codes::RETRY_TWICE, span, message, "leave one of the two out");
    }
    if written.base_ms > written.cap_ms {
        let span = node.map_or(item.node.span.clone(), |node| node.span_of("base_ms"));
        let message = format!("`base_ms` is {}, which is more than `cap_ms`, {}", written.base_ms, written.cap_ms);
        check.findings.error(&codes::WRONG_VALUE, span, message, "make `base_ms` the smaller of the two");
        return None;
    }
    Some(RetryPlan {
        max_retries: written.max_retries.or(own).unwrap_or(Retry::DEFAULT_MAX_RETRIES),
        base: std::time::Duration::from_millis(written.base_ms),
        cap: std::time::Duration::from_millis(written.cap_ms),
        max_age: written.max_age.map(hook_core::duration::HumanDuration::get),
    })
}
