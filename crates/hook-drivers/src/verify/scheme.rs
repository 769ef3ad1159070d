//! A signature scheme as a value: what is signed, how, and where the signature stands.
//!
//! ```text
//! header   Stripe-Signature: t=1492774577,v1=5257a869…,v1=81c3…      elements, each marked by its prefix
//! content  {timestamp} . {body}                                      parts, in the order in which they are signed
//! ```
//!
//! The providers that `hook` knows are such values, and so is whatever a contract describes with `hmac`: there is one
//! function that checks signatures.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use hook_core::{
    payload::Payload,
    ports::verifier::{Refusal, SignedRequest, SigningRequest, Verified},
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    freshness, header,
    signature::{self, Algorithm, Encoding, SecretEncoding},
};

/// More signatures than any rotation needs, and few enough to compare them all.
const MAX_SIGNATURES: usize = 16;
/// The elements of a signature header that hold the signed time.
const TIME_ELEMENTS: [&str; 2] = ["t=", "ts="];

/// How a provider signs.
pub(crate) struct Scheme {
    /// The header of the signature.
    pub(crate) header: HeaderName,
    /// What a refusal calls it.
    pub(crate) header_shown: &'static str,
    /// What stands before a signature.
    pub(crate) prefix: Cow<'static, str>,
    /// What parts the elements of the header; nothing where it holds exactly one.
    pub(crate) separators: Vec<char>,
    /// The hash function.
    pub(crate) algorithm: Algorithm,
    /// How a signature is written.
    pub(crate) encoding: Encoding,
    /// How a secret is written.
    pub(crate) secret: SecretEncoding,
    /// What is signed.
    pub(crate) content: Vec<Part>,
    /// The signed time, where there is one.
    pub(crate) time: Option<SignedTime>,
    /// The header of the delivery id.
    pub(crate) id: Option<HeaderName>,
}

/// A part of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// This text.
    Text(Cow<'static, str>),
    /// The signed time, as it was received.
    Time,
    /// The delivery id.
    Id,
    /// The body.
    Body,
}

/// The time at which a request was signed.
pub(crate) struct SignedTime {
    pub(crate) place: TimePlace,
    /// How far from now it may be.
    pub(crate) tolerance: Duration,
}

/// Where the signed time stands.
pub(crate) enum TimePlace {
    /// In the header of the signature, as its element `t=`.
    Element,
    /// In a header of its own.
    Header(HeaderName),
    /// In the body.
    Pointer(String),
}

impl Scheme {
    /// An HMAC-SHA256 of the body, in hex, alone in a header: what most providers do, or vary.
    pub(crate) fn of_body(header: &'static str) -> Self {
        Self {
            header: HeaderName::try_from(header).expect("our own header names are valid"),
            header_shown: header,
            prefix: "".into(),
            separators: Vec::new(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            secret: SecretEncoding::Text,
            content: vec![Part::Body],
            time: None,
            id: None,
        }
    }

    /// Checks the signature, then whether its time is fresh.
    pub(crate) fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        let shown = || Refusal::MissingSignature { header: self.header_shown };
        let value = header::only(request.headers, &self.header).map_err(|_| Refusal::MalformedSignature)?;
        let value = value.ok_or_else(shown)?;
        let given = self.signatures(value)?;
        let time = self.time_before_body(request.headers, value)?;
        let parts = self.parts(time.unwrap_or_default(), self.signed_id(request.headers)?, request.body);
        let verified = signature::matching_slot(
            request.secrets,
            |secret| self.secret.key(secret),
            |key| signature::is_among(&self.algorithm.mac(&key, &parts), &given),
        )?;
        self.check_freshness(time, request).map(|()| verified)
    }

    /// Signs as the provider does. `None` where the secret, or the delivery id, cannot be used.
    pub(crate) fn sign(&self, request: &SigningRequest<'_>) -> Option<HeaderMap> {
        let key = self.secret.key(request.secret)?;
        let time = request.now.as_second().to_string();
        let parts = self.parts(&time, request.delivery_id, request.body);
        let signature = self.encoding.encode(&self.algorithm.mac(&key, &parts));
        let mut value = format!("{}{signature}", self.prefix);
        let mut headers = HeaderMap::new();
        match self.time.as_ref().map(|time| &time.place) {
            Some(TimePlace::Element) => {
                let separator = self.separators.first().copied().unwrap_or(',');
                value = format!("{}{time}{separator}{value}", TIME_ELEMENTS[0]);
            }
            Some(TimePlace::Header(name)) => drop(headers.insert(name, HeaderValue::try_from(&time).ok()?)),
            Some(TimePlace::Pointer(_)) | None => {}
        }
        if let Some(name) = &self.id {
            headers.insert(name, HeaderValue::try_from(request.delivery_id).ok()?);
        }
        headers.insert(&self.header, HeaderValue::try_from(value).ok()?);
        Some(headers)
    }

    /// Whether the delivery id is among what is signed.
    pub(crate) fn signs_id(&self) -> bool {
        self.content.contains(&Part::Id)
    }

    fn elements<'v>(&'v self, value: &'v str) -> impl Iterator<Item = &'v str> {
        value.split(self.separators.as_slice()).map(str::trim).filter(|element| !element.is_empty())
    }

    /// Every signature of the header that can be one. Other elements are left alone: they may be schemes to come.
    fn signatures(&self, value: &str) -> Result<Vec<Vec<u8>>, Refusal> {
        let signatures: Vec<Vec<u8>> = self
            .elements(value)
            .filter_map(|element| self.encoding.decode(element.strip_prefix(&*self.prefix)?))
            .filter(|signature| signature.len() == self.algorithm.length())
            .take(MAX_SIGNATURES + 1)
            .collect();
        match signatures.len() {
            1..=MAX_SIGNATURES => Ok(signatures),
            _ => Err(Refusal::MalformedSignature),
        }
    }

    /// The signed time, where it stands before the body.
    fn time_before_body<'v>(&'v self, headers: &'v HeaderMap, value: &'v str) -> Result<Option<&'v str>, Refusal> {
        let time = match self.time.as_ref().map(|time| &time.place) {
            None | Some(TimePlace::Pointer(_)) => return Ok(None),
            Some(TimePlace::Header(name)) => header::only(headers, name).map_err(|_| Refusal::MissingTimestamp)?,
            Some(TimePlace::Element) => {
                let time_of = |element: &'v str| TIME_ELEMENTS.iter().find_map(|name| element.strip_prefix(name));
                let mut times = self.elements(value).filter_map(time_of);
                times.next().filter(|_| times.next().is_none())
            }
        };
        time.map(Some).ok_or(Refusal::MissingTimestamp)
    }

    /// The delivery id, where it is signed. It must not hold what follows it in the content: otherwise a part of the
    /// body could pass for a part of the id, under the same signature.
    fn signed_id<'h>(&self, headers: &'h HeaderMap) -> Result<&'h str, Refusal> {
        let (true, Some(name)) = (self.signs_id(), &self.id) else { return Ok("") };
        let id = header::only(headers, name).map_err(|_| Refusal::MalformedSignature)?;
        let id = id.filter(|id| !id.is_empty()).ok_or(Refusal::MalformedSignature)?;
        let runs_on = |pair: &[Part]| matches!(pair, [Part::Id, Part::Text(text)] if id.contains(&**text));
        match self.content.windows(2).any(runs_on) {
            true => Err(Refusal::MalformedSignature),
            false => Ok(id),
        }
    }

    fn parts<'p>(&'p self, time: &'p str, id: &'p str, body: &'p [u8]) -> Vec<&'p [u8]> {
        let part = |part: &'p Part| match part {
            Part::Text(text) => text.as_bytes(),
            Part::Time => time.as_bytes(),
            Part::Id => id.as_bytes(),
            Part::Body => body,
        };
        self.content.iter().map(part).collect()
    }

    fn check_freshness(&self, time: Option<&str>, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let Some(SignedTime { place, tolerance }) = &self.time else { return Ok(()) };
        let TimePlace::Pointer(pointer) = place else {
            return freshness::check(time.ok_or(Refusal::MissingTimestamp)?, request.now, *tolerance);
        };
        // What is no payload is refused as malformed after this, by the same parser.
        let Ok(payload) = Payload::parse(Bytes::copy_from_slice(request.body)) else { return Ok(()) };
        let time = payload.scalar(pointer).ok_or(Refusal::MissingTimestamp)?;
        freshness::check(&time, request.now, *tolerance)
    }
}
