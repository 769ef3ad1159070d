//! The worker of one destination: reads, attempts, retries, gives up, commits. It owns all of its state.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use hook_contract::plan::{GiveUp, RetryPlan, Taking};
use hook_core::{
    BoxFuture, Timestamp,
    envelope::{Envelope, REFUSED_BY_PLUGIN},
    event::{EventId, TraceId},
    journal::Step,
    outcome::{Failure, FailureClass, Outcome},
    ports::{
        egress::Order,
        log::{LogError, Position, Record, Revocation, Revocations, Subscription},
    },
    stop::Stop,
};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::{
    attempt::{self, Attempted, DeadLettered, Done, Refused, Why},
    breaker::{Breaker, Failed},
    lanes::{EventKey, Head, LaneKey, Lanes},
    retry::{self, Decision},
    shared::{OPTIONAL_MAX_AGE, Shared},
    status::{DestinationState, WaitingKey},
};
use crate::chain::Unfit;

/// At most so many records are read at once.
const READ: usize = 64;
/// Gauges and the status follow the state this often.
const REFRESH: Duration = Duration::from_millis(500);
/// Why events of a destination that is not required are dropped unseen.
const SHUT_TOO_LONG: &str = "the destination has been shut for longer than max_age";
/// A destination that is shut reads until there is a lane to probe with that has not failed: with those alone that have, bad
/// events could keep it shut for everything behind them. But where a few keys have all events there may be no such lane, and a
/// backlog has no bound: with so many times `max_ahead` events in hand it stops.
const MORE_TO_PROBE: u64 = 10;
/// So many waiting keys are shown to an operator.
const SHOWN_KEYS: usize = 20;

/// What is being done for an event, or for those that are dropped.
struct InFlight {
    /// `None` for what is being dropped: it is over with, whoever has its partition.
    event: Option<EventKey>,
    was_probe: bool,
    future: BoxFuture<'static, Done>,
}

impl InFlight {
    fn is_in(&self, leaving: &Revocation) -> bool {
        self.event.as_ref().is_some_and(|event| leaving.covers(&event.position))
    }
}

impl Future for InFlight {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        self.future.poll_unpin(context)
    }
}

/// The worker of one destination.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    retry: RetryPlan,
    order: Order,
    /// At most so many attempts at once.
    concurrency: usize,
    lanes: Lanes,
    breaker: Breaker<EventKey>,
    in_flight: FuturesUnordered<InFlight>,
    /// Partitions that go to another process, each held until nothing of it is in flight.
    leaving: Vec<Revocation>,
    /// Whether a probe is in flight.
    is_probing: bool,
    /// Until when the destination has asked for patience.
    throttled_until: Option<Instant>,
    /// Events delivered since the start.
    delivered: u64,
    last_error: Option<String>,
    held: HashSet<LaneKey>,
    /// What events in flight get back when their attempt ends.
    owed: HashMap<EventKey, u32>,
    /// Done and not yet given to the log.
    done: Vec<Position>,
    /// When gauges and status are due to follow the state.
    refresh_at: Option<Instant>,
    is_at_max_ahead: bool,
    random: fastrand::Rng,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let random = fastrand::Rng::with_seed(shared.seed);
        let order = shared.adapter.driver.order();
        Self {
            retry: shared.retry(),
            order,
            concurrency: if order == Order::Log { 1 } else { shared.adapter.concurrency },
            shared,
            lanes: Lanes::default(),
            breaker: Breaker::new(),
            in_flight: FuturesUnordered::new(),
            leaving: Vec::new(),
            is_probing: false,
            throttled_until: None,
            delivered: 0,
            last_error: None,
            held: HashSet::new(),
            owed: HashMap::new(),
            done: Vec::new(),
            refresh_at: None,
            is_at_max_ahead: false,
            random,
        }
    }

    /// Delivers until `stop`, then ends what is in flight: the destination may have it already.
    pub(crate) async fn run(mut self, mut stop: Stop) -> Result<(), LogError> {
        let mut subscription = self.shared.log.subscribe(&self.shared.cursor)?;
        let mut revocations = subscription.revocations();
        let mut is_stopping = false;
        self.refresh();
        while !is_stopping || !self.in_flight.is_empty() {
            let wake = if is_stopping {
                self.give_up_at()
            } else {
                self.dispatch();
                self.next_wake()
            };
            tokio::select! {
                () = &mut stop, if !is_stopping => is_stopping = true,
                revocation = next_revocation(&mut revocations) => self.on_revoked(revocation),
                records = subscription.next(READ), if !is_stopping && self.wants_more() => self.take_in(records?),
                Some(done) = self.in_flight.next() => self.on_done(done),
                () = sleep_until(wake), if wake.is_some() => {}
            }
            self.take_finished();
            self.commit(&mut *subscription)?;
            self.let_go();
        }
        Ok(())
    }

    /// Partitions go to another process: what of them has not begun is forgotten, and the rest is finished first.
    fn on_revoked(&mut self, revocation: Revocation) {
        self.lanes.forget(|position| revocation.covers(position));
        self.held.retain(|key| self.lanes.contains(key));
        debug!(destination = %self.shared.name, partitions = revocation.partitions.len(), pending = self.lanes.events(), "partitions are leaving");
        self.leaving.push(revocation);
        self.schedule_refresh();
    }

    /// Lets partitions go of which nothing is in flight. What is not finished in time is given up: whoever has them now may be
    /// at it already.
    fn let_go(&mut self) {
        if self.leaving.is_empty() {
            return;
        }
        let now = Instant::now().into_std();
        if self.leaving.iter().any(|leaving| leaving.until <= now) {
            let is_overdue = |leaving: &Revocation, event: &InFlight| leaving.until <= now && event.is_in(leaving);
            let (overdue, in_time): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_flight)
                .into_iter()
                .partition(|event| self.leaving.iter().any(|leaving| is_overdue(leaving, event)));
            self.in_flight.extend(in_time);
            for InFlight { event, was_probe, .. } in overdue {
                self.is_probing &= !was_probe;
                if let Some(EventKey { lane, position }) = event {
                    warn!(destination = %self.shared.name, ?position, "attempt given up: another process has its partition");
                    self.forget(lane, &position);
                }
            }
        }
        self.leaving.retain(|leaving| self.in_flight.iter().any(|event| event.is_in(leaving)));
    }

    /// When what is in flight has to be given up.
    fn give_up_at(&self) -> Option<Instant> {
        self.leaving.iter().map(|leaving| leaving.until.into()).min()
    }

    /// Attempts as many lanes as may be attempted now; while the breaker is open, one probe when it is due.
    fn dispatch(&mut self) {
        let now = Instant::now();
        self.lanes.wake(now);
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh();
        }
        if self.in_flight.is_empty() {
            // What is left is owed to events that were given up before the streak was known to be one.
            self.owed.clear();
        }
        if self.is_abandoned() && self.lanes.idle() > 0 && self.lanes.events() > 1 {
            self.abandon();
        }
        if let Some(probe_at) = self.breaker.probe_at() {
            if !self.is_probing && probe_at <= now {
                self.probe();
            }
            return;
        }
        if self.throttled_until.is_some_and(|until| until > now) {
            return;
        }
        self.throttled_until = None;
        while self.in_flight.len() < self.concurrency {
            let Some((key, head)) = self.lanes.take() else { break };
            self.attempt(key, head, false);
        }
    }

    fn probe(&mut self) {
        let last = self.breaker.last_probed().map(|event| &event.lane);
        if let Some((key, head)) = self.lanes.take_probe(last) {
            self.breaker.probe(EventKey { lane: key.clone(), position: head.position.clone() });
            self.is_probing = true;
            self.attempt(key, head, true);
        }
    }

    fn attempt(&mut self, key: LaneKey, head: Head, was_probe: bool) {
        let event = Some(EventKey { lane: key.clone(), position: head.position.clone() });
        let future = attempt::attempt(Arc::clone(&self.shared), key, head, was_probe).boxed();
        self.in_flight.push(InFlight { event, was_probe, future });
    }

    /// When there is something to do although nothing happens.
    fn next_wake(&self) -> Option<Instant> {
        let attempt_at = match self.breaker.probe_at() {
            Some(probe_at) => (!self.is_probing && self.lanes.idle() > 0).then_some(probe_at),
            None if self.in_flight.len() >= self.concurrency => None,
            None => match self.throttled_until {
                Some(until) => Some(until),
                None => self.lanes.next_due(),
            },
        };
        [attempt_at, self.refresh_at, self.give_up_at()].into_iter().flatten().min()
    }

    /// Whether to read on. What is held counts, and not how far past the oldest of it the reading has come: a key whose events
    /// are tried again and again must not stop all others.
    fn wants_more(&mut self) -> bool {
        let (held, max_ahead) = (self.lanes.events() as u64, self.shared.adapter.max_ahead);
        if self.breaker.is_open() && !self.is_abandoned() {
            return !self.lanes.has_untried() && held < max_ahead.saturating_mul(MORE_TO_PROBE);
        }
        let is_at_max_ahead = held >= max_ahead;
        if is_at_max_ahead && !self.is_at_max_ahead {
            self.shared.metrics.read_paused(&self.shared.name);
            warn!(destination = %self.shared.name, held, "reading waits: max_ahead events are not done");
        }
        self.is_at_max_ahead = is_at_max_ahead;
        !is_at_max_ahead && self.lanes.ready() < 2 * self.concurrency
    }

    /// Whether a destination that is not required has been shut for so long that its events are dropped.
    fn is_abandoned(&self) -> bool {
        let max_age = self.retry.max_age.unwrap_or(OPTIONAL_MAX_AGE);
        !self.shared.required && self.breaker.open_since().is_some_and(|since| since.elapsed() >= max_age)
    }

    fn take_in(&mut self, records: Vec<Record>) {
        for record in records {
            self.shared.metrics.consumed(&record.position.topic);
            let event = match Envelope::from_record(&record) {
                Ok(event) => event,
                Err(error) => {
                    error!(destination = %self.shared.name, position = ?record.position, %error, "record skipped");
                    self.done.push(record.position);
                    continue;
                }
            };
            if !self.takes(&event) {
                self.done.push(record.position);
            } else if self.is_abandoned() && self.lanes.events() > 0 {
                self.note_dropped(event.header.id, SHUT_TOO_LONG);
                self.done.push(record.position);
            } else {
                let key = match &event.header.meta.route_key {
                    Some(key) if self.order == Order::Key => LaneKey::Ordered(key.as_str().into()),
                    // Lanes of one event each are taken in the order of the log.
                    _ => LaneKey::Alone(record.position.clone()),
                };
                self.lanes.push(key, record.position, event);
            }
        }
        self.schedule_refresh();
    }

    /// Whether an event is for this destination: by its route, or because it was sent here again.
    fn takes(&self, event: &Envelope) -> bool {
        if let Some(to) = event.header.addressees() {
            return to.contains(&self.shared.name);
        }
        let taking = self.shared.route.look(event);
        if taking == Taking::Unanswered {
            self.shared.metrics.filter_unanswered(&self.shared.name);
        }
        taking == Taking::Taken
    }

    /// Takes whatever else has finished, so that it shares one commit.
    fn take_finished(&mut self) {
        while let Some(Some(done)) = self.in_flight.next().now_or_never() {
            self.on_done(done);
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Attempted(attempted) => self.on_attempted(*attempted),
            Done::Skipped { key, position, reason, was_probe } => {
                error!(destination = %self.shared.name, ?position, reason, "event skipped");
                self.is_probing &= !was_probe;
                self.finish(key, position);
            }
            Done::Unreadable { key, head, reason, was_probe } => {
                error!(destination = %self.shared.name, position = ?head.position, reason, "event cannot be read: its key waits");
                self.is_probing &= !was_probe;
                self.last_error = Some(reason);
                self.put_back(key, *head, Instant::now() + self.retry.cap);
            }
            Done::Refused(refused) => {
                let Refused { key, head, event, unfit, was_probe } = *refused;
                self.is_probing &= !was_probe;
                match unfit {
                    Unfit::Refused(reason) => {
                        let why = Why { class: None, error: format!("{REFUSED_BY_PLUGIN}{reason}") };
                        self.give_up(key, head, event, why);
                    }
                    Unfit::Dropped(reason) => {
                        self.note_filtered(event.header.id, reason);
                        self.finish(key, head.position);
                    }
                }
            }
            Done::DeadLettered(letter) => self.on_dead_lettered(*letter),
            Done::Abandoned(events) => self.on_abandoned(events),
        }
        self.schedule_refresh();
    }

    fn on_attempted(&mut self, attempted: Attempted) {
        if attempted.was_probe {
            self.is_probing = false;
        }
        self.lanes.note_attempt(&attempted.key, &attempted.outcome);
        match &attempted.outcome {
            Outcome::Delivered { answer } => {
                let answer = answer.clone();
                self.on_delivered(attempted, answer);
            }
            Outcome::Failed(failure) => {
                let failure = failure.clone();
                self.on_failed(attempted, failure);
            }
        }
    }

    fn on_delivered(&mut self, attempted: Attempted, answer: String) {
        let Attempted { key, head, event, took, .. } = attempted;
        let shared = &self.shared;
        self.delivered += 1;
        self.last_error = None;
        shared.metrics.delivered(&shared.adapter.id, took);
        debug!(
            event_id = %event.header.id,
            source = %event.header.source,
            event_type = %event.header.event_type,
            egress_adapter = %shared.adapter.id,
            attempt = head.history.attempts,
            trace_id = event.header.meta.trace_id.as_ref().map(TraceId::as_str),
            kafka_topic = %head.position.topic,
            delivery_state = "delivered",
            "event delivered"
        );
        let step = Step::Delivered {
            destination: shared.name.clone(),
            attempt: head.history.attempts,
            answer,
            took_ms: millis(took),
            read_ms: self.read_ms(&head, &event),
        };
        shared.journal.note(event.header.id, step);
        self.on_alive();
        self.finish(key, head.position);
    }

    /// The destination has answered: its breaker closes.
    fn on_alive(&mut self) {
        if self.breaker.on_answer() {
            info!(destination = %self.shared.name, "breaker closed: the destination answers again");
            self.refresh();
        }
    }

    fn on_failed(&mut self, attempted: Attempted, failure: Failure) {
        let Attempted { key, mut head, event, took, was_probe, .. } = attempted;
        self.tell_failure(&head, &event, &failure);
        let failed_event = EventKey { lane: key.clone(), position: head.position.clone() };
        head.history.failures += 1;
        head.history.spent += u32::from(failure.class.spends_attempt());
        head.history.give_back(self.owed.remove(&failed_event).unwrap_or_default());
        let now = Instant::now();
        match failure.class {
            FailureClass::Rejected => self.on_alive(),
            class => {
                let failed = Failed { event: failed_event, class, retry_after: failure.retry_after, was_probe };
                self.on_sick(failed, &mut head, now);
            }
        }
        if failure.class == FailureClass::Throttled {
            self.throttled_until = failure.retry_after.map(|wait| now + wait).max(self.throttled_until);
        }
        let decision = retry::decide(&self.retry, &mut head.history, &failure, self.delivered, now, &mut self.random);
        self.note_failure(&head, &event, &failure, took, decision);
        match decision {
            Decision::Again(wait) => self.put_back(key, head, now + wait),
            Decision::GiveUp => {
                self.give_up(key, head, event, Why { class: Some(failure.class), error: failure.error });
            }
        }
    }

    fn on_sick(&mut self, failed: Failed<EventKey>, head: &mut Head, now: Instant) {
        // It spends what it fails: otherwise events that always fail could keep each other, and a destination, for ever.
        if head.history.is_at_fault(self.delivered) && failed.class == FailureClass::Transient {
            if failed.was_probe && self.breaker.is_open() {
                self.breaker.on_probe_at_fault(now, &mut self.random);
            }
            return;
        }
        let event = failed.event.clone();
        let was_open = self.breaker.is_open();
        let Some(opened) = self.breaker.on_failure(failed, now, &mut self.random) else { return };
        for (other, spent) in opened.give_back {
            if other == event {
                head.history.give_back(spent);
            } else if spent > 0 && !self.lanes.give_back(&other, spent) {
                // It is being attempted, or was given up before the streak was known to be one.
                self.owed.insert(other, spent);
            }
        }
        if !was_open {
            warn!(destination = %self.shared.name, "breaker open: reading pauses, a probe follows");
            self.refresh();
        }
    }

    fn tell_failure(&mut self, head: &Head, event: &Envelope, failure: &Failure) {
        self.last_error = Some(failure.error.clone());
        let shared = &self.shared;
        shared.metrics.attempt_failed(&shared.adapter.id, failure.class);
        warn!(
            event_id = %event.header.id,
            source = %event.header.source,
            event_type = %event.header.event_type,
            egress_adapter = %shared.adapter.id,
            attempt = head.history.attempts,
            error = %failure.error,
            trace_id = event.header.meta.trace_id.as_ref().map(TraceId::as_str),
            kafka_topic = %head.position.topic,
            delivery_state = failure.class.as_str(),
            "delivery failed"
        );
    }

    fn note_failure(&self, head: &Head, event: &Envelope, failure: &Failure, took: Duration, decision: Decision) {
        let step = Step::AttemptFailed {
            destination: self.shared.name.clone(),
            attempt: head.history.attempts,
            class: failure.class,
            error: failure.error.clone(),
            took_ms: millis(took),
            read_ms: self.read_ms(head, event),
            retry_in_ms: match decision {
                Decision::Again(wait) => Some(millis(wait)),
                Decision::GiveUp => None,
            },
            breaker_open: self.breaker.is_open(),
        };
        self.shared.journal.note(event.header.id, step);
    }

    /// When an event was read from the log, in milliseconds after it was received; told with its first attempt.
    fn read_ms(&self, head: &Head, event: &Envelope) -> Option<u64> {
        let ago = head.read_at.filter(|_| head.history.attempts == 1)?.elapsed();
        let received = self.shared.clock.now().duration_since(event.header.received_at);
        u64::try_from(received.as_millis()).ok()?.checked_sub(millis(ago))
    }

    fn give_up(&mut self, key: LaneKey, head: Head, event: Envelope, why: Why) {
        if !self.shared.required {
            self.note_dropped(event.header.id, &why.error);
            self.finish(key, head.position);
            return;
        }
        match self.shared.adapter.on_give_up {
            GiveUp::Hold => {
                if self.held.insert(key.clone()) {
                    warn!(event_id = %event.header.id, destination = %self.shared.name, error = why.error, "event given up: its key is held");
                    let step = Step::Held { destination: self.shared.name.clone(), error: why.error };
                    self.shared.journal.note(event.header.id, step);
                }
                self.put_back(key, head, Instant::now() + self.retry.cap);
            }
            GiveUp::DeadLetter => self.dead_letter(key, head, event, why),
        }
    }

    fn dead_letter(&mut self, key: LaneKey, head: Head, event: Envelope, why: Why) {
        warn!(event_id = %event.header.id, destination = %self.shared.name, error = why.error, "event goes to the dead letters");
        let in_flight = Some(EventKey { lane: key.clone(), position: head.position.clone() });
        let future = attempt::dead_letter(Arc::clone(&self.shared), key, head, event, why).boxed();
        self.in_flight.push(InFlight { event: in_flight, was_probe: false, future });
    }

    fn on_dead_lettered(&mut self, letter: DeadLettered) {
        let DeadLettered { key, position, event_id, attempts, error } = letter;
        self.shared.metrics.dead_lettered(&self.shared.dead_letters);
        let step = Step::DeadLettered { destination: self.shared.name.clone(), attempts, error };
        self.shared.journal.note(event_id, step);
        self.finish(key, position);
    }

    /// Drops what a destination that is not required has not taken for too long; keeps one event to probe with.
    fn abandon(&mut self) {
        let positions = self.lanes.abandon();
        if !positions.is_empty() {
            warn!(destination = %self.shared.name, events = positions.len(), "shut for longer than max_age: events are dropped");
            let future = attempt::abandon(Arc::clone(&self.shared), positions).boxed();
            self.in_flight.push(InFlight { event: None, was_probe: false, future });
        }
    }

    fn on_abandoned(&mut self, events: Vec<(Position, Option<EventId>)>) {
        for (position, event_id) in events {
            if let Some(event_id) = event_id {
                self.note_dropped(event_id, SHUT_TOO_LONG);
            }
            self.done.push(position);
        }
    }

    fn note_dropped(&self, event_id: EventId, reason: &str) {
        self.shared.metrics.dropped(&self.shared.name);
        let step = Step::Dropped { destination: self.shared.name.clone(), reason: reason.to_owned() };
        self.shared.journal.note(event_id, step);
    }

    /// A plugin left it out on purpose: that is no loss, and nothing to mend.
    fn note_filtered(&self, event_id: EventId, reason: String) {
        self.shared.metrics.filtered(&self.shared.name);
        self.shared.journal.note(event_id, Step::Dropped { destination: self.shared.name.clone(), reason });
    }

    fn finish(&mut self, key: LaneKey, position: Position) {
        self.forget(key, &position);
        self.done.push(position);
    }

    /// The head that was taken is no longer ours, done or not.
    fn forget(&mut self, key: LaneKey, position: &Position) {
        self.held.remove(&key);
        if !self.owed.is_empty() {
            self.owed.remove(&EventKey { lane: key.clone(), position: position.clone() });
        }
        self.lanes.finish(key);
    }

    /// Keeps a head for another attempt; one of a partition that is leaving is forgotten.
    fn put_back(&mut self, key: LaneKey, head: Head, at: Instant) {
        if self.leaving.iter().any(|leaving| leaving.covers(&head.position)) {
            self.forget(key, &head.position);
        } else {
            self.lanes.retry(key, head, at);
        }
    }

    fn commit(&mut self, subscription: &mut dyn Subscription) -> Result<(), LogError> {
        if self.done.is_empty() {
            return Ok(());
        }
        for position in &self.done {
            self.shared.metrics.committed(&position.topic);
        }
        subscription.commit(std::mem::take(&mut self.done))
    }

    fn schedule_refresh(&mut self) {
        self.refresh_at.get_or_insert_with(|| Instant::now() + REFRESH);
    }

    /// Lets gauges and status follow the state.
    fn refresh(&mut self) {
        self.refresh_at = None;
        let (waiting, pending) = (self.lanes.waiting(), self.lanes.events());
        self.shared.metrics.destination_state(&self.shared.name, self.breaker.is_open(), waiting, pending);
        let open_since = self.breaker.open_since().map(|since| self.shared.clock.now() - since.elapsed());
        let keys = self.lanes.longest_waiting(SHOWN_KEYS).into_iter().map(|(key, attempts)| WaitingKey {
            key: match key {
                LaneKey::Ordered(key) => Some(key.to_string()),
                LaneKey::Alone(_) => None,
            },
            attempts,
        });
        let waiting: Vec<_> = keys.collect();
        self.shared.status.update(|status| {
            status.state = if open_since.is_some() { DestinationState::Open } else { DestinationState::Delivering };
            status.breaker_open_since = open_since.map(truncate);
            (status.pending, status.held, status.delivered) = (pending, self.held.len(), self.delivered);
            status.last_error.clone_from(&self.last_error);
            status.waiting = waiting;
        });
    }
}

/// The next announcement of partitions that leave; never where the log announces none.
async fn next_revocation(revocations: &mut Option<Box<dyn Revocations>>) -> Revocation {
    match revocations {
        Some(revocations) => revocations.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time that was computed from a monotonic clock is not exact to the nanosecond.
fn truncate(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
