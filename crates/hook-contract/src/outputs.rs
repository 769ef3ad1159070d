//! Is there somewhere to deliver to, and is everything that is declared used?

use hook_core::problem::codes;

use crate::{
    Check,
    profile::Active,
    read::{Item, Written},
    transports,
    tree::Node,
    written::AdapterHead,
};

/// A profile without any destination needs a policy that says so.
pub(crate) fn policy(check: &mut Check<'_, '_>, written: &Written<'_>, active: &Active<'_, '_>) {
    if active.is_guess(written) {
        return;
    }
    let names_active = |node: &Node| {
        let id = node.get("adapter_id").and_then(Node::text);
        active.egress.iter().any(|adapter| Some(adapter.id.as_str()) == id)
    };
    let has_destination = |route: &&Item<'_, crate::written::SmashRoute>| {
        route.node.get("destinations").map(Node::items).unwrap_or_default().iter().any(names_active)
    };
    let has_output = active.smash_routes.iter().any(has_destination);
    if !has_output && !written.policies.allow_no_output {
        let message =
            format!("profile `{}` delivers nothing: no active route has an active destination", active.profile.id);
        let help = "list a smash route and its adapter in the profile, or allow it: [policies] with \
                    `allow_no_output = true` and `no_output_sink = \"discard\"`";
        check.findings.error(&codes::NO_OUTPUT, active.profile.node.span.clone(), message, help);
    }
    for adapter in &active.egress {
        let is_used = active.smash_routes.iter().any(|route| {
            let destinations = route.node.get("destinations").map(Node::items).unwrap_or_default();
            destinations.iter().any(|node| node.get("adapter_id").and_then(Node::text) == Some(adapter.id.as_str()))
        });
        if !is_used {
            let message = format!("egress adapter `{}` is active, but no active route delivers to it", adapter.id);
            let help = "add it to the destinations of a route, or take it out of the profile";
            check.findings.warning(&codes::UNUSED, adapter.node.span_of("id"), message, help);
        }
        hold_without_effect(check, active, adapter);
    }
}

/// What is not required is dropped where it would be held.
fn hold_without_effect(check: &mut Check<'_, '_>, active: &Active<'_, '_>, adapter: &Item<'_, AdapterHead>) {
    let Some(node) = adapter.node.get("on_give_up").filter(|node| node.text() == Some("hold")) else { return };
    let routes = active.smash_routes.iter();
    let destinations = routes.flat_map(|route| route.node.get("destinations").map(Node::items).unwrap_or_default());
    let mut own =
        destinations.filter(|node| node.get("adapter_id").and_then(Node::text) == Some(adapter.id.as_str())).peekable();
    if own.peek().is_some() && own.all(|node| node.get("required").map(Node::to_json) == Some(false.into())) {
        let message = "`on_give_up = \"hold\"` has no effect: no active destination of this adapter is required";
        let help = "leave it out, or make a destination required: what is not required is dropped instead";
        check.findings.warning(&codes::NO_EFFECT, node.span.clone(), message, help);
    }
}

/// What no profile lists, no route matches and no adapter names.
pub(crate) fn unused(check: &mut Check<'_, '_>, written: &Written<'_>) {
    if !written.profiles.is_empty() && written.profiles.iter().all(|profile| profile.written.is_some()) {
        in_no_profile(check, written, "serve_adapters", &written.ingress, "ingress adapter");
        in_no_profile(check, written, "smash_adapters", &written.egress, "egress adapter");
        in_no_profile(check, written, "serve_routes", &written.serve_routes, "serve route");
        in_no_profile(check, written, "smash_routes", &written.smash_routes, "smash route");
    }
    for source in written.sources.iter().filter(|source| source.written.is_some()) {
        let mut routes = written.serve_routes.iter().filter_map(|route| route.written.as_ref());
        if !routes.any(|route| route.source_match.matches(&source.id)) {
            let message = format!("no serve route matches source `{}`", source.id);
            let help = "add a route whose `source_match` takes it, or leave the source out";
            check.findings.warning(&codes::UNUSED, source.node.span.clone(), message, help);
        }
    }
    for transport in &written.transports {
        let mut adapters = written.ingress.iter().chain(&written.egress);
        if !adapters.any(|adapter| transports::name_in(adapter.node) == Some(&transport.id)) {
            let message = format!("no adapter uses transport `{}`", transport.id);
            let help = "name it as `transport_ref` of an adapter, or leave it out";
            check.findings.warning(&codes::UNUSED, transport.node.span.clone(), message, help);
        }
    }
}

fn in_no_profile<T>(check: &mut Check<'_, '_>, written: &Written<'_>, key: &str, items: &[Item<'_, T>], what: &str) {
    let lists = |profile: &Item<'_, crate::written::Profile>, id: &str| {
        let listed = profile.node.get(key).map(Node::items).unwrap_or_default();
        listed.iter().any(|node| node.text() == Some(id))
    };
    for item in items.iter().filter(|item| !item.id.is_empty()) {
        if !written.profiles.iter().any(|profile| lists(profile, &item.id)) {
            let message = format!("no profile lists {what} `{}`", item.id);
            let help = format!("add it to `{key}` of a profile, or leave it out");
            check.findings.warning(&codes::UNUSED, item.node.span_of("id"), message, help);
        }
    }
}
