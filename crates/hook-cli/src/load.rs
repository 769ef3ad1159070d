//! What every command starts from: the environment, the contract, the plan, and everything that is wrong with them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use hook_contract::{
    Checked, ConfigFile, KafkaOptions, Options, ResolvedValue,
    plan::{BackboneDriver, Plan, Requirement, Role, ValidationMode},
    written::BackboneName,
};
use hook_core::{
    names::EnvName,
    problem::{Problem, codes},
};
use serde::Serialize;

use crate::{
    context::Context,
    discovery::{self, ContractText, FoundBy},
    environment::{Environment, variables},
    exit::Exit,
    kafka,
    options::{self, relay::Flags},
    tls,
};

/// What a running command starts from.
pub struct Loaded {
    /// What to do.
    pub plan: Plan,
    /// Where values and secrets are looked up. It is a secret store, and can be reloaded.
    pub environment: Arc<Environment>,
    /// The contract, and why it was taken.
    pub contract: ContractText,
    /// What is worth a look. Has been shown.
    pub warnings: Vec<Problem>,
    /// Which log, and why.
    pub log: LogChoice,
}

/// A contract in its environment, looked at from all sides. Nothing has been shown yet.
pub struct Examined {
    /// The contract; `None` where it could not be read.
    pub contract: Option<ContractText>,
    /// The environment, the profile's values included.
    pub environment: Environment,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// The plan; `None` where the contract has an error.
    pub plan: Option<Plan>,
    /// Every value of the contract as it will be used.
    pub resolved: Vec<ResolvedValue>,
    /// The log that was chosen needs what this build does not have: it can be looked at, and not started.
    pub not_built: Option<Problem>,
}

/// Which log, and why: as in the ready line and in `config show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogChoice {
    /// The log's name.
    pub driver: &'static str,
    /// Why it was chosen.
    pub reason: String,
    /// Where Kafka is; nothing where the log is another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brokers: Vec<String>,
}

/// Loads the contract for roles that are about to start; with no role, what the environment lacks is no problem.
/// Problems are shown, and end the command where one is an error.
pub fn load(context: &Context, roles: &[Role]) -> Result<Loaded, Exit> {
    start_with(context, examine(context), roles)
}

/// The same for a question about a pipeline. What is only worth a look was shown when it started, and `hook config validate` shows
/// it: beside every answer it would hide what is asked for. What is no error only because of a lenient mode is always shown.
pub fn load_for_question(context: &Context) -> Result<Loaded, Exit> {
    let mut examined = examine(context);
    examined.require_build();
    let is_strict = examined.plan.as_ref().is_some_and(|plan| plan.mode == ValidationMode::Strict);
    if is_strict && !context.globals.force && !examined.has_errors() {
        examined.problems.clear();
    }
    examined.into_loaded(context)
}

/// The same for a relay whose flags come before the contract.
pub fn load_relay(context: &Context, flags: &Flags) -> Result<Loaded, Exit> {
    start_with(context, examine_with(context, Some(flags)), &[Role::Relay])
}

fn start_with(context: &Context, mut examined: Examined, roles: &[Role]) -> Result<Loaded, Exit> {
    examined.require_build();
    examined.require_environment(roles);
    examined.require_files(roles);
    examined.into_loaded(context)
}

/// Finds and checks the contract, in its environment.
pub fn examine(context: &Context) -> Examined {
    examine_with(context, None)
}

fn examine_with(context: &Context, flags: Option<&Flags>) -> Examined {
    let (environment, mut problems) = Environment::read(&context.globals.env_files);
    let Some(contract) = discovery::discover(&context.globals, &environment, &mut problems) else {
        return Examined { contract: None, environment, problems, plan: None, resolved: Vec::new(), not_built: None };
    };
    let contract = match (&contract.found_by, flags) {
        // That contract is about agents: who says what is relayed does not mean it.
        (FoundBy::Embedded { .. }, Some(flags)) if flags.stand_alone() => discovery::of_relay_flags(),
        _ => contract,
    };
    let (environment, checked) = check(context, environment, (&contract, flags), &mut problems);
    let not_built = match checked.log {
        BackboneName::Kafka => kafka::lacking(checked.plan.as_ref().and_then(kafka::of), &checked.resolved),
        BackboneName::Embedded => None,
    };
    let Checked { problems: found, plan, resolved, .. } = checked;
    problems.extend(found);
    Examined { contract: Some(contract), environment, problems, plan, resolved, not_built }
}

/// Checks the contract. A profile may set variables that the check itself is given, such as the validation mode: where
/// it sets any variable, the contract is checked again with them.
fn check(
    context: &Context,
    environment: Environment,
    (contract, flags): (&ContractText, Option<&Flags>),
    problems: &mut Vec<Problem>,
) -> (Environment, Checked) {
    let mut of_kafka = Vec::new();
    let file = options::kafka::file(&context.globals, &mut of_kafka);
    let check_with =
        |options: &Options| hook_contract::check(&contract.file, &contract.text, &context.catalog, options);
    let read = |environment: &Environment| Read::of(context, environment, file.clone(), flags);
    let Read { options, mut found, mut found_of_kafka } = read(&environment);
    let mut checked = check_with(&options);
    let mut environment = environment;
    let (profile, values) = profile_values(&checked);
    if !values.is_empty() {
        environment = environment.with_profile(&profile, &values);
        let again = read(&environment);
        (found, found_of_kafka) = (again.found, again.found_of_kafka);
        found.extend(options::without_effect(&profile, values.keys().map(EnvName::as_str)));
        checked = check_with(&Options { profile: options.profile, ..again.options });
    }
    problems.extend(found);
    match checked.log {
        BackboneName::Kafka => {
            problems.extend(of_kafka.into_iter().chain(found_of_kafka));
            problems.extend(options::kafka::unreadable_files(&checked.resolved));
        }
        BackboneName::Embedded => {
            problems.extend(flags.map(Flags::on_embedded).unwrap_or_default());
            problems.extend(context.globals.config.is_some().then(config_unused));
        }
    }
    (environment, checked)
}

/// What the check is given beside the text, and what is wrong with it.
struct Read {
    options: Options,
    found: Vec<Problem>,
    /// It matters only where the log is Kafka.
    found_of_kafka: Vec<Problem>,
}

impl Read {
    fn of(context: &Context, environment: &Environment, file: Option<ConfigFile>, flags: Option<&Flags>) -> Self {
        let (mut found, mut found_of_kafka) = (Vec::new(), Vec::new());
        let options = options::read(&context.globals, environment, &context.catalog, &mut found);
        let kafka = options::kafka::read(environment, options.dead_letters.clone(), &mut found_of_kafka);
        let kafka = KafkaOptions { file, brokers: flags.and_then(Flags::brokers), ..kafka };
        let relay = flags.map(Flags::options).unwrap_or_default();
        Self { options: Options { kafka, relay, ..options }, found, found_of_kafka }
    }
}

fn config_unused() -> Problem {
    Problem::warning(
        &codes::FLAG_UNUSED,
        "--config has no effect: it says how Kafka is reached, and the log is the embedded one",
        "leave it out; or choose Kafka with `driver = \"kafka\"` under [backbone], or with KAFKA_BROKERS",
    )
}

/// The selected profile and the variables that it sets. A contract with errors has no plan, but its profile may set the
/// validation mode that forgives them: it is then taken from the values that could be read.
fn profile_values(checked: &Checked) -> (String, BTreeMap<EnvName, String>) {
    if let Some(plan) = &checked.plan {
        return (plan.profile.name.clone(), plan.profile.env.clone());
    }
    let value = |key: &str| checked.resolved.iter().find(|value| value.key == key);
    let profile = value("profile").and_then(|profile| profile.value.as_str()).unwrap_or_default();
    let prefix = format!("profiles.{profile}.env.");
    let set = checked.resolved.iter().filter_map(|value| {
        let name = EnvName::new(value.key.strip_prefix(&prefix)?).ok()?;
        Some((name, value.value.as_str()?.to_owned()))
    });
    (profile.to_owned(), set.collect())
}

impl Examined {
    /// Adds a problem for every variable that one of these roles needs and that is not set.
    pub fn require_environment(&mut self, roles: &[Role]) {
        let missing = self.plan.iter().flat_map(|plan| missing(&plan.environment, roles, &self.environment));
        self.problems.extend(missing.collect::<Vec<_>>());
    }

    /// Adds a problem for every file of TLS that an adapter of one of these roles names and that cannot be used.
    pub fn require_files(&mut self, roles: &[Role]) {
        let unusable = self.plan.iter().flat_map(|plan| tls::unusable_files(plan, roles, &self.resolved));
        self.problems.extend(unusable.collect::<Vec<_>>());
    }

    /// Adds a problem where this build lacks something of the log that was chosen.
    pub fn require_build(&mut self) {
        self.problems.extend(self.not_built.take());
    }

    /// Whether nothing may start.
    pub fn has_errors(&self) -> bool {
        self.plan.is_none() || self.problems.iter().any(Problem::is_error)
    }

    /// Shows the problems, and goes on where none is an error.
    pub fn into_loaded(self, context: &Context) -> Result<Loaded, Exit> {
        let has_errors = self.has_errors();
        match (self.plan, self.contract) {
            (Some(plan), Some(contract)) if !has_errors => {
                context.show(&self.problems, Some(&contract));
                let log = LogChoice::of(&plan, &self.environment);
                Ok(Loaded { plan, environment: Arc::new(self.environment), contract, warnings: self.problems, log })
            }
            (_, contract) => Err(context.refuse(&self.problems, contract.as_ref())),
        }
    }
}

impl LogChoice {
    /// The log of a plan.
    pub fn of(plan: &Plan, environment: &Environment) -> Self {
        let by_variable = || match environment.find(variables::BROKERS) {
            Some(found) => format!("{} is set ({}), and the contract names no log", variables::BROKERS, found.origin),
            None if kafka::of(plan).is_some() => "--brokers is given, and the contract names no log".to_owned(),
            None => "the default, as the contract names none".to_owned(),
        };
        let reason = if plan.backbone.is_declared { "the contract says so".to_owned() } else { by_variable() };
        match &plan.backbone.driver {
            BackboneDriver::Embedded => Self { driver: "embedded", reason, brokers: Vec::new() },
            BackboneDriver::Kafka(kafka) => Self { driver: "kafka", reason, brokers: kafka.brokers.clone() },
        }
    }
}

impl fmt::Display for LogChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { driver, reason, brokers } = self;
        match brokers.as_slice() {
            [] => write!(f, "{driver} ({reason})"),
            brokers => write!(f, "{driver} at {} ({reason})", brokers.join(", ")),
        }
    }
}

/// A problem for every variable that one of these roles needs and that is not set.
pub fn missing(requirements: &[Requirement], roles: &[Role], environment: &Environment) -> Vec<Problem> {
    let mut missing: BTreeMap<&str, Vec<&Requirement>> = BTreeMap::new();
    for requirement in requirements.iter().filter(|requirement| roles.contains(&requirement.role)) {
        if environment.find(requirement.name.as_str()).is_none() {
            missing.entry(requirement.name.as_str()).or_default().push(requirement);
        }
    }
    missing.iter().map(|(name, needed)| not_set(name, needed, environment)).collect()
}

fn not_set(name: &str, needed: &[&Requirement], environment: &Environment) -> Problem {
    let needed_by: Vec<&str> = needed.iter().map(|requirement| requirement.needed_by.as_str()).collect();
    let state = match environment.origins(name).first() {
        Some(origin) => format!("{name} is set to nothing ({origin})"),
        None => format!("{name} is not set"),
    };
    let problem = Problem::error(
        &codes::ENVIRONMENT_MISSING,
        format!("{state}; needed by {}", needed_by.join(", ")),
        format!("set {name} in the environment or in an env file"),
    );
    match needed.iter().find_map(|requirement| requirement.place.clone()) {
        Some(place) => problem.at(place),
        None => problem,
    }
}
