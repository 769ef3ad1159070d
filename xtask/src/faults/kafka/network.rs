//! A network between `hook` and the brokers that delays, resets, hangs up, swallows, forgets.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use hook_bench::brokers::{Brokers, PROXIED};
use tokio::{sync::watch, time::sleep};

use super::{
    Topics, check_topics, home,
    proxy::{Proxy, Weather},
    said, shaped,
};
use crate::faults::{
    Setup,
    home::{LOOK, Pipeline},
    ledger::Arrivals,
    load::{Load, Shaped},
    report::{Outcome, millis, seconds},
    settle,
    sink::Sink,
};

const DELAY: Duration = Duration::from_millis(500);
/// Between the change of the weather and the moment from which nothing may be acknowledged: what was on its way has come.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// Everything must go on within this, without a restart.
const GOES_ON: Duration = Duration::from_secs(120);
const REST: Duration = Duration::from_secs(2);
/// After that long without a broker's acknowledgement a sender is answered 503.
const GIVES_UP: Duration = Duration::from_secs(10);

/// A fault, and how long it lasts.
#[derive(Debug, Clone, Copy)]
struct Fault {
    weather: Weather,
    lasts: Duration,
}

const QUICK: [Fault; 3] = [
    Fault { weather: Weather::Delays(DELAY), lasts: Duration::from_secs(3) },
    Fault { weather: Weather::HalfCloses, lasts: Duration::from_secs(3) },
    Fault { weather: Weather::Swallows, lasts: Duration::from_secs(12) },
];
const LONG: [Fault; 6] = [
    Fault { weather: Weather::Delays(DELAY), lasts: Duration::from_secs(15) },
    Fault { weather: Weather::Cuts, lasts: Duration::from_secs(3) },
    Fault { weather: Weather::Cuts, lasts: Duration::from_secs(30) },
    Fault { weather: Weather::HalfCloses, lasts: Duration::from_secs(30) },
    Fault { weather: Weather::Swallows, lasts: Duration::from_secs(30) },
    Fault { weather: Weather::Forgets, lasts: Duration::ZERO },
];

impl Fault {
    /// Whether no broker's acknowledgement can reach `hook` while it lasts.
    fn is_total(self) -> bool {
        matches!(self.weather, Weather::Cuts | Weather::HalfCloses | Weather::Swallows)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = self.lasts.as_secs();
        match self.weather {
            Weather::Fair => f.write_str("fair"),
            Weather::Delays(delay) => write!(f, "answers come {} ms later, for {lasts} s", delay.as_millis()),
            Weather::Cuts => write!(f, "connections are reset, for {lasts} s"),
            Weather::HalfCloses => write!(f, "the brokers hang up, for {lasts} s"),
            Weather::Swallows => write!(f, "nothing passes, for {lasts} s"),
            Weather::Forgets => f.write_str("connections are forgotten"),
        }
    }
}

/// Each fault in turn, on one pipeline that is never started again.
pub(crate) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let (faults, count): (&[Fault], _) = if setup.is_quick { (&QUICK, "1") } else { (&LONG, "3") };
    let brokers = Brokers::up(&["--brokers", count, "--proxied"]).await.map_err(said)?;
    let weather = Arc::new(watch::Sender::new(Weather::Fair));
    let mut proxies = Vec::new();
    for (announced, upstream) in brokers.proxies().map_err(said)? {
        proxies.push(Proxy::start(&announced, &upstream, &weather).await?);
    }
    let shaped = Shaped { senders: 16, keys: 256, pause: Duration::from_millis(10), ..shaped() };
    let sink = Sink::start(shaped.keys, &mut setup.random).await?;
    let topics = Topics { partitions: 3, replication: brokers.nodes().len() };
    let home = home(setup, &sink, (&brokers, PROXIED), topics)?;
    let mut pipeline = home.up().await?;
    let mut load = Load::start(shaped, &sink.arrivals);
    load.send_to(pipeline.ingress);
    for fault in faults {
        crate::say(&format!("faults: {fault}\n"));
        load.acknowledged(100, GOES_ON).await?;
        sleep(REST).await;
        let run = Run { fault: *fault, weather: &weather, load: &load, arrivals: &sink.arrivals };
        let said = run.run(&pipeline, outcome).await?;
        outcome.measure(fault.to_string(), said);
        outcome.check(pipeline.is_alive(), || format!("{fault}: the process has ended"));
    }
    load.finish().await?;
    settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    drop(pipeline);
    outcome.faults.extend(load.ledger.complaints());
    outcome.count(load.ledger.compare(&sink.arrivals, |_| false));
    check_topics(&brokers, &load.ledger, shaped.keys, outcome).await
}

struct Run<'a> {
    fault: Fault,
    weather: &'a watch::Sender<Weather>,
    load: &'a Load,
    arrivals: &'a Arrivals,
}

impl Run<'_> {
    /// One fault, from its beginning until everything has arrived that was acknowledged before its end; what was seen.
    async fn run(&self, pipeline: &Pipeline, outcome: &mut Outcome) -> Result<String, String> {
        let (fault, ledger) = (self.fault, &self.load.ledger);
        ledger.take_latencies();
        self.weather.send_replace(fault.weather);
        sleep(ON_ITS_WAY).await;
        let (acknowledged, refused) = (ledger.acknowledged(), ledger.refusals());
        sleep(fault.lasts.saturating_sub(ON_ITS_WAY)).await;
        let (acknowledged, refused) = (ledger.acknowledged() - acknowledged, ledger.refusals() - refused);
        let status = pipeline.status().await.map_or(0, |(status, _)| status);
        let mut seen = format!("{acknowledged} acknowledged and {refused} answered 503 meanwhile, /ready {status}");
        if fault.is_total() {
            outcome.check(acknowledged == 0, || {
                format!("{fault}: {acknowledged} events were acknowledged that no broker can have acknowledged")
            });
            outcome.check(refused > 0 || fault.lasts < GIVES_UP, || format!("{fault}: nobody was answered 503"));
        }
        // Those who have forgotten do not remember: only new connections help.
        if fault.weather != Weather::Forgets {
            self.weather.send_replace(Weather::Fair);
        }
        let (ended, then, fresh) = (Instant::now(), ledger.now(), ledger.acknowledged());
        let goes_on = async {
            while ledger.acknowledged() == fresh && ended.elapsed() < GOES_ON {
                sleep(LOOK).await;
            }
            ended.elapsed()
        };
        let all_arrived = settle::until("everything acknowledged in a fault had arrived", GOES_ON, async || {
            self.arrivals.have(&then)
        });
        let (goes_on, all_arrived) = tokio::join!(goes_on, all_arrived);
        let all_arrived = all_arrived.map_err(|error| format!("{fault}: {error}"))?;
        let since = ledger.now();
        let caught_up = settle::until("everything acknowledged after a fault had arrived", GOES_ON, async || {
            self.arrivals.have(&since)
        });
        let caught_up = caught_up.await.map_err(|error| format!("{fault}: {error}"))?;
        outcome.check(goes_on < GOES_ON, || format!("{fault}: nothing was acknowledged within {GOES_ON:?}"));
        self.weather.send_replace(Weather::Fair);
        let slowest = Duration::from_secs_f64(ledger.take_latencies().max_ms / 1000.0);
        seen += &format!(
            "; then the next acknowledgement after {}, what was acknowledged before had arrived after {}, what came since {} later; the longest acknowledgement {}",
            millis(goes_on),
            seconds(all_arrived),
            seconds(caught_up),
            seconds(slowest)
        );
        Ok(seen)
    }
}
