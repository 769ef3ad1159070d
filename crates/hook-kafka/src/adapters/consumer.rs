//! The consumer of one adapter: a thread that is a member of the group, and a task for each lane of records on its way.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use hook_core::{
    BoxFuture,
    clock::SystemClock,
    names::AdapterId,
    ports::ingress::{Behind, Inlet, Listener, Trouble, Upstream},
    secret::Secrets,
    stop::Stop,
};
use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaResult,
};
use tokio::{runtime::Handle, sync::oneshot};
use tracing::warn;

use super::{
    connection::{Connection, Known},
    fetch::Fetching,
    incoming::Mapping,
    intake::Intake,
    member::{Member, MemberConsumer},
    settle::Job,
};
use crate::client::{Clients, Health};

/// At most so long nothing is looked at but records.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// So long after trouble the brokers are asked whether it is over, and after a membership that ended another is begun.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// What was fetched and waits in librdkafka may take half of this; what is on its way into the log is bounded beside it.
const FETCH_MEMORY: u64 = 16 << 20;

/// What is read, as which group, how much of it at once.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) topics: Vec<String>,
    pub(super) id: String,
    pub(super) max_in_flight: usize,
}

/// A consumer that has not begun.
pub(super) struct Consumer {
    pub(super) adapter: AdapterId,
    pub(super) group: Group,
    pub(super) connection: Connection,
    pub(super) mapping: Mapping,
    pub(super) secrets: Secrets,
    pub(super) trouble: Trouble,
    pub(super) behind: Behind,
}

impl Consumer {
    /// Whether librdkafka takes the settings: it reads files of TLS when a client is made.
    pub(super) fn try_out(&self, known: &Known) -> KafkaResult<()> {
        let clients = self.clients(known);
        BaseConsumer::from_config_and_context(&self.config(&clients), clients.context()).map(drop)
    }

    fn clients(&self, known: &Known) -> Clients {
        let mut settings = self.connection.settings(known);
        (settings.consumers, settings.fetch_memory) = (1, FETCH_MEMORY);
        Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock))
    }

    fn config(&self, clients: &Clients) -> ClientConfig {
        clients.foreign_member(&self.group.id)
    }
}

impl Listener for Consumer {
    fn address(&self) -> Option<SocketAddr> {
        None
    }

    fn upstream(&self) -> Option<Upstream> {
        let Group { topics, id, .. } = self.group.clone();
        Some(Upstream { brokers: self.connection.brokers(), topics, group: id })
    }

    fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    fn behind(&self) -> Behind {
        self.behind.clone()
    }

    fn run(self: Box<Self>, inlet: Arc<dyn Inlet>, stop: Stop) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let stopping = Stopping::default();
            let (name, adapter) = (format!("kafka-{}", self.adapter), self.adapter.clone());
            let running = Arc::new(Running {
                intake: Arc::new(Intake::new(self.group.max_in_flight)),
                consumer: *self,
                inlet,
                handle: Handle::current(),
                turn: tokio::sync::Mutex::new(()),
                stopping: Arc::clone(&stopping.0),
            });
            let (ended, mut end) = oneshot::channel::<()>();
            let work = move || {
                running.fetch_until_stopped();
                drop(ended);
            };
            if let Err(error) = thread::Builder::new().name(name).spawn(work) {
                warn!(ingress_adapter = %adapter, %error, "no thread to fetch with");
                return;
            }
            tokio::select! {
                () = stop => {}
                // Without its thread it takes nothing: the process is told.
                _ = &mut end => return,
            }
            stopping.0.store(true, Ordering::Relaxed);
            // The thread drops its end when it is done.
            let _ = end.await;
        })
    }
}

/// Tells the thread to end, also where nobody waits for it any more.
#[derive(Default)]
struct Stopping(Arc<AtomicBool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A consumer that runs.
pub(super) struct Running {
    pub(super) consumer: Consumer,
    pub(super) inlet: Arc<dyn Inlet>,
    pub(super) intake: Arc<Intake<Job>>,
    pub(super) handle: Handle,
    /// Held by the one lane that tries whether the log takes events again.
    pub(super) turn: tokio::sync::Mutex<()>,
    stopping: Arc<AtomicBool>,
}

impl Running {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// One membership after the other: a secret that has changed, and a membership that has ended, need another client.
    fn fetch_until_stopped(self: &Arc<Self>) {
        let adapter = &self.consumer.adapter;
        while !self.is_stopping() {
            let ended = match self.consumer.connection.look_up(&self.consumer.secrets) {
                Ok(known) => self.fetch(&known),
                Err(name) => Err(format!("{name} is not set")),
            };
            let Err(reason) = ended else { continue };
            warn!(ingress_adapter = %adapter, reason, "fetching has ended, and begins again");
            self.consumer.trouble.set(Some(reason));
            let until = Instant::now() + AGAIN_AFTER;
            while !self.is_stopping() && Instant::now() < until {
                thread::park_timeout(POLL);
            }
        }
    }

    /// Fetches as a member of the group until the end, or until the secrets are others.
    fn fetch(self: &Arc<Self>, known: &Known) -> Result<(), String> {
        let clients = self.consumer.clients(known);
        let config = self.consumer.config(&clients);
        let member = Member {
            context: clients.context(),
            adapter: self.consumer.adapter.clone(),
            intake: Arc::clone(&self.intake),
            trouble: self.consumer.trouble.clone(),
            is_cause_said: AtomicBool::new(false),
        };
        let consumer = MemberConsumer::from_config_and_context(&config, member).map_err(|error| error.to_string())?;
        let topics: Vec<&str> = self.consumer.group.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| error.to_string())?;
        let mut fetching = Fetching { running: self, consumer: &consumer, is_paused: false };
        let ended = fetching.run(known);
        fetching.release();
        ended
    }
}
