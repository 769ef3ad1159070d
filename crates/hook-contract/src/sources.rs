//! Sources: those that the contract declares, and those that are built in.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use hook_core::{
    catalog::{BuiltinSource, Entry},
    duration::HumanDuration,
    names::{EnvName, SourceName},
    problem::codes,
};
use serde_json::{Value, json};

use crate::{
    Check,
    build::{self, Table},
    plan::{DedupBy, DedupPlan, IngressAdapter, SourcePlan},
    read::{Item, Written, find, schema_of},
    suggest,
    tree::Node,
    written::{self, OneOrMore, SourceCommon, SourceHead},
};

/// Every source that `serve` knows.
pub(crate) fn all(check: &mut Check<'_, '_>, items: &[Item<'_, SourceHead>]) -> BTreeMap<SourceName, SourcePlan> {
    let mut sources = BTreeMap::new();
    for item in items {
        if let Some(source) = declared(check, item) {
            sources.insert(source.name.clone(), source);
        }
    }
    for builtin in &check.catalog.sources {
        let is_enabled = check.options.enabled_sources.as_ref().is_none_or(|enabled| enabled.contains(builtin.name));
        let is_declared = items.iter().any(|item| item.id == builtin.name);
        if is_enabled
            && !is_declared
            && let Some(source) = built_in(check, builtin)
        {
            sources.insert(source.name.clone(), source);
        }
    }
    sources
}

/// The sources that active adapters give their events are declared.
pub(crate) fn of_adapters(
    check: &mut Check<'_, '_>,
    written: &Written<'_>,
    adapters: &[IngressAdapter],
    sources: &BTreeMap<SourceName, SourcePlan>,
) {
    for adapter in adapters {
        let node = find(&written.ingress, adapter.id.as_str()).map(|item| item.node);
        let key = |node: &Node| if node.get("source").is_some() { "source" } else { "topics" };
        for source in adapter.driver.sources() {
            // What is wrong with a block of that name was found there.
            if sources.contains_key(&source) || find(&written.sources, source.as_str()).is_some() {
                continue;
            }
            let span = node.map(|node| node.span_of(key(node)));
            let message = format!(
                "ingress adapter `{}` gives its events the source `{source}`, which is not declared",
                adapter.id
            );
            let help = format!(
                "add `[sources.{source}]`; where only the brokers decide who may write there, with `verifier = \"none\"` and \
                 `allow_unverified = true`"
            );
            check.findings.error(&codes::UNKNOWN_SOURCE, span, message, help);
        }
    }
}

fn declared(check: &mut Check<'_, '_>, item: &Item<'_, SourceHead>) -> Option<SourcePlan> {
    let verifier_node = item.node.get("verifier")?;
    let verifier_name = verifier_node.text()?;
    let Some(entry) = check.catalog.verifier(verifier_name) else {
        let help = suggest::help(verifier_name, check.catalog.verifiers.iter().map(Entry::name), "the verifiers");
        let message = format!("there is no verifier `{verifier_name}`");
        check.findings.error(&codes::UNKNOWN_VERIFIER, verifier_node.span.clone(), message, help);
        return None;
    };
    let (common, schema) = (schema_of::<SourceCommon>(), entry.schema().to_value());
    let table: Table<'_, SourceCommon> = build::table(item.node, &item.path, (&common, &schema), &mut check.findings)?;
    let name = SourceName::new(&item.id).ok()?;
    let built = build::driver(entry, table.settings, item.node, &mut check.findings)?;
    let common = table.common;
    let needs_secret = built.driver.needs_secret();
    trust(check, item, &common, needs_secret);
    window_without_effect(check, item);
    let needs_token = built.driver.needs_challenge_token();
    token_without_effect(check, item, &common, needs_token);
    let secret_env = if needs_secret { secret_names(check, &name, &common) } else { Vec::new() };
    let verify_token_env = needs_token.then(|| token_name(&name, &common)).flatten();
    show(check, item, &common, (&secret_env, verify_token_env.as_ref()), &built.settings);
    Some(SourcePlan {
        name,
        verifier_name: verifier_name.to_owned(),
        verifier: built.driver,
        secret_env,
        verify_token_env,
        event_type: common.event_type,
        delivery_id: common.delivery_id,
        ordering_key: common.ordering_key,
        dedup: dedup_plan(&common.dedup),
        rate_per_minute: common.rate_per_minute.and_then(NonZeroU32::new),
        cooldown: common.cooldown.map(HumanDuration::get).filter(|cooldown| *cooldown > Duration::ZERO),
        is_declared: true,
    })
}

/// Nothing is taken unverified by accident, and nothing pretends to be.
fn trust(check: &mut Check<'_, '_>, item: &Item<'_, SourceHead>, common: &SourceCommon, needs_secret: bool) {
    let span = |key| item.node.span_of(key);
    if !needs_secret && !common.allow_unverified {
        let message =
            format!("source `{}` takes events from anyone: verifier `{}` checks nothing", item.id, common.verifier);
        let help =
            "name a verifier that checks a signature, or write `allow_unverified = true` if anyone may send events";
        check.findings.error(&codes::UNVERIFIED_SOURCE, span("verifier"), message, help);
    }
    if needs_secret && common.allow_unverified {
        let message = format!("`allow_unverified` has no effect: verifier `{}` verifies every event", common.verifier);
        check.findings.error(&codes::NO_EFFECT, span("allow_unverified"), message, "leave it out");
    }
    if !needs_secret && common.secret_env.is_some() {
        let message = format!("`secret_env` has no effect: verifier `{}` needs no secret", common.verifier);
        check.findings.error(&codes::NO_EFFECT, span("secret_env"), message, "leave it out, or name another verifier");
    }
}

/// A token is shown by providers that ask with a GET, and by no other.
fn token_without_effect(
    check: &mut Check<'_, '_>,
    item: &Item<'_, SourceHead>,
    common: &SourceCommon,
    needs_token: bool,
) {
    if !needs_token && common.verify_token_env.is_some() {
        let span = item.node.span_of("verify_token_env");
        let message = format!("`verify_token_env` has no effect: verifier `{}` knows no such token", common.verifier);
        check.findings.error(&codes::NO_EFFECT, span, message, "leave it out");
    }
}

/// On Kafka copies are removed by the relay, whose window is the same for all sources.
fn window_without_effect(check: &mut Check<'_, '_>, item: &Item<'_, SourceHead>) {
    let window = item.node.get("dedup").and_then(|dedup| dedup.get("window"));
    if let Some(window) = window.filter(|_| check.is_kafka) {
        let message = "`window` has no effect: on Kafka the relay removes copies that come within 24 hours";
        check.findings.warning(&codes::NO_EFFECT, window.span.clone(), message, "leave it out");
    }
}

/// As written, else the built-in source's, else `HMAC_SECRET_<SOURCE>`.
fn secret_names(check: &Check<'_, '_>, name: &SourceName, common: &SourceCommon) -> Vec<EnvName> {
    match &common.secret_env {
        Some(OneOrMore::One(one)) => vec![one.clone()],
        Some(OneOrMore::More(several)) => several.clone(),
        None => {
            let built_in = check.catalog.source(name.as_str()).map(|source| source.secret_env.to_owned());
            let conventional = || conventional("HMAC_SECRET", name);
            EnvName::new(built_in.unwrap_or_else(conventional)).ok().into_iter().collect()
        }
    }
}

/// As written, else `VERIFY_TOKEN_<SOURCE>`.
fn token_name(name: &SourceName, common: &SourceCommon) -> Option<EnvName> {
    common.verify_token_env.clone().or_else(|| EnvName::new(conventional("VERIFY_TOKEN", name)).ok())
}

/// How a variable of a source is called where nobody has said it.
pub(crate) fn conventional(prefix: &str, name: &SourceName) -> String {
    format!("{prefix}_{}", name.as_str().to_uppercase().replace('-', "_"))
}

fn dedup_plan(dedup: &written::Dedup) -> DedupPlan {
    let by = match dedup.by {
        written::DedupBy::Delivery => DedupBy::Delivery,
        written::DedupBy::DeliveryId => DedupBy::DeliveryIdOnly,
        written::DedupBy::Body => DedupBy::Body,
    };
    DedupPlan { by, window: dedup.window.get() }
}

fn built_in(check: &mut Check<'_, '_>, source: &BuiltinSource) -> Option<SourcePlan> {
    let name = SourceName::new(source.name).ok()?;
    let verifier = check.catalog.verifier(source.verifier)?.build(json!({})).ok()?.driver;
    let secret_env: Vec<EnvName> = EnvName::new(source.secret_env).into_iter().collect();
    let dedup = written::Dedup::default();
    let shown = json!({ "verifier": source.verifier, "secret_env": secret_env, "dedup": dedup });
    check.resolved.add(&format!("sources.{name}"), &shown, None, &check.findings);
    Some(SourcePlan {
        name,
        verifier_name: source.verifier.to_owned(),
        verifier,
        secret_env,
        verify_token_env: None,
        event_type: None,
        delivery_id: None,
        ordering_key: None,
        dedup: dedup_plan(&dedup),
        rate_per_minute: None,
        cooldown: None,
        is_declared: false,
    })
}

fn show(
    check: &mut Check<'_, '_>,
    item: &Item<'_, SourceHead>,
    common: &SourceCommon,
    (secret_env, verify_token_env): (&[EnvName], Option<&EnvName>),
    settings: &Value,
) {
    let mut shown = json!(common);
    shown["secret_env"] = if secret_env.is_empty() { Value::Null } else { json!(secret_env) };
    shown["verify_token_env"] = json!(verify_token_env);
    if let (Some(shown), Some(settings)) = (shown.as_object_mut(), settings.as_object()) {
        // A verifier may read one of our keys too, such as where the delivery id stands.
        shown.retain(|key, _| !settings.contains_key(key));
    }
    let prefix = format!("sources.{}", item.id);
    check.resolved.add(&prefix, &shown, Some(item.node), &check.findings);
    check.resolved.add(&prefix, settings, Some(item.node), &check.findings);
}
