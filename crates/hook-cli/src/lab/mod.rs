//! A pipeline with everything around it, on free ports and in a temporary directory: what `hook demo` and the smoke
//! tests run on. The pipeline is the real one; only the senders and the receiver are ours.

pub mod receiver;
pub mod sample;
pub mod sender;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

#[cfg(feature = "kafka")]
use hook_contract::plan::{Backbone, BackboneDriver, Kafka};
use hook_contract::plan::{Plan, Role};
use hook_core::{
    catalog::Catalog,
    names::EnvName,
    secret::{Secret, Secrets},
};
#[cfg(feature = "kafka")]
use hook_core::{names::TopicName, secret::SecretStore};
use tempfile::TempDir;
use url::Url;

use crate::pipeline::{Pipeline, Setup};
use receiver::Receiver;

/// The contract of the lab. `RECEIVER` stands for the receiver's address.
const CONTRACT: &str = include_str!("contract.toml");
/// The variable of the secret with which the pipeline signs what it delivers.
pub const SIGNING_SECRET: &str = "LAB_SIGNING_SECRET";

/// A pipeline, its receiver and its secrets.
pub struct Lab {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Where it delivers.
    pub receiver: Receiver,
    /// The throw-away secrets.
    pub secrets: Secrets,
    /// Where events come in.
    pub ingress: SocketAddr,
    /// Holds the log; removed with the lab.
    directory: TempDir,
    on: On,
}

/// What a lab runs on.
#[derive(Clone)]
pub enum On {
    /// An embedded log of its own.
    Embedded,
    /// A namespace of its own on somebody's cluster, which is removed with the lab.
    #[cfg(feature = "kafka")]
    Kafka {
        /// How the cluster is reached.
        kafka: Box<Kafka>,
        /// Where its secrets are looked up.
        secrets: Secrets,
    },
}

impl On {
    /// The plan on this log, and the secrets that it needs then.
    #[cfg_attr(not(feature = "kafka"), expect(unused_variables, reason = "there is one log"))]
    fn take_over(&self, plan: &mut Plan, own: Secrets) -> Secrets {
        match self {
            Self::Embedded => own,
            #[cfg(feature = "kafka")]
            Self::Kafka { kafka, secrets } => {
                plan.backbone = Backbone { driver: BackboneDriver::Kafka(kafka.clone()), is_declared: true };
                Arc::new(Both { first: own, second: Arc::clone(secrets) })
            }
        }
    }

    /// Removes what the lab has made elsewhere than in its directory.
    #[cfg_attr(not(feature = "kafka"), expect(unused_variables, clippy::unused_async, reason = "there is one log"))]
    async fn remove(&self, plan: &Plan) -> Result<(), String> {
        match self {
            Self::Embedded => Ok(()),
            #[cfg(feature = "kafka")]
            Self::Kafka { kafka, secrets } => {
                let cluster = crate::kafka::cluster((kafka, plan), secrets).map_err(|problem| problem.message)?;
                let removed = cluster.remove_namespace().await;
                let namespace = kafka.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
                removed.map_err(|error| format!("what begins with {namespace} is left on the cluster: {error}"))
            }
        }
    }
}

/// Two places where secrets are looked up.
#[cfg(feature = "kafka")]
struct Both {
    first: Secrets,
    second: Secrets,
}

#[cfg(feature = "kafka")]
impl SecretStore for Both {
    fn get(&self, name: &EnvName) -> Option<Secret> {
        self.first.get(name).or_else(|| self.second.get(name))
    }
}

#[cfg(feature = "kafka")]
impl On {
    /// A namespace of its own on a cluster, below the namespace that this user may use.
    pub fn kafka(kafka: &Kafka, secrets: Secrets) -> Result<Self, String> {
        let mut kafka = kafka.clone();
        let before = kafka.namespace.as_ref().map(ToString::to_string).unwrap_or_default();
        let name = format!("{before}smoke-{}.", uuid::Uuid::new_v4().simple());
        kafka.namespace = Some(TopicName::new(name).map_err(|error| error.to_string())?);
        kafka.topics.auto_create = true;
        kafka.topics.partitions = 1;
        Ok(Self::Kafka { kafka: Box::new(kafka), secrets })
    }
}

impl Lab {
    /// Starts a receiver and the roles.
    pub async fn start(catalog: &Catalog, roles: &[Role]) -> Result<Self, String> {
        Self::start_on(catalog, roles, On::Embedded).await
    }

    /// The same on a log that is said.
    pub async fn start_on(catalog: &Catalog, roles: &[Role], on: On) -> Result<Self, String> {
        let secrets = throw_away_secrets(catalog);
        let signing_secret = secret_of(&secrets, SIGNING_SECRET)?;
        let receiver = Receiver::start(catalog, signing_secret).await?;
        let mut plan = plan(catalog, receiver.address())?;
        let secrets = on.take_over(&mut plan, secrets);
        let directory =
            tempfile::tempdir().map_err(|error| format!("could not make a temporary directory: {error}"))?;
        let setup = Setup {
            plan: plan.clone(),
            roles: roles.to_vec(),
            secrets: Arc::clone(&secrets),
            data_directory: directory.path().to_owned(),
            instance: None,
        };
        let pipeline = match Pipeline::start(setup).await {
            Ok(pipeline) => pipeline,
            Err(problem) => {
                // What was made until then is of no use. Why it did not start says more than why that is left.
                let _ = on.remove(&plan).await;
                return Err(format!("{}; {}", problem.message, problem.help));
            }
        };
        let ingress = pipeline.handle().listeners().first().and_then(|listener| listener.address);
        let ingress = ingress.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        Ok(Self { pipeline, receiver, secrets, ingress, directory, on })
    }

    /// The address of a source.
    pub fn url(&self, source: &str) -> Result<Url, String> {
        format!("http://{}/webhook/{source}", self.ingress).parse().map_err(|error| format!("{error}"))
    }

    /// The secret of a built-in source.
    pub fn secret(&self, variable: &str) -> Result<Secret, String> {
        secret_of(&self.secrets, variable)
    }

    /// Ends the pipeline in order, and removes what it stored.
    pub async fn end(self) -> Result<(), String> {
        let plan = self.pipeline.handle().plan().clone();
        let drained = self.pipeline.drain().await.map_err(|error| error.to_string());
        self.receiver.stop();
        drop(self.directory);
        let removed = self.on.remove(&plan).await;
        match drained? {
            true => removed,
            false => Err("the pipeline did not end in time".to_owned()),
        }
    }
}

/// The plan of the lab's contract.
fn plan(catalog: &Catalog, receiver: SocketAddr) -> Result<Plan, String> {
    let text = CONTRACT.replace("RECEIVER", &receiver.to_string());
    let checked = hook_contract::check("lab/contract.toml", &text, catalog, &hook_contract::Options::default());
    checked.plan.ok_or_else(|| {
        let problems = checked.problems.iter().map(|problem| format!("{} {}", problem.code.id, problem.message));
        format!("this build cannot run the lab's contract: {}", problems.collect::<Vec<_>>().join("; "))
    })
}

/// A random secret for every built-in source, and one for the pipeline's own signature.
fn throw_away_secrets(catalog: &Catalog) -> Secrets {
    let names = catalog.sources.iter().map(|source| source.secret_env).chain([SIGNING_SECRET]);
    let random = |name| {
        let secret = Secret::new(uuid::Uuid::new_v4().to_string());
        EnvName::new(name).ok().map(|name| (name, secret))
    };
    Arc::new(names.filter_map(random).collect::<BTreeMap<_, _>>())
}

fn secret_of(secrets: &Secrets, name: &str) -> Result<Secret, String> {
    let name = EnvName::new(name).map_err(|error| error.to_string())?;
    secrets.get(&name).ok_or_else(|| format!("no secret {name}"))
}
