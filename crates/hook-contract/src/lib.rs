//! The contract: text in; all of its problems, or a plan, out. No I/O, no environment, no driver of its own.
//!
//! ```text
//! text ─tree→ spanned tree ─shape→ flaws      (every key, type and format, against JSON Schemas)
//!                 │
//!                 └─read→ contract as written ─profile→ what is active ─adapters, sources, routes, topics→ plan
//! ```
//!
//! Nothing stops at the first mistake: what can be read is checked, whatever else is wrong.

mod adapters;
mod build;
mod findings;
mod format;
mod kafka;
mod listeners;
mod mask;
mod outputs;
mod overlap;
pub mod pages;
pub mod plan;
mod profile;
mod read;
mod resolved;
mod routes;
pub mod schema;
mod schema_query;
mod secrets;
mod sections;
mod shape;
mod sources;
mod suggest;
mod text;
mod topics;
mod transports;
mod tree;
mod ways;
mod words;
pub mod written;

use std::collections::{BTreeMap, BTreeSet};

use hook_core::{
    catalog::Catalog,
    names::{CursorName, EnvName, SourceName, TopicName},
    problem::{Place, Problem, codes},
};

pub use mask::masked;

use findings::Findings;
use plan::{Plan, RelayRetry, Requirement, Role, ServePlan, SmashPlan, SourcePlan, ValidationMode};
use profile::Active;
use read::Written;
use resolved::Resolved;
use text::Text;
use topics::Flow;
use written::{BackboneName, Brokers, KafkaSection};

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
    /// What is said about Kafka beside the contract.
    pub kafka: KafkaOptions,
    /// What is said about the relay beside the contract.
    pub relay: RelayOptions,
}

/// What is said about the relay beside the contract. It comes before what the contract says.
#[derive(Debug, Clone, Default)]
pub struct RelayOptions {
    /// The topics that are read; nothing for those of the contract.
    pub topics: Vec<TopicName>,
    /// The topic that is written.
    pub output_topic: Option<TopicName>,
    /// The cursor that is read with.
    pub group: Option<CursorName>,
    /// What happens when the log does not take a batch.
    pub retry: RelayRetry,
}

/// What is said about Kafka beside the contract. What the contract says comes first, then this environment, then the file.
#[derive(Debug, Clone, Default)]
pub struct KafkaOptions {
    /// What the environment says. `brokers` there chooses Kafka where the contract names no log.
    pub environment: KafkaSection,
    /// Who says it, by key, for people: `KAFKA_TLS_CA (.env:2)` for `tls.ca_path`.
    pub origins: BTreeMap<&'static str, String>,
    /// `config/kafka-core.toml`, where there is one. It is read where the log is Kafka.
    pub file: Option<ConfigFile>,
    /// Where the brokers are, whatever the contract says; chooses Kafka where that names no log.
    pub brokers: Option<Brokers>,
}

/// A file beside the contract.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Its name in problems.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// What a check found.
pub struct Checked {
    /// Every problem, in the order of the text.
    pub problems: Vec<Problem>,
    /// The plan; `None` where a problem is an error.
    pub plan: Option<Plan>,
    /// Every value of the contract as it will be used, and where it came from; as far as the text could be read.
    pub resolved: Vec<ResolvedValue>,
    /// Which log was chosen, with and without a plan.
    pub log: BackboneName,
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
    /// Another file says so.
    File(Place),
    /// The environment says so; who there, for people.
    Environment(String),
    /// All are silent.
    Default,
    /// An option of the check, such as `max_body_bytes` or `validation_mode`; the caller knows which flag or variable set it.
    Option(&'static str),
}

/// What the relay writes, unless the contract says otherwise.
const CORE: &str = "webhooks.core";
/// Where the journal goes.
const JOURNAL: &str = "hook.journal";
/// Where dead letters go, unless an option says otherwise.
const DEAD_LETTERS: &str = "webhooks.dlq";

/// Checks a contract: pure, and complete in one go. `file` is the name shown in problems.
pub fn check(file: &str, text: &str, catalog: &Catalog, options: &Options) -> Checked {
    let text_index = Text::new(file, text);
    let mut findings = Findings::new(&text_index);
    let tree = tree::parse(text, &mut findings);
    secrets::find(text, &tree, &mut findings);
    if findings.has(&codes::SYNTAX) {
        // What was recovered is a guess; its problems would be echoes.
        let problems = findings.into_problems(true);
        return Checked { problems, plan: None, resolved: Vec::new(), log: BackboneName::Embedded };
    }
    let written = read::contract(&tree, &mut findings);
    let mode = options.mode.unwrap_or(written.policies.validation_mode);
    let is_strict = mode == ValidationMode::Strict && !options.force;
    let mut check = Check::new(catalog, options, findings);
    let plan = check.plan(&written, mode);
    let log = if check.is_kafka { BackboneName::Kafka } else { BackboneName::Embedded };
    let Check { findings, resolved, .. } = check;
    let problems = findings.into_problems(is_strict);
    let has_error = problems.iter().any(Problem::is_error);
    Checked { problems, plan: plan.filter(|_| !has_error), resolved: resolved.into_values(), log }
}

/// A check under way.
struct Check<'c, 't> {
    catalog: &'c Catalog,
    options: &'c Options,
    findings: Findings<'t>,
    resolved: Resolved,
    environment: Vec<Requirement>,
    is_kafka: bool,
    /// Whether how Kafka is reached could not be read, which was found.
    is_kafka_unreadable: bool,
    /// How adapters reach Kafka that name no brokers of their own: the keys of such an adapter.
    kafka_of_adapters: serde_json::Map<String, serde_json::Value>,
    /// What the relay writes where the contract names nothing.
    core_topic: TopicName,
    dead_letters: TopicName,
    journal: TopicName,
}

impl<'c, 't> Check<'c, 't> {
    fn new(catalog: &'c Catalog, options: &'c Options, findings: Findings<'t>) -> Self {
        let topic = |name| TopicName::new(name).expect("the literal is a topic name");
        Self {
            catalog,
            options,
            findings,
            resolved: Resolved::default(),
            environment: Vec::new(),
            is_kafka: false,
            is_kafka_unreadable: false,
            kafka_of_adapters: serde_json::Map::new(),
            core_topic: topic(CORE),
            dead_letters: options.dead_letters.clone().unwrap_or_else(|| topic(DEAD_LETTERS)),
            journal: topic(JOURNAL),
        }
    }

    /// Checks everything, and puts together what can be. `None` where a part is missing, which was found.
    fn plan(&mut self, written: &Written<'_>, mode: ValidationMode) -> Option<Plan> {
        sections::app_and_policies(self, written, mode);
        let backbone = sections::backbone(self, written);
        kafka::find_for_adapters(self, backbone.as_ref());
        sections::reserved_topics(self);
        let admin = sections::admin(self, written);
        let log = sections::log(self, written);
        let sources = sources::all(self, &written.sources);
        let selected = profile::select(written, self.options, &mut self.findings);
        let active = profile::activate(written, selected, &mut self.findings);
        routes::destinations(self, written, active.as_ref());
        routes::expressions(self, written, active.as_ref());
        outputs::unused(self, written);
        let active = active?;
        let profile = sections::profile(self, &active);
        let (serve, relay, smash) = self.roles(written, &active, &sources);
        let roles = kafka::Roles { sources: &sources, serve: &serve, relay: relay.as_ref(), smash: &smash };
        kafka::find_loops(self, written, backbone.as_ref(), &roles);
        self.require_secrets(&serve, &sources);
        let roles = [
            (Role::Serve, !serve.adapters.is_empty()),
            (Role::Relay, relay.is_some()),
            (Role::Smash, !smash.adapters.is_empty()),
        ];
        let roles: Vec<Role> = roles.into_iter().filter(|(_, is_active)| *is_active).map(|(role, _)| role).collect();
        self.require_of_all(&roles, admin.token_env.as_ref(), "admin.token_env", "the admin address");
        if let Some(plan::Backbone { driver: plan::BackboneDriver::Kafka(kafka), .. }) = &backbone {
            for (key, name) in kafka.security.secrets() {
                self.require_of_all(&roles, Some(name), &format!("backbone.{key}"), "the Kafka log");
            }
        }
        Some(Plan {
            app: written.app.clone()?,
            profile,
            mode,
            sources,
            serve,
            relay,
            smash,
            backbone: backbone?,
            kafka_of_adapters: std::mem::take(&mut self.kafka_of_adapters),
            log,
            admin,
            dead_letters: self.dead_letters.clone(),
            journal: self.journal.clone(),
            environment: std::mem::take(&mut self.environment),
        })
    }

    fn roles(
        &mut self,
        written: &Written<'_>,
        active: &Active<'_, '_>,
        sources: &BTreeMap<SourceName, SourcePlan>,
    ) -> (ServePlan, Option<plan::RelayPlan>, SmashPlan) {
        transports::references(self, &active.ingress, &written.transports);
        transports::references(self, &active.egress, &written.transports);
        let mut ingress: Vec<_> = active.ingress.iter().filter_map(|item| adapters::ingress(self, item)).collect();
        let egress: Vec<_> =
            active.egress.iter().filter_map(|item| adapters::egress(self, item, &written.transports)).collect();
        listeners::share(self, written, &mut ingress, &egress);
        sources::of_adapters(self, written, &ingress, sources);
        let serve_routes = routes::serve(self, active);
        let smash_routes = routes::smash(self, active);
        outputs::policy(self, written, active);
        let flow = Flow { sources, serve: &serve_routes, smash: &smash_routes };
        let relay = topics::relay(self, written, active, &flow);
        let smash = SmashPlan { adapters: egress, routes: smash_routes, unrouted: topics::unrouted(&written.policies) };
        (ServePlan { adapters: ingress, routes: serve_routes }, relay, smash)
    }

    /// For `serve`: the first secret of every declared source that an active route can match.
    fn require_secrets(&mut self, serve: &ServePlan, sources: &BTreeMap<SourceName, SourcePlan>) {
        let is_served = |source: &SourcePlan| {
            source.is_declared && serve.routes.iter().any(|route| route.source_match.matches(source.name.as_str()))
        };
        for source in sources.values().filter(|source| is_served(source)) {
            let place = self.resolved.place_of(&format!("sources.{}.secret_env", source.name));
            self.environment.extend(source.secret_env.first().map(|name| Requirement {
                name: name.clone(),
                role: Role::Serve,
                needed_by: format!("source {}", source.name),
                place,
            }));
        }
    }

    /// What every role that is active needs.
    fn require_of_all(&mut self, roles: &[Role], name: Option<&EnvName>, key: &str, needed_by: &str) {
        let Some(name) = name else { return };
        let place = self.resolved.place_of(key);
        self.environment.extend(roles.iter().map(|role| Requirement {
            name: name.clone(),
            role: *role,
            needed_by: needed_by.to_owned(),
            place: place.clone(),
        }));
    }
}
