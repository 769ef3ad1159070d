//! `hook sources`: what verifiers check, and why a request does or does not pass.

mod list;
mod show;
mod test;

use std::sync::Arc;

use hook_core::{
    names::{EnvName, SourceName},
    ports::verifier::{Checks, SourceVerifier},
};
use serde::Serialize;
use serde_json::json;

use crate::{context::Context, environment::Environment, exit::Exit, load, owner::fail};

/// What verifiers check, and why a request passes or does not
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Arguments),
    Show(show::Arguments),
    Test(test::Arguments),
}

/// Runs one of them.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.command {
        Command::List(arguments) => list::run(context, arguments),
        Command::Show(arguments) => show::run(context, arguments),
        Command::Test(arguments) => test::run(context, arguments),
    }
}

/// A source of the contract, or one that a contract could have.
struct Known {
    name: String,
    verifier_name: String,
    verifier: Arc<dyn SourceVerifier>,
    /// The variables of its secrets.
    secret_env: Vec<EnvName>,
    /// The variable of the token that a GET challenge has to show.
    verify_token_env: Option<EnvName>,
    /// Whether the contract has it, or it needs no block there.
    is_declared: bool,
}

/// A source, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    verifier: &'a str,
    secret_env: &'a [EnvName],
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_token_env: Option<&'a EnvName>,
    is_declared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Checks>,
}

impl Known {
    fn shown<'a>(&'a self, context: &Context) -> Shown<'a> {
        Shown {
            name: &self.name,
            verifier: &self.verifier_name,
            secret_env: &self.secret_env,
            verify_token_env: self.verify_token_env.as_ref(),
            is_declared: self.is_declared,
            about: context.catalog.verifier(&self.verifier_name).map(hook_core::catalog::Entry::about),
            checks: self.verifier.checks(),
        }
    }
}

/// The source of the contract of that name; else what `[sources.NAME] verifier = "NAME"` would be.
fn find(context: &Context, name: &str) -> Result<(Known, Environment), Exit> {
    let examined = load::examine(context);
    let of_contract = SourceName::new(name).ok().and_then(|name| examined.plan.as_ref()?.sources.get(&name).cloned());
    let known = match of_contract {
        Some(source) => Known {
            name: name.to_owned(),
            verifier_name: source.verifier_name,
            verifier: source.verifier,
            secret_env: source.secret_env,
            verify_token_env: source.verify_token_env,
            is_declared: true,
        },
        None => of_catalog(context, name).ok_or_else(|| {
            let message = format!(
                "there is no source `{name}` in the contract, and no verifier of that name; `hook sources list` names all"
            );
            fail(context, &message)
        })?,
    };
    Ok((known, examined.environment))
}

/// What `[sources.NAME] verifier = "NAME"` would be; `None` where that needs more keys.
fn of_catalog(context: &Context, name: &str) -> Option<Known> {
    let verifier = context.catalog.verifier(name)?.build(json!({})).ok()?.driver;
    let variable = |prefix: &str| EnvName::new(format!("{prefix}_{}", name.to_uppercase().replace('-', "_"))).ok();
    let needs = |is_needed: bool, prefix| if is_needed { variable(prefix) } else { None };
    Some(Known {
        name: name.to_owned(),
        verifier_name: name.to_owned(),
        secret_env: needs(verifier.needs_secret(), "HMAC_SECRET").into_iter().collect(),
        verify_token_env: needs(verifier.needs_challenge_token(), "VERIFY_TOKEN"),
        is_declared: context.catalog.source(name).is_some(),
        verifier,
    })
}
