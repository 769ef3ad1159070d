//! The files of TLS that active adapters name, before anything starts with them.

use std::path::Path;

use hook_contract::{
    Origin, ResolvedValue,
    plan::{Plan, Role},
};
use hook_core::{
    problem::{Problem, codes},
    tls::TlsFiles,
};
use hook_http::{client, server::tls};

/// What helps.
pub(crate) const HELP: &str = "name a PEM file that this user may read, and the key of that very certificate; `hook infra certs gen` makes a pair for tests";

/// A problem for each adapter of these roles whose files cannot be used as they are.
pub(crate) fn unusable_files(plan: &Plan, roles: &[Role], resolved: &[ResolvedValue]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if roles.contains(&Role::Serve) {
        for adapter in &plan.serve.adapters {
            let prefix = format!("serve.ingress_adapters.{}", adapter.id);
            problems.extend(adapter.driver.tls().and_then(|files| of_listener(files, &prefix, resolved)));
        }
    }
    if roles.contains(&Role::Smash) {
        for adapter in &plan.smash.adapters {
            let prefix = format!("smash.egress_adapters.{}", adapter.id);
            problems.extend(adapter.driver.tls().and_then(|files| of_listener(files, &prefix, resolved)));
            let authority = adapter.settings.get("ca_path").and_then(serde_json::Value::as_str);
            problems.extend(authority.and_then(|path| of_authority(Path::new(path), &prefix, resolved)));
        }
    }
    problems
}

fn of_listener(files: &TlsFiles, prefix: &str, resolved: &[ResolvedValue]) -> Option<Problem> {
    let tls::Unusable { key, file, reason } = tls::check(files).err()?;
    Some(problem(&format!("{prefix}.tls.{key}"), &format!("`tls.{key}` names {}: {reason}", file.display()), resolved))
}

fn of_authority(file: &Path, prefix: &str, resolved: &[ResolvedValue]) -> Option<Problem> {
    let reason = client::authorities(file).err()?;
    Some(problem(&format!("{prefix}.ca_path"), &format!("`ca_path`: {reason}"), resolved))
}

fn problem(key: &str, message: &str, resolved: &[ResolvedValue]) -> Problem {
    let problem = Problem::error(&codes::TLS_FILE, message, HELP);
    let place = resolved.iter().find(|value| value.key == key).and_then(|value| match &value.origin {
        Origin::Contract(place) | Origin::File(place) => Some(place.clone()),
        Origin::Default | Origin::Option(_) | Origin::Environment(_) => None,
    });
    match place {
        Some(place) => problem.at(place),
        None => problem,
    }
}
