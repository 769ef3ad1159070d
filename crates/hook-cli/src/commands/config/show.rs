//! `hook config show`: what the contract comes to in this environment.

mod view;

use hook_core::problem::Problem;

use crate::{
    context::Context,
    exit::Exit,
    load::{self, Examined},
    output::Output,
};

use view::{SourceView, View};

/// Show what the contract comes to: every value with where it came from, and what would run
///
/// Shown are the selected profile, the log and why it was chosen, the sources, what relay reads, every destination,
/// every value of the contract as it will be used, and the environment variables that are needed. Of a secret only
/// whether it is set is shown, never the secret.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// Shows it, or the problems where the contract has an error.
pub(super) fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    let mut examined = load::examine(context);
    // A contract for another build is shown all the same: nothing is started here.
    let not_built = examined.not_built.take();
    examined.problems.extend(not_built.map(Problem::into_warning));
    let view = match &examined {
        Examined { plan: Some(plan), contract: Some(contract), .. } if !examined.has_errors() => {
            View::of(&context.globals, &examined, plan, contract)
        }
        _ => return examined.into_loaded(context).map(|_| ()),
    };
    if context.output.is_json() {
        return context.output.json(&view);
    }
    context.show(&examined.problems, examined.contract.as_ref());
    print(&context.output, &view)
}

fn print(output: &Output, view: &View) -> Result<(), Exit> {
    print_summary(output, view)?;
    section(output, "Sources", "none", &view.sources.iter().map(source_row).collect::<Vec<_>>())?;
    let routes: Vec<[String; 3]> = view
        .serve_routes
        .iter()
        .map(|route| {
            [
                route.id.clone(),
                format!("{}:{}", route.source_match, route.event_type_pattern),
                format!("→ {}", route.target_topic),
            ]
        })
        .collect();
    section(output, "Serve routes", "none: nothing is taken in", &routes)?;
    if let Some(relay) = &view.relay {
        let inputs: Vec<[String; 1]> =
            relay.inputs.iter().map(|topic| [format!("{topic} → {}", relay.output)]).collect();
        section(output, "Relay", "none", &inputs)?;
    }
    let destinations: Vec<[String; 4]> = view
        .destinations
        .iter()
        .map(|destination| {
            let required = if destination.required { "required" } else { "not required" };
            let from = destination.from.as_ref().map(|from| format!("from {from}")).unwrap_or_default();
            [
                destination.route.clone(),
                format!("→ {} ({})", destination.adapter, destination.driver),
                required.into(),
                from,
            ]
        })
        .collect();
    section(output, "Destinations", "none: events stay in the log", &destinations)?;
    let values: Vec<[String; 3]> =
        view.values.iter().map(|value| [value.key.clone(), value.value.to_string(), value.origin.clone()]).collect();
    section(output, "Values", "none", &values)?;
    let environment: Vec<[String; 4]> = view
        .environment
        .iter()
        .map(|variable| {
            [
                variable.name.clone(),
                set(variable.set),
                variable.origin.clone().unwrap_or_default(),
                variable.needed_by.join(", "),
            ]
        })
        .collect();
    section(output, "Environment that is needed", "nothing", &environment)?;
    let overrides: Vec<[String; 2]> =
        view.overrides.iter().map(|(name, origins)| [name.clone(), origins.join(" over ")]).collect();
    if overrides.is_empty() { Ok(()) } else { section(output, "Set in several places", "", &overrides) }
}

fn print_summary(output: &Output, view: &View) -> Result<(), Exit> {
    let label = view.profile.label.as_ref().map(|label| format!(", {label}")).unwrap_or_default();
    output.table(&[
        ["contract".into(), format!("{} ({})", view.contract.file, view.contract.found_by)],
        ["app".into(), format!("{} {}, {}", view.app.id, view.app.version, view.app.name)],
        ["profile".into(), format!("{}{label}", view.profile.name)],
        ["mode".into(), view.validation_mode.to_owned()],
        ["log".into(), view.log.to_string()],
        ["dead letters".into(), view.dead_letters.clone()],
        ["admin".into(), view.admin.clone()],
    ])
}

fn section<const N: usize>(output: &Output, heading: &str, empty: &str, rows: &[[String; N]]) -> Result<(), Exit> {
    output.heading(heading)?;
    if rows.is_empty() { output.line(&format!("  {empty}")) } else { output.table(rows) }
}

fn source_row(source: &SourceView) -> [String; 4] {
    let secrets: Vec<String> = source
        .secrets
        .iter()
        .map(|secret| match &secret.origin {
            Some(origin) => format!("{} is set ({origin})", secret.name),
            None => format!("{} is not set", secret.name),
        })
        .collect();
    let declared = if source.is_declared { "" } else { ", built in" };
    [source.name.clone(), format!("{}{declared}", source.verifier), source.state.into(), secrets.join(", ")]
}

fn set(is_set: bool) -> String {
    if is_set { "set".into() } else { "not set".into() }
}
