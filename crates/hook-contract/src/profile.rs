//! Which profile is meant, and what it makes active.

use hook_core::problem::codes;

use crate::{
    Options,
    findings::Findings,
    read::{Item, Written, find, ids},
    suggest,
    tree::{Content, Node},
    written,
};

/// The selected profile and what it makes active. An id that nothing has was found and is left out here.
pub(crate) struct Active<'w, 't> {
    pub(crate) profile: &'w Item<'t, written::Profile>,
    /// Its settings; empty where they cannot be read.
    pub(crate) written: written::Profile,
    pub(crate) ingress: Vec<&'w Item<'t, written::AdapterHead>>,
    pub(crate) serve_routes: Vec<&'w Item<'t, written::ServeRoute>>,
    pub(crate) egress: Vec<&'w Item<'t, written::AdapterHead>>,
    pub(crate) smash_routes: Vec<&'w Item<'t, written::SmashRoute>>,
}

impl Active<'_, '_> {
    /// Whether what is delivered can only be guessed, because something on its way cannot be read or does not exist.
    /// That was found, and stops the start in every mode; what would follow from it is an echo.
    pub(crate) fn is_guess(&self, written: &Written<'_>) -> bool {
        let listed = self.profile.node.get("smash_routes").map(Node::items).unwrap_or_default();
        let is_route = |node: &Node| node.text().is_some_and(|id| find(&written.smash_routes, id).is_some());
        let is_known = |route: &written::SmashRoute| {
            route
                .destinations
                .iter()
                .all(|destination| find(&written.egress, destination.adapter_id.as_str()).is_some())
        };
        self.profile.written.is_none()
            || !listed.iter().all(is_route)
            || !self.smash_routes.iter().all(|route| route.written.as_ref().is_some_and(is_known))
    }
}

/// Selects a profile: the one asked for, else `default`, else the one named like the app, else the only one.
pub(crate) fn select<'w, 't>(
    written: &'w Written<'t>,
    options: &Options,
    findings: &mut Findings<'_>,
) -> Option<&'w Item<'t, written::Profile>> {
    let profiles = &written.profiles;
    let names = || ids(profiles).collect::<Vec<_>>();
    if profiles.is_empty() {
        findings.error(
            &codes::NO_PROFILE,
            None,
            "the contract has no profile, so that nothing is active",
            first_profile(written),
        );
        return None;
    }
    if let Some(name) = &options.profile {
        let found = find(profiles, name);
        if found.is_none() {
            let help = suggest::help(name, names(), "the profiles of this contract");
            findings.error(&codes::UNKNOWN_PROFILE, None, format!("there is no profile `{name}`"), help);
        }
        return found;
    }
    let app_id = written.root.at(&["app", "id"]).and_then(Node::text).unwrap_or_default();
    let chosen = find(profiles, "default").or_else(|| find(profiles, app_id));
    match (chosen, profiles.as_slice()) {
        (Some(chosen), _) => Some(chosen),
        (None, [only]) => Some(only),
        (None, _) => {
            let span = written.root.span_of("profiles");
            let message = "several profiles, and none is called `default` or like the app";
            let help = format!("choose one with --profile or RELAY_PROFILE: {}", suggest::listed(&names()));
            findings.error(&codes::AMBIGUOUS_PROFILE, span, message, help);
            None
        }
    }
}

/// The six lines that make everything active.
fn first_profile(written: &Written<'_>) -> String {
    fn list<T>(items: &[Item<'_, T>]) -> String {
        let quoted: Vec<String> = ids(items).map(|id| format!("\"{id}\"")).collect();
        format!("[{}]", quoted.join(", "))
    }
    format!(
        "add these six lines:\n\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = {}\nsmash_adapters = {}\n\
         serve_routes = {}\nsmash_routes = {}",
        list(&written.ingress),
        list(&written.egress),
        list(&written.serve_routes),
        list(&written.smash_routes)
    )
}

/// Checks what every profile lists, and resolves what the selected one lists.
pub(crate) fn activate<'w, 't>(
    written: &'w Written<'t>,
    selected: Option<&'w Item<'t, written::Profile>>,
    findings: &mut Findings<'_>,
) -> Option<Active<'w, 't>> {
    let mut active = None;
    for profile in &written.profiles {
        let is_selected = selected.is_some_and(|selected| selected.id == profile.id);
        let mut lists = Lists { profile, is_selected, findings };
        let resolved = Active {
            ingress: lists.resolve("serve_adapters", "ingress adapter", &written.ingress, &codes::UNKNOWN_ADAPTER),
            serve_routes: lists.resolve("serve_routes", "serve route", &written.serve_routes, &codes::UNKNOWN_ROUTE),
            egress: lists.resolve("smash_adapters", "egress adapter", &written.egress, &codes::UNKNOWN_ADAPTER),
            smash_routes: lists.resolve("smash_routes", "smash route", &written.smash_routes, &codes::UNKNOWN_ROUTE),
            profile,
            written: profile.written.clone().unwrap_or_default(),
        };
        if is_selected {
            label(profile, findings);
            active = Some(resolved);
        }
    }
    active
}

fn label(profile: &Item<'_, written::Profile>, findings: &mut Findings<'_>) {
    if profile.node.get("label").is_none() && matches!(profile.node.content, Content::Table(_)) {
        let message = format!("profile `{}` has no label", profile.id);
        findings.error(
            &codes::MISSING_LABEL,
            profile.node.span.clone(),
            message,
            "add `label = \"…\"`: what it is for, in a few words",
        );
    }
}

struct Lists<'l, 'w, 't, 'f> {
    profile: &'w Item<'t, written::Profile>,
    is_selected: bool,
    findings: &'l mut Findings<'f>,
}

impl<'w, 't> Lists<'_, 'w, 't, '_> {
    fn resolve<T>(
        &mut self,
        key: &str,
        what: &str,
        items: &'w [Item<'t, T>],
        code: &'static hook_core::problem::Code,
    ) -> Vec<&'w Item<'t, T>> {
        let listed = self.profile.node.get(key).map(Node::items).unwrap_or_default();
        let mut found: Vec<&Item<'t, T>> = Vec::new();
        for node in listed {
            let Some(id) = node.text() else { continue };
            match find(items, id) {
                Some(item) if found.iter().any(|earlier| earlier.id == item.id) => {
                    let message = format!("profile `{}` lists {what} `{id}` twice", self.profile.id);
                    self.findings.error(&codes::DUPLICATE_ID, node.span.clone(), message, "leave one of the two out");
                }
                Some(item) => found.push(item),
                None => {
                    let message = format!("there is no {what} `{id}`");
                    let help = suggest::help(id, ids(items), &format!("the {what}s of this contract"));
                    match self.is_selected {
                        true => self.findings.error(code, node.span.clone(), message, help),
                        false => self.findings.lenient(code, node.span.clone(), message, help),
                    }
                }
            }
        }
        found
    }
}
