//! Roles in processes of their own, several of each, as a supervisor runs them.

use std::{fmt, net::SocketAddr, time::Duration};

use crate::faults::home::{Home, Running};

/// A start that is refused is tried again: what a killed process has left may hold it up for longer than it waits.
const STARTS: u32 = 5;
/// As for a whole pipeline: adapters, the relay and attempts in flight may each take their time.
const DRAIN: Duration = Duration::from_secs(60);

/// What a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Serve,
    Relay,
    Smash,
}

impl Role {
    pub(super) const ALL: [Self; 3] = [Self::Serve, Self::Relay, Self::Smash];

    fn command(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Relay => "relay",
            Self::Smash => "smash",
        }
    }

    /// What it counts of its work.
    fn metric(self) -> &'static str {
        match self {
            Self::Serve => "serve_publish_success_total",
            Self::Relay => "relay_events_total",
            Self::Smash => "smash_egress_success_total",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.command())
    }
}

/// A process of a role, which has a name and comes back under it.
struct Member {
    role: Role,
    number: u32,
    running: Option<Running>,
}

/// All processes of a pipeline. Dropped, they are killed.
pub(super) struct Fleet<'a> {
    home: &'a Home,
    members: Vec<Member>,
    /// Starts that were refused, and why.
    pub(super) refused: Vec<String>,
}

impl<'a> Fleet<'a> {
    /// So many processes of `serve`, of `relay`, of `smash`; ready, all of them.
    pub(super) async fn start(home: &'a Home, of_each: [u32; 3]) -> Result<Self, String> {
        let mut fleet = Self { home, members: Vec::new(), refused: Vec::new() };
        for (role, count) in Role::ALL.into_iter().zip(of_each) {
            for number in 1..=count {
                fleet.add(role, number).await?;
            }
        }
        Ok(fleet)
    }

    /// Starts a process, which may have been there before; how long it took until it was ready.
    pub(super) async fn add(&mut self, role: Role, number: u32) -> Result<Duration, String> {
        let instance = format!("{role}-{number}");
        let mut last = String::new();
        for _ in 0..STARTS {
            match self.home.start(&[role.command(), "--instance-id", &instance]).await {
                Ok(running) => {
                    let took = running.took;
                    self.members.retain(|member| (member.role, member.number) != (role, number));
                    self.members.push(Member { role, number, running: Some(running) });
                    return Ok(took);
                }
                Err(error) => {
                    last = format!("{instance}: {error}");
                    self.refused.push(last.clone());
                }
            }
        }
        Err(last)
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, role: Role, number: u32) -> Result<(), String> {
        self.take(role, number)?.kill()
    }

    /// SIGTERM; how long it took to end.
    pub(super) async fn terminate(&mut self, role: Role, number: u32) -> Result<Duration, String> {
        let (status, took) = self.take(role, number)?.terminate(DRAIN).await?;
        match status.success() {
            true => Ok(took),
            false => Err(format!("{role}-{number} ended with {status} after SIGTERM")),
        }
    }

    /// Where webhooks are taken.
    pub(super) fn ingresses(&self) -> Vec<SocketAddr> {
        let running = self.members.iter().filter_map(|member| member.running.as_ref());
        running.flat_map(|running| running.listeners.iter().copied()).collect()
    }

    /// How much each process of a role has done since it started, by its number.
    pub(super) async fn work(&self, role: Role) -> Result<Vec<(u32, u64)>, String> {
        let mut work = Vec::new();
        for member in self.members.iter().filter(|member| member.role == role) {
            if let Some(running) = &member.running {
                work.push((member.number, running.metric(role.metric()).await?));
            }
        }
        Ok(work)
    }

    /// Those that have ended without being told to.
    pub(super) fn fallen(&mut self) -> Vec<String> {
        let mut fallen = Vec::new();
        for Member { role, number, running } in &mut self.members {
            if running.as_mut().is_some_and(|running| !running.is_alive()) {
                fallen.push(format!("{role}-{number} had ended by itself"));
            }
        }
        fallen
    }

    fn take(&mut self, role: Role, number: u32) -> Result<Running, String> {
        let member = self.members.iter_mut().find(|member| (member.role, member.number) == (role, number));
        member.and_then(|member| member.running.take()).ok_or_else(|| format!("{role}-{number} does not run"))
    }
}
