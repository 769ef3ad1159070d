//! A thousand bad requests: the right status each, nothing stored, nothing leaked.

use std::{io, net::SocketAddr};

use serde_json::json;

use crate::support::{
    Contract, Home, Pipeline, Receiver,
    http::{Answer, Connection},
    sign::{self, Webhook},
};

/// So many requests in each of two halves.
const HALF: usize = 500;
/// The second half may leave so much more resident memory than the first.
const MOST_GROWTH: u64 = 5 * 1024 * 1024;
const MAX_BODY: usize = 64 * 1024;

/// How a bad request goes over the wire.
enum Wire {
    /// Whole, then waits for the answer.
    Whole,
    /// Whole, then says that nothing more comes, then waits for the answer.
    HalfClosed,
    /// Announced whole, cut in the middle of the body, then half closed.
    Truncated,
    /// Cut in the middle of the head, and then nothing.
    SlowHead,
    /// Cut in the middle of the body, and then nothing.
    SlowBody,
    /// In chunks, of which none says how long the whole will be.
    Chunked,
    /// The head announces the body, which is not sent.
    HeadOnly,
}

struct Abuse {
    name: &'static str,
    webhook: Webhook,
    wire: Wire,
    status: u16,
    code: &'static str,
}

impl Abuse {
    fn send(&self, address: SocketAddr) -> io::Result<Answer> {
        let Self { webhook, wire, .. } = self;
        let whole = webhook.request();
        let body_at = whole.len() - webhook.body.len();
        let mut connection = Connection::open(address)?;
        match wire {
            Wire::Whole => connection.send(&whole)?,
            Wire::HalfClosed => {
                connection.send(&whole)?;
                connection.half_close()?;
            }
            Wire::Truncated => {
                connection.send(&whole[..body_at + webhook.body.len() / 2])?;
                connection.half_close()?;
            }
            Wire::SlowHead => connection.send(&whole[..body_at / 2])?,
            Wire::SlowBody => connection.send(&whole[..body_at + webhook.body.len() / 2])?,
            Wire::HeadOnly => connection.send(&whole[..body_at])?,
            Wire::Chunked => {
                connection.send(&webhook.head("transfer-encoding: chunked"))?;
                for chunk in webhook.body.chunks(8 * 1024) {
                    // A server that has refused need not take the rest.
                    let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
                    if connection.send(&framed).is_err() {
                        break;
                    }
                }
            }
        }
        connection.receive()
    }

    /// What is wrong with the answer, if anything is.
    fn complaint(&self, address: SocketAddr) -> Option<String> {
        let Self { name, status, code, .. } = self;
        match self.send(address) {
            Ok(answer) if answer.status == *status && answer.code() == *code => None,
            Ok(answer) => Some(format!("{name}: expected {status} {code}, got {} {}", answer.status, answer.code())),
            Err(error) => Some(format!("{name}: expected {status} {code}, got no answer: {error}")),
        }
    }
}

/// The kind of abuse of this number; each body differs, so that no answer is a duplicate's.
fn abuse(number: usize) -> Abuse {
    let delivery = format!("abuse-{number}");
    let good = sign::issue(1, &delivery);
    let signed = |body: Vec<u8>| sign::github("issues", &delivery, body);
    let case = |name, webhook, wire, status, code| Abuse { name, webhook, wire, status, code };
    let (now, now_ms) = (sign::unix_seconds(), sign::unix_millis());
    let stripe = json!({ "id": format!("evt_{number}"), "type": "invoice.paid" });
    let linear = json!({ "type": "Issue", "action": "create", "data": { "id": delivery.as_str() } });
    let nested = |levels| format!("{{\"n\":{number},\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes();
    let big = format!("{{\"n\":{number},\"a\":\"{}\"}}", "x".repeat(MAX_BODY)).into_bytes();
    match number % 20 {
        0 => {
            let webhook = sign::github_with("not the secret", "issues", &delivery, good.body);
            case("forged", webhook, Wire::Whole, 401, "signature_mismatch")
        }
        1 => {
            let mut tampered = good;
            *tampered.body.last_mut().unwrap() = b' ';
            case("wrong by one byte", tampered, Wire::Whole, 401, "signature_mismatch")
        }
        2 => case("unsigned", Webhook::unsigned("github", good.body), Wire::Whole, 401, "missing_signature"),
        3 => case("truncated", good, Wire::Truncated, 400, "incomplete_body"),
        4 => {
            let mut cut = good;
            cut.body.truncate(20);
            case("cut before it was sent", cut, Wire::Whole, 401, "signature_mismatch")
        }
        5 => case("announced too large", signed(big), Wire::HeadOnly, 413, "body_too_large"),
        6 => case("too large in chunks", signed(big), Wire::Chunked, 413, "body_too_large"),
        7 => case("stripe replayed", sign::stripe(&stripe, now - 301), Wire::Whole, 401, "stale_timestamp"),
        8 => case(
            "linear replayed",
            sign::linear(&delivery, linear, now_ms - 61_000),
            Wire::Whole,
            401,
            "stale_timestamp",
        ),
        9 => case("not JSON", signed(format!("hello {number}").into()), Wire::Whole, 400, "malformed_body"),
        10 => case(
            "half of a JSON object",
            signed(format!("{{\"n\":{number}").into()),
            Wire::Whole,
            400,
            "malformed_body",
        ),
        11 => case("nested a little too deep", signed(nested(128)), Wire::Whole, 400, "malformed_body"),
        12 => case("nested far too deep", signed(nested(20_000)), Wire::Whole, 400, "malformed_body"),
        13 => {
            let body = format!("{{\"n\":{number},\"\\u006e\":0}}");
            case("equal keys, one escaped", signed(body.into()), Wire::Whole, 400, "malformed_body")
        }
        14 => {
            let body = [format!("{{\"n\":{number},\"a\":\"").as_bytes(), &[0xc3, 0x28], b"\"}"].concat();
            case("invalid UTF-8", signed(body), Wire::Whole, 400, "malformed_body")
        }
        15 => case("a slow head", good, Wire::SlowHead, 408, "request_timeout"),
        16 => case("a slow body", good, Wire::SlowBody, 408, "request_timeout"),
        17 => {
            let webhook = sign::github_with("not the secret", "issues", &delivery, good.body);
            case("forged and half closed", webhook, Wire::HalfClosed, 401, "signature_mismatch")
        }
        18 => case("an array", signed(format!("[{number}]").into()), Wire::HalfClosed, 400, "malformed_body"),
        _ => case(
            "another path",
            Webhook { path: "/webhook/../etc/passwd".into(), ..good },
            Wire::Whole,
            404,
            "not_found",
        ),
    }
}

/// Sends one half: the slow ones side by side, because each waits for its time-out, the others by a few senders.
fn send_half(address: SocketAddr, numbers: std::ops::Range<usize>) -> Vec<String> {
    let (slow, quick): (Vec<_>, Vec<_>) =
        numbers.map(abuse).partition(|abuse| matches!(abuse.wire, Wire::SlowHead | Wire::SlowBody));
    std::thread::scope(|scope| {
        let slow =
            slow.iter().map(|abuse| scope.spawn(move || abuse.complaint(address).into_iter().collect::<Vec<_>>()));
        let mut senders: Vec<_> = slow.collect();
        for share in quick.chunks(quick.len().div_ceil(4)) {
            senders.push(scope.spawn(move || share.iter().filter_map(|abuse| abuse.complaint(address)).collect()));
        }
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    })
}

/// Connections that end without a request: no answer is owed.
fn hang_up(address: SocketAddr) {
    for bytes in [b"".as_slice(), b"POST /webhook/github HT", b"\0\0\0\0"] {
        let mut connection = Connection::open(address).unwrap();
        connection.send(bytes).unwrap();
        connection.half_close().unwrap();
        let _ = connection.receive();
    }
}

fn resident_after(pipeline: &Pipeline, half: std::ops::Range<usize>) -> u64 {
    let complaints = send_half(pipeline.ingress(), half);
    assert!(
        complaints.is_empty(),
        "{} wrong answers, such as {:#?}",
        complaints.len(),
        &complaints[..complaints.len().min(20)]
    );
    hang_up(pipeline.ingress());
    pipeline.resident_bytes()
}

#[test]
fn a_thousand_bad_requests_get_their_status_store_nothing_and_cost_no_memory() {
    let receiver = Receiver::start();
    let ingress = format!("read_timeout_seconds = 1\nmax_body_bytes = {MAX_BODY}");
    let home = Home::new(&Contract::new().ingress(&ingress).http_output("service", &receiver, ""));
    let mut pipeline = home.up();
    let first = resident_after(&pipeline, 0..HALF);
    let second = resident_after(&pipeline, HALF..2 * HALF);
    println!("resident after the first half {first}, after the second {second}");
    assert!(second <= first + MOST_GROWTH, "resident memory grew from {first} to {second}");

    assert!(pipeline.is_alive());
    assert!(!pipeline.stderr().contains("panicked"), "{}", pipeline.stderr());
    assert_eq!(home.run("events list --json").ok().stdout, "", "a topic has a record");
    assert_eq!(home.run("dlq list --json").ok().stdout, "");
    let published = pipeline.page("/metrics").lines().any(|line| line.starts_with("serve_publish_success_total{"));
    assert!(!published);
    // The next to arrive is the only one that was ever good.
    let id = pipeline.accept(&sign::issue(1, "good"));
    receiver.taken(&id);
    assert_eq!(receiver.deliveries().len(), 1);
}

#[test]
fn a_client_that_trickles_bytes_holds_no_request_open_beyond_its_time() {
    let home = Home::new(&Contract::new().ingress("read_timeout_seconds = 1").file_output("file", "events.jsonl"));
    let pipeline = home.up();
    let request = sign::issue(1, "delivery-1").request();
    let began = std::time::Instant::now();
    let mut connection = Connection::open(pipeline.ingress()).unwrap();
    for byte in request {
        // One byte at a time never stalls for long, and is too slow all the same.
        if connection.send(&[byte]).is_err() || began.elapsed().as_secs() >= 2 {
            break;
        }
        crate::support::pause(std::time::Duration::from_millis(20));
    }
    assert_eq!(connection.receive().unwrap().status, 408);
    assert_eq!(home.run("events list --json").ok().stdout, "");
}

#[test]
fn more_connections_than_there_are_slots_wait_and_are_then_served() {
    let keys = "read_timeout_seconds = 1\nmax_connections = 4";
    let home = Home::new(&Contract::new().ingress(keys).file_output("file", "events.jsonl"));
    let pipeline = home.up();
    // Four that say nothing hold every slot until their time is over.
    let silent: Vec<_> = (0..4).map(|_| Connection::open(pipeline.ingress()).unwrap()).collect();
    pipeline.accept(&sign::issue(1, "delivery-1"));
    drop(silent);
}
