//! `hook test env`: everything that a start would need, looked at without starting.

use std::{
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use hook_admin::socket::Client;
use hook_contract::plan::{Kafka, Plan, Role};
use hook_core::{
    ports::egress::CheckError,
    secret::{SecretStore, Secrets},
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    context::Context,
    data_directory::{self, Flag},
    exit::Exit,
    kafka,
    load::{self, Loaded},
    owner::block_on,
    secretless,
};

/// How long whoever an adapter speaks to may take to answer the knock.
const KNOCK: Duration = Duration::from_secs(10);
/// So many small writes are synced to see what the disk can do.
const SYNCS: usize = 16;

/// Is everything there that the contract needs to run here?
///
/// Checks the contract, the environment, the log (the data directory, or what `hook infra broker check` looks at), the
/// addresses, the destinations, and what events are fetched from. Delivers and fetches nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
}

/// The result of one check.
#[derive(Serialize)]
struct Check {
    check: String,
    ok: bool,
    detail: String,
}

impl Check {
    fn new(check: impl Into<String>, result: Result<String, String>) -> Self {
        let (ok, detail) = match result {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        Self { check: check.into(), ok, detail }
    }
}

/// Checks, and fails where something is missing.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let loaded = load::load(context, &[])?;
    let checks = block_on(context, check(context, arguments, loaded))?;
    match context.output.is_json() {
        true => checks.iter().try_for_each(|check| context.output.json(check))?,
        false => {
            let mark = |ok| if ok { "ok" } else { "MISSING" }.to_owned();
            let rows: Vec<_> =
                checks.iter().map(|check| [mark(check.ok), check.check.clone(), check.detail.clone()]).collect();
            context.output.table(&rows)?;
        }
    }
    if checks.iter().all(|check| check.ok) { Ok(()) } else { Err(Exit::Failure) }
}

async fn check(context: &Context, arguments: &Arguments, loaded: Loaded) -> Result<Vec<Check>, Exit> {
    let Loaded { plan, environment, contract, .. } = loaded;
    let secrets: Secrets = environment.clone();
    let directory = data_directory::locate(&arguments.data_directory, &environment, &plan.app.id);
    let directory = directory.map_err(|problem| context.refuse(&[problem], None))?.path;
    let is_running = Client::new(&directory).is_running().await;
    let mut checks = vec![Check::new("contract", Ok(format!("{}, profile {}", contract.file, plan.profile.name)))];
    checks.extend(variables(&plan, &secrets));
    checks.extend(secretless::find(&plan, &*secrets).into_iter().map(|found| {
        Check::new(found.variables, Err(format!("not set; source {} answers 401 to everything", found.source)))
    }));
    match kafka::of(&plan) {
        Some(settings) => checks.extend(brokers(settings, &plan, &secrets).await),
        None => checks.push(Check::new("data directory", disk(&directory))),
    }
    for adapter in &plan.serve.adapters {
        if let Some(host) = &adapter.beside {
            let result = Ok(format!("shares the address of {host}"));
            checks.push(Check::new(format!("ingress adapter {}", adapter.id), result));
            continue;
        }
        if adapter.driver.claims().is_empty() {
            let result = knock(adapter.driver.check(&secrets)).await.map(|()| "could be fetched from".to_owned());
            checks.push(Check::new(format!("ingress adapter {}", adapter.id), result));
        }
        for address in adapter.driver.claims().into_iter().filter_map(|claim| claim.address) {
            let opened = TcpListener::bind(address).await;
            let result = match opened {
                Ok(_) => Ok(format!("{address} is free")),
                Err(_) if is_running => Ok(format!("{address} is taken, and a pipeline runs here")),
                Err(error) => Err(format!("{address}: {error}")),
            };
            checks.push(Check::new(format!("ingress adapter {}", adapter.id), result));
        }
    }
    for adapter in &plan.smash.adapters {
        let result = knock(adapter.driver.check(&secrets)).await.map(|()| "could be delivered to".to_owned());
        checks.push(Check::new(format!("egress adapter {}", adapter.id), result));
    }
    Ok(checks)
}

/// Asks whom an adapter speaks to.
async fn knock(check: impl Future<Output = Result<(), CheckError>>) -> Result<(), String> {
    match tokio::time::timeout(KNOCK, check).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in 10 s".to_owned()),
    }
}

fn variables(plan: &Plan, secrets: &Arc<dyn SecretStore>) -> Vec<Check> {
    let role = |role| match role {
        Role::Serve => "serve",
        Role::Relay => "relay",
        Role::Smash => "smash",
    };
    let check = |requirement: &hook_contract::plan::Requirement| {
        let needed = format!("needed by {} ({})", requirement.needed_by, role(requirement.role));
        let result = match secrets.get(&requirement.name) {
            Some(_) => Ok(needed),
            None => Err(format!("not set; {needed}")),
        };
        Check::new(requirement.name.to_string(), result)
    };
    plan.environment.iter().map(check).collect()
}

/// Whether the cluster is fit for the log. A warning is no failure.
#[cfg(feature = "kafka")]
async fn brokers(settings: &Kafka, plan: &Plan, secrets: &Secrets) -> Vec<Check> {
    use hook_kafka::operate::{Finding, Verdict};
    let cluster = match kafka::cluster((settings, plan), secrets) {
        Ok(cluster) => cluster,
        Err(problem) => return vec![Check::new("kafka", Err(format!("{}; {}", problem.message, problem.help)))],
    };
    let check = |Finding { check, verdict, detail, remedy }| {
        let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let result = match verdict {
            Verdict::Failed => Err(format!("{detail}{remedy}")),
            Verdict::Ok | Verdict::Unknown => Ok(detail),
            Verdict::Warning => Ok(format!("{detail} (warning{remedy})")),
        };
        Check::new(format!("kafka: {check}"), result)
    };
    cluster.check(&hook_runtime::cursors::active(plan)).await.into_iter().map(check).collect()
}

/// A build without it has refused the contract before.
#[cfg(not(feature = "kafka"))]
async fn brokers(_: &Kafka, _: &Plan, _: &Secrets) -> Vec<Check> {
    Vec::new()
}

/// Whether the log could be kept there, and how long a durable write takes.
fn disk(directory: &Path) -> Result<String, String> {
    // Above a relative path there is nothing, and that is no directory.
    let absolute = std::path::absolute(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let place = absolute.ancestors().find(|path| path.is_dir());
    let place = place.ok_or_else(|| format!("{} and no directory above it exists", directory.display()))?;
    let measure = || -> std::io::Result<Duration> {
        let mut file = tempfile::tempfile_in(place)?;
        let mut times = Vec::with_capacity(SYNCS);
        for _ in 0..SYNCS {
            let began = Instant::now();
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        Ok(times[SYNCS / 2])
    };
    let median = measure().map_err(|error| format!("{}: {error}", place.display()))?;
    let millis = median.as_secs_f64() * 1000.0;
    Ok(format!("{}, a durable write of 4 KiB takes {millis:.2} ms (median of {SYNCS})", directory.display()))
}
