//! A request, written once: for each event only its mark, its ids and its signature are written into it.
//!
//! All that differs stands at the end of the body, so that the HMAC goes on from the part that every body shares. Signing a
//! body of 20 KiB then costs the load as little as signing one of 1 KiB; the receiver has to hash all of it.

use std::net::SocketAddr;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::mark::{Mark, write_hex};

/// The name of the repository that every event belongs to; its keys are the numbers of issues in it.
const REPOSITORY: &str = "octo/measured";
/// Issue numbers begin here, so that all of them have as many digits.
const FIRST_ISSUE: u32 = 1_000_000;
/// The most keys that have numbers of as many digits.
pub(crate) const MOST_KEYS: u32 = 9_000_000;

const HEX_SIGNATURE: usize = 64;
/// `00000000-0000-4000-8000-000000000000`.
const DELIVERY: usize = 36;

/// What all requests of a load share.
#[derive(Debug, Clone)]
pub struct Shape<'a> {
    /// Where they are sent.
    pub address: SocketAddr,
    /// The path, such as `/webhook/github`.
    pub path: &'a str,
    /// The secret that they are signed with.
    pub secret: &'a str,
    /// The length of a body. A body is never shorter than it has to be for what it says.
    pub body_bytes: usize,
}

/// A request of GitHub's scheme with room for what differs.
#[derive(Clone)]
pub struct Template {
    request: Vec<u8>,
    /// Where the delivery id, the signature, the body and its end stand.
    delivery: usize,
    signature: usize,
    body: usize,
    tail: usize,
    /// The HMAC of the body up to its end.
    begun: Hmac<Sha256>,
    scratch: Vec<u8>,
}

impl Template {
    /// Writes the request.
    pub fn new(shape: &Shape<'_>) -> Self {
        let mut tail = Vec::new();
        let now = std::time::Instant::now();
        write_tail(&Mark { run: 0, key: 0, number: 0, sent: now }, &mut tail);
        let head = body_head(shape.body_bytes.saturating_sub(tail.len()));
        let mut begun =
            Hmac::<Sha256>::new_from_slice(shape.secret.as_bytes()).expect("HMAC takes keys of every length");
        begun.update(head.as_bytes());

        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: GitHub-Hookshot/0000000\r\naccept: */*\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nx-github-event: issues\r\nx-github-delivery: ",
            shape.path,
            shape.address,
            head.len() + tail.len(),
        )
        .into_bytes();
        let delivery = request.len();
        request.extend_from_slice(&[b'0'; DELIVERY]);
        request.extend_from_slice(b"\r\nx-hub-signature-256: sha256=");
        let signature = request.len();
        request.extend_from_slice(&[b'0'; HEX_SIGNATURE]);
        request.extend_from_slice(b"\r\n\r\n");
        let body = request.len();
        request.extend_from_slice(head.as_bytes());
        let at = request.len();
        request.extend_from_slice(&tail);
        Self { request, delivery, signature, body, tail: at, begun, scratch: Vec::with_capacity(256) }
    }

    /// The request of one event, signed.
    pub fn fill(&mut self, mark: &Mark) -> &[u8] {
        self.scratch.clear();
        write_tail(mark, &mut self.scratch);
        let mut mac = self.begun.clone();
        mac.update(&self.scratch);
        self.request[self.tail..].copy_from_slice(&self.scratch);

        let signature = &mut self.request[self.signature..self.signature + HEX_SIGNATURE];
        hex::encode_to_slice(mac.finalize().into_bytes(), signature).expect("32 bytes are 64 digits");
        self.scratch.clear();
        write_delivery(mark, &mut self.scratch);
        self.request[self.delivery..self.delivery + DELIVERY].copy_from_slice(&self.scratch);
        &self.request
    }

    /// The body of one event, as its request has it.
    pub fn body(&mut self, mark: &Mark) -> &[u8] {
        let body = self.body;
        &self.fill(mark)[body..]
    }
}

/// The delivery id of an event, as a UUID: its run and its number.
fn write_delivery(mark: &Mark, out: &mut Vec<u8>) {
    write_hex(out, u64::from(mark.run), 8);
    out.extend_from_slice(b"-0000-4000-8");
    write_hex(out, mark.number >> 48, 3);
    out.push(b'-');
    write_hex(out, mark.number, 12);
}

fn write_tail(mark: &Mark, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"repository\":{\"full_name\":\"");
    out.extend_from_slice(REPOSITORY.as_bytes());
    out.extend_from_slice(b"\"},\"issue\":{\"number\":");
    let number = FIRST_ISSUE + mark.key % MOST_KEYS;
    out.extend((0..7).rev().map(|digit| b'0' + (number / 10_u32.pow(digit) % 10) as u8));
    out.extend_from_slice(b"},");
    mark.write(out);
    out.push(b'}');
}

/// The part that every body shares: what GitHub says of an issue, with as many labels as there is room for.
fn body_head(bytes: usize) -> String {
    let mut head = String::from(
        r#"{"action":"opened","sender":{"login":"octocat","id":583231,"type":"User","site_admin":false},"labels":["#,
    );
    let end = |note: usize| format!(r#"],"note":"{}""#, "-".repeat(note));
    for number in 0_u64.. {
        let comma = if number == 0 { "" } else { "," };
        let label = format!(
            r#"{comma}{{"id":{},"url":"https://api.github.com/repos/octo/measured/labels/{number}","name":"label {number}","color":"d73a4a","default":{},"description":"Something is not working"}}"#,
            208_045_946 + number,
            number % 2 == 0,
        );
        if head.len() + label.len() + end(0).len() > bytes {
            break;
        }
        head.push_str(&label);
    }
    let note = bytes.saturating_sub(head.len() + end(0).len());
    head.push_str(&end(note));
    head
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use hook_cli::catalog::default_catalog;
    use hook_core::{
        Timestamp,
        payload::Payload,
        ports::verifier::{DeliveryId, SignedRequest},
        secret::Secret,
    };

    use super::*;
    use crate::mark::new_run;

    const SECRET: &str = "a secret of the test";

    fn template(body_bytes: usize) -> Template {
        let address = "127.0.0.1:1".parse().unwrap();
        Template::new(&Shape { address, path: "/webhook/github", secret: SECRET, body_bytes })
    }

    /// Headers and body of a request.
    fn read(request: &[u8]) -> (axum::http::HeaderMap, Vec<u8>) {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = parsed.parse(request).unwrap().unwrap();
        let pairs = parsed.headers.iter().map(|header| {
            let name = axum::http::HeaderName::try_from(header.name).unwrap();
            (name, axum::http::HeaderValue::from_bytes(header.value).unwrap())
        });
        (pairs.collect(), request[head..].to_vec())
    }

    #[test]
    fn a_filled_request_passes_the_verifier_that_it_is_for() {
        new_run();
        let verifier = default_catalog().verifier("github").unwrap().build(serde_json::json!({})).ok().unwrap().driver;
        for body_bytes in [1024, 20 * 1024] {
            let mut template = template(body_bytes);
            for number in [0, 1, u64::from(u32::MAX) + 5] {
                let mark = Mark { run: 3, key: 42, number, sent: Instant::now() };
                let (headers, body) = read(template.fill(&mark));
                assert_eq!(body.len(), body_bytes);
                assert_eq!(headers["content-length"], body_bytes.to_string());
                assert_eq!(Mark::find(&body), Some(mark));
                assert_eq!(template.body(&mark), body);
                let secrets = [(0, Secret::new(SECRET))];
                let now = Timestamp::now();
                let request = SignedRequest { headers: &headers, url: "/", body: &body, secrets: &secrets, now };
                assert_eq!(verifier.verify(&request).map(|verified| verified.slot), Ok(Some(0)));
                let claim = verifier.describe(&headers, &Payload::parse(body.into()).unwrap());
                assert_eq!(claim.ordering_key.as_deref(), Some("octo/measured#1000042"));
                let value = format!("00000003-0000-4000-8000-{number:012x}");
                assert_eq!(claim.delivery_id, Some(DeliveryId { value, is_signed: false }));
            }
        }
    }

    #[test]
    fn a_body_that_is_too_short_to_say_what_it_must_is_as_long_as_it_must_be() {
        let mut template = template(1);
        let mark = Mark { run: 0, key: 0, number: 0, sent: Instant::now() };
        let (_, body) = read(template.fill(&mark));
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
    }
}
