//! Starts the roles of a plan and ends them again.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use hook_contract::plan::{BackboneDriver, Destination, EgressAdapter, Plan, Role, SmashRoute, SourcePlan};
use hook_core::{
    clock::SharedClock,
    names::AdapterId,
    ports::{
        egress::{Audience, EgressDriver, Host},
        ingress::{Behind, Doors, Inlet, ListenError, Listener, Opening, Trouble},
        log::{Cursor, From, Log, LogError},
    },
    secret::Secrets,
    tls::Certificate,
};
use thiserror::Error;
use tokio::{sync::watch, time::Instant};
use tracing::{info, warn};

use crate::{
    cursors,
    journal::Journal,
    lag,
    metrics::Metrics,
    relay::{self, Relay},
    serve::Serve,
    smash::{AdapterHistory, Shared, StatusCell, Unrouted, Worker},
    status::{BackboneStatus, ListenerState, ListenerStatus, Orphan, RelayStatus, SourceState, SourceStatus, Status},
    supervisor::{Group, OnEnd},
    travel::{self, Ground},
};

/// How long requests that have begun may take to finish when the process ends.
const INGRESS_DRAIN: Duration = Duration::from_secs(10);
/// How long the relay may take for its last batch.
const RELAY_DRAIN: Duration = Duration::from_secs(5);
/// How long attempts in flight may take to finish.
const SMASH_DRAIN: Duration = Duration::from_secs(15);

/// What a start is given.
pub struct Start {
    /// What to do.
    pub plan: Plan,
    /// Which roles of the plan run in this process.
    pub roles: Vec<Role>,
    /// Where events rest.
    pub log: Arc<dyn Log>,
    /// Where secrets are looked up.
    pub secrets: Secrets,
    /// The wall clock.
    pub clock: SharedClock,
    /// Seeds every random choice.
    pub seed: u64,
    /// The name of this process among others.
    pub instance: Option<String>,
}

/// Why a process could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An adapter cannot open its address.
    #[error("adapter {adapter} cannot listen")]
    Listen {
        /// The adapter.
        adapter: AdapterId,
        /// What went wrong.
        #[source]
        source: ListenError,
    },
    /// The log did not take the cursors.
    #[error("the cursors could not be made")]
    Cursors(#[from] LogError),
}

/// A running process.
pub struct Handle {
    plan: Plan,
    roles: Vec<Role>,
    instance: Option<String>,
    log: Arc<dyn Log>,
    secrets: Secrets,
    journal: Arc<Journal>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    listeners: Vec<ListenerStatus>,
    /// What changes of each of them, in their order.
    lives: Vec<Life>,
    destinations: Vec<StatusCell>,
    orphans: Vec<Orphan>,
    groups: tokio::sync::Mutex<Groups>,
    failed: watch::Receiver<Option<String>>,
    is_ending: std::sync::atomic::AtomicBool,
}

/// What changes of an adapter that listens.
#[derive(Default)]
struct Life {
    /// What keeps it from taking events.
    trouble: Trouble,
    /// How much waits where it fetches from.
    behind: Behind,
    /// Who is connected, where it is a destination.
    audience: Option<Audience>,
    /// How its certificate is, where it speaks TLS.
    certificate: Option<Certificate>,
}

/// The tasks by role: they end in this order.
struct Groups {
    ingress: Group,
    relay: Group,
    smash: Group,
}

/// Starts the roles. When this returns, every cursor exists, every address is open, and every task runs.
pub async fn start(start: Start) -> Result<Handle, StartError> {
    let Start { plan, roles, log, secrets, clock, seed, instance } = start;
    let metrics = Arc::new(Metrics::new());
    let journal = Arc::new(Journal::new(Arc::clone(&log), plan.journal.clone(), Arc::clone(&clock)));
    let (failed, seen) = watch::channel(None);
    let failed = Arc::new(failed);
    let group = || Group::new(Arc::clone(&failed));
    let mut handle = Handle {
        groups: tokio::sync::Mutex::new(Groups { ingress: group(), relay: group(), smash: group() }),
        plan,
        roles,
        instance,
        log,
        secrets,
        journal,
        metrics,
        clock,
        listeners: Vec::new(),
        lives: Vec::new(),
        destinations: Vec::new(),
        orphans: Vec::new(),
        failed: seen,
        is_ending: false.into(),
    };
    // Addresses first: a port that is taken is met before anything is written. Nobody is answered before the cursors are made.
    let listeners = if handle.runs(Role::Serve) { handle.listen().await? } else { Vec::new() };
    if handle.runs(Role::Smash) {
        handle.listen_for_destinations().await?;
    }
    cursors::create(&handle.plan, &handle.log).await?;
    handle.orphans = cursors::orphans(&handle.plan, &handle.roles, &handle.log).await;
    if handle.runs(Role::Smash) {
        handle.start_smash(seed);
    }
    if handle.runs(Role::Relay) {
        handle.start_relay();
    }
    handle.start_serve(listeners);
    Ok(handle)
}

impl Handle {
    /// The adapters that take events or listen as they began: ingress first, in the order of the contract.
    pub fn listeners(&self) -> &[ListenerStatus] {
        &self.listeners
    }

    /// The log that this process runs on.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The plan that runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What jobs of operators stand on in this process.
    pub fn ground(&self) -> Ground {
        let plan = Arc::new(self.plan.clone());
        Ground { plan, log: Arc::clone(&self.log), clock: Arc::clone(&self.clock) }
    }

    /// Where secrets are looked up.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The journal.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// The wall clock of the process.
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// The metrics as text.
    pub fn render_metrics(&self) -> String {
        let state = self.log.state();
        self.metrics.log_state(&state);
        lag::of(&self.plan, &state).iter().for_each(|lag| self.metrics.lag(lag));
        for (listener, life) in self.listeners.iter().zip(&self.lives) {
            if let Some(audience) = &life.audience {
                self.metrics.audience(&listener.adapter, audience.get());
            }
            if let Some(certificate) = &life.certificate {
                self.metrics.certificate(&listener.adapter, &certificate.get());
            }
            life.behind.get().into_iter().for_each(|behind| self.metrics.upstream_lag(&listener.adapter, behind));
        }
        self.metrics.render()
    }

    /// The process as it is now.
    pub fn status(&self) -> Status {
        let log = self.log.state();
        let is_ending = self.is_ending.load(std::sync::atomic::Ordering::Relaxed);
        let is_left = |orphan: &&Orphan| log.cursors.iter().any(|cursor| cursor.name == orphan.cursor);
        let orphans = self.orphans.iter().filter(is_left).cloned().collect();
        let state = match (is_ending, &log.unavailable) {
            (true, _) => ListenerState::Stopping,
            (false, Some(_)) => ListenerState::Refusing,
            (false, None) => ListenerState::Listening,
        };
        let listeners = self.listeners.iter().zip(&self.lives).map(|(listener, life)| ListenerStatus {
            state: match state {
                // Who is connected to a destination gets what the log still gives.
                ListenerState::Refusing if life.audience.is_some() => ListenerState::Listening,
                state => state,
            },
            trouble: life.trouble.get(),
            certificate: life.certificate.as_ref().map(Certificate::get),
            clients: life.audience.as_ref().map(Audience::get),
            behind: life.behind.get(),
            ..listener.clone()
        });
        let listeners = listeners.collect();
        let log_is_away = log.unavailable.as_ref().map(|why| format!("log: {why}"));
        let ending = is_ending.then(|| "the process is ending".to_owned());
        let not_ready: Vec<String> =
            [log_is_away, ending, self.failed.borrow().clone()].into_iter().flatten().collect();
        Status {
            ready: not_ready.is_empty(),
            not_ready,
            app: self.plan.app.id.clone(),
            profile: self.plan.profile.name.clone(),
            validation_mode: self.plan.mode,
            roles: self.roles.clone(),
            instance: self.instance.clone(),
            listeners,
            sources: if self.runs(Role::Serve) { self.sources() } else { Vec::new() },
            relay: self
                .plan
                .relay
                .as_ref()
                .filter(|_| self.runs(Role::Relay))
                .map(|relay| RelayStatus { inputs: relay.inputs.clone(), output: relay.output.clone() }),
            destinations: self.destinations.iter().map(StatusCell::get).collect(),
            orphans,
            backbone: self.backbone(),
            lag: lag::of(&self.plan, &log),
            log,
        }
    }

    fn backbone(&self) -> BackboneStatus {
        let (driver, brokers) = match &self.plan.backbone.driver {
            BackboneDriver::Embedded => ("embedded", Vec::new()),
            BackboneDriver::Kafka(kafka) => ("kafka", kafka.brokers.clone()),
        };
        BackboneStatus { driver, brokers, topics: cursors::topics(&self.plan) }
    }

    /// Resolves when a task that the process cannot do without has ended; says which and why.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends in order: stop ingress, stop the relay after its last batch, finish the attempts in flight, close the log.
    /// `true` where everything ended in time.
    pub async fn drain(&self) -> Result<bool, LogError> {
        self.is_ending.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut groups = self.groups.lock().await;
        let mut in_time = true;
        let Groups { ingress, relay, smash } = &mut *groups;
        for (name, group, most) in
            [("ingress", ingress, INGRESS_DRAIN), ("relay", relay, RELAY_DRAIN), ("smash", smash, SMASH_DRAIN)]
        {
            group.stop();
            if !group.ended(Instant::now() + most).await {
                warn!(role = name, "work in flight was given up: it is done again after the next start");
                in_time = false;
            }
        }
        self.log.close().await?;
        Ok(in_time)
    }

    fn runs(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn sources(&self) -> Vec<SourceStatus> {
        self.plan.sources.values().map(|source| self.source(source)).collect()
    }

    fn source(&self, source: &SourcePlan) -> SourceStatus {
        let has_secret = source.secret_env.iter().any(|name| self.secrets.get(name).is_some());
        let state = match has_secret || !source.verifier.needs_secret() {
            true => SourceState::Ready,
            false => SourceState::NoSecret,
        };
        SourceStatus { source: source.name.clone(), verifier: source.verifier_name.clone(), state }
    }

    async fn listen(&mut self) -> Result<Vec<(AdapterId, Box<dyn Listener>)>, StartError> {
        let mut listeners = Vec::new();
        let doors = Doors::default();
        // Whoever shares an address comes behind the one that opens it.
        let mut adapters: Vec<_> = self.plan.serve.adapters.iter().collect();
        adapters.sort_by_key(|adapter| adapter.beside.is_some());
        for adapter in adapters {
            let beside = adapter.beside.as_ref();
            let opening = Opening {
                adapter: &adapter.id,
                secrets: &self.secrets,
                beside,
                tls: adapter.tls.as_ref(),
                doors: &doors,
            };
            let listener = adapter.driver.listen(opening).await;
            let listener = listener.map_err(|source| StartError::Listen { adapter: adapter.id.clone(), source })?;
            self.listeners.push(ListenerStatus {
                adapter: adapter.id.clone(),
                driver: adapter.driver_name.clone(),
                address: listener.address(),
                upstream: listener.upstream(),
                state: ListenerState::Listening,
                trouble: None,
                behind: None,
                certificate: None,
                clients: None,
            });
            self.lives.push(Life {
                trouble: listener.trouble(),
                behind: listener.behind(),
                audience: None,
                certificate: listener.certificate(),
            });
            listeners.push((adapter.id.clone(), listener));
        }
        Ok(listeners)
    }

    /// Opens the addresses of destinations that come to us.
    async fn listen_for_destinations(&mut self) -> Result<(), StartError> {
        for adapter in &self.plan.smash.adapters {
            let address = adapter.driver.listen(&self.secrets).await;
            let address = address.map_err(|source| StartError::Listen { adapter: adapter.id.clone(), source })?;
            if address.is_some() {
                self.listeners.push(ListenerStatus {
                    adapter: adapter.id.clone(),
                    driver: adapter.driver_name.clone(),
                    address,
                    upstream: None,
                    state: ListenerState::Listening,
                    trouble: None,
                    behind: None,
                    certificate: None,
                    clients: None,
                });
                let (audience, certificate) = (adapter.driver.audience(), adapter.driver.certificate());
                self.lives.push(Life { audience, certificate, ..Life::default() });
            }
        }
        Ok(())
    }

    /// What the destinations of an adapter were given before.
    fn history(&self, adapter: &EgressAdapter) -> AdapterHistory {
        let routes = self.plan.smash.routes.iter();
        let ours = routes.filter(|route| route.destinations.iter().any(|to| to.adapter == adapter.id));
        let named = ours.map(|route| (format!("{}/{}", route.id, adapter.id).into(), route.clone())).collect();
        let is_ordered = matches!(self.plan.backbone.driver, BackboneDriver::Embedded);
        AdapterHistory::new(Arc::clone(&self.log), adapter.plugins.clone(), named, is_ordered)
    }

    fn start_serve(&mut self, listeners: Vec<(AdapterId, Box<dyn Listener>)>) {
        let serve: Arc<dyn Inlet> = Arc::new(Serve::new(
            &self.plan,
            Arc::clone(&self.log),
            Arc::clone(&self.journal),
            Arc::clone(&self.metrics),
            Arc::clone(&self.secrets),
            Arc::clone(&self.clock),
        ));
        for (adapter, listener) in listeners {
            let (serve, mut listener) = (Arc::clone(&serve), Some(listener));
            let start = Box::new(move |stop| {
                // A listener is handed over once; without it the process cannot serve.
                let run = listener.take().map(|listener| listener.run(Arc::clone(&serve), stop));
                async move {
                    match run {
                        Some(run) => run.await,
                        None => return Err("its listener is gone".to_owned()),
                    }
                    Ok(())
                }
                .boxed()
            });
            self.groups.get_mut().ingress.spawn(format!("serve/{adapter}"), OnEnd::StopProcess, start);
        }
    }

    fn start_relay(&mut self) {
        let Some(plan) = self.plan.relay.clone() else {
            if self.roles == [Role::Relay] {
                warn!("this contract has no source topic to bridge: it needs no relay");
            }
            return;
        };
        // Whoever says how often a batch is retried wants to see the process end.
        let on_end = if plan.retry.max_retries.is_some() { OnEnd::StopProcess } else { OnEnd::Restart };
        let relay = Arc::new(Relay {
            cursor: relay::cursor(self.plan.relay_cursor(), &plan),
            output: plan.output,
            retry: plan.retry,
            log: Arc::clone(&self.log),
            metrics: Arc::clone(&self.metrics),
        });
        let start = Box::new(move |stop| {
            let relay = Arc::clone(&relay);
            async move { relay.run(stop).await.map_err(|error| error.to_string()) }.boxed()
        });
        self.groups.get_mut().relay.spawn("relay".into(), on_end, start);
    }

    fn start_smash(&mut self, seed: u64) {
        let plan = self.plan.clone();
        for (index, adapter) in plan.smash.adapters.iter().enumerate() {
            let driver: Arc<dyn EgressDriver> = Arc::clone(&adapter.driver);
            let (secrets, history) = (Arc::clone(&self.secrets), self.history(adapter));
            let start = Box::new(move |stop| {
                let driver = Arc::clone(&driver);
                let host = Host { stop, secrets: Arc::clone(&secrets), history: Arc::new(history.clone()) };
                async move {
                    driver.run(host).await;
                    Ok(())
                }
                .boxed()
            });
            self.groups.get_mut().smash.spawn(format!("smash/{}", adapter.id), OnEnd::Restart, start);
            for route in &plan.smash.routes {
                for destination in route.destinations.iter().filter(|destination| destination.adapter == adapter.id) {
                    self.start_destination(route, destination, index, seed);
                }
            }
        }
        self.start_unrouted();
        let ground = self.ground();
        let start = Box::new(move |stop| travel::keep(ground.clone(), stop).map(Ok::<(), String>).boxed());
        self.groups.get_mut().smash.spawn("smash/redrives".into(), OnEnd::Restart, start);
    }

    fn start_destination(&mut self, route: &SmashRoute, destination: &Destination, adapter: usize, seed: u64) {
        let adapter = self.plan.smash.adapters[adapter].clone();
        let name = format!("{}/{}", route.id, adapter.id);
        let status = StatusCell::default();
        status.update(|status| {
            status.destination.clone_from(&name);
            (status.driver, status.required) = (adapter.driver_name.clone(), destination.required);
        });
        self.destinations.push(status.clone());
        let shared = Arc::new(Shared {
            // The cursor exists; where it would begin no longer matters.
            cursor: cursors::of_destination(&self.plan.app.id, route, &adapter.id, From::Now),
            name: name.clone(),
            route: route.clone(),
            required: destination.required,
            adapter,
            dead_letters: self.plan.dead_letters.clone(),
            log: Arc::clone(&self.log),
            journal: Arc::clone(&self.journal),
            metrics: Arc::clone(&self.metrics),
            secrets: Arc::clone(&self.secrets),
            clock: Arc::clone(&self.clock),
            status,
            seed: seed ^ self.destinations.len() as u64,
        });
        let start = Box::new(move |stop| {
            let run = Worker::new(Arc::clone(&shared)).run(stop);
            run.map(|end| end.map_err(|error| error.to_string())).boxed()
        });
        self.groups.get_mut().smash.spawn(format!("smash/{name}"), OnEnd::Restart, start);
        info!(destination = name, "destination started");
    }

    fn start_unrouted(&mut self) {
        let cursor: Cursor = cursors::unrouted(&self.plan, From::Now);
        let unrouted = Arc::new(Unrouted {
            cursor,
            routes: self.plan.smash.routes.clone(),
            relayed: self.plan.relay.iter().flat_map(|relay| relay.inputs.clone()).collect(),
            policy: self.plan.smash.unrouted,
            dead_letters: self.plan.dead_letters.clone(),
            log: Arc::clone(&self.log),
            metrics: Arc::clone(&self.metrics),
            clock: Arc::clone(&self.clock),
        });
        let start = Box::new(move |stop| {
            let unrouted = Arc::clone(&unrouted);
            async move { unrouted.run(stop).await.map_err(|error| error.to_string()) }.boxed()
        });
        self.groups.get_mut().smash.spawn("smash/unrouted".into(), OnEnd::Restart, start);
    }
}
