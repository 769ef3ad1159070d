//! The contract: text in; all of its problems, or a plan, out. No I/O, no environment, no driver of its own.

pub mod plan;

use std::collections::BTreeSet;

use hook_core::{
    catalog::Catalog,
    names::{SourceName, TopicName},
    problem::{Place, Problem},
};
use plan::{Plan, ValidationMode};

/// What a check is given beside the text. The caller has read it from flags and the environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The profile asked for; `None` for the rule: `default`, else the app's own name, else the only one.
    pub profile: Option<String>,
    /// Overrides `[policies] validation_mode`.
    pub mode: Option<ValidationMode>,
    /// Goes on where only problems that are not security-critical were found: they become warnings.
    pub force: bool,
    /// The dead-letter topic; `None` for `webhooks.dlq`.
    pub dead_letters: Option<TopicName>,
    /// The built-in sources that are enabled; `None` for all.
    pub enabled_sources: Option<BTreeSet<SourceName>>,
    /// The body limit of adapters whose contract gives none.
    pub max_body_bytes: Option<u64>,
}

/// What a check found.
pub struct Checked {
    /// Every problem, in the order of the text.
    pub problems: Vec<Problem>,
    /// The plan; `None` where a problem is an error.
    pub plan: Option<Plan>,
    /// Every value of the contract as it will be used, and where it came from; as far as the text could be read.
    pub resolved: Vec<ResolvedValue>,
}

/// One value as it will be used.
#[derive(Debug, Clone)]
pub struct ResolvedValue {
    /// Its path, such as `smash.egress_adapters.openclaw-output.timeout_seconds`.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The contract says so.
    Contract(Place),
    /// The contract is silent.
    Default,
    /// An option of the check, by the name of its field in [`Options`], such as `max_body_bytes`.
    Option(&'static str),
}

/// Checks a contract: pure, and complete in one go. `file` is the name shown in problems.
pub fn check(file: &str, text: &str, catalog: &Catalog, options: &Options) -> Checked {
    let _ = (file, text, catalog, options);
    todo!()
}
