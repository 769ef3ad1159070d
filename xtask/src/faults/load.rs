//! Senders that send every event until it is acknowledged, whatever happens to the pipeline meanwhile.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use hook_bench::{
    connection::Connection,
    mark::Mark,
    template::{Shape, Template},
};
use serde::Deserialize;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    home::SECRET,
    ledger::{Arrivals, Copies, Ledger, Place, parse_id},
};

/// The run of its events.
pub(super) const RUN: u32 = 1;
/// An answer that takes longer counts as none.
const ANSWER: Duration = Duration::from_secs(30);
/// Before a request without an answer goes out again.
const AFTER_SILENCE: Duration = Duration::from_millis(5);
/// Before a request that was answered with 503 goes out again: sooner than it says, to press harder.
const AFTER_REFUSAL: Duration = Duration::from_millis(50);
/// While the destination is too far behind.
const BEHIND: Duration = Duration::from_millis(5);

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shaped {
    /// Connections, each with keys of its own.
    pub(super) senders: u32,
    /// Ordering keys.
    pub(super) keys: u32,
    /// The length of a body.
    pub(super) body_bytes: usize,
    /// Between an answer and the next request of the same sender.
    pub(super) pause: Duration,
    /// So many events may be acknowledged and not delivered yet; then the senders wait. It bounds how long a run takes to
    /// come to its end.
    pub(super) most_ahead: u64,
    /// What the log makes of a copy.
    pub(super) copies: Copies,
}

impl Default for Shaped {
    fn default() -> Self {
        Self {
            senders: 64,
            keys: 1024,
            body_bytes: 1024,
            pause: Duration::ZERO,
            most_ahead: 20_000,
            copies: Copies::Recognised,
        }
    }
}

/// Where to send.
#[derive(Debug, Clone, Default)]
struct Target {
    /// Several share the senders; a sender whom one does not serve goes to the next.
    addresses: Vec<SocketAddr>,
    is_ending: bool,
}

/// The senders. Dropped, they end.
pub(super) struct Load {
    pub(super) ledger: Arc<Ledger>,
    target: watch::Sender<Target>,
    senders: JoinSet<()>,
}

impl Load {
    /// Starts the senders; they wait for an address. `ahead_of` is the destination that must not fall too far behind.
    pub(super) fn start(shaped: Shaped, ahead_of: &Arc<Arrivals>) -> Self {
        let ledger = Arc::new(Ledger::new(shaped.keys, shaped.copies));
        let (target, told) = watch::channel(Target::default());
        let mut senders = JoinSet::new();
        for number in 0..shaped.senders {
            let sender = Sender {
                shaped,
                ledger: Arc::clone(&ledger),
                arrivals: Arc::clone(ahead_of),
                told: told.clone(),
                template: template(shaped.body_bytes),
                connection: None,
                turn: number as usize,
            };
            senders.spawn(sender.run(number));
        }
        Self { ledger, target, senders }
    }

    /// Sends there from now on.
    pub(super) fn send_to(&self, address: SocketAddr) {
        self.send_to_all(vec![address]);
    }

    /// Shares the senders among these from now on.
    pub(super) fn send_to_all(&self, addresses: Vec<SocketAddr>) {
        self.target.send_modify(|target| target.addresses = addresses);
    }

    /// Waits with whatever has no answer yet.
    pub(super) fn hold(&self) {
        self.target.send_modify(|target| target.addresses.clear());
    }

    /// Begins nothing new, and waits until everything that was begun is answered.
    pub(super) async fn finish(&mut self) -> Result<(), String> {
        self.target.send_modify(|target| target.is_ending = true);
        let all = async { while self.senders.join_next().await.is_some() {} };
        timeout(2 * ANSWER, all).await.map_err(|_| "requests were still without an answer at the end".to_owned())
    }

    /// Waits until so many more were acknowledged.
    pub(super) async fn acknowledged(&self, more: u64, within: Duration) -> Result<Duration, String> {
        let (began, goal) = (Instant::now(), self.ledger.acknowledged() + more);
        while self.ledger.acknowledged() < goal {
            if began.elapsed() > within {
                let short = goal - self.ledger.acknowledged();
                return Err(format!("after {within:?}, {short} of {more} expected acknowledgements were missing"));
            }
            sleep(BEHIND).await;
        }
        Ok(began.elapsed())
    }
}

/// The requests of a load.
pub(super) fn template(body_bytes: usize) -> Template {
    // Only the `host` of the requests: where they go is decided for each.
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    Template::new(&Shape { address, path: "/webhook/github", secret: SECRET, body_bytes })
}

struct Sender {
    shaped: Shaped,
    ledger: Arc<Ledger>,
    arrivals: Arc<Arrivals>,
    told: watch::Receiver<Target>,
    template: Template,
    connection: Option<(SocketAddr, Connection)>,
    /// Which of the addresses is the next, round and round.
    turn: usize,
}

impl Sender {
    /// Sends one event after the other, round its keys.
    async fn run(mut self, number: u32) {
        let keys: Vec<u32> = (number..self.shaped.keys).step_by(self.shaped.senders as usize).collect();
        for nth in 0.. {
            for &key in &keys {
                if !self.may_begin().await || !self.send(Place { key, nth }).await {
                    return;
                }
                if !self.shaped.pause.is_zero() {
                    sleep(self.shaped.pause).await;
                }
            }
        }
    }

    /// Waits for the destination where it is too far behind; `false` when nothing more is to be begun.
    async fn may_begin(&self) -> bool {
        while self.ledger.acknowledged().saturating_sub(self.arrivals.distinct()) > self.shaped.most_ahead {
            if self.told.borrow().is_ending {
                return false;
            }
            sleep(BEHIND).await;
        }
        !self.told.borrow().is_ending
    }

    /// Sends one event until it is acknowledged; `false` where that will not be.
    async fn send(&mut self, place: Place) -> bool {
        let keys = u64::from(self.shaped.keys);
        let number = place.nth as u64 * keys + u64::from(place.key);
        let mark = Mark { run: RUN, key: place.key, number, sent: std::time::Instant::now() };
        loop {
            let Some(address) = self.address().await else { return false };
            self.ledger.request();
            let answer = match timeout(ANSWER, self.exchange(address, &mark)).await {
                Ok(Some(answer)) => answer,
                Ok(None) | Err(_) => {
                    self.connection = None;
                    self.turn += 1;
                    self.ledger.no_answer();
                    sleep(AFTER_SILENCE).await;
                    continue;
                }
            };
            match (answer.status, answer.body.code.as_str(), parse_id(&answer.body.event_id)) {
                (202, "accepted", Some(id)) => self.ledger.acknowledge(place, id, false, mark.sent.elapsed()),
                (200, "duplicate", Some(id)) => self.ledger.acknowledge(place, id, true, mark.sent.elapsed()),
                (503, "log_unavailable", _) if answer.asks_to_wait => {
                    self.turn += 1;
                    self.ledger.refuse();
                    sleep(AFTER_REFUSAL).await;
                    continue;
                }
                (status, code, _) => {
                    self.ledger.unexpected(format!("{status} {code}"));
                    return false;
                }
            }
            return true;
        }
    }

    /// The address of the pipeline that lives; none when there will be no more.
    async fn address(&mut self) -> Option<SocketAddr> {
        let target = self.told.wait_for(|target| !target.addresses.is_empty() || target.is_ending).await.ok()?;
        target.addresses.get(self.turn % target.addresses.len().max(1)).copied()
    }

    async fn exchange(&mut self, address: SocketAddr, mark: &Mark) -> Option<Answer> {
        if self.connection.as_ref().is_none_or(|(open, _)| *open != address) {
            self.connection = Some((address, Connection::open(address).await.ok()?));
        }
        let (_, connection) = self.connection.as_mut()?;
        let answer = connection.exchange(self.template.fill(mark)).await.ok()?;
        let (status, keeps_alive, asks_to_wait) = (answer.status, answer.keeps_alive, answer.asks_to_wait);
        let body = serde_json::from_slice(answer.body).unwrap_or_default();
        if !keeps_alive {
            self.connection = None;
        }
        Some(Answer { status, asks_to_wait, body })
    }
}

struct Answer {
    status: u16,
    asks_to_wait: bool,
    body: Body,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    code: String,
    event_id: String,
}
