//! A pipeline with everything around it, on free ports and in a temporary directory: what `hook demo` and the smoke
//! tests run on. The pipeline is the real one; only the senders and the receiver are ours.

pub mod receiver;
pub mod sample;
pub mod sender;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use hook_contract::plan::{Plan, Role};
use hook_core::{
    catalog::Catalog,
    names::EnvName,
    secret::{Secret, Secrets},
};
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
}

impl Lab {
    /// Starts a receiver and the roles.
    pub async fn start(catalog: &Catalog, roles: &[Role]) -> Result<Self, String> {
        let secrets = throw_away_secrets(catalog);
        let signing_secret = secret_of(&secrets, SIGNING_SECRET)?;
        let receiver = Receiver::start(catalog, signing_secret).await?;
        let plan = plan(catalog, receiver.address())?;
        let directory =
            tempfile::tempdir().map_err(|error| format!("could not make a temporary directory: {error}"))?;
        let setup = Setup {
            plan,
            roles: roles.to_vec(),
            secrets: Arc::clone(&secrets),
            data_directory: directory.path().to_owned(),
            instance: None,
        };
        let pipeline = Pipeline::start(setup).await.map_err(|problem| problem.message)?;
        let ingress = pipeline.handle().listeners().first().and_then(|listener| listener.address);
        let ingress = ingress.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        Ok(Self { pipeline, receiver, secrets, ingress, directory })
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
        let drained = self.pipeline.drain().await.map_err(|error| error.to_string());
        self.receiver.stop();
        drop(self.directory);
        match drained? {
            true => Ok(()),
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
