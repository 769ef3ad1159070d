//! Built-in sources that a contract serves by name although their secret is not set.

use hook_contract::plan::{Plan, SourcePlan};
use hook_core::{
    names::{EnvName, SourceName},
    secret::SecretStore,
};

/// A source that answers 401 to everything.
pub struct Secretless<'a> {
    /// The source.
    pub source: &'a SourceName,
    /// The variables of which none is set, for people.
    pub variables: String,
}

/// The sources that an active serve route names and that have no secret. A route that takes every source does not say
/// that one is used, and of a source with a block in the contract the start has required the secret.
pub fn find<'a>(plan: &'a Plan, secrets: &dyn SecretStore) -> Vec<Secretless<'a>> {
    let is_named = |source: &SourcePlan| {
        let is_it = |pattern: &hook_core::names::Glob| pattern.is_literal() && pattern.matches(source.name.as_str());
        plan.serve.routes.iter().any(|route| is_it(&route.source_match))
    };
    let has_secret = |source: &SourcePlan| source.secret_env.iter().any(|name| secrets.get(name).is_some());
    let sources = plan.sources.values().filter(|source| !source.is_declared && source.verifier.needs_secret());
    sources
        .filter(|source| is_named(source) && !has_secret(source))
        .map(|source| {
            let names: Vec<&str> = source.secret_env.iter().map(EnvName::as_str).collect();
            Secretless { source: &source.name, variables: names.join(" or ") }
        })
        .collect()
}
