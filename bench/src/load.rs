//! The load: signed events over many connections, as fast as answers come or at a steady rate.
//!
//! At a steady rate the time of an answer counts from when its request was *meant* to be sent. A server that stalls is not
//! spared the requests that would have come meanwhile (Gil Tene calls that mistake coordinated omission).
//!
//! A key belongs to one connection, which sends one event at a time: of two events of a key, the first was answered before
//! the second was sent. An event whose answer says "later", or whose connection breaks, is sent again under the same
//! delivery id before the next, as providers do.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    connection::Connection,
    error::Error,
    latency::Latencies,
    mark::Mark,
    process::{self, Process},
    sink::Counter,
    template::{Shape, Template},
};

/// Before an event is sent again.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the load looks whether what it waits for has come.
const LOOK: Duration = Duration::from_millis(1);

/// How fast events are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// On each connection the next when the one before is answered.
    AsAnswered,
    /// So many a second over all connections.
    Steady(f64),
    /// On each connection the next so long after the one before was answered.
    Paused(Duration),
}

/// When no more events are begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this time, of which the first part, the warm-up, is not measured.
    Elapsed {
        /// Not measured.
        warm_up: Duration,
        /// Measured.
        measured: Duration,
    },
    /// After so many events.
    Events(u64),
}

/// Keeps the number of events bounded that are taken and not delivered.
#[derive(Debug, Clone)]
pub struct HoldBack {
    /// What has been delivered since the load began, and [`HoldBack::before`] it.
    pub delivered: Counter,
    /// What the counter said when the load began.
    pub before: u64,
    /// The most that may be under way.
    pub most: u64,
}

/// A load on one address.
#[derive(Debug, Clone)]
pub struct Load<'a> {
    /// Where to, how long, signed with what.
    pub shape: Shape<'a>,
    /// The run that its events belong to.
    pub run: u32,
    /// How many ordering keys there are. With fewer keys than connections, a key's events are sent at the same time.
    pub keys: u32,
    /// How many connections there are.
    pub connections: u32,
    /// How fast.
    pub pace: Pace,
    /// How long.
    pub until: Until,
    /// Rounds before this one are another load's of the same run: [`Sent::next_round`] of that.
    pub first_round: u64,
    /// Waits for deliveries, where there are too many under way.
    pub hold_back: Option<HoldBack>,
    /// Whose processor time is measured.
    pub watched: Vec<Process>,
    /// Whether the numbers of all acknowledged events are kept.
    pub keeps_numbers: bool,
}

/// What a load has done.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Events that were acknowledged: answered with a status below 300. In and out of the measured time.
    pub acknowledged: u64,
    /// How often each status was answered.
    pub answers: BTreeMap<u16, u64>,
    /// How often a connection broke, or was refused.
    pub broken: u64,
    /// What was measured.
    pub window: Window,
    /// The numbers of acknowledged events, where they are kept.
    pub numbers: Vec<u64>,
    /// The round from which another load of the same run goes on.
    pub next_round: u64,
}

/// The measured time of a load.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// How long it was.
    pub elapsed: Duration,
    /// Events acknowledged in it.
    pub acknowledged: u64,
    /// Events delivered in it, where deliveries are watched by [`Load::hold_back`].
    pub delivered: u64,
    /// From sending to acknowledgement.
    pub latencies: Latencies,
    /// The processor time that each watched process used in it.
    pub cpu: Vec<Duration>,
    /// The processor time that the whole machine used in it.
    pub machine_cpu: Duration,
}

impl Window {
    /// Acknowledged events a second.
    pub fn rate(&self) -> f64 {
        self.acknowledged as f64 / self.elapsed.as_secs_f64()
    }

    /// How many cores were busy with something that was not watched: other programs, and the kernel's own threads.
    pub fn other_cores(&self) -> f64 {
        let watched: Duration = self.cpu.iter().sum();
        self.machine_cpu.saturating_sub(watched).as_secs_f64() / self.elapsed.as_secs_f64()
    }

    /// Delivered events a second.
    pub fn delivery_rate(&self) -> f64 {
        self.delivered as f64 / self.elapsed.as_secs_f64()
    }
}

impl Sent {
    /// Fails where anything but an acknowledgement was answered: such a run measures something else.
    pub fn all_acknowledged(self) -> Result<Self, Error> {
        match self.broken == 0 && self.answers.keys().all(|status| *status < 300) {
            true => Ok(self),
            false => Err(Error::Unexpected(format!(
                "not every event was acknowledged: answers {:?}, broken connections {}",
                self.answers, self.broken
            ))),
        }
    }
}

/// The time of a load.
#[derive(Debug, Clone, Copy)]
struct Times {
    begin: Instant,
    measured_from: Instant,
    end: Option<Instant>,
}

impl Times {
    fn measures(&self, at: Instant) -> bool {
        at >= self.measured_from && self.end.is_none_or(|end| at < end)
    }
}

/// What the connections of a load share.
struct Shared {
    budget: Option<AtomicU64>,
    begun: AtomicU64,
    times: Times,
}

impl Load<'_> {
    /// Sends until the end, and waits for the last answers.
    pub async fn run(&self) -> Result<Sent, Error> {
        let template = Template::new(&self.shape);
        let begin = Instant::now() + PAUSE;
        let times = match self.until {
            Until::Elapsed { warm_up, measured } => {
                Times { begin, measured_from: begin + warm_up, end: Some(begin + warm_up + measured) }
            }
            Until::Events(_) => Times { begin, measured_from: begin, end: None },
        };
        let budget = match self.until {
            Until::Events(events) => Some(AtomicU64::new(events)),
            Until::Elapsed { .. } => None,
        };
        let shared = Arc::new(Shared { budget, begun: AtomicU64::new(0), times });
        let mut connections = JoinSet::new();
        for number in 0..self.connections {
            let line = Line {
                shared: Arc::clone(&shared),
                address: self.shape.address,
                template: template.clone(),
                run: self.run,
                number,
                connections: self.connections,
                keys: self.keys,
                pace: self.pace,
                round: self.first_round,
                hold_back: self.hold_back.clone(),
                keeps_numbers: self.keeps_numbers,
                done: Sent::default(),
            };
            connections.spawn(line.run());
        }
        let before = self.look_at(times.measured_from).await?;
        let mut sent = Sent::default();
        let after = match times.end {
            Some(end) => {
                let after = self.look_at(end).await?;
                sent.gather(connections).await?;
                after
            }
            None => {
                sent.gather(connections).await?;
                self.look_at(Instant::now()).await?
            }
        };
        sent.window.elapsed = after.at - before.at;
        sent.window.delivered = after.delivered - before.delivered;
        sent.window.machine_cpu = after.machine_cpu.saturating_sub(before.machine_cpu);
        sent.window.cpu =
            after.cpu.iter().zip(&before.cpu).map(|(after, before)| after.saturating_sub(*before)).collect();
        Ok(sent)
    }

    /// The key of the event with this number.
    pub fn key_of(&self, number: u64) -> u32 {
        key_of(number, self.connections, self.keys)
    }

    async fn look_at(&self, at: Instant) -> Result<Look, Error> {
        tokio::time::sleep_until(at.into()).await;
        let cpu: Result<_, _> = self.watched.iter().map(|process| process.cpu()).collect();
        let delivered = self.hold_back.as_ref().map_or(0, |hold_back| hold_back.delivered.get());
        Ok(Look { at: Instant::now(), cpu: cpu?, machine_cpu: process::machine_cpu()?, delivered })
    }
}

/// Connection `c` has the keys `c`, `c + connections`, … in turn.
fn key_of(number: u64, connections: u32, keys: u32) -> u32 {
    let (round, connection) = (number / u64::from(connections), (number % u64::from(connections)) as u32);
    let own = keys.saturating_sub(connection).div_ceil(connections).max(1);
    (connection + connections * (round % u64::from(own)) as u32) % keys.max(1)
}

/// A look at what is watched.
struct Look {
    at: Instant,
    cpu: Vec<Duration>,
    machine_cpu: Duration,
    delivered: u64,
}

impl Sent {
    /// Adds what each connection has done. When the first has ended, the others may only wait for their last answer: a
    /// silent server must not hold up the run for ever.
    async fn gather(&mut self, mut connections: JoinSet<Sent>) -> Result<(), Error> {
        let mut ended = connections.join_next().await;
        while let Some(done) = ended {
            let done = done.map_err(|panic| Error::Unexpected(format!("a connection of the load failed: {panic}")))?;
            self.add(done);
            let next = tokio::time::timeout(PATIENCE, connections.join_next()).await;
            ended = next.map_err(|_| Error::Unexpected(format!("an answer did not come within {PATIENCE:?}")))?;
        }
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.broken += other.broken;
        for (status, count) in other.answers {
            *self.answers.entry(status).or_default() += count;
        }
        self.window.acknowledged += other.window.acknowledged;
        self.window.latencies.add(&other.window.latencies);
        self.numbers.extend(other.numbers);
        self.next_round = self.next_round.max(other.next_round);
    }
}

/// One connection of a load: one event at a time.
struct Line {
    shared: Arc<Shared>,
    address: SocketAddr,
    template: Template,
    run: u32,
    number: u32,
    connections: u32,
    keys: u32,
    pace: Pace,
    round: u64,
    hold_back: Option<HoldBack>,
    keeps_numbers: bool,
    done: Sent,
}

impl Line {
    async fn run(mut self) -> Sent {
        let first_round = self.round;
        let mut connection = None;
        tokio::time::sleep_until(self.shared.times.begin.into()).await;
        while self.wait_for_turn(first_round).await {
            let sent = self.meant_at(first_round).unwrap_or_else(Instant::now);
            let number = self.event_number();
            let mark = Mark { run: self.run, key: key_of(number, self.connections, self.keys), number, sent };
            self.round += 1;
            if !self.send(&mark, &mut connection).await {
                break;
            }
        }
        self.done.next_round = self.round;
        self.done
    }

    /// Waits until the next event may be sent. `false` at the end.
    async fn wait_for_turn(&self, first_round: u64) -> bool {
        if let Some(at) = self.meant_at(first_round) {
            if self.shared.times.end.is_some_and(|end| at >= end) {
                return false;
            }
            if at > Instant::now() {
                tokio::time::sleep_until(at.into()).await;
            }
        } else if self.is_over() {
            return false;
        }
        if let Pace::Paused(pause) = self.pace {
            tokio::time::sleep(pause).await;
        }
        let took = self.shared.budget.as_ref().is_none_or(|budget| {
            budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        });
        if !took {
            return false;
        }
        let begun = self.shared.begun.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(HoldBack { delivered, before, most }) = &self.hold_back {
            while begun > delivered.get() - before + most {
                if self.is_over() {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        true
    }

    fn is_over(&self) -> bool {
        self.shared.times.end.is_some_and(|end| Instant::now() >= end)
    }

    /// When the next event is meant to be sent; `None` where it is sent as soon as the one before is answered.
    fn meant_at(&self, first_round: u64) -> Option<Instant> {
        let Pace::Steady(per_second) = self.pace else { return None };
        let place = (self.round - first_round) as f64 * f64::from(self.connections) + f64::from(self.number);
        Some(self.shared.times.begin + Duration::from_secs_f64(place / per_second))
    }

    fn event_number(&self) -> u64 {
        self.round * u64::from(self.connections) + u64::from(self.number)
    }

    /// Sends an event until it is answered for good. `false` where the end came before that.
    async fn send(&mut self, mark: &Mark, connection: &mut Option<Connection>) -> bool {
        loop {
            match self.exchange(mark, connection).await {
                Ok(status) => {
                    *self.done.answers.entry(status).or_default() += 1;
                    if status < 300 {
                        self.acknowledge(mark);
                    }
                    if status != 429 && status < 500 {
                        return true;
                    }
                }
                Err(_) => {
                    self.done.broken += 1;
                    *connection = None;
                }
            }
            if self.is_over() {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn exchange(&mut self, mark: &Mark, connection: &mut Option<Connection>) -> std::io::Result<u16> {
        let open = match connection {
            Some(open) => open,
            None => connection.insert(Connection::open(self.address).await?),
        };
        let answer = open.exchange(self.template.fill(mark)).await?;
        let (status, keeps_alive) = (answer.status, answer.keeps_alive);
        if !keeps_alive {
            *connection = None;
        }
        Ok(status)
    }

    fn acknowledge(&mut self, mark: &Mark) {
        let now = Instant::now();
        self.done.acknowledged += 1;
        if self.keeps_numbers {
            self.done.numbers.push(mark.number);
        }
        let times = self.shared.times;
        if times.measures(now) {
            self.done.window.acknowledged += 1;
        }
        // Where a rate is kept, what was meant to be sent in the measured time counts, however late its answer comes.
        let counts_from = if matches!(self.pace, Pace::Steady(_)) { mark.sent } else { now };
        if times.measures(counts_from) {
            self.done.window.latencies.record(now.saturating_duration_since(mark.sent));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        mark,
        sink::{Reply, Sink},
    };

    fn load(address: SocketAddr, until: Until) -> Load<'static> {
        Load {
            shape: Shape { address, path: "/", secret: "secret", body_bytes: 1024 },
            run: mark::new_run(),
            keys: 10,
            connections: 4,
            pace: Pace::AsAnswered,
            until,
            first_round: 0,
            hold_back: None,
            watched: vec![Process::this()],
            keeps_numbers: true,
        }
    }

    #[test]
    fn a_key_belongs_to_one_connection_and_every_key_is_used() {
        let (connections, keys) = (4, 10);
        let owners: HashSet<_> = (0..400).map(|number| (key_of(number, connections, keys), number % 4)).collect();
        assert_eq!(owners.len(), 10);
        assert!(owners.iter().all(|(key, connection)| u64::from(key % connections) == *connection));
    }

    #[tokio::test]
    async fn every_event_is_another_and_each_key_is_in_order() {
        let sink = Sink::open(0).unwrap();
        let mut load = load(sink.address(), Until::Events(500));
        sink.count_anew(load.run);
        let first = load.run().await.unwrap().all_acknowledged().unwrap();
        load.first_round = first.next_round;
        load.run().await.unwrap().all_acknowledged().unwrap();
        let tally = sink.tally();
        assert_eq!((tally.distinct, tally.duplicates, tally.out_of_order, tally.foreign), (1000, 0, 0, 0));
        assert_eq!((first.acknowledged, first.window.latencies.count()), (500, 500));
        assert!(first.numbers.iter().all(|number| tally.has(*number)));
    }

    #[tokio::test]
    async fn an_event_that_is_refused_for_now_is_sent_again_before_the_next() {
        let sink = Sink::open(0).unwrap();
        let load = load(sink.address(), Until::Events(20));
        sink.count_anew(load.run);
        let refused = std::sync::Mutex::new(HashSet::new());
        sink.reply_with(move |mark| match refused.lock().unwrap().insert(mark.number) {
            true if mark.number % 2 == 0 => Reply::Status(503),
            true => Reply::Closed,
            false => Reply::Taken,
        });
        let sent = load.run().await.unwrap();
        let tally = sink.tally();
        assert_eq!((sent.acknowledged, tally.distinct, tally.out_of_order), (20, 20, 0));
        assert_eq!(sent.answers[&503] + sent.broken, 20);
        assert!(sent.all_acknowledged().is_err());
    }

    #[tokio::test]
    async fn a_load_waits_for_deliveries_where_it_is_told_to() {
        let (sink, never) = (Sink::open(0).unwrap(), Sink::open(0).unwrap());
        let measured = Duration::from_millis(500);
        let mut load = load(sink.address(), Until::Elapsed { warm_up: Duration::ZERO, measured });
        load.hold_back = Some(HoldBack { delivered: never.delivered(), before: 0, most: 7 });
        assert_eq!(load.run().await.unwrap().acknowledged, 7);
    }

    #[tokio::test]
    async fn at_a_steady_rate_an_answer_is_late_from_when_its_request_was_meant_to_be_sent() {
        let sink = Sink::open(0).unwrap();
        let measured = Duration::from_millis(100);
        let mut load = load(sink.address(), Until::Elapsed { warm_up: Duration::ZERO, measured });
        sink.reply_with(|_| Reply::TakenAfter(Duration::from_millis(40)));
        load.connections = 1;
        load.pace = Pace::Steady(100.0);
        let sent = load.run().await.unwrap();
        // Ten are meant to be sent, one each 10 ms, and one is answered each 40 ms: the second is 30 ms late.
        assert_eq!(sent.acknowledged, 10);
        assert!(sent.window.latencies.summary().max_ms >= 65.0);
    }
}
