//! `hook debug env`: the variables that matter, whether they are set, and where.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    context::Context,
    environment::{Environment, variables},
    exit::Exit,
    load::{self, Examined},
};

/// Show the environment variables that matter, whether they are set, and where
///
/// Listed are those that hook reads by itself, the secrets of the built-in sources, and those that the contract names.
/// Where a variable is set in several places, the one that decides comes first. Secrets are never shown.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// All of them, for programs.
#[derive(Serialize)]
struct Answer {
    variables: Vec<Variable>,
}

/// A variable that matters.
#[derive(Serialize)]
struct Variable {
    name: String,
    about: String,
    set: bool,
    /// Its value, where it is no secret.
    value: Option<String>,
    /// Where it is set, the place that decides first.
    origins: Vec<String>,
}

/// Prints the list. A contract with problems is no failure here: what it needs is then unknown, and said to be.
pub(super) fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    let examined = load::examine(context);
    let variables = all(context, &examined);
    if context.output.is_json() {
        return context.output.json(&Answer { variables });
    }
    if examined.plan.is_none() {
        context.output.note("what the contract names is not listed: it has errors, see `hook config validate`");
    }
    let rows: Vec<[String; 4]> = variables
        .into_iter()
        .map(|variable| {
            let state = match (variable.set, variable.value) {
                (true, Some(value)) => value,
                (true, None) => "set".into(),
                (false, _) => "not set".into(),
            };
            [variable.name, state, variable.origins.join(" over "), variable.about]
        })
        .collect();
    context.output.table(&rows)
}

fn all(context: &Context, examined: &Examined) -> Vec<Variable> {
    let environment = &examined.environment;
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    for source in &context.catalog.sources {
        secrets.insert(source.secret_env.into(), format!("The secret of source {}.", source.name));
    }
    for requirement in examined.plan.iter().flat_map(|plan| &plan.environment) {
        let about = format!("Needed by {}.", requirement.needed_by);
        secrets.insert(requirement.name.to_string(), about);
    }
    // A contract may name any variable for a secret, even one of our own: it is then shown as a secret.
    let known = variables::ALL.iter().filter(|variable| !secrets.contains_key(variable.name));
    let known: Vec<Variable> = known.map(|variable| plain(variable.name, variable.about, environment)).collect();
    known.into_iter().chain(secrets.into_iter().map(|(name, about)| secret(name, about, environment))).collect()
}

fn plain(name: &str, about: &str, environment: &Environment) -> Variable {
    let found = environment.find(name);
    Variable {
        value: found.as_ref().map(|found| String::from_utf8_lossy(found.value.expose()).into_owned()),
        ..secret(name.into(), about.into(), environment)
    }
}

fn secret(name: String, about: String, environment: &Environment) -> Variable {
    let set = environment.find(&name).is_some();
    let origins = environment.origins(&name).iter().map(ToString::to_string).collect();
    Variable { name, about, set, value: None, origins }
}
