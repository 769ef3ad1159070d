//! A crate depends on lower levels only, and not on what its boundary forbids.

use super::metadata::{Dependency, Package};
use crate::finding::Finding;

/// The level of every crate. Crates of one level never depend on each other.
const LEVELS: &[(&str, u8)] = &[
    ("hook-core", 0),
    ("hook-sanitize", 0),
    ("hook-expressions", 1),
    ("hook-http", 1),
    ("hook-log", 1),
    ("hook-contract", 2),
    ("hook-drivers", 2),
    ("hook-kafka", 2),
    ("hook-mcp", 2),
    ("hook-runtime", 3),
    ("hook-admin", 4),
    ("hook-cli", 5),
    ("hook-bench", 6),
    ("xtask", 7),
];

/// What tests share. Only tests depend on it, and it knows the ports alone.
const TESTKIT: &str = "hook-testkit";

/// What a crate must not know although its level would allow it, and why.
const BOUNDARIES: &[(&str, &[&str], &str)] = &[
    (
        "hook-core",
        &["tokio", "reqwest", "hyper", "axum", "toml", "rustix", "tracing"],
        "the vocabulary does no I/O and knows no runtime",
    ),
    (
        "hook-sanitize",
        &["tokio", "reqwest", "hyper", "axum", "tracing", "serde_json", "regex"],
        "it reads text in linear time and does nothing else",
    ),
    (
        "hook-expressions",
        &["tokio", "reqwest", "hyper", "axum", "toml", "rustix", "tracing"],
        "an expression sees an event and nothing else",
    ),
    ("hook-contract", &["tokio", "reqwest", "hyper", "axum", "rustix", "tracing"], "a contract is checked without I/O"),
    ("hook-log", &["serde_json", "reqwest", "hyper", "axum"], "the log keeps bytes and does not know what an event is"),
    ("hook-drivers", &["hook-contract", "hook-log"], "a driver knows neither the contract nor a log"),
    ("hook-kafka", &["hook-contract", "hook-log", "reqwest", "hyper", "axum"], "Kafka is spoken by librdkafka alone"),
    ("hook-mcp", &["hook-contract", "hook-log"], "a driver knows neither the contract nor a log"),
    (
        "hook-runtime",
        &["hook-drivers", "hook-log", "hook-kafka", "hook-mcp", "hook-http", "reqwest", "axum"],
        "the roles name no driver and no log",
    ),
    (
        "hook-admin",
        &["hook-drivers", "hook-log", "hook-kafka", "hook-mcp"],
        "the admin address knows no driver's inside",
    ),
];

/// Findings of all packages.
pub(super) fn check(packages: &[Package]) -> Vec<Finding> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    if package.name != TESTKIT && level(&package.name).is_none() {
        let message = format!("{} has no level: add it to LEVELS in xtask/src/tidy/levels.rs", package.name);
        return vec![Finding::at(&package.manifest, 1, message)];
    }
    let finding = |dependency: &Dependency| {
        let message = fault(&package.name, dependency)?;
        Some(Finding::at(&package.manifest, package.line_of(&dependency.name), message))
    };
    package.dependencies.iter().filter_map(finding).collect()
}

/// What is wrong with one dependency.
fn fault(name: &str, dependency: &Dependency) -> Option<String> {
    let on = dependency.name.as_str();
    if let Some((_, forbidden, reason)) = BOUNDARIES.iter().find(|(crate_name, ..)| *crate_name == name)
        && !dependency.is_dev
        && forbidden.contains(&on)
    {
        return Some(format!("{name} must not depend on {on}: {reason}; move what needs it to a higher level"));
    }
    if on == TESTKIT {
        let message = format!("{TESTKIT} is for tests: move it to [dev-dependencies]");
        return (!dependency.is_dev).then_some(message);
    }
    let below = level(on)?;
    if name == TESTKIT {
        return (below > 0).then(|| format!("{TESTKIT} knows the ports alone: it must not depend on {on}"));
    }
    let own = level(name)?;
    (below >= own).then(|| {
        format!("{name} (level {own}) must not depend on {on} (level {below}): a crate depends on lower levels only")
    })
}

fn level(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_fault(name: &str, on: &str, is_dev: bool, expected: Option<&str>) {
        let found = fault(name, &Dependency { name: on.into(), is_dev });
        match expected {
            None => assert_eq!(found, None),
            Some(part) => assert!(found.as_ref().is_some_and(|found| found.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn a_crate_depends_on_lower_levels_only() {
        check_fault("hook-runtime", "hook-contract", false, None);
        check_fault("hook-contract", "hook-runtime", false, Some("lower levels only"));
        check_fault("hook-drivers", "hook-kafka", false, Some("lower levels only"));
        check_fault("hook-drivers", "serde", false, None);
    }

    #[test]
    fn a_boundary_forbids_more_than_its_level() {
        check_fault("hook-core", "tokio", false, Some("no runtime"));
        check_fault("hook-core", "tokio", true, None);
        check_fault("hook-runtime", "hook-log", false, Some("no log"));
        check_fault("hook-drivers", "hook-contract", false, Some("neither the contract"));
        check_fault("hook-runtime", "hook-log", true, None);
    }

    #[test]
    fn only_tests_know_the_testkit() {
        check_fault("hook-log", TESTKIT, true, None);
        check_fault("hook-cli", TESTKIT, false, Some("dev-dependencies"));
        check_fault(TESTKIT, "hook-core", false, None);
        check_fault(TESTKIT, "hook-log", false, Some("ports alone"));
    }
}
