//! The sections of the contract that describe the app and the process rather than the flow.

use std::{collections::BTreeMap, time::Duration};

use hook_core::{duration::HumanDuration, names::EnvName, problem::codes};
use serde_json::{Value, json};

use crate::{
    Check, Origin, kafka,
    plan::{self, AdminPlan, BackboneDriver, LogPlan, Retention, ValidationMode},
    profile::Active,
    read::{Written, schema_of},
    shape, written,
};

const DAY: u64 = 86_400;
const JOURNAL_BYTES: u64 = 256 * 1024 * 1024;

/// Shows the app and the policies, and checks that the policies go together.
pub(crate) fn app_and_policies(check: &mut Check<'_, '_>, written: &Written<'_>, mode: ValidationMode) {
    if let Some(app) = &written.app {
        let shown = json!({
            "id": app.id, "name": app.name, "version": app.version.to_string(), "description": app.description,
        });
        check.resolved.add("app", &shown, written.root.get("app"), &check.findings);
    }
    let policies = &written.policies;
    let node = written.root.get("policies");
    let shown = json!({ "allow_no_output": policies.allow_no_output, "no_output_sink": policies.no_output_sink });
    check.resolved.add("policies", &shown, node, &check.findings);
    let key = "policies.validation_mode";
    match check.options.mode {
        Some(_) => check.resolved.add_leaf(key, json!(mode), Origin::Option("validation_mode"), &check.findings),
        None => {
            let node = node.and_then(|node| node.get("validation_mode"));
            check.resolved.add(key, &json!(mode), node, &check.findings);
        }
    }
    if policies.allow_no_output && policies.no_output_sink.is_none() {
        let span = node.map(|node| node.span_of("allow_no_output"));
        let message = "`no_output_sink` is missing: without a destination, something must become of events";
        let help = "add `no_output_sink = \"discard\"` (they rest in the log until their retention ends) or `\"dlq\"`";
        check.findings.error(&codes::NO_OUTPUT_SINK, span, message, help);
    }
}

/// Shows the topics that are kept for ourselves.
pub(crate) fn reserved_topics(check: &mut Check<'_, '_>) {
    let dead_letters = json!(check.dead_letters);
    let origin = match (check.is_kafka, &check.options.dead_letters) {
        // There it is one of the log's settings, which say who gave it.
        (true, _) => check.resolved.origin_of("backbone.dlq_topic"),
        (false, Some(_)) => Origin::Option("dead_letters"),
        (false, None) => Origin::Default,
    };
    check.resolved.add_leaf("topics.dead_letters", dead_letters, origin, &check.findings);
    check.resolved.add_leaf("topics.journal", json!(check.journal), Origin::Default, &check.findings);
}

/// Shows the selected profile.
pub(crate) fn profile(check: &mut Check<'_, '_>, active: &Active<'_, '_>) -> plan::Profile {
    let name = active.profile.id.clone();
    let origin = match &check.options.profile {
        Some(_) => Origin::Option("profile"),
        None => Origin::Contract(check.findings.text.place(active.profile.node.span.clone())),
    };
    check.resolved.add_leaf("profile", json!(name), origin, &check.findings);
    let prefix = format!("profiles.{name}");
    check.resolved.add(&prefix, &json!(active.written), Some(active.profile.node), &check.findings);
    let variables = active.written.env.iter();
    let env: BTreeMap<EnvName, String> =
        variables.filter_map(|(name, value)| Some((EnvName::new(name).ok()?, value.clone()))).collect();
    plan::Profile { name, label: active.written.label.clone(), env }
}

/// Which log, and the topics that depend on it. `None` where it cannot be used, which was found.
pub(crate) fn backbone(check: &mut Check<'_, '_>, written: &Written<'_>) -> Option<plan::Backbone> {
    let node = written.root.get("backbone");
    let is_declared = written.backbone.is_some();
    let driver_node = node.and_then(|node| node.get("driver"));
    check.is_kafka = kafka::is_chosen(check, written);
    if check.is_kafka {
        let driver = json!("kafka");
        match (is_declared, check.options.kafka.origins.get("brokers").cloned()) {
            (false, Some(who)) => {
                check.resolved.add_leaf("backbone.driver", driver, Origin::Environment(who), &check.findings);
            }
            _ => check.resolved.add("backbone.driver", &driver, driver_node, &check.findings),
        }
        let kafka = kafka::plan(check, written)?;
        return Some(plan::Backbone { driver: BackboneDriver::Kafka(Box::new(kafka)), is_declared });
    }
    if let Some(node) = node.filter(|_| is_declared) {
        let mut schema = schema_of::<written::Backbone>();
        schema["additionalProperties"] = Value::Bool(false);
        crate::read::report(shape::check(node, &schema, &["backbone".to_owned()]), &mut check.findings);
    }
    check.resolved.add("backbone.driver", &json!("embedded"), driver_node, &check.findings);
    Some(plan::Backbone { driver: BackboneDriver::Embedded, is_declared })
}

/// The admin address.
pub(crate) fn admin(check: &mut Check<'_, '_>, written: &Written<'_>) -> AdminPlan {
    let admin = &written.admin;
    let node = written.root.get("admin");
    check.resolved.add("admin", &json!(admin), node, &check.findings);
    if !admin.bind.ip().to_canonical().is_loopback() && admin.token_env.is_none() {
        let message =
            format!("the admin address {} can be reached from other machines and asks for no token", admin.bind);
        let help = "add `token_env = \"NAME\"`, or listen on 127.0.0.1";
        check.findings.warning(&codes::ADMIN_OPEN, node.map(|node| node.span_of("bind")), message, help);
    }
    AdminPlan { bind: admin.bind, token_env: admin.token_env.clone() }
}

/// How the embedded log keeps what it has.
pub(crate) fn log(check: &mut Check<'_, '_>, written: &Written<'_>) -> LogPlan {
    if check.is_kafka {
        if let Some(node) = written.root.get("log") {
            let message = "[log] has no effect: the log is Kafka, where the topics say what is kept";
            let help = "leave it out, or write `driver = \"embedded\"` under [backbone]";
            check.findings.warning(&codes::NO_EFFECT, node.span.clone(), message, help);
        }
        return plan_of(&written::LogSection::default());
    }
    let log = plan_of(&written.log);
    let shown =
        |retention: Retention| json!({ "max_age": HumanDuration(retention.max_age), "max_bytes": retention.max_bytes });
    let complete = json!({
        "segment_bytes": log.segment_bytes,
        "events": shown(log.events),
        "dead_letters": shown(log.dead_letters),
        "journal": shown(log.journal),
        "max_pinned": log.max_pinned,
        "when_pinned": log.when_pinned,
    });
    check.resolved.add("log", &complete, written.root.get("log"), &check.findings);
    log
}

fn plan_of(section: &written::LogSection) -> LogPlan {
    let keep = |keep: &written::Keep, days: u64, bytes: Option<u64>| Retention {
        max_age: keep.max_age.map_or(Duration::from_secs(days * DAY), HumanDuration::get),
        max_bytes: keep.max_bytes.or(bytes),
    };
    LogPlan {
        segment_bytes: section.segment_bytes,
        events: keep(&section.events, 7, None),
        dead_letters: keep(&section.dead_letters, 30, None),
        journal: keep(&section.journal, 7, Some(JOURNAL_BYTES)),
        max_pinned: section.max_pinned,
        when_pinned: section.when_pinned,
    }
}
