//! A signature scheme as a value: what is signed, how, and where the signature stands.
//!
//! ```text
//! header   Stripe-Signature: t=1492774577,v1=5257a869…,v1=81c3…      elements, each marked by its prefix
//! content  {timestamp} . {body}                                      parts, in the order in which they are signed
//! ```
//!
//! The providers that `hook` knows are such values, those that a pack describes too, and so is whatever a contract describes
//! with `hmac`: there is one function that checks signatures.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    payload::Payload,
    ports::verifier::{Address, Checks, Place, Refusal, Signed, SignedRequest, SigningRequest, TimeCheck, Verified},
};
use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::form_urlencoded;

use super::{
    address, freshness, header,
    keys::KeyPair,
    proof::{self, Proof},
    signature::{self, Algorithm, Encoding, SecretEncoding},
};

/// More signatures than any rotation needs, and few enough to compare them all.
const MAX_SIGNATURES: usize = 16;
/// The parameter in which a URL holds the digest of a body that is no form.
const BODY_DIGEST: &str = "bodySHA256";

/// How a provider signs.
pub(crate) struct Scheme {
    /// Where the signature stands.
    pub(crate) proof: Proof,
    /// What stands before a signature.
    pub(crate) prefix: Cow<'static, str>,
    /// What parts the elements of the proof; nothing where it holds exactly one.
    pub(crate) separators: Vec<char>,
    /// What makes a signature.
    pub(crate) method: Method,
    /// How a signature is written.
    pub(crate) encoding: Encoding,
    /// How the secret of an HMAC is written.
    pub(crate) secret: SecretEncoding,
    /// What is signed.
    pub(crate) content: Vec<Part>,
    /// The signed time, where there is one.
    pub(crate) time: Option<SignedTime>,
    /// The header of the delivery id.
    pub(crate) id: Option<HeaderName>,
    /// The address that the provider posts to, where it is signed and not that of the request.
    pub(crate) public_url: Option<String>,
    /// Fields of a body whose signature stands in it, and of which there must be none: nothing signs them.
    pub(crate) unsigned: Vec<&'static str>,
}

/// What makes a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// A secret that both sides know.
    Hmac(Algorithm),
    /// A private key, of which the secret of the source is the public one.
    KeyPair(KeyPair),
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
    /// The address that the provider posts to.
    Url,
    /// The parameters of a form, sorted by their names; nothing where the URL holds the digest of the body.
    Parameters,
    /// A field of the body; nothing where it is absent, if it may be.
    Field { pointer: &'static str, is_optional: bool },
}

/// The time at which a request was signed.
pub(crate) struct SignedTime {
    pub(crate) place: TimePlace,
    /// How it is written where we sign; what we take may be written in any of these ways.
    pub(crate) format: TimeFormat,
    /// How far from now it may be.
    pub(crate) tolerance: Duration,
}

/// Where the signed time stands.
pub(crate) enum TimePlace {
    /// Beside the signature, as the first of these elements that is there, such as `t=`.
    Element(&'static [&'static str]),
    /// In a header of its own.
    Header(HeaderName),
    /// In the body.
    Pointer(String),
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TimeFormat {
    /// In Unix seconds.
    #[default]
    Seconds,
    /// In Unix milliseconds.
    Milliseconds,
    /// As RFC 3339 has it.
    Rfc3339,
}

/// What the parts of a request are made of.
struct Inputs<'p> {
    time: &'p str,
    id: &'p str,
    body: &'p [u8],
    address: Address<'p>,
    fields: Option<&'p Payload>,
}

impl Scheme {
    /// An HMAC-SHA256 of the body, in hex, alone in a header: what most providers do, or vary.
    pub(crate) fn of_body(header: &'static str) -> Self {
        Self::new(Proof::header(header))
    }

    /// The same, anywhere.
    pub(crate) fn new(proof: Proof) -> Self {
        Self {
            proof,
            prefix: "".into(),
            separators: Vec::new(),
            method: Method::Hmac(Algorithm::Sha256),
            encoding: Encoding::Hex,
            secret: SecretEncoding::Text,
            content: vec![Part::Body],
            time: None,
            id: None,
            public_url: None,
            unsigned: Vec::new(),
        }
    }

    /// Checks the signature, then whether its time is fresh.
    pub(crate) fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        let fields = self.reads_fields().then(|| proof::fields(request.body)).transpose()?;
        let value = self.proof.find(request, fields.as_ref())?;
        if fields.as_ref().is_some_and(|fields| self.unsigned.iter().any(|field| fields.pointer(field).is_some())) {
            return Err(Refusal::MalformedSignature);
        }
        let given = self.signatures(&value)?;
        let time = self.time_before_body(request.headers, &value)?;
        let parts = self.parts(&Inputs {
            time: time.unwrap_or_default(),
            id: self.signed_id(request.headers)?,
            body: request.body,
            address: self.address(request)?,
            fields: fields.as_ref(),
        })?;
        let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        let verified = self.matching_slot(request, &parts, &given)?;
        self.check_freshness(time, request).map(|()| verified)
    }

    /// Signs as the provider does. `None` where the secret, or the delivery id, cannot be used.
    pub(crate) fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        let time = self.time.as_ref().map(|time| time.format.write(request.now)).unwrap_or_default();
        let body = self.reads_fields().then(|| self.body_at(request.body, &time)).flatten();
        let text = body.as_ref().map(|body| Bytes::from(body.to_string()));
        let fields = text.map(Payload::parse).transpose().ok()?;
        if self.reads_fields() && fields.is_none() {
            return None;
        }
        let (id, address) = (request.delivery_id, request.address);
        let parts = Inputs { time: &time, id, body: request.body, address, fields: fields.as_ref() };
        let parts = self.parts(&parts).ok()?;
        let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        let signature = match self.method {
            Method::Hmac(algorithm) => algorithm.mac(&self.secret.key(request.secret)?, &parts),
            Method::KeyPair(pair) => pair.sign(request.secret, &parts.concat())?,
        };
        let mut value = format!("{}{}", self.prefix, self.encoding.encode(&signature));
        let mut signed = Signed::default();
        match self.time.as_ref().map(|time| &time.place) {
            Some(TimePlace::Element(names)) => {
                let separator = self.separators.first().copied().unwrap_or(',');
                value = format!("{}{time}{separator}{value}", names.first()?);
            }
            Some(TimePlace::Header(name)) => drop(signed.headers.insert(name, HeaderValue::try_from(&time).ok()?)),
            Some(TimePlace::Pointer(_)) | None => {}
        }
        if let Some(name) = &self.id {
            signed.headers.insert(name, HeaderValue::try_from(request.delivery_id).ok()?);
        }
        self.proof.put(&value, &mut signed, body)?;
        Some(signed)
    }

    /// The signed time of a request that was verified.
    pub(crate) fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        let time = match &self.time.as_ref()?.place {
            TimePlace::Pointer(pointer) => return freshness::parse(&payload.scalar(pointer)?),
            TimePlace::Header(_) => "",
            TimePlace::Element(_) => match &self.proof {
                Proof::Header(name, _) => header::only(headers, name).ok()??,
                Proof::Query(_) | Proof::Field(_) => return None,
            },
        };
        freshness::parse(self.time_before_body(headers, time).ok()??)
    }

    /// The pointer of the signed time, where that stands in the body.
    pub(crate) fn time_in_body(&self) -> Option<&str> {
        match &self.time.as_ref()?.place {
            TimePlace::Pointer(pointer) => Some(pointer),
            TimePlace::Header(_) | TimePlace::Element(_) => None,
        }
    }

    /// Whether the delivery id is among what is signed.
    pub(crate) fn signs_id(&self) -> bool {
        self.content.contains(&Part::Id)
    }

    /// Whether all of the body is signed.
    pub(crate) fn signs_body(&self) -> bool {
        self.content.iter().any(|part| matches!(part, Part::Body | Part::Parameters))
    }

    /// Whether a field of the body is signed.
    pub(crate) fn signs_field(&self, field: &str) -> bool {
        let is_it = |part: &Part| matches!(part, Part::Field { pointer, .. } if *pointer == field);
        self.signs_body() || self.content.iter().any(is_it)
    }

    /// What is checked, for people; the sender's own selectors are left for its verifier to add.
    pub(crate) fn checks(&self) -> Checks {
        let time = self.time.as_ref().map(|time| TimeCheck {
            place: match &time.place {
                TimePlace::Element(names) => format!("element `{}` beside the signature", names.join("` or `")),
                TimePlace::Header(name) => format!("header {name}"),
                TimePlace::Pointer(pointer) => format!("the field `{pointer}` of the body"),
            },
            is_in_body: matches!(time.place, TimePlace::Pointer(_)),
            tolerance: time.tolerance,
        });
        let (algorithm, secret) = match self.method {
            Method::Hmac(algorithm) => (algorithm.name(), self.secret.shown()),
            Method::KeyPair(pair) => (pair.name(), "a public key in hex, base64 or PEM"),
        };
        let prefix = if self.prefix.is_empty() { String::new() } else { format!(", after `{}`", self.prefix) };
        Checks {
            scheme: format!("{algorithm} in {}{prefix}", self.encoding.name()),
            place: Some(self.proof.place()),
            signed_content: self.content.iter().map(Part::shown).collect(),
            signed_headers: self.signed_headers().map(ToString::to_string).collect(),
            time,
            delivery_id_is_signed: self.signs_id(),
            secret: secret.to_owned(),
            is_key_pair: matches!(self.method, Method::KeyPair(_)),
            ..no_checks()
        }
    }

    /// Without these there is nothing that a signature could be of.
    fn signed_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let id = self.id.as_ref().filter(|_| self.signs_id());
        id.into_iter().chain(self.signs_host().then_some(&HOST))
    }

    /// Whether the address of the request is signed, and not one that the contract names.
    fn signs_host(&self) -> bool {
        self.content.contains(&Part::Url) && self.public_url.is_none()
    }

    fn reads_fields(&self) -> bool {
        self.proof.is_in_body() || self.content.iter().any(|part| matches!(part, Part::Field { .. }))
    }

    fn matching_slot(
        &self,
        request: &SignedRequest<'_>,
        parts: &[&[u8]],
        given: &[Vec<u8>],
    ) -> Result<Verified, Refusal> {
        match self.method {
            Method::Hmac(algorithm) => signature::matching_slot(
                request.secrets,
                |secret| self.secret.key(secret),
                |key| signature::is_among(&algorithm.mac(&key, parts), given),
            ),
            Method::KeyPair(pair) => {
                let message = parts.concat();
                signature::matching_slot(
                    request.secrets,
                    |secret| pair.public_key(secret),
                    |key| given.iter().any(|signature| pair.verify(&key, &message, signature)),
                )
            }
        }
    }

    fn elements<'v>(&'v self, value: &'v str) -> impl Iterator<Item = &'v str> {
        value.split(self.separators.as_slice()).map(str::trim).filter(|element| !element.is_empty())
    }

    /// Every signature of the proof that can be one. Other elements are left alone: they may be schemes to come.
    fn signatures(&self, value: &str) -> Result<Vec<Vec<u8>>, Refusal> {
        let fits = |length: usize| match self.method {
            Method::Hmac(algorithm) => length == algorithm.length(),
            Method::KeyPair(pair) => pair.fits(length),
        };
        let signatures: Vec<Vec<u8>> = self
            .elements(value)
            .filter_map(|element| self.encoding.decode(element.strip_prefix(&*self.prefix)?))
            .filter(|signature| fits(signature.len()))
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
            Some(TimePlace::Element(names)) => {
                let time_of = |element: &'v str| names.iter().find_map(|name| element.strip_prefix(name));
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

    /// Host, path and query of a request, where any of them is signed.
    fn address<'r>(&self, request: &SignedRequest<'r>) -> Result<Address<'r>, Refusal> {
        let host = match self.signs_host() {
            true => header::only(request.headers, HOST).ok().flatten().ok_or(Refusal::MalformedSignature)?,
            false => "",
        };
        Ok(Address { host, url: request.url })
    }

    fn parts<'p>(&'p self, inputs: &Inputs<'p>) -> Result<Vec<Cow<'p, [u8]>>, Refusal> {
        let part = |part: &'p Part| -> Result<Cow<'p, [u8]>, Refusal> {
            Ok(match part {
                Part::Text(text) => text.as_bytes().into(),
                Part::Time => inputs.time.as_bytes().into(),
                Part::Id => inputs.id.as_bytes().into(),
                Part::Body => inputs.body.into(),
                Part::Url => address::posted_to(self.public_url.as_deref(), &inputs.address).into_bytes().into(),
                Part::Parameters => sorted_parameters(inputs)?.into_bytes().into(),
                Part::Field { pointer, is_optional } => {
                    let value = inputs.fields.and_then(|fields| fields.scalar(pointer));
                    let value = value.or_else(|| is_optional.then(String::new));
                    value.ok_or(Refusal::MalformedSignature)?.into_bytes().into()
                }
            })
        };
        self.content.iter().map(part).collect()
    }

    /// A body as JSON, with the time of signing where that stands in it.
    fn body_at(&self, body: &[u8], time: &str) -> Option<Value> {
        let mut body: Value = serde_json::from_slice(body).ok()?;
        if let Some(SignedTime { place: TimePlace::Pointer(pointer), .. }) = &self.time {
            *body.pointer_mut(pointer)? = time.into();
        }
        Some(body)
    }

    fn check_freshness(&self, time: Option<&str>, request: &SignedRequest<'_>) -> Result<(), Refusal> {
        let Some(SignedTime { place, tolerance, .. }) = &self.time else { return Ok(()) };
        let TimePlace::Pointer(pointer) = place else {
            return freshness::check(time.ok_or(Refusal::MissingTimestamp)?, request.now, *tolerance);
        };
        // What is no payload is refused as malformed after this, by the same parser.
        let Ok(payload) = Payload::parse(Bytes::copy_from_slice(request.body)) else { return Ok(()) };
        let time = payload.scalar(pointer).ok_or(Refusal::MissingTimestamp)?;
        freshness::check(&time, request.now, *tolerance)
    }
}

impl TimeFormat {
    fn write(self, now: Timestamp) -> String {
        match self {
            Self::Seconds => now.as_second().to_string(),
            Self::Milliseconds => now.as_millisecond().to_string(),
            Self::Rfc3339 => now.to_string(),
        }
    }
}

impl Part {
    fn shown(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => (&**text).into(),
            Self::Time => "{timestamp}".into(),
            Self::Id => "{id}".into(),
            Self::Body => "{body}".into(),
            Self::Url => "{url}".into(),
            Self::Parameters => "{parameters}".into(),
            Self::Field { pointer, is_optional: false } => format!("{{{pointer}}}").into(),
            Self::Field { pointer, is_optional: true } => format!("{{{pointer}?}}").into(),
        }
    }
}

/// Names and values of a form, one after the other, in the order of the names. A body that is no form has its digest in the
/// URL, which is signed; one that has it not is a form, whatever it claims to be.
fn sorted_parameters(inputs: &Inputs<'_>) -> Result<String, Refusal> {
    if address::parameters(inputs.address.url).any(|(name, _)| name == BODY_DIGEST) {
        let digest = hex::encode(Sha256::digest(inputs.body));
        let is_of_body = address::parameter(inputs.address.url, BODY_DIGEST).is_some_and(|given| given == digest);
        return if is_of_body { Ok(String::new()) } else { Err(Refusal::SignatureMismatch) };
    }
    let mut pairs: Vec<_> = form_urlencoded::parse(inputs.body).collect();
    pairs.sort();
    Ok(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect())
}

/// Nothing is checked.
pub(crate) fn no_checks() -> Checks {
    Checks {
        scheme: "nothing".to_owned(),
        place: None::<Place>,
        signed_content: String::new(),
        signed_headers: Vec::new(),
        time: None,
        event_type: Vec::new(),
        delivery_id: Vec::new(),
        delivery_id_is_signed: false,
        ordering_key: Vec::new(),
        secret: String::new(),
        is_key_pair: false,
        bodies: vec!["JSON object"],
        challenges: Vec::new(),
        docs: String::new(),
        notes: Vec::new(),
    }
}
