//! SIGKILL under load: what was acknowledged is delivered, and in order.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    process::Stdio,
    sync::{Condvar, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Contract, Home, Receiver, http::Connection, pause, poll, sign};

const ROUNDS: u32 = 10;
/// So many senders, each with a key of its own: an issue of one repository.
const SENDERS: u64 = 6;
/// After the last restart everything that is left must arrive within this. On the embedded log it takes a tenth of a second
/// in a debug build on an idle machine; the rest is for a busy one.
const PROMPTLY: Duration = crate::LOG.comes_back_within();

/// What the senders share with the one who kills.
#[derive(Default)]
struct Load {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the pipeline listens; none while it is dead.
    address: Option<SocketAddr>,
    is_over: bool,
    /// For each key, how many were acknowledged: their numbers count from 0.
    acknowledged: HashMap<u64, u64>,
    /// Answers that were neither 202 nor a duplicate.
    wrong: Vec<String>,
}

impl State {
    fn total(&self) -> u64 {
        self.acknowledged.values().sum()
    }
}

impl Load {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    /// The address of the pipeline that lives; none when the test is over.
    fn address(&self) -> Option<SocketAddr> {
        let state = self.state.lock().unwrap();
        let state = self.changed.wait_while(state, |state| state.address.is_none() && !state.is_over).unwrap();
        state.address.filter(|_| !state.is_over)
    }

    /// Waits until so many more were acknowledged.
    fn wait_for(&self, more: u64) {
        let state = self.state.lock().unwrap();
        let goal = state.total() + more;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, crate::support::PATIENCE, |state| state.total() < goal && state.wrong.is_empty())
            .unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        assert!(state.total() >= goal, "only {} of {goal} were acknowledged", state.total());
    }

    /// Sends the numbers of one key, each until it is acknowledged: then the next.
    fn send(&self, key: u64) {
        let mut connection: Option<(SocketAddr, Connection)> = None;
        let mut number = 0;
        while let Some(address) = self.address() {
            if connection.as_ref().is_none_or(|(open, _)| *open != address) {
                connection = Connection::open(address).ok().map(|connection| (address, connection));
            }
            let answer = connection
                .as_mut()
                .map(|(_, connection)| connection.send(&webhook(key, number)).and_then(|()| connection.receive()));
            match answer {
                Some(Ok(answer))
                    if matches!((answer.status, answer.code().as_str()), (202, "accepted") | (200, "duplicate")) =>
                {
                    number += 1;
                    self.change(|state| *state.acknowledged.entry(key).or_default() = number);
                }
                Some(Ok(answer)) => return self.change(|state| state.wrong.push(format!("{answer:?}"))),
                // Killed: whether it was stored nobody knows, so that the same one goes again.
                Some(Err(_)) | None => {
                    connection = None;
                    pause(Duration::from_millis(5));
                }
            }
        }
    }
}

fn webhook(key: u64, number: u64) -> Vec<u8> {
    let mut body = sign::issue_body(key, "load");
    body["number"] = number.into();
    sign::github("issues", &format!("{key}-{number}"), body.to_string()).request()
}

fn key_and_number(envelope: &Value) -> (u64, u64) {
    (envelope["payload"]["issue"]["number"].as_u64().unwrap(), envelope["payload"]["number"].as_u64().unwrap())
}

/// For each key, the numbers in the order in which they came first.
fn first_of_each(all: impl Iterator<Item = (u64, u64)>) -> HashMap<u64, Vec<u64>> {
    let mut first: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut seen = HashSet::new();
    for (key, number) in all {
        if seen.insert((key, number)) {
            first.entry(key).or_default().push(number);
        }
    }
    first
}

/// Every number that was acknowledged stands in the files, in the order of its key, however often they were moved away.
#[track_caller]
fn check_files(home: &Home, acknowledged: &HashMap<u64, u64>) {
    let first = poll("everything that was acknowledged is in the files", || {
        let lines = home.rotated_lines_of("events.jsonl");
        let first = first_of_each(lines.iter().map(key_and_number));
        let has_all = |(key, count): (&u64, &u64)| first.get(key).is_some_and(|numbers| numbers.len() as u64 >= *count);
        acknowledged.iter().all(has_all).then_some(first)
    });
    for (key, numbers) in first {
        assert!(numbers.is_sorted(), "key {key} out of order in the files: {numbers:?}");
    }
    assert!(home.path("events.jsonl.1").exists(), "no file was moved away: there was too little load");
}

#[test]
fn ten_kills_under_load_lose_nothing_that_was_acknowledged_and_keep_the_order_of_every_key() {
    let seed = std::env::var("HOOK_TEST_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("HOOK_TEST_SEED={seed} kills at the same moments again");
    let mut random = fastrand::Rng::with_seed(seed);

    let receiver = Receiver::start();
    // One destination that is posted to, and a file that is moved away again and again.
    let files = "driver = \"file_output\"\npath = \"events.jsonl\"\nrotate = { max_bytes = 65536, keep = 1000 }";
    let home = Home::new(&Contract::new().http_output("service", &receiver, "").adapter("files", files));
    let load = Load::default();
    let restarted = std::thread::scope(|scope| {
        (1..=SENDERS).for_each(|key| {
            drop(scope.spawn({
                let load = &load;
                move || load.send(key)
            }))
        });
        for round in 1..=ROUNDS {
            // A start that is killed half-way must not hurt the next one.
            let mut half_started =
                home.command("up --json").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            pause(Duration::from_micros(random.u64(0..40_000)));
            half_started.kill().unwrap();
            half_started.wait().unwrap();
            let pipeline = home.up_supervised();
            load.change(|state| state.address = Some(pipeline.ingress()));
            load.wait_for(random.u64(50..400));
            pause(Duration::from_micros(random.u64(0..20_000)));
            pipeline.kill();
            load.change(|state| {
                state.address = None;
                state.is_over = round == ROUNDS;
            });
        }
        Instant::now()
    });
    let _pipeline = home.up_supervised();
    let ready = Instant::now();
    let acknowledged = load.state.lock().unwrap().acknowledged.clone();
    let mut missing: HashSet<_> =
        acknowledged.iter().flat_map(|(key, count)| (0..*count).map(|number| (*key, number))).collect();
    let mut looked_at = 0;
    receiver.wait("everything that was acknowledged has arrived", |all| {
        for delivery in &all[looked_at..] {
            missing.remove(&key_and_number(&delivery.json()));
        }
        looked_at = all.len();
        missing.is_empty().then_some(())
    });
    let took = ready.elapsed();

    let deliveries = receiver.deliveries();
    let first = first_of_each(deliveries.iter().map(|delivery| key_and_number(&delivery.json())));
    let total: u64 = acknowledged.values().sum();
    let copies = deliveries.len() - first.values().map(Vec::len).sum::<usize>();
    println!(
        "{total} acknowledged over {ROUNDS} kills, 0 lost, {copies} delivered more than once; the last restart took {:?}, the rest arrived {took:?} later",
        ready - restarted
    );
    for (key, numbers) in &first {
        assert!(numbers.is_sorted(), "key {key} out of order: {numbers:?}");
    }
    check_files(&home, &acknowledged);
    assert!(took < PROMPTLY, "{took:?} after the last restart");
}
