//! From the embedded log to Kafka: nothing is left behind, nothing comes twice, however often the move is killed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    process::{Child, Stdio},
    sync::Arc,
    time::Duration,
};

use hook_core::{
    clock::SystemClock,
    names::{CursorName, TopicName},
    ports::log::{Append, Commit, Log as _, Position},
};
use hook_log::{EmbeddedLog, Options};
use serde_json::{Value, json};

use crate::support::{
    Contract, Home, Pipeline, Receiver, Reply, home::Ran, pause, poll_until, receiver::Delivery, sign, text,
};

/// The cursor of a scene's one destination.
const SERVICE: &str = "tested.core-to-all.service";
const EMBEDDED: &str = "[backbone]\ndriver = \"embedded\"\n";

/// The key and the number of a delivery: `keyed` has put them there.
fn keyed_of(delivery: &Delivery) -> (u64, u64) {
    let envelope = delivery.json();
    let number = |pointer: &str| envelope.pointer(pointer).and_then(Value::as_u64).unwrap();
    (number("/payload/issue/number"), number("/payload/number"))
}

fn keyed(key: u64, number: u64) -> sign::Webhook {
    let mut body = sign::issue_body(key, "moved");
    body["number"] = number.into();
    sign::github("issues", &format!("{key}-{number}"), body.to_string())
}

fn topic<'v>(migrated: &'v Value, name: &str) -> &'v Value {
    let topics = migrated["topics"].as_array().unwrap();
    topics.iter().find(|topic| topic["topic"] == name).unwrap_or(&Value::Null)
}

/// A number of each cursor.
fn of_cursors<'v>(migrated: &'v Value, what: &str) -> BTreeMap<&'v str, u64> {
    let cursors = migrated["cursors"].as_array().unwrap();
    cursors.iter().map(|cursor| (text(cursor, "/cursor"), cursor[what].as_u64().unwrap())).collect()
}

fn migrate(home: &Home) -> Ran {
    home.run("log migrate --to kafka --yes --json")
}

/// Fails where the command does not refuse in these words.
#[track_caller]
fn check_refused(ran: &Ran, what: &str) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(ran.code == 1 && said.contains(what), "no `{what}` in {ran:?}");
}

/// Ends a pipeline on the embedded log, when its file says that all of it is durable.
fn end(mut pipeline: Pipeline) {
    assert!(pipeline.terminate().success());
}

#[test]
fn what_was_not_delivered_is_delivered_from_kafka_and_nothing_else_is() {
    let (service, away) = (Receiver::start(), Receiver::start());
    let contract = Contract::new().http_output("service", &service, "").http_output("away", &away, "");
    let mut home = Home::new(&contract.clone().with(EMBEDDED));
    home.set("KAFKA_DLQ_TOPIC", "before.dlq");
    away.go_down();
    // Those of key 3 wait, above them others are done; the first of key 5 is a dead letter.
    service.script(|delivery, _| match keyed_of(delivery) {
        (3, _) => Reply { retry_after: Some("1"), ..Reply::status(429) },
        (5, 0) => Reply::status(400),
        _ => Reply::status(200),
    });
    let pipeline = home.up();
    for number in 0..4 {
        (0..6).for_each(|key| drop(pipeline.accept(&keyed(key, number))));
    }
    let is_taken = |delivery: &&Delivery| delivery.status == 200;
    service.wait("the others are delivered", |all| (all.iter().filter(is_taken).count() == 19).then_some(()));
    poll_until("there is a dead letter", || !home.run("dlq list --json").ok().lines().is_empty());
    end(pipeline);
    let before = service.deliveries().len();

    home.contract(&contract);
    home.set("KAFKA_DLQ_TOPIC", "after.dlq");
    check_refused(&home.run("up --json"), "hook log migrate --to kafka");
    check_refused(&home.run("log migrate --to kafka"), "--yes");
    let counted = home.run("log migrate --to kafka --dry-run --json").ok().json();
    assert_eq!((&counted["dry_run"], &counted["verified"]), (&json!(true), &json!(false)));
    assert_eq!(topic(&counted, "webhooks.core")["records"], 24);
    let dead_letters = topic(&counted, "before.dlq");
    assert_eq!((&dead_letters["records"], &dead_letters["to"]), (&json!(1), &json!("after.dlq")));
    assert_eq!(topic(&counted, "webhooks.github"), &Value::Null, "the relay has done all of it");
    let expected = [
        ("tested.core-to-all.away", 24),
        ("tested.core-to-all.service", 4),
        ("tested.relay", 0),
        ("tested.unrouted", 0),
    ];
    assert_eq!(of_cursors(&counted, "undelivered"), BTreeMap::from(expected));

    let migrated = migrate(&home).ok().json();
    let said = ["verified", "carried", "others", "keys"].map(|name| &migrated[name]);
    assert_eq!(said, [&json!(true), &json!(25), &json!(0), &json!(48)], "two keys for each event");
    assert_eq!(migrated["topics"], counted["topics"], "checksums and all");
    assert_eq!(of_cursors(&migrated, "undelivered"), of_cursors(&counted, "undelivered"));
    assert!(of_cursors(&migrated, "delivered_again").values().all(|count| *count == 0));
    assert_eq!(migrate(&home).ok().json()["carried"], 0, "once is enough");

    service.script(|_, _| Reply::status(200));
    away.come_back();
    let pipeline = home.up();
    // Copies of what the embedded log has taken, delivered or not, with one under another id.
    pipeline.accept(&keyed(0, 0));
    pipeline.accept(&keyed(3, 3));
    pipeline.accept(&sign::github("issues", "captured", keyed(0, 1).body));
    [0, 3, 9].iter().for_each(|key| drop(pipeline.accept(&keyed(*key, 4))));
    service.wait_for(before + 7);
    away.wait_for(27);
    for (name, deliveries, keys) in [
        ("service", service.deliveries().split_off(before), vec![3]),
        ("away", away.deliveries(), vec![0, 1, 2, 3, 4, 5]),
    ] {
        let mut expected: BTreeMap<u64, Vec<u64>> = keys.into_iter().map(|key| (key, vec![0, 1, 2, 3])).collect();
        [0, 3, 9].iter().for_each(|key| expected.entry(*key).or_default().push(4));
        let mut numbers: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        deliveries.iter().map(keyed_of).for_each(|(key, number)| numbers.entry(key).or_default().push(number));
        assert_eq!(numbers, expected, "{name}");
    }
    assert_eq!(home.run("dlq list --json").ok().lines().len(), 1);
}

/// A pipeline that has run on the embedded log, and has left something undelivered there.
struct Scene {
    home: Home,
    contract: Contract,
    service: Receiver,
}

impl Scene {
    /// With so many undelivered events of 16 keys, behind one that was delivered. Those of the last key wait for the relay.
    /// The contract that the home is left with has Kafka for its log.
    fn with_undelivered(count: u64) -> Self {
        let service = Receiver::start();
        let contract = Contract::new().http_output("service", &service, "");
        let home = Home::new(&contract.clone().with(EMBEDDED));
        let pipeline = home.up();
        pipeline.accept(&keyed(99, 0));
        service.wait_for(1);
        end(pipeline);
        home.run("log export --output template.jsonl --topic webhooks.core").ok();
        let body = |number| json!({ "number": number, "text": "x".repeat(200) });
        let file = export(&home, (0..count).map(body));
        fs::write(home.path("many.jsonl"), file).unwrap();
        assert_eq!(home.run("log import many.jsonl --json").ok().json()["stored"], count);
        home.contract(&contract);
        Self { home, contract, service }
    }

    fn choose_embedded(&self) {
        self.home.contract(&self.contract.clone().with(EMBEDDED));
    }

    fn choose_kafka(&self) {
        self.home.contract(&self.contract);
    }

    /// Runs on Kafka until so many were delivered behind the first one: their numbers, by key.
    fn deliver(&self, count: usize) -> BTreeMap<u64, Vec<u64>> {
        let pipeline = self.home.up();
        self.service.wait_for(1 + count);
        end(pipeline);
        let mut delivered: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for event in self.service.deliveries().iter().skip(1).map(Delivery::json) {
            let number = |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).unwrap();
            delivered.entry(number("/payload/key")).or_default().push(number("/payload/number"));
        }
        delivered
    }
}

#[test]
fn nobody_goes_on_with_the_embedded_log_by_mistake() {
    let scene = Scene::with_undelivered(10);
    let home = &scene.home;
    migrate(home).ok();
    scene.choose_embedded();
    for command in ["up --json", "log import many.jsonl", "log import many.jsonl --dry-run"] {
        check_refused(&home.run(command), "was carried over to Kafka");
    }
    let forced = home.start("up --force");
    scene.service.wait_for(11);
    end(forced);
    scene.choose_kafka();
    check_refused(&migrate(home), "exists on Kafka");
}

/// An export with records of these bodies, made of the first one in `template.jsonl`.
fn export(home: &Home, bodies: impl Iterator<Item = Value>) -> String {
    let template = fs::read_to_string(home.path("template.jsonl")).unwrap();
    let lines: Vec<Value> = template.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut export = format!("{}\n", lines[0]);
    let mut topics: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, mut body) in bodies.enumerate() {
        let key = number % 16;
        let topic = if key < 15 { "webhooks.core" } else { "webhooks.github" };
        *topics.entry(topic).or_default() += 1;
        body["key"] = key.into();
        let mut record = lines[1].clone();
        record["topic"] = topic.into();
        record["offset"] = number.into();
        record["key"] = format!("github:o/r#{key}").into();
        record["header"]["id"] = format!("01890000-0000-7000-8000-{number:012x}").into();
        record["header"]["meta"]["route_key"] = format!("github:o/r#{key}").into();
        record["body"] = body;
        writeln!(export, "{record}").unwrap();
    }
    // The order of its fields tells the last line.
    let records: u64 = topics.values().sum();
    writeln!(export, "{{\"end\":true,\"records\":{records},\"topics\":{}}}", json!(topics)).unwrap();
    export
}

/// The numbers of the records on Kafka that came from the embedded log, by key, in the order of their offsets.
fn on_kafka(home: &Home) -> BTreeMap<u64, Vec<u64>> {
    let exported = home.run("log export --topic webhooks.*").ok();
    let mut numbers: BTreeMap<u64, BTreeMap<(u64, u64), u64>> = BTreeMap::new();
    for line in exported.lines().iter().filter(|line| line.pointer("/body/key").is_some()) {
        let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_u64).unwrap();
        let place = (number("/partition"), number("/offset"));
        numbers.entry(number("/body/key")).or_default().insert(place, number("/body/number"));
    }
    numbers.into_iter().map(|(key, by_place)| (key, by_place.into_values().collect())).collect()
}

/// Fails where it is not these of so many numbers, each once, and those of a key in their order.
#[track_caller]
fn check_once(numbers: &BTreeMap<u64, Vec<u64>>, count: u64, is_expected: impl Fn(u64) -> bool) {
    let mut expected: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for number in (0..count).filter(|number| is_expected(*number)) {
        expected.entry(number % 16).or_default().push(number);
    }
    assert_eq!(numbers, &expected);
}

/// Where the record of that number stands in the core topic of the embedded log; `None` for those that wait for the relay.
fn offset_in_core(number: u64) -> Option<u64> {
    (number % 16 < 15).then_some(1 + number / 16 * 15 + number % 16)
}

fn begin(home: &Home) -> Child {
    let mut command = home.command("log migrate --to kafka --yes --json");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// What the mark in the data directory says: how far it has come.
fn step(home: &Home) -> Option<String> {
    let mark: Value = serde_json::from_slice(&fs::read(home.path("data/MIGRATION")).ok()?).unwrap();
    Some(text(&mark, "/step").to_owned())
}

/// Begins, and is killed so long after a moment. How far it had come, and how many records are on Kafka; `None` where it was
/// over before.
fn kill(home: &Home, mut is_now: impl FnMut() -> bool, after_ms: u64) -> Option<(String, u64)> {
    let mut child = begin(home);
    poll_until("the moment has come", || is_now() || child.try_wait().unwrap().is_some());
    pause(Duration::from_millis(after_ms));
    if child.try_wait().unwrap().is_some() {
        return None;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let carried = on_kafka(home).values().map(|numbers| numbers.len() as u64).sum();
    Some((step(home).unwrap(), carried))
}

/// The log on Kafka in that namespace, for what no command does.
fn kafka(namespace: &str) -> hook_kafka::KafkaLog {
    let mut settings = hook_kafka::Settings::new([std::env::var("KAFKA_BROKERS").unwrap()]);
    settings.security.allow_plaintext = true;
    settings.namespace = namespace.to_owned();
    block_on(hook_kafka::KafkaLog::open(settings, Arc::new(SystemClock))).unwrap()
}

#[test]
fn killed_at_any_moment_it_goes_on_and_nothing_is_missing_or_double() {
    const COUNT: u64 = 12_800;
    let mut scene = Scene::with_undelivered(COUNT);
    let is_open = |number| offset_in_core(number).is_none_or(|offset| offset % 60 == 0);
    finish(&scene.home, SERVICE, (0..COUNT).filter(|number| !is_open(*number)).filter_map(offset_in_core));
    let namespace = format!("t{}-killed.", std::process::id());
    scene.home.set("KAFKA_NAMESPACE", &namespace);
    let home = &scene.home;
    let watched = kafka(&namespace).carrier("");
    let stored = || {
        let reading = block_on(watched.read_back(&["webhooks.core"].map(|name| TopicName::new(name).unwrap()).into()));
        reading.unwrap().ends.values().sum::<u64>()
    };
    let mut seen = Vec::new();
    // While it looks for what is there, while it carries, and when it reads back.
    for after_ms in [0, 500, 1000] {
        seen.extend(kill(home, || step(home).is_some(), after_ms));
    }
    // The last of these comes before or after the step that follows, as it happens.
    for count in [1, 4000, 8000, COUNT / 16 * 15] {
        seen.extend(kill(home, || stored() >= count, 0));
    }
    // While it makes cursors, or finds some of them made.
    for after_ms in [0, 60, 1500, 2000] {
        seen.extend(kill(home, || step(home).as_deref() == Some("cursors"), after_ms));
    }
    let killed_at = |what: &str, carried: std::ops::Range<u64>| {
        assert!(seen.iter().any(|(step, count)| step == what && carried.contains(count)), "{what}: {seen:?}");
    };
    killed_at("carrying", 1..COUNT);
    killed_at("cursors", COUNT..COUNT + 1);
    let migrated = migrate(home).ok().json();
    // When all cursors are made, and the directory is not marked yet.
    mark_as_not_over(home);
    check_refused(&home.run("up --json"), "has begun and is not over");
    let again = migrate(home).ok().json();
    assert_eq!((&again["verified"], &again["carried"]), (&json!(true), &json!(0)));
    assert_eq!(step(home).as_deref(), Some("done"));
    assert_eq!(topic(&migrated, "webhooks.core")["records"], COUNT / 16 * 15);
    assert_eq!(topic(&migrated, "webhooks.github")["records"], COUNT / 16);
    check_once(&on_kafka(home), COUNT, |_| true);
    let open = (0..COUNT).filter(|number| is_open(*number)).count();
    check_once(&scene.deliver(open), COUNT, is_open);
}

/// As a kill leaves it just before the mark says that it is over.
fn mark_as_not_over(home: &Home) {
    let mark = fs::read_to_string(home.path("data/MIGRATION")).unwrap();
    assert!(mark.contains("\"done\""), "{mark}");
    fs::write(home.path("data/MIGRATION"), mark.replace("\"done\"", "\"cursors\"")).unwrap();
}

#[test]
fn what_was_only_imported_is_delivered_from_kafka() {
    const COUNT: u64 = 40;
    let scene = Scene::with_undelivered(COUNT);
    fs::remove_dir_all(scene.home.path("data")).unwrap();
    scene.choose_embedded();
    scene.home.run("log import many.jsonl").ok();
    scene.choose_kafka();
    assert_eq!(migrate(&scene.home).ok().json()["carried"], COUNT);
    check_once(&scene.deliver(40), COUNT, |_| true);
}

/// Marks what a cursor has done in the core topic.
fn finish(home: &Home, cursor: &str, offsets: impl Iterator<Item = u64>) {
    let topic = |name: &str| TopicName::new(name).unwrap();
    let (dead_letters, journal) = (topic("webhooks.dlq"), topic("hook.journal"));
    let done = offsets.map(|offset| Position { topic: topic("webhooks.core"), partition: 0, offset }).collect();
    let commit = Some(Commit { cursor: CursorName::new(cursor).unwrap(), done });
    let options = Options::new(home.path("data"), dead_letters, journal, Arc::new(SystemClock));
    let log = EmbeddedLog::open(options).unwrap();
    block_on(async {
        log.append(Append { commit, ..Append::default() }).await.unwrap();
        log.close().await.unwrap();
    });
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn marks_that_find_no_room_beside_an_offset_are_said() {
    // All in one partition, and every other one done: two bytes for each, and 3069 find room.
    const COUNT: u64 = 4480;
    const MOST: u64 = 3069 / 2;
    let mut scene = Scene::with_undelivered(COUNT);
    let is_open = |number| offset_in_core(number).is_none_or(|offset| offset % 2 == 1);
    finish(&scene.home, SERVICE, (0..COUNT).filter(|number| !is_open(*number)).filter_map(offset_in_core));
    scene.home.set("KAFKA_TOPIC_PARTITIONS", "1");
    let migrated = migrate(&scene.home).ok().json();
    let in_core = COUNT / 16 * 15;
    assert_eq!(of_cursors(&migrated, "undelivered")[SERVICE], in_core / 2);
    assert_eq!(of_cursors(&migrated, "delivered_again")[SERVICE], in_core / 2 - MOST, "{migrated}");
}

#[test]
fn what_is_in_the_way_is_named_before_anything_is_stored() {
    let mut scene = Scene::with_undelivered(10);
    let refused = |scene: &Scene, what: &str| {
        check_refused(&migrate(&scene.home), what);
        assert!(!scene.home.path("data/MIGRATION").exists(), "{what}");
    };
    scene.home.set("KAFKA_AUTO_CREATE_TOPICS", "false");
    refused(&scene, "topic webhooks.core does not exist and is not made");
    let looked = scene.home.run("log migrate --to kafka --dry-run");
    check_refused(&looked, "webhooks.core does not exist and is not made");
    assert!(looked.stdout.contains("10 records would be carried"), "{looked:?}");
    scene.home.set("KAFKA_AUTO_CREATE_TOPICS", "true");

    scene.choose_embedded();
    refused(&scene, "the log of the contract is the embedded one");
    scene.service.go_down();
    let pipeline = scene.home.up();
    scene.choose_kafka();
    refused(&scene, "owns the log");
    end(pipeline);

    let file = scene.home.path("data/events/000000000001.log");
    let sound = fs::read(&file).unwrap();
    let mut bytes = sound.clone();
    let at = bytes.windows(9).position(|window| window == b"\"text\":\"x").unwrap();
    bytes[at + 8] ^= 1;
    fs::write(&file, bytes).unwrap();
    refused(&scene, "hook log repair");
    fs::write(&file, sound).unwrap();

    let brokers = std::env::var("KAFKA_BROKERS").unwrap();
    scene.home.set("KAFKA_BROKERS", "127.0.0.1:1");
    refused(&scene, "no Kafka broker answers");
    scene.home.set("KAFKA_BROKERS", &brokers);
    migrate(&scene.home).ok();
    scene.home.set("KAFKA_NAMESPACE", "somewhere-else.");
    check_refused(&migrate(&scene.home), "name the first one again");
}

#[test]
fn what_kafka_cannot_take_is_named_before_anything_is_stored() {
    let mut scene = Scene::with_undelivered(10);
    // Somebody else's records make the topics, with one partition each.
    scene.home.set("KAFKA_TOPIC_PARTITIONS", "1");
    scene.home.run("log import many.jsonl").ok();
    scene.home.set("KAFKA_TOPIC_PARTITIONS", "3");
    check_refused(&migrate(&scene.home), "topic webhooks.core has 1 partitions where 3 are set");
    check_refused(
        &scene.home.run("log migrate --to kafka --dry-run"),
        "webhooks.core: partitions: 1 where 3 is wanted",
    );
    scene.home.set("KAFKA_TOPIC_PARTITIONS", "1");

    scene.choose_embedded();
    let large = export(&scene.home, [json!({ "number": 10, "text": "x".repeat(5 << 19) })].into_iter());
    fs::write(scene.home.path("large.jsonl"), large).unwrap();
    scene.home.run("log import large.jsonl").ok();
    scene.choose_kafka();
    check_refused(&migrate(&scene.home), "is over the limit of 2097152 on Kafka: record 11 of webhooks.core/0");
    assert!(!scene.home.path("data/MIGRATION").exists());
}

/// Forgets cursors on Kafka, as an operator does with Kafka's own tools.
fn forget(namespace: &str, cursors: &[&str]) {
    let log = kafka(namespace);
    block_on(async {
        for cursor in cursors {
            log.delete_cursor(&CursorName::new(*cursor).unwrap()).await.unwrap();
        }
        log.close().await.unwrap();
    });
}

#[test]
fn a_pipeline_that_has_run_on_that_kafka_is_in_the_way() {
    let mut scene = Scene::with_undelivered(10);
    let mut other = Home::new(&scene.contract);
    let namespace = format!("t{}-other.", std::process::id());
    scene.home.set("KAFKA_NAMESPACE", &namespace);
    other.set("KAFKA_NAMESPACE", &namespace);
    let mut pipeline = other.up();
    pipeline.accept(&keyed(1, 1));
    scene.service.wait_for(2);
    assert!(pipeline.terminate().success());
    let refused = migrate(&scene.home);
    check_refused(&refused, "cursor tested.core-to-all.service exists on Kafka");
    check_refused(&refused, &format!("--delete --group {namespace}tested.core-to-all.service"));
    assert!(!scene.home.path("data/MIGRATION").exists());
    forget(&namespace, &["tested.core-to-all.service", "tested.relay", "tested.unrouted"]);
    let migrated = migrate(&scene.home).ok().json();
    assert_eq!((&migrated["carried"], &migrated["others"]), (&json!(10), &json!(2)), "one event, in two topics");

    // One that runs there before the migration is over is noticed.
    mark_as_not_over(&scene.home);
    let mut pipeline = other.up();
    scene.service.wait_for(13);
    assert!(pipeline.terminate().success());
    check_refused(&migrate(&scene.home), "does not stand where it was put");
}
