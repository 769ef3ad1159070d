//! Events to hundreds of WebSocket clients, some of which do not read: how late the others get them, and how the stalled ones
//! catch up.

use std::{
    fmt::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use hook_bench::{
    contract::{PATH, SECRET, SECRET_VARIABLE, streaming},
    error::Error,
    latency::{Latencies, Summary},
    load::{Pace, Until},
    mark::Mark,
    pipeline::{Home, Pipeline, Program, Role},
    process::Process,
};
use serde::Serialize;
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{Scale, each_us, options::Common};
use crate::{
    report::{grouped, latency, megabytes},
    table::note,
};

/// The p99 from sending a webhook to its frame at a client.
const BOUND_MS: f64 = 50.0;
const DEPTH: usize = 64;
const SEND_TIMEOUT_MS: u64 = 5000;
const WARM_UP: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_secs(10);
const QUICK: Duration = Duration::from_secs(3);
/// Rates that are tried one after the other, to the first that does not hold.
const RATES: [f64; 12] = [30.0, 40.0, 60.0, 80.0, 100.0, 130.0, 160.0, 200.0, 250.0, 300.0, 400.0, 600.0];
/// How long nothing may come before a run is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Few enough that an event is not sent long before one that was meant to be sent earlier.
const CONNECTIONS: u32 = 8;

/// Options of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Clients that are connected
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// Those of them that do not read
    #[arg(long, default_value_t = 10)]
    stalled: usize,
    /// Events a second
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// How long
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Broadcast {
    clients: usize,
    stalled: usize,
    rate: f64,
    seconds: f64,
    run: Run,
    bound_ms: f64,
    holds: bool,
    slow: Slow,
    /// Higher rates with as many clients, all of which read.
    steps: Vec<Step>,
    /// The highest that holds the bound.
    highest: Option<f64>,
}

/// What was seen of the clients that read, and of `hook`.
#[derive(Debug, Clone, Serialize)]
struct Run {
    latency: Summary,
    hook_cpu_us: f64,
    /// Parts of a core that `hook` used.
    hook_cores: f64,
    /// Cores that were busy with neither `hook` nor the clients.
    other_cores: f64,
    peak_kib: u64,
}

/// What was seen of those that do not.
#[derive(Debug, Clone, Serialize)]
struct Slow {
    /// Closed with 1013.
    closed_with_1013: usize,
    /// Events that they had when they were closed: the fewest and the most.
    had: (usize, usize),
    /// How long all of them together took to catch up.
    catch_up_seconds: f64,
    /// Those that then had every event, in order, once.
    complete: usize,
}

#[derive(Debug, Clone, Serialize)]
struct Step {
    rate: f64,
    run: Run,
    holds: bool,
}

pub(crate) async fn measure(options: &Options) -> Result<Broadcast, Error> {
    let scale = options.common.scale();
    let quick = options.common.quick;
    let measured = if quick { QUICK } else { Duration::from_secs_f64(options.seconds.clamp(1.0, 3600.0)) };
    let stalled = options.stalled.min(options.clients.saturating_sub(1));
    let reading = options.clients - stalled;
    note(&format!(
        "{} clients, {stalled} of them stalled, {} events a second, {measured:?}",
        options.clients, options.rate
    ));
    let (run, slow) = main_run(&scale, (reading, stalled), options.rate, measured).await?;
    let mut steps: Vec<Step> = Vec::new();
    for rate in RATES.into_iter().filter(|rate| *rate > options.rate && !quick) {
        note(&format!("{} clients, {rate} events a second, {STEP:?}", options.clients));
        let run = step(&scale, options.clients, rate).await?;
        let holds = run.latency.p99_ms <= BOUND_MS;
        steps.push(Step { rate, run, holds });
        if !holds {
            break;
        }
    }
    let holds = run.latency.p99_ms <= BOUND_MS;
    let higher = steps.iter().filter(|step| step.holds).map(|step| step.rate).next_back();
    let highest = higher.or(holds.then_some(options.rate));
    Ok(Broadcast {
        clients: options.clients,
        stalled,
        rate: options.rate,
        seconds: measured.as_secs_f64(),
        run,
        bound_ms: BOUND_MS,
        holds,
        slow,
        steps,
        highest,
    })
}

fn home(scale: &Scale, clients: usize) -> Result<Home, Error> {
    let keys = format!(
        "driver = \"websocket_server_output\"\nbind = \"127.0.0.1:0\"\npath = \"/events\"\nauth_mode = \"none\"\n\
         max_clients = {}\nqueue_depth_per_client = {DEPTH}\nsend_timeout_ms = {SEND_TIMEOUT_MS}\n",
        2 * clients
    );
    Home::new(Program::this("hook")?, &scale.below, &streaming(&keys), &[(SECRET_VARIABLE, SECRET)])
}

async fn step(scale: &Scale, clients: usize, rate: f64) -> Result<Run, Error> {
    let home = home(scale, clients)?;
    let pipeline = home.start(Role::Up).await?;
    let audience = Audience::connect(pipeline.address_of("stream")?, clients).await?;
    let (run, _) = under_load(scale, &pipeline, audience, rate, STEP).await?;
    Ok(run)
}

async fn main_run(
    scale: &Scale,
    (reading, stalled): (usize, usize),
    rate: f64,
    measured: Duration,
) -> Result<(Run, Slow), Error> {
    let home = home(scale, reading + stalled)?;
    let pipeline = home.start(Role::Up).await?;
    let address = pipeline.address_of("stream")?;
    let audience = Audience::connect(address, reading).await?;
    let mut sockets = Vec::new();
    for _ in 0..stalled {
        sockets.push(connect(address, "").await?);
    }
    let (run, expected) = under_load(scale, &pipeline, audience, rate, measured).await?;
    let slow = catch_up(address, sockets, &expected).await?;
    Ok((run, slow))
}

/// Sends events while the clients listen; what they got, in its order.
async fn under_load(
    scale: &Scale,
    pipeline: &Pipeline,
    audience: Audience,
    rate: f64,
    measured: Duration,
) -> Result<(Run, Vec<u64>), Error> {
    let mut load = scale.load(pipeline.address()?, PATH, &[pipeline.process, Process::this()]);
    load.connections = CONNECTIONS;
    load.pace = Pace::Steady(rate);
    load.until = Until::Elapsed { warm_up: WARM_UP, measured };
    let sent = load.run().await?.all_acknowledged()?;
    let (latencies, numbers) = audience.end(usize::try_from(sent.acknowledged).unwrap_or(usize::MAX)).await?;
    let cpu = sent.window.cpu.first().copied().unwrap_or_default();
    let run = Run {
        latency: latencies.summary(),
        hook_cpu_us: each_us(cpu, sent.window.acknowledged),
        hook_cores: cpu.as_secs_f64() / sent.window.elapsed.as_secs_f64(),
        other_cores: sent.window.other_cores(),
        peak_kib: pipeline.process.memory()?.peak_kib,
    };
    Ok((run, numbers))
}

/// The stalled clients read what was left for them, are told to come back, and do.
async fn catch_up(address: SocketAddr, sockets: Vec<Socket>, expected: &[u64]) -> Result<Slow, Error> {
    let mut clients = Vec::new();
    for mut socket in sockets {
        let mut heard = Heard::default();
        let code = loop {
            match heard.next(&mut socket).await? {
                Next::Event => {}
                Next::Closed(code) => break code,
            }
        };
        clients.push((code, heard));
    }
    let had: Vec<usize> = clients.iter().map(|(_, heard)| heard.numbers.len()).collect();
    let begin = Instant::now();
    let mut returning = JoinSet::new();
    for (code, mut heard) in clients {
        let missing = expected.len().saturating_sub(heard.numbers.len());
        returning.spawn(async move {
            let mut socket = connect(address, &format!("?after={}", heard.last_id)).await?;
            for _ in 0..missing {
                heard.next(&mut socket).await?;
            }
            Ok::<_, Error>((code, heard))
        });
    }
    let (mut closed_with_1013, mut complete) = (0, 0);
    while let Some(back) = returning.join_next().await {
        let (code, heard) = back.map_err(|error| Error::Unexpected(error.to_string()))??;
        closed_with_1013 += usize::from(code == Some(1013));
        complete += usize::from(heard.numbers == expected);
    }
    let had = (had.iter().copied().min().unwrap_or_default(), had.iter().copied().max().unwrap_or_default());
    Ok(Slow { closed_with_1013, had, catch_up_seconds: begin.elapsed().as_secs_f64(), complete })
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr, query: &str) -> Result<Socket, Error> {
    let stream = TcpStream::connect(address).await.map_err(Error::io("connect a client"))?;
    let opened = client_async(format!("ws://{address}/events{query}"), stream).await;
    opened.map(|(socket, _)| socket).map_err(|error| Error::Unexpected(format!("a client was not let in: {error}")))
}

/// Clients that read.
struct Audience {
    clients: JoinSet<Result<Heard, Error>>,
    /// How many events each of them has to get, once that is known.
    total: watch::Sender<Option<usize>>,
}

impl Audience {
    async fn connect(address: SocketAddr, count: usize) -> Result<Self, Error> {
        let total = watch::Sender::new(None);
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let (mut socket, mut total) = (connect(address, "").await?, total.subscribe());
            let warm = Instant::now() + WARM_UP;
            clients.spawn(async move {
                let mut heard = Heard { counts_from: Some(warm), ..Heard::default() };
                loop {
                    if total.borrow_and_update().is_some_and(|total| heard.numbers.len() >= total) {
                        return Ok(heard);
                    }
                    tokio::select! {
                        next = heard.next(&mut socket) => if let Next::Closed(code) = next? {
                            return Err(Error::Unexpected(format!("a client that reads was closed: {code:?}")));
                        },
                        _ = total.changed() => {}
                    }
                }
            });
        }
        Ok(Self { clients, total })
    }

    /// Waits until each has so many events: their latencies, and the order that all have them in.
    async fn end(mut self, total: usize) -> Result<(Latencies, Vec<u64>), Error> {
        self.total.send_replace(Some(total));
        let (mut latencies, mut numbers) = (Latencies::default(), None);
        while let Some(heard) = self.clients.join_next().await {
            let heard = heard.map_err(|error| Error::Unexpected(error.to_string()))??;
            latencies.add(&heard.latencies);
            if *numbers.get_or_insert_with(|| heard.numbers.clone()) != heard.numbers {
                return Err(Error::Unexpected("two clients have the events in different orders".to_owned()));
            }
        }
        Ok((latencies, numbers.unwrap_or_default()))
    }
}

/// What a client has heard.
#[derive(Default)]
struct Heard {
    numbers: Vec<u64>,
    latencies: Latencies,
    /// Latencies of what was sent before are not counted.
    counts_from: Option<Instant>,
    last_id: String,
}

enum Next {
    Event,
    Closed(Option<u16>),
}

impl Heard {
    /// Dropping the future loses nothing.
    async fn next(&mut self, socket: &mut Socket) -> Result<Next, Error> {
        loop {
            let message = timeout(PATIENCE, socket.next()).await;
            match message.map_err(|_| Error::Unexpected(format!("a client got nothing for {PATIENCE:?}")))? {
                Some(Ok(Message::Text(text))) => {
                    let now = Instant::now();
                    let mark = Mark::find(text.as_bytes());
                    let mark = mark.ok_or_else(|| Error::Unexpected("a frame without a mark".to_owned()))?;
                    self.numbers.push((u64::from(mark.key) << 40) | mark.number);
                    if self.counts_from.is_some_and(|from| mark.sent >= from) {
                        self.latencies.record(now.saturating_duration_since(mark.sent));
                    }
                    // An envelope begins with its id.
                    text.as_str().get(7..43).unwrap_or_default().clone_into(&mut self.last_id);
                    return Ok(Next::Event);
                }
                Some(Ok(Message::Close(frame))) => return Ok(Next::Closed(frame.map(|frame| frame.code.into()))),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(Next::Closed(None)),
            }
        }
    }
}

impl Broadcast {
    pub(crate) fn to_markdown(&self) -> String {
        let mut out = format!(
            "{} clients, {} of them stalled.\n\n\
             | events a second | clients that read | p50, p99 from sending to the frame | p99 at most {} ms | `hook`: CPU for each event, of a core, peak memory | other work, in cores |\n\
             |---|---|---|---|---|---|\n",
            self.clients, self.stalled, self.bound_ms
        );
        let mut row = |rate: f64, reading: usize, run: &Run, holds: bool| {
            // Writing into a string cannot fail.
            let _ = writeln!(
                out,
                "| {rate} | {reading} | {} | {} | {:.0} µs, {:.0} %, {} | {:.2} |",
                latency(&run.latency),
                if holds { "holds" } else { "**missed**" },
                run.hook_cpu_us,
                run.hook_cores * 100.0,
                megabytes(&[run.peak_kib]),
                run.other_cores,
            );
        };
        row(self.rate, self.clients - self.stalled, &self.run, self.holds);
        self.steps.iter().for_each(|step| row(step.rate, self.clients, &step.run, step.holds));
        let Slow { closed_with_1013, had: (fewest, most), catch_up_seconds, complete } = &self.slow;
        let _ = write!(
            out,
            "\nOf the {} that did not read for {:.0} s, {closed_with_1013} were closed with 1013; they had {} to {} events. Back with \
             `?after=`, {complete} had every event, once and in order, after {catch_up_seconds:.2} s.\n",
            self.stalled,
            self.seconds + WARM_UP.as_secs_f64(),
            grouped(*fewest as u64),
            grouped(*most as u64),
        );
        let highest = self.highest.map_or_else(|| "none that was tried".to_owned(), |rate| rate.to_string());
        let _ = writeln!(out, "The highest rate that holds the bound: {highest}.");
        out
    }
}
