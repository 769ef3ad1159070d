//! A pack and the settings of a contract as a proof that can be checked.

use std::borrow::Cow;

use hook_core::{
    Timestamp,
    catalog::Fault,
    payload::Payload,
    ports::verifier::{Checks, Refusal, Signed, SignedRequest, SigningRequest, Verified},
};
use http::{HeaderMap, HeaderName};

use super::{
    Settings,
    format::{self, Pack, Signature},
    selector::{Selector, Step},
};
use crate::verify::{
    freshness,
    jws::Jws,
    keys::KeyPair,
    proof::Proof,
    scheme::{self, Method, Part, Scheme, SignedTime, TimeFormat, TimePlace},
    signature::{Algorithm, SecretEncoding},
    template::{self, Piece},
    token::Token,
};

/// What proves a request.
pub(super) enum Proven {
    Scheme(Scheme),
    Jws(Jws),
    Token(Token),
}

impl Proven {
    pub(super) fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        match self {
            Self::Scheme(scheme) => scheme.verify(request),
            Self::Jws(jws) => jws.verify(request),
            Self::Token(token) => token.verify(request),
        }
    }

    pub(super) fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        match self {
            Self::Scheme(scheme) => scheme.sign(request),
            Self::Jws(jws) => jws.sign(request),
            Self::Token(token) => token.sign(request),
        }
    }

    /// The signed time of a request that was verified.
    pub(super) fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        match self {
            Self::Scheme(scheme) => scheme.sent_at(headers, payload),
            Self::Jws(_) | Self::Token(_) => None,
        }
    }

    /// Whether all of the body is signed.
    pub(super) fn signs_body(&self) -> bool {
        match self {
            Self::Scheme(scheme) => scheme.signs_body(),
            Self::Jws(_) => true,
            Self::Token(_) => false,
        }
    }

    /// Whether everything that a selector reads is signed.
    pub(super) fn signs(&self, selector: &Selector) -> bool {
        selector.steps().iter().all(|step| match (step, self) {
            (Step::Text(_), _) => true,
            (Step::Header(name), Self::Scheme(scheme)) => scheme.signs_id() && scheme.id.as_ref() == Some(name),
            (Step::Pointer(pointer), Self::Scheme(scheme)) => scheme.signs_field(pointer),
            (Step::Pointer(_), _) => self.signs_body(),
            (Step::Header(_), _) => false,
        })
    }

    pub(super) fn checks(&self) -> Checks {
        match self {
            Self::Scheme(scheme) => scheme.checks(),
            Self::Jws(jws) => Checks {
                scheme: "JSON Web Signature with HS256".to_owned(),
                place: Some(jws.proof.place()),
                signed_content: format!("{{sha256 of body as the claim `{}`}}", jws.digest.trim_start_matches('/')),
                ..scheme::no_checks()
            },
            Self::Token(token) => {
                Checks { scheme: "token, compared".to_owned(), place: Some(token.proof.place()), ..scheme::no_checks() }
            }
        }
    }
}

/// What proves the requests of a pack.
pub(super) fn proven(pack: &'static Pack, settings: Settings) -> Result<Proven, Vec<Fault>> {
    let signature = &pack.signature;
    let proof = proof(pack);
    let method = match signature.scheme {
        format::Scheme::HmacSha1 => Method::Hmac(Algorithm::Sha1),
        format::Scheme::HmacSha256 => Method::Hmac(Algorithm::Sha256),
        format::Scheme::HmacSha512 => Method::Hmac(Algorithm::Sha512),
        format::Scheme::Ed25519 => Method::KeyPair(KeyPair::Ed25519),
        format::Scheme::EcdsaP256 => Method::KeyPair(KeyPair::EcdsaP256),
        format::Scheme::Token => return Ok(Proven::Token(Token { proof, prefix: &signature.prefix })),
        format::Scheme::JwsHs256 => {
            let (issuer, digest) =
                (expected(pack, signature.issuer.as_deref()), expected(pack, signature.digest.as_deref()));
            return Ok(Proven::Jws(Jws { proof, issuer, digest }));
        }
    };
    let public_url = settings.public_url.map(check_url).transpose().map_err(|fault| vec![fault])?;
    Ok(Proven::Scheme(Scheme {
        prefix: Cow::Borrowed(&signature.prefix),
        separators: signature.separators.chars().collect(),
        method,
        encoding: signature.encoding,
        secret: match signature.secret_encoding {
            format::SecretEncoding::Text => SecretEncoding::Text,
            format::SecretEncoding::Hex => SecretEncoding::Hex,
            format::SecretEncoding::Base64 => SecretEncoding::Base64,
            format::SecretEncoding::Whsec => SecretEncoding::Marked,
        },
        content: content(pack),
        time: time(pack, settings.tolerance).map_err(|fault| vec![fault])?,
        id: signature.id.as_deref().map(|name| header(pack, name)),
        public_url,
        unsigned: signature.unsigned.iter().map(String::as_str).collect(),
        ..Scheme::new(proof)
    }))
}

fn proof(pack: &'static Pack) -> Proof {
    let Signature { header: name, query, field, .. } = &pack.signature;
    match (name, query, field) {
        (Some(name), None, None) => Proof::Header(header(pack, name), name),
        (None, Some(name), None) => Proof::Query(name),
        (None, None, Some(pointer)) => Proof::Field(pointer),
        _ => panic!("packs/{}.toml: one of `header`, `query` and `field` says where the proof stands", pack.name),
    }
}

fn content(pack: &'static Pack) -> Vec<Part> {
    let pieces = template::pieces(&pack.signature.content);
    let Ok(pieces) = pieces else { panic!("packs/{}.toml: a brace of `content` is not closed", pack.name) };
    let part = |piece: Piece<'static>| match piece {
        Piece::Text(text) => Part::Text(text.into()),
        Piece::Name("body") => Part::Body,
        Piece::Name("timestamp") => Part::Time,
        Piece::Name("id") => Part::Id,
        Piece::Name("url") => Part::Url,
        Piece::Name("parameters") => Part::Parameters,
        Piece::Name(field) if field.starts_with('/') => match field.strip_suffix('?') {
            Some(pointer) => Part::Field { pointer, is_optional: true },
            None => Part::Field { pointer: field, is_optional: false },
        },
        Piece::Name(other) => panic!("packs/{}.toml: `{{{other}}}` of `content` stands for nothing", pack.name),
    };
    pieces.into_iter().map(part).collect()
}

fn time(
    pack: &'static Pack,
    tolerance: Option<hook_core::duration::HumanDuration>,
) -> Result<Option<SignedTime>, Fault> {
    let (Some(place), Some(tolerance)) = (pack.signature.timestamp.as_deref(), tolerance) else { return Ok(None) };
    let place = match place.split_once(':') {
        Some(("header", name)) => TimePlace::Header(header(pack, name)),
        // Elements end with `=`, which a list of one string can say and a static slice has to.
        Some(("element", "t")) => TimePlace::Element(&["t="]),
        Some(("element", "ts")) => TimePlace::Element(&["ts="]),
        Some(("element", "timestamp")) => TimePlace::Element(&["timestamp="]),
        None if place.starts_with('/') => TimePlace::Pointer(place.to_owned()),
        _ => panic!("packs/{}.toml: `timestamp` is no place", pack.name),
    };
    let format = match pack.signature.timestamp_format {
        format::TimeFormat::Seconds => TimeFormat::Seconds,
        format::TimeFormat::Milliseconds => TimeFormat::Milliseconds,
        format::TimeFormat::Rfc3339 => TimeFormat::Rfc3339,
    };
    freshness::tolerance(tolerance).map(|tolerance| Some(SignedTime { place, format, tolerance }))
}

fn header(pack: &Pack, name: &str) -> HeaderName {
    name.parse().unwrap_or_else(|_| panic!("packs/{}.toml: `{name}` is no name of a header", pack.name))
}

fn expected<'p>(pack: &Pack, value: Option<&'p str>) -> &'p str {
    value.unwrap_or_else(|| panic!("packs/{}.toml: a `jws-hs256` needs `issuer` and `digest`", pack.name))
}

/// What is signed is compared as text, so that an address has to be written as the provider has it.
fn check_url(text: String) -> Result<String, Fault> {
    let is_http = |url: url::Url| matches!(url.scheme(), "https" | "http") && url.fragment().is_none();
    match url::Url::parse(&text).is_ok_and(is_http) {
        true => Ok(text),
        false => {
            let help = "write the address as the provider has it, such as `https://hooks.example.com/webhook/square`";
            Err(Fault::at("/public_url", "this is no address of a webhook", help))
        }
    }
}
