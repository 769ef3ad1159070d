//! A good destination, alone and then beside a dead and a slow one: what they cost it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use hook_bench::{
    contract::{Destination, contract},
    pipeline::{Home, Program, Role},
};
use hook_cli::{
    catalog::default_catalog,
    lab::sender::{self, Webhook},
};
use hook_core::{ports::verifier::SourceVerifier, secret::Secret};
use serde::Serialize;
use tokio::{net::TcpListener, sync::Notify};

use super::percentile::percentile;

const SECRET: &str = "bench-secret";
/// Events are spread over so many ordering keys.
const KEYS: u32 = 100;
/// How long the slow destination takes for an answer.
const SLOW: Duration = Duration::from_millis(500);
/// How long the last events may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// Options of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Events a second
    #[arg(long, default_value_t = 300)]
    rate: u32,
    /// Events in each run
    #[arg(long, default_value_t = 3000)]
    events: u32,
    /// How often each of the two set-ups is measured
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one run saw: from sending to arrival at the good destination.
#[derive(Debug, Clone, Copy, Serialize)]
struct Run {
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Report {
    alone: Vec<Run>,
    beside: Vec<Run>,
    /// The median p99 beside the others, over the median p99 alone.
    ratio: f64,
}

/// Measures, and prints.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a measurement prints its result")]
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let measured = tokio::runtime::Runtime::new().map_err(|error| error.to_string());
    match measured.and_then(|runtime| runtime.block_on(measure(arguments))) {
        Ok(report) if arguments.json => println!("{}", serde_json::to_string(&report).unwrap_or_default()),
        Ok(report) => {
            for (alone, beside) in report.alone.iter().zip(&report.beside) {
                println!(
                    "alone: p50 {:.2} ms, p99 {:.2} ms   beside a dead and a slow one: p50 {:.2} ms, p99 {:.2} ms",
                    alone.p50_ms, alone.p99_ms, beside.p50_ms, beside.p99_ms
                );
            }
            println!("ratio of the median p99: {:.2}", report.ratio);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn measure(arguments: &Arguments) -> Result<Report, String> {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // In turn, so that a slow moment of the machine meets both.
    for _ in 0..arguments.rounds {
        alone.push(one_run(arguments, false).await?);
        beside.push(one_run(arguments, true).await?);
    }
    let median = |runs: &[Run]| {
        let mut p99: Vec<f64> = runs.iter().map(|run| run.p99_ms).collect();
        p99.sort_by(f64::total_cmp);
        p99.get(p99.len() / 2).copied().unwrap_or_default()
    };
    let ratio = median(&beside) / median(&alone);
    Ok(Report { alone, beside, ratio })
}

async fn one_run(arguments: &Arguments, with_others: bool) -> Result<Run, String> {
    let arrivals = Arc::new(Arrivals::default());
    let good = listen(Router::new().route("/", post(arrive)).with_state(Arc::clone(&arrivals))).await?;
    let slow = listen(Router::new().route("/", post(answer_late))).await?;
    // A port that was free a moment ago: nobody answers there.
    let dead = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr());
    let dead = dead.map_err(|error| error.to_string())?;
    let others = [("slow", slow), ("dead", dead)].into_iter().filter(|_| with_others);
    let destinations = std::iter::once(("good", good)).chain(others);
    let destinations: Vec<_> = destinations.map(|(id, address)| Destination::new(id, address)).collect();
    let text = |error: hook_bench::error::Error| error.to_string();
    let program = Program::this("hook").map_err(text)?;
    let secrets = [("HMAC_SECRET_GITHUB", SECRET)];
    let home = Home::new(program, &std::env::temp_dir(), &contract(&destinations, ""), &secrets).map_err(text)?;
    let pipeline = home.start(Role::Up).await.map_err(text)?;
    let sent = send(arguments, pipeline.address().map_err(text)?).await?;
    let mut latencies = arrivals.latencies(&sent).await?;
    let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
    Ok(Run { p50_ms: millis(percentile(&mut latencies, 50)), p99_ms: millis(percentile(&mut latencies, 99)) })
}

/// Sends at a steady rate, whatever the answers take; each event has a delivery id and a key of its own.
async fn send(arguments: &Arguments, address: SocketAddr) -> Result<HashMap<String, Instant>, String> {
    let catalog = default_catalog();
    let scheme = catalog.verifier("github").ok_or("no verifier github")?;
    let verifier = scheme.build(serde_json::json!({})).map_err(|error| format!("{error:?}"))?.driver;
    let client = sender::client(None)?;
    let mut tick = tokio::time::interval(Duration::from_secs(1) / arguments.rate.max(1));
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..arguments.events {
        tick.tick().await;
        sending.spawn(send_one(client.clone(), Arc::clone(&verifier), address, number));
    }
    let mut sent = HashMap::new();
    while let Some(done) = sending.join_next().await {
        let (id, at) = done.map_err(|error| error.to_string())??;
        sent.insert(id, at);
    }
    Ok(sent)
}

async fn send_one(
    client: reqwest::Client,
    verifier: Arc<dyn SourceVerifier>,
    address: SocketAddr,
    number: u32,
) -> Result<(String, Instant), String> {
    let delivery_id = number.to_string();
    let secret = Secret::new(SECRET);
    let key = number % KEYS;
    let body = format!(r#"{{"repository":{{"full_name":"o/r"}},"issue":{{"number":{key}}},"sequence":{number}}}"#);
    let body = body.into_bytes();
    let url = format!("http://{address}/webhook/github").parse().map_err(|error| format!("{error}"))?;
    let at = Instant::now();
    let webhook = Webhook {
        url,
        verifier: &*verifier,
        event_name: "issues",
        delivery_id: &delivery_id,
        stated: Default::default(),
        body,
        secret: &secret,
    };
    let answer = sender::send(&client, webhook).await?;
    match answer.status.as_u16() {
        202 => Ok((answer.text("event_id").to_owned(), at)),
        status => Err(format!("an event was answered with {status}")),
    }
}

/// When each event arrived first.
#[derive(Default)]
struct Arrivals {
    at: Mutex<HashMap<String, Instant>>,
    came: Notify,
}

impl Arrivals {
    /// From sending to arrival, for each event; waits for the last.
    async fn latencies(&self, sent: &HashMap<String, Instant>) -> Result<Vec<Duration>, String> {
        let all = async {
            loop {
                let came = self.came.notified();
                let arrived = self.at.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if sent.keys().all(|id| arrived.contains_key(id)) {
                    return sent.iter().map(|(id, at)| arrived[id].duration_since(*at)).collect();
                }
                came.await;
            }
        };
        tokio::time::timeout(ARRIVAL, all).await.map_err(|_| "not every event arrived".to_owned())
    }
}

async fn arrive(State(arrivals): State<Arc<Arrivals>>, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let envelope: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = envelope["id"].as_str().unwrap_or_default().to_owned();
    arrivals.at.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(at);
    arrivals.came.notify_waiters();
    StatusCode::OK
}

async fn answer_late() -> StatusCode {
    tokio::time::sleep(SLOW).await;
    StatusCode::OK
}

async fn listen(router: Router) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
