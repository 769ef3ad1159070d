//! A full disk: no acknowledgement, 503, and it goes on by itself when there is space. Also killed and restarted while full.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use hook_bench::{
    mark::Mark,
    template::{Shape, Template},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use super::{
    Setup,
    contract::{self, Destination, Topology},
    home::{Home, Pipeline, SECRET},
    load::{Load, Shaped},
    report::{Outcome, millis, spread},
    settle,
    sink::{Mode, OTHER, Sink},
};

/// A file fills this one. It has room for all events of all rounds: were an old segment removed, the disk would have room
/// again, and rightly be written to.
const FOR_ROUNDS: FileSystem = FileSystem { mib: 192, log: "segment_bytes = 1048576" };
/// Events fill this one: more may be pinned than there is, so that the disk is met before the bound. What was delivered goes
/// as soon as it is over its bound.
const FOR_EVENTS: FileSystem = FileSystem {
    mib: 24,
    log: "segment_bytes = 1048576\nevents = { max_bytes = 6291456 }\njournal = { max_bytes = 2097152 }\nmax_pinned = 1073741824",
};
/// When there is space, the next event must be taken within this.
const RECOVERY: Duration = Duration::from_secs(20);
/// When everything was delivered and may go, the next event must be taken within this: retention looks once a minute.
const AFTER_RETENTION: Duration = Duration::from_secs(90);
/// When many events found no room, the rest of what was allocated may still have room for a few that come alone.
const LEFT_OVER: u64 = 16;
/// What goes on although the disk is full must go on within this.
const GOES_ON: Duration = Duration::from_secs(30);

/// How large the file system of the log is, and what `[log]` says for it.
struct FileSystem {
    mib: u32,
    log: &'static str,
}

/// A small file system, a pipeline whose log is on it, its destination, and the load.
struct World {
    sink: Sink,
    // Dropped before the directory that it is mounted in.
    mount: Mount,
    home: Home,
    load: Load,
}

impl World {
    /// `None`, and said so, where nothing may be mounted.
    async fn new(
        pause: Duration,
        size: FileSystem,
        setup: &mut Setup,
        outcome: &mut Outcome,
    ) -> Result<Option<Self>, String> {
        let shaped = Shaped { senders: 16, keys: 256, pause, ..Shaped::default() };
        let sink = Sink::start(shaped.keys, &mut setup.random).await?;
        let destination = Destination { id: "service", address: sink.address };
        let text = contract::text(Topology::Direct, &[destination], &format!("[log]\n{}", size.log));
        let mut home = Home::new(setup, &text)?;
        let mount = match Mount::tmpfs(home.path("small"), size.mib) {
            Ok(mount) => mount,
            Err(reason) => {
                outcome.skipped = Some(format!("a tmpfs could not be mounted: {reason}"));
                return Ok(None);
            }
        };
        home.data = mount.path.join("data");
        let load = Load::start(shaped, &sink.arrivals);
        Ok(Some(Self { sink, mount, home, load }))
    }

    async fn compare(&self, setup: &Setup, outcome: &mut Outcome) {
        settle::everything_arrives(&self.load.ledger, &self.sink.arrivals, setup.patience()).await;
        outcome.check(!self.home.logs().contains("panicked"), || "something panicked".to_owned());
        outcome.faults.extend(self.load.ledger.complaints());
        outcome.count(self.load.ledger.compare(&self.sink.arrivals, |_| false));
    }
}

/// A file fills the disk and is removed, `rounds` times.
pub(super) async fn run(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let rounds = setup.rounds.unwrap_or(if setup.is_quick { 1 } else { 10 });
    // Slow enough that only the file fills the disk.
    let Some(mut world) = World::new(Duration::from_millis(10), FOR_ROUNDS, setup, outcome).await? else {
        return Ok(());
    };
    let World { home, sink, load, mount } = &mut world;
    let (mut recoveries, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let pipeline = home.up().await?;
        load.send_to(pipeline.ingress);
        load.acknowledged(500, setup.patience()).await?;
        // Some of what rests when the disk is full is not delivered yet.
        sink.set(Mode::Fails);
        load.acknowledged(100, setup.patience()).await?;
        let filler = Filler::fill(&mount.path)?;
        full(&pipeline, load, outcome).await?;
        load.hold();

        pipeline.kill()?;
        home.start_and_kill(Duration::from_millis(setup.random.u64(0..60))).await?;
        let mut pipeline = home.up().await.map_err(|error| format!("no start on a full disk: {error}"))?;
        starts.push(pipeline.took);
        sink.set(Mode::Takes);
        let goal = load.ledger.acknowledged();
        let delivered = async || sink.arrivals.distinct() >= goal;
        settle::until("what had been acknowledged was delivered from a full disk", GOES_ON, delivered).await?;
        load.send_to(pipeline.ingress);
        full(&pipeline, load, outcome).await?;

        let freed = Instant::now();
        drop(filler);
        load.acknowledged(1, RECOVERY).await.map_err(|error| format!("with space again: {error}"))?;
        recoveries.push(freed.elapsed());
        load.acknowledged(200, setup.patience()).await?;
        let is_ready = async || pipeline.status().await.is_ok_and(|(status, _)| status == 200);
        settle::until("it was ready with space again", RECOVERY, is_ready).await?;
        outcome.check(pipeline.is_alive(), || "the process ended".to_owned());
        load.hold();
        pipeline.kill()?;
    }
    let pipeline = home.up().await?;
    load.send_to(pipeline.ingress);
    load.finish().await?;
    outcome.measure("rounds", format!("{rounds}, each killed while full"));
    outcome.measure("start to ready on a full disk", spread(&mut starts));
    outcome.measure("from space to the next acknowledgement", spread(&mut recoveries));
    world.compare(setup, outcome).await;
    drop(pipeline);
    Ok(())
}

/// Events alone fill the disk, because a destination takes none; when it does, old segments may go, and there is space.
pub(super) async fn run_filled_by_events(setup: &mut Setup, outcome: &mut Outcome) -> Result<(), String> {
    let Some(mut world) = World::new(Duration::ZERO, FOR_EVENTS, setup, outcome).await? else { return Ok(()) };
    let World { home, sink, load, .. } = &mut world;
    let pipeline = home.up().await?;
    load.send_to(pipeline.ingress);
    load.acknowledged(500, setup.patience()).await?;
    sink.set(Mode::Refuses);
    full(&pipeline, load, outcome).await?;
    let rested = load.ledger.acknowledged() - sink.arrivals.distinct();
    sink.set(Mode::Takes);
    let began = Instant::now();
    let delivered = async || sink.arrivals.distinct() >= load.ledger.acknowledged();
    settle::until("what rested on the full disk was delivered", setup.patience(), delivered).await?;
    outcome.measure("delivered from the full disk", format!("{rested} in {}", millis(began.elapsed())));
    let began = Instant::now();
    let goes_on = load.acknowledged(200, AFTER_RETENTION).await;
    outcome.faults.extend(goes_on.err().map(|error| format!("everything on the full disk was delivered: {error}")));
    outcome.measure("from the last of it to the next acknowledgements", millis(began.elapsed()));
    // Where it does not go on, what waits for an acknowledgement never gets one.
    load.hold();
    load.finish().await?;
    world.compare(setup, outcome).await;
    Ok(())
}

/// The disk is full: appends are refused as documented, and nothing is acknowledged.
async fn full(pipeline: &Pipeline, load: &Load, outcome: &mut Outcome) -> Result<(), String> {
    // What was allocated before may still be written.
    let refusals = load.ledger.refusals();
    let refuses = async || load.ledger.refusals() > refusals + 50;
    settle::until("senders were answered 503", GOES_ON, refuses).await?;
    let acknowledged = load.ledger.acknowledged();
    sleep(Duration::from_secs(1)).await;
    let more = load.ledger.acknowledged() - acknowledged;
    outcome.check(more <= LEFT_OVER, || format!("{more} events were acknowledged in a second on a full disk"));
    let said = tokio::time::timeout(GOES_ON, refused(pipeline)).await;
    let said = said.map_err(|_| "an event of its own was not answered".to_owned())??;
    let is_documented =
        said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after: ") && said.contains("\"log_unavailable\"");
    outcome.check(is_documented, || format!("a full disk was answered with {said}"));
    let (status, state) = pipeline.status().await?;
    let why = state["log"]["unavailable"].as_str().unwrap_or_default();
    let says_why = why.contains("No space left on device");
    outcome.check(status == 503 && state["ready"] == false && says_why, || {
        format!("/ready answered {status} on a full disk and says {why:?}")
    });
    Ok(())
}

/// The answer to an event that is larger than what may be left of the space that was allocated.
async fn refused(pipeline: &Pipeline) -> Result<String, String> {
    let shape = Shape { address: pipeline.ingress, path: "/webhook/github", secret: SECRET, body_bytes: 500_000 };
    let mark = Mark { run: OTHER, key: 0, number: 0, sent: Instant::now() };
    let failed = |error: std::io::Error| format!("an event of its own was not answered: {error}");
    let mut stream = TcpStream::connect(pipeline.ingress).await.map_err(failed)?;
    stream.write_all(Template::new(&shape).fill(&mark)).await.map_err(failed)?;
    let mut answer = Vec::new();
    // The body is the last thing of an answer, and ends with this.
    while !answer.ends_with(b"}") {
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A file system of its own. Dropped, it is gone; so it is when the process ends, which has a mount namespace of its own.
struct Mount {
    path: PathBuf,
}

impl Mount {
    fn tmpfs(path: PathBuf, mib: u32) -> Result<Self, String> {
        std::fs::create_dir(&path).map_err(|error| error.to_string())?;
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "hook-faults"]).arg(&path);
        let ran = command.output().map_err(|error| error.to_string())?;
        match ran.status.success() {
            true => Ok(Self { path }),
            false => Err(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that still has a file open there keeps it until it ends.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
    }
}

/// A file that takes all the space there is. Dropped, it is gone.
struct Filler {
    path: PathBuf,
}

impl Filler {
    fn fill(directory: &Path) -> Result<Self, String> {
        let filler = Self { path: directory.join("filler") };
        let mut file = File::create(&filler.path).map_err(|error| error.to_string())?;
        // Whole pages are what a tmpfs gives.
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(filler)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
