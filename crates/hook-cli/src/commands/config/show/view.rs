//! What `hook config show` shows: one object, the same for people and for programs. No field can hold a secret.

use std::collections::BTreeMap;

use hook_contract::{
    Origin, ResolvedValue,
    plan::{Plan, Requirement, Role, SourcePlan, StartFrom, ValidationMode},
};
use hook_core::{names::CursorName, problem::Problem};
use serde::Serialize;
use serde_json::Value;

use crate::{
    discovery::ContractText,
    environment::{Environment, variables},
    globals::Globals,
    load::{Examined, LogChoice},
};

/// What a contract comes to.
#[derive(Serialize)]
pub(super) struct View {
    pub(super) contract: ContractView,
    pub(super) app: AppView,
    pub(super) profile: ProfileView,
    pub(super) validation_mode: &'static str,
    pub(super) log: LogChoice,
    pub(super) dead_letters: String,
    pub(super) admin: String,
    pub(super) sources: Vec<SourceView>,
    pub(super) serve_routes: Vec<ServeRouteView>,
    pub(super) relay: Option<RelayView>,
    pub(super) destinations: Vec<DestinationView>,
    pub(super) values: Vec<ValueView>,
    pub(super) environment: Vec<VariableView>,
    pub(super) overrides: BTreeMap<String, Vec<String>>,
    pub(super) warnings: Vec<Problem>,
}

#[derive(Serialize)]
pub(super) struct ContractView {
    pub(super) file: String,
    pub(super) found_by: String,
}

#[derive(Serialize)]
pub(super) struct AppView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
}

#[derive(Serialize)]
pub(super) struct ProfileView {
    pub(super) name: String,
    pub(super) label: Option<String>,
}

#[derive(Serialize)]
pub(super) struct SourceView {
    pub(super) name: String,
    pub(super) verifier: String,
    pub(super) is_declared: bool,
    /// `ready` or `no secret`.
    pub(super) state: &'static str,
    pub(super) secrets: Vec<SecretView>,
}

#[derive(Serialize)]
pub(super) struct SecretView {
    pub(super) name: String,
    pub(super) set: bool,
    pub(super) origin: Option<String>,
}

#[derive(Serialize)]
pub(super) struct ServeRouteView {
    pub(super) id: String,
    pub(super) source_match: String,
    pub(super) event_type_pattern: String,
    pub(super) target_topic: String,
}

#[derive(Serialize)]
pub(super) struct RelayView {
    pub(super) inputs: Vec<String>,
    pub(super) output: String,
}

#[derive(Serialize)]
pub(super) struct DestinationView {
    pub(super) route: String,
    pub(super) adapter: String,
    pub(super) driver: String,
    pub(super) required: bool,
    pub(super) from: Option<String>,
    pub(super) cursor: String,
}

#[derive(Serialize)]
pub(super) struct ValueView {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: String,
}

#[derive(Serialize)]
pub(super) struct VariableView {
    pub(super) name: String,
    pub(super) set: bool,
    pub(super) origin: Option<String>,
    pub(super) roles: Vec<Role>,
    pub(super) needed_by: Vec<String>,
}

impl View {
    pub(super) fn of(globals: &Globals, examined: &Examined, plan: &Plan, contract: &ContractText) -> Self {
        let environment = &examined.environment;
        Self {
            contract: ContractView { file: contract.file.clone(), found_by: contract.found_by.to_string() },
            app: AppView {
                id: plan.app.id.to_string(),
                name: plan.app.name.clone(),
                version: plan.app.version.to_string(),
            },
            profile: ProfileView { name: plan.profile.name.clone(), label: plan.profile.label.clone() },
            validation_mode: match plan.mode {
                ValidationMode::Strict => "strict",
                ValidationMode::Debug => "debug",
            },
            log: LogChoice::of(plan, environment),
            dead_letters: plan.dead_letters.to_string(),
            admin: plan.admin.bind.to_string(),
            sources: plan.sources.values().map(|source| SourceView::of(source, environment)).collect(),
            serve_routes: serve_routes(plan),
            relay: plan.relay.as_ref().map(|relay| RelayView {
                inputs: relay.inputs.iter().map(ToString::to_string).collect(),
                output: relay.output.to_string(),
            }),
            destinations: destinations(plan),
            values: examined.resolved.iter().map(|value| ValueView::of(value, globals, environment)).collect(),
            environment: variables_of(&plan.environment, environment),
            overrides: overrides(environment),
            warnings: examined.problems.clone(),
        }
    }
}

impl SourceView {
    fn of(source: &SourcePlan, environment: &Environment) -> Self {
        let secrets: Vec<SecretView> = source
            .secret_env
            .iter()
            .map(|name| {
                let origin = environment.find(name.as_str()).map(|found| found.origin.to_string());
                SecretView { name: name.to_string(), set: origin.is_some(), origin }
            })
            .collect();
        let has_no_secret = source.verifier.needs_secret() && !secrets.iter().any(|secret| secret.set);
        Self {
            name: source.name.to_string(),
            verifier: source.verifier_name.clone(),
            is_declared: source.is_declared,
            state: if has_no_secret { "no secret" } else { "ready" },
            secrets,
        }
    }
}

impl ValueView {
    fn of(value: &ResolvedValue, globals: &Globals, environment: &Environment) -> Self {
        Self {
            key: value.key.clone(),
            value: if may_be_secret(&value.key) { "(redacted)".into() } else { value.value.clone() },
            origin: origin(&value.origin, globals, environment),
        }
    }
}

/// A profile's `env` may set anything; only what `hook` reads by itself is known to be no secret.
fn may_be_secret(key: &str) -> bool {
    let Some((_, variable)) = key.strip_prefix("profiles.").and_then(|rest| rest.split_once(".env.")) else {
        return false;
    };
    !variables::ALL.iter().any(|known| known.name == variable)
}

fn origin(origin: &Origin, globals: &Globals, environment: &Environment) -> String {
    match origin {
        Origin::Contract(place) | Origin::File(place) => format!("{}:{}", place.file, place.line),
        Origin::Environment(who) => who.clone(),
        Origin::Default => "default".into(),
        Origin::Option(option) => option_origin(option, globals, environment),
    }
}

/// Where an option of the check came from: its flag, else its variable.
fn option_origin(option: &str, globals: &Globals, environment: &Environment) -> String {
    let (flag, variable) = match option {
        "profile" => (globals.profile.as_ref().map(|_| "--profile"), variables::PROFILE),
        "validation_mode" => (globals.validation_mode.map(|_| "--validation-mode"), variables::VALIDATION_MODE),
        "force" => return "--force".into(),
        "dead_letters" => (None, variables::DLQ_TOPIC),
        "enabled_sources" => (None, variables::ENABLED_SOURCES),
        "max_body_bytes" => (None, variables::MAX_PAYLOAD_BYTES),
        other => return other.into(),
    };
    match (flag, environment.find(variable)) {
        (Some(flag), _) => flag.into(),
        (None, Some(found)) => format!("{variable} ({})", found.origin),
        (None, None) => variable.into(),
    }
}

fn serve_routes(plan: &Plan) -> Vec<ServeRouteView> {
    let route = |route: &hook_contract::plan::ServeRoute| ServeRouteView {
        id: route.id.to_string(),
        source_match: route.source_match.to_string(),
        event_type_pattern: route.event_type_pattern.to_string(),
        target_topic: route.target.0.clone(),
    };
    plan.serve.routes.iter().map(route).collect()
}

fn destinations(plan: &Plan) -> Vec<DestinationView> {
    let routes = plan.smash.routes.iter();
    let pairs = routes.flat_map(|route| route.destinations.iter().map(move |destination| (route, destination)));
    pairs
        .map(|(route, destination)| {
            let adapter = plan.smash.adapters.iter().find(|adapter| adapter.id == destination.adapter);
            DestinationView {
                route: route.id.to_string(),
                adapter: destination.adapter.to_string(),
                driver: adapter.map(|adapter| adapter.driver_name.clone()).unwrap_or_default(),
                required: destination.required,
                from: destination.from.map(|from| match from {
                    StartFrom::Now => "now".into(),
                    StartFrom::Earliest => "earliest".into(),
                    StartFrom::Time(time) => time.to_string(),
                }),
                cursor: CursorName::of_destination(&plan.app.id, &route.id, &destination.adapter).to_string(),
            }
        })
        .collect()
}

fn variables_of(requirements: &[Requirement], environment: &Environment) -> Vec<VariableView> {
    let mut variables: BTreeMap<String, VariableView> = BTreeMap::new();
    for requirement in requirements {
        let name = requirement.name.to_string();
        let variable = variables.entry(name.clone()).or_insert_with(|| {
            let origin = environment.find(&name).map(|found| found.origin.to_string());
            VariableView { name, set: origin.is_some(), origin, roles: Vec::new(), needed_by: Vec::new() }
        });
        if !variable.roles.contains(&requirement.role) {
            variable.roles.push(requirement.role);
        }
        if !variable.needed_by.contains(&requirement.needed_by) {
            variable.needed_by.push(requirement.needed_by.clone());
        }
    }
    variables.into_values().collect()
}

/// Where a file or a profile hides the process environment: the origin that decides comes first.
fn overrides(environment: &Environment) -> BTreeMap<String, Vec<String>> {
    let shown = |origins: Vec<crate::environment::Origin>| origins.iter().map(ToString::to_string).collect();
    environment.overrides().into_iter().map(|(name, origins)| (name, shown(origins))).collect()
}
