//! Kafka brokers of a run's own: `scripts/services`, from a program.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{error::Error, process::Process};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");
/// Before the process id of a run, in the name of its brokers.
const RUN: &str = "run-";
/// The listener that every instance has: nothing stands between it and a client.
pub const DIRECT: &str = "plaintext";
/// The listener whose announced addresses are a proxy's, where the instance was started with `--proxied`.
pub const PROXIED: &str = "proxied";

/// Brokers on loopback. Dropped, they end, and their data is removed.
#[derive(Debug)]
pub struct Brokers {
    name: String,
    told: Told,
}

/// What `scripts/services env --json` says.
#[derive(Debug, Deserialize)]
struct Told {
    nodes: Vec<Node>,
    listeners: BTreeMap<String, Listener>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: u32,
    pid: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Listener {
    bootstrap: String,
    security_protocol: String,
    upstream: Option<String>,
}

impl Brokers {
    /// Starts them under a name that no other run has, and waits until they answer.
    pub async fn up(options: &[&str]) -> Result<Self, Error> {
        end_left();
        let name = format!("{RUN}{}", std::process::id());
        // What was begun is taken down again, also where it never answers.
        let mut brokers = Self { name, told: Told { nodes: Vec::new(), listeners: BTreeMap::new() } };
        brokers.call("up", options).await?;
        brokers.look().await?;
        Ok(brokers)
    }

    /// Ends a node as a failing machine would: SIGKILL.
    pub async fn kill(&self, node: u32) -> Result<(), Error> {
        self.call("kill", &[&node.to_string()]).await.map(drop)
    }

    /// Starts a node again with the data that it has, and waits until it answers.
    pub async fn start(&mut self, node: u32) -> Result<(), Error> {
        self.call("start", &[&node.to_string()]).await?;
        self.look().await
    }

    /// The ids of the nodes.
    pub fn nodes(&self) -> Vec<u32> {
        self.told.nodes.iter().map(|node| node.id).collect()
    }

    /// The processes of the nodes that run.
    pub fn processes(&self) -> Vec<Process> {
        self.told.nodes.iter().filter_map(|node| node.pid).map(Process::new).collect()
    }

    /// The addresses that clients of a listener are told to begin with.
    pub fn bootstrap(&self, listener: &str) -> Result<&str, Error> {
        self.listener(listener).map(|listener| &*listener.bootstrap)
    }

    /// For each node where a proxy has to listen, and where it has to connect to.
    pub fn proxies(&self) -> Result<Vec<(String, String)>, Error> {
        let listener = self.listener(PROXIED)?;
        let upstream = listener.upstream.as_deref().unwrap_or_default();
        let pairs = listener.bootstrap.split(',').zip(upstream.split(','));
        Ok(pairs.map(|(announced, upstream)| (announced.to_owned(), upstream.to_owned())).collect())
    }

    /// What `hook` has to have in its environment.
    pub fn environment(&self, listener: &str) -> Result<Vec<(String, String)>, Error> {
        let Listener { bootstrap, security_protocol, .. } = self.listener(listener)?;
        let variables = [
            ("KAFKA_BROKERS", bootstrap.as_str()),
            ("KAFKA_SECURITY_PROTOCOL", security_protocol),
            ("KAFKA_ALLOW_PLAINTEXT", "true"),
        ];
        Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }

    fn listener(&self, name: &str) -> Result<&Listener, Error> {
        let missing = || Error::Unexpected(format!("the brokers have no listener {name}"));
        self.told.listeners.get(name).ok_or_else(missing)
    }

    async fn look(&mut self) -> Result<(), Error> {
        let said = self.call("env", &["--json"]).await?;
        let wrong = |error| Error::Unexpected(format!("scripts/services env --json: {error} in {said}"));
        self.told = serde_json::from_str(&said).map_err(wrong)?;
        Ok(())
    }

    async fn call(&self, verb: &str, arguments: &[&str]) -> Result<String, Error> {
        let mut command = tokio::process::Command::new(SCRIPT);
        command.args([verb, "kafka", "--name", &self.name]).args(arguments).stdin(Stdio::null());
        let ran = command.output().await.map_err(Error::io("run scripts/services"))?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match ran.status.success() {
            true => Ok(said(&ran.stdout)),
            false => Err(Error::Unexpected(format!("scripts/services {verb} kafka: {}", said(&ran.stderr).trim()))),
        }
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        down(&self.name);
    }
}

/// Ends brokers, and removes their data.
fn down(name: &str) {
    let mut command = Command::new(SCRIPT);
    command.args(["down", "kafka", "--name", name]).stdin(Stdio::null()).stdout(Stdio::null());
    // `scripts/services down` without a name finds what is left.
    let _ = command.stderr(Stdio::null()).status();
}

/// Ends the brokers of runs that were killed before they could.
fn end_left() {
    let listed = Command::new(SCRIPT).args(["status", "kafka", "--json"]).stdin(Stdio::null()).output();
    let Ok(listed) = listed else { return };
    let is_alive = |pid: u32| std::path::Path::new("/proc").join(pid.to_string()).exists();
    left(&String::from_utf8_lossy(&listed.stdout), is_alive).iter().for_each(|name| down(name));
}

/// The instances of runs whose process is gone, of those that `scripts/services status --json` lists.
fn left(listed: &str, is_alive: impl Fn(u32) -> bool) -> Vec<String> {
    #[derive(Deserialize)]
    struct Listed {
        name: String,
    }
    let names = listed.lines().filter_map(|line| serde_json::from_str::<Listed>(line).ok()).map(|listed| listed.name);
    let is_left = |name: &String| {
        let pid = name.strip_prefix(RUN).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| !is_alive(pid))
    };
    names.filter(is_left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(said: &str) -> Brokers {
        Brokers { name: "none-of-this-name".to_owned(), told: serde_json::from_str(said).unwrap() }
    }

    #[test]
    fn brokers_of_a_run_that_is_gone_are_told_from_all_others() {
        let listed = ["kafka", "run-7", "run-8", "run-x"].map(|name| format!("{{\"name\":\"{name}\",\"nodes\":[]}}\n"));
        assert_eq!(left(&(listed.concat() + "no JSON"), |pid| pid == 7), ["run-8"]);
    }

    #[test]
    fn what_the_script_says_is_understood() {
        let brokers = brokers(
            r#"{"service":"kafka","nodes":[{"id":1,"state":"running","pid":7},{"id":2,"state":"stopped","pid":null}],
            "listeners":{"plaintext":{"bootstrap":"a:1,b:1","security_protocol":"plaintext"},
            "proxied":{"bootstrap":"a:3,b:3","security_protocol":"plaintext","upstream":"a:2,b:2"}}}"#,
        );
        assert_eq!((brokers.nodes(), brokers.processes()), (vec![1, 2], vec![Process::new(7)]));
        assert_eq!(brokers.bootstrap(DIRECT).unwrap(), "a:1,b:1");
        let pair = |listen: &str, connect: &str| (listen.to_owned(), connect.to_owned());
        assert_eq!(brokers.proxies().unwrap(), [pair("a:3", "a:2"), pair("b:3", "b:2")]);
        assert_eq!(brokers.environment(PROXIED).unwrap()[0], pair("KAFKA_BROKERS", "a:3,b:3"));
        assert!(brokers.bootstrap("ssl").is_err());
    }
}
