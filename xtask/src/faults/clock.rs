//! Steps of the system's clock by hours and days, there and back, in the middle of load.
//!
//! The clock of the real process is stepped, and not one that a test hands to the roles: so the step reaches
//! `hook_core::clock` and whatever may read the time beside it. A small library that is loaded before libc adds an offset to
//! wall-clock time; what measures durations is left alone, as it is when an operator sets the clock.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, Mac};
use hook_bench::mark::Mark;
use sha2::Sha256;
use tokio::time::sleep;

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::{Home, Pipeline, SECRET},
    load::{self, Load, Shaped},
    report::Outcome,
    settle,
    sink::{Mode, Sink},
};

const LIBRARY: &str = include_str!("clock.c");
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Where the clock is set to, from the true time, one after the other. Less than the dedup window of 7 days from end to end.
const STEPS: [i64; 8] = [HOUR, 0, DAY, 0, -HOUR, 0, -DAY, DAY];
/// A destination that takes nothing may be asked so often between two steps: its breaker is open, and a step of the clock
/// is no reason to try at once whatever waits.
const MOST_ATTEMPTS: u64 = 200;

/// Steps the clock.
pub(super) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let between = Duration::from_millis(if setup.is_quick { 500 } else { 3_000 });
    let shaped = Shaped { senders: 16, keys: 256, pause: Duration::from_millis(5), ..Shaped::default() };
    let good = Sink::start(shaped.keys, &mut setup.random).await?;
    let away = Sink::start(shaped.keys, &mut setup.random).await?;
    let destinations =
        [Destination { id: "good", address: good.address }, Destination { id: "away", address: away.address }];
    // What was delivered may go after an hour of that clock.
    let short = "[log]\nsegment_bytes = 262144\nevents = { max_age = \"1h\" }";
    let mut home = Home::new(setup, &contract::text(Topology::Direct, &destinations, short))?;
    let clock = match Clock::build(&home.path("clock")) {
        Ok(clock) => clock,
        Err(reason) => {
            outcome.skipped = Some(format!("the library that steps the clock could not be built: {reason}"));
            return Ok(());
        }
    };
    home.environment = clock.environment();
    home.environment.push(("HMAC_SECRET_STRIPE".into(), SECRET.into()));
    let mut pipeline = home.up().await?;
    let mut load = Load::start(shaped, &good.arrivals);
    load.send_to(pipeline.ingress);
    load.acknowledged(u64::from(2 * shaped.keys), setup.patience()).await?;
    away.set(Mode::Fails);
    load.acknowledged(u64::from(shaped.keys), setup.patience()).await?;
    // In this one or before it stands something that the broken one has not taken.
    let pinned = segments(&home.data).pop();

    let mut attempts = Vec::new();
    for (number, seconds) in STEPS.into_iter().enumerate() {
        let before = clock.now();
        clock.set(seconds)?;
        let asked = away.requests();
        sleep(between).await;
        load.acknowledged(50, setup.patience()).await.map_err(|error| format!("after a step: {error}"))?;
        attempts.push(away.requests() - asked);
        let checks = [
            (clock.now(), 202, "an event signed at the stepped time"),
            (before, 401, "an event signed at the time before the step"),
        ];
        for (at, expected, what) in checks {
            let status = stripe(&pipeline, at, number).await?;
            outcome.check(status == expected, || format!("{what} ({seconds} s) was answered {status}"));
        }
        let copy = first_event_again(&pipeline, &shaped).await?;
        outcome.check(copy == 200, || format!("a copy of an old event was answered {copy} at {seconds} s"));
        // Every other step is followed by a start that finds records from another day.
        if number % 2 == 0 {
            load.hold();
            pipeline.kill()?;
            pipeline = home.up().await?;
            load.send_to(pipeline.ingress);
        }
    }
    let most = attempts.iter().copied().max().unwrap_or_default();
    outcome.check(most <= MOST_ATTEMPTS, || format!("after a step a broken destination was asked {most} times"));
    outcome.measure("most attempts at a broken destination between two steps", most.to_string());

    // What the broken one has not taken is a day old by now, and still there. When it is taken it goes, which shows that
    // the clock has reached retention.
    let oldest = segments(&home.data).into_iter().next();
    outcome.check(oldest <= pinned, || format!("{pinned:?} held undelivered events, and {oldest:?} is the oldest now"));
    // Without load, or it may never be done.
    load.hold();
    away.set(Mode::Takes);
    settle::everything_arrives(&load.ledger, &away.arrivals, setup.patience()).await;
    load.send_to(pipeline.ingress);
    clock.set(DAY + 2 * HOUR)?;
    let is_gone = async || segments(&home.data).into_iter().next() > pinned;
    let gone = settle::until("what everybody had taken was removed by age", setup.patience(), is_gone).await?;
    outcome.measure("what was an hour old and delivered was gone after", format!("{:.1} s", gone.as_secs_f64()));
    load.finish().await?;
    for sink in [&good, &away] {
        settle::everything_arrives(&load.ledger, &sink.arrivals, setup.patience()).await;
    }
    outcome.measure("steps", format!("{} between {} h and {} h", STEPS.len() + 1, -DAY / HOUR, DAY / HOUR + 2));
    outcome.check(pipeline.is_alive(), || "the process ended".to_owned());
    outcome.check(!home.logs().contains("panicked"), || "something panicked".to_owned());
    outcome.faults.extend(load.ledger.complaints());
    let of_away = load.ledger.compare(&away.arrivals, |_| false).complaints();
    outcome.faults.extend(of_away.into_iter().map(|fault| format!("the broken destination: {fault}")));
    let letters = home.ask(&["dlq", "list", "--json"]).await?.len();
    outcome.check(letters == 0, || format!("{letters} events became dead letters"));
    outcome.count(load.ledger.compare(&good.arrivals, |_| false));
    Ok(())
}

/// A Stripe event, signed at a time of Unix seconds (<https://docs.stripe.com/webhooks#verify-manually>); its status.
async fn stripe(pipeline: &Pipeline, at: i64, number: usize) -> Result<u16, String> {
    let body = format!(r#"{{"id":"evt_{number}_{at}","type":"invoice.paid"}}"#);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).map_err(|error| error.to_string())?;
    mac.update(format!("{at}.{body}").as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let request = format!(
        "POST /webhook/stripe HTTP/1.1\r\nhost: hook\r\ncontent-type: application/json\r\n\
         stripe-signature: t={at},v1={signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(pipeline.post(request.as_bytes()).await?.0)
}

/// The very first event of the load, sent again.
async fn first_event_again(pipeline: &Pipeline, shaped: &Shaped) -> Result<u16, String> {
    let mark = Mark { run: load::RUN, key: 0, number: 0, sent: std::time::Instant::now() };
    Ok(pipeline.post(load::template(shaped.body_bytes).fill(&mark)).await?.0)
}

/// The names of the event segments, in order.
fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if is_event_segment(&path) => found.push(path),
                false => {}
            }
        }
    }
    found.sort_unstable();
    found
}

fn is_event_segment(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("log")) && path.parent().is_some_and(|folder| folder.ends_with("events"))
}

/// The clock of a process that is started with its environment.
struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

impl Clock {
    /// Compiles the library into a new folder.
    fn build(folder: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        std::fs::create_dir(folder).map_err(failed)?;
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        std::fs::write(&source, LIBRARY).map_err(failed)?;
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source);
        let ran = compile.output().map_err(|error| format!("cc: {error}"))?;
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        let clock = Self { library, offset: folder.join("offset") };
        std::fs::write(&clock.offset, 0_i64.to_ne_bytes()).map_err(failed)?;
        Ok(clock)
    }

    fn environment(&self) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
        vec![("LD_PRELOAD".into(), self.library.clone().into()), ("CLOCK_OFFSET".into(), self.offset.clone().into())]
    }

    /// So many seconds from the true time, from now on.
    fn set(&self, seconds: i64) -> Result<(), String> {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().write(true).open(&self.offset);
        // In place: the process has mapped this very file.
        file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0)).map_err(|error| error.to_string())
    }

    /// Unix seconds as the process sees them.
    fn now(&self) -> i64 {
        let offset = std::fs::read(&self.offset).ok().and_then(|bytes| bytes.try_into().ok()).map(i64::from_ne_bytes);
        let true_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(true_time).unwrap_or(i64::MAX) + offset.unwrap_or_default()
    }
}
