//! Everything together: signed webhooks over HTTP through `hook serve`.

use hook_bench::{
    contract::{PATH, SECRET, SECRET_VARIABLE, contract},
    error::Error,
    pipeline::{Home, Program, Role},
    process::Process,
};

use super::{Stage, Way};
use crate::cases::ingest::nowhere;

/// A directory and an environment for `hook` on this stage's broker.
pub(super) fn home(stage: &Stage, contract: &str) -> Result<Home, Error> {
    let namespace = stage.namespace();
    let own = [
        (SECRET_VARIABLE, SECRET),
        ("KAFKA_NAMESPACE", &namespace),
        // More partitions than one process needs would only be more batches.
        ("KAFKA_TOPIC_PARTITIONS", "3"),
    ];
    let given = stage.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let environment: Vec<_> = own.into_iter().chain(given).collect();
    Home::new(Program::this("hook")?, &stage.scale.below, contract, &environment)
}

pub(super) async fn measure(stage: &Stage, connections: u32) -> Result<Way, Error> {
    let home = home(stage, &contract(&[nowhere()], ""))?;
    let pipeline = home.start(Role::Serve).await?;
    let watched = [&[pipeline.process, Process::this()], &*stage.processes].concat();
    let mut load = stage.scale.load(pipeline.address()?, PATH, &watched);
    load.connections = connections;
    let sent = load.run().await?.all_acknowledged()?;
    pipeline.kill().await?;
    Ok(Way::of(&sent.window, 1))
}
