//! The log on Kafka, as far as this build has it: what it lacks, and how it is opened for a plan.

use hook_contract::{
    Origin, ResolvedValue,
    plan::{BackboneDriver, Kafka, KafkaSasl, Plan, Role},
};
use hook_core::problem::{Code, Problem, codes};

#[cfg(feature = "kafka")]
mod open;
#[cfg(feature = "kafka")]
mod operate;

#[cfg(feature = "kafka")]
pub use open::{connect, open};
#[cfg(feature = "kafka")]
pub use operate::{cluster, groups};

/// Whether this build has the log on Kafka.
pub const IS_BUILT: bool = cfg!(feature = "kafka");
/// Whether it reaches brokers over TLS, and has the mechanisms of SASL that need it.
pub const HAS_TLS: bool = cfg!(any(feature = "kafka-tls", feature = "kafka-vendored"));

const EMBEDDED: &str = "write `driver = \"embedded\"` under [backbone] to keep events on this machine";

/// What the log is opened for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// Roles run on it, in a process of that name.
    Run {
        /// The roles.
        roles: &'a [Role],
        /// The name of the process among others.
        instance: Option<&'a str>,
    },
    /// A question, which makes nothing.
    Question,
    /// A look at the cluster, for everything that the contract needs there.
    Operate,
}

/// How the log on Kafka is reached, where that is the log of a plan.
pub fn of(plan: &Plan) -> Option<&Kafka> {
    match &plan.backbone.driver {
        BackboneDriver::Kafka(kafka) => Some(kafka),
        BackboneDriver::Embedded => None,
    }
}

/// What a contract needs and this build lacks, as a problem; `None` where nothing is lacking. `kafka` is `None` where the
/// settings have an error.
pub fn lacking(kafka: Option<&Kafka>, resolved: &[ResolvedValue]) -> Option<Problem> {
    if !IS_BUILT {
        return Some(without_kafka(resolved));
    }
    let what = kafka.and_then(needs_tls).filter(|_| !HAS_TLS)?;
    let key = if what == "TLS" { "backbone.security_protocol" } else { "backbone.sasl.mechanism" };
    let help = format!("{}, which needs OpenSSL's headers, or with `--features kafka-vendored`", install("kafka-tls"));
    Some(not_built(key, &format!("and this build reaches Kafka without {what}"), &help, resolved))
}

fn without_kafka(resolved: &[ResolvedValue]) -> Problem {
    not_built("backbone.driver", "which this build does not have", &install("kafka"), resolved)
}

fn install(feature: &str) -> String {
    format!("`cargo install --locked --path crates/hook-cli --features {feature}` installs one that does")
}

/// What of the settings needs TLS in the build: TLS itself, or a mechanism whose proof is made by OpenSSL.
fn needs_tls(kafka: &Kafka) -> Option<&'static str> {
    match (&kafka.security.tls, &kafka.security.sasl) {
        (Some(_), _) => Some("TLS"),
        (None, Some(KafkaSasl::ScramSha256(_) | KafkaSasl::ScramSha512(_))) => Some("SCRAM"),
        (None, Some(KafkaSasl::OAuthBearer { .. })) => Some("OAUTHBEARER"),
        (None, Some(KafkaSasl::Plain(_)) | None) => None,
    }
}

fn not_built(key: &str, what: &str, install: &str, resolved: &[ResolvedValue]) -> Problem {
    let origin = |key: &str| resolved.iter().find(|value| value.key == key).map(|value| &value.origin);
    let (code, who): (&'static Code, _) = match origin("backbone.driver") {
        Some(Origin::Environment(who)) => (&codes::KAFKA_NOT_BUILT, format!("{who} chooses Kafka as the log, ")),
        _ => (&codes::BACKBONE_NOT_BUILT, "the log is Kafka, ".to_owned()),
    };
    let problem = Problem::error(code, format!("{who}{what}"), format!("{install}; or {EMBEDDED}"));
    let place = [key, "backbone.driver"].into_iter().find_map(|key| match origin(key) {
        Some(Origin::Contract(place) | Origin::File(place)) => Some(place.clone()),
        _ => None,
    });
    match place {
        Some(place) => problem.at(place),
        None => problem,
    }
}

/// A build without it says so.
#[cfg(not(feature = "kafka"))]
pub async fn open(
    _: (&Kafka, &Plan),
    _: Purpose<'_>,
    _: &hook_core::secret::Secrets,
    _: &hook_core::clock::SharedClock,
) -> Result<std::sync::Arc<dyn hook_core::ports::log::Log>, Box<Problem>> {
    Err(Box::new(without_kafka(&[])))
}

/// A build without it says so.
#[cfg(not(feature = "kafka"))]
pub async fn groups(
    _: (&Kafka, &Plan),
    _: &hook_core::secret::Secrets,
) -> Result<Vec<crate::commands::log::groups::Group>, Box<Problem>> {
    Err(Box::new(without_kafka(&[])))
}
