//! Requests by which a provider asks whether an address is ours. They are answered, and nothing is published.

use bytes::Bytes;
use hook_core::{
    payload::Payload,
    ports::verifier::{Refusal, Reply},
    secret::Secret,
};
use hook_http::server::token;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::{format, selector::Step};
use crate::verify::{
    address,
    signature::{Algorithm, SecretEncoding},
    template::{self, Piece},
};

/// Longer than any challenge that is known. Whoever asks chooses what we answer: it stays short, and is text.
const LONGEST: usize = 1024;

/// A challenge and its answer.
pub(super) struct Challenge {
    format: &'static format::Challenge,
    when: Vec<(Place, &'static str)>,
    absent: Vec<Place>,
    token: Option<Place>,
    answer: Answer,
}

/// Where a value stands.
enum Place {
    Of(Step),
    Query(&'static str),
    /// The HMAC of a field.
    Hmac(Step),
}

enum Answer {
    Text(Vec<Place>),
    Json(Vec<(&'static str, Vec<Place>)>),
    Body(&'static str),
}

/// What a challenge is read from.
struct Asked<'a> {
    headers: &'a HeaderMap,
    payload: Option<&'a Payload>,
    url: &'a str,
    secret: Option<&'a Secret>,
}

impl Challenge {
    pub(super) fn new(format: &'static format::Challenge) -> Result<Self, String> {
        let place = |text: &'static str| Place::parse(text).ok_or_else(|| format!("`{text}` is no place"));
        let when = format.when.iter().map(|(at, value)| Ok((place(at)?, value.as_str())));
        let answer = match (&format.text, &format.json, &format.body) {
            (Some(text), None, None) => Answer::Text(template_of(text)?),
            (None, Some(members), None) => {
                let member = |(name, text): (&'static String, &'static String)| Ok((name.as_str(), template_of(text)?));
                Answer::Json(members.iter().map(member).collect::<Result<_, String>>()?)
            }
            (None, None, Some(body)) => Answer::Body(body),
            _ => return Err("a challenge has one of `text`, `json` and `body`".to_owned()),
        };
        Ok(Self {
            when: when.collect::<Result<_, String>>()?,
            absent: format.absent.iter().map(|text| place(text)).collect::<Result<_, String>>()?,
            token: format.token.as_deref().map(place).transpose()?,
            answer,
            format,
        })
    }

    pub(super) fn is_posted(&self) -> bool {
        self.method() == Method::POST
    }

    fn method(&self) -> Method {
        match self.format.method {
            format::Method::Post => Method::POST,
            format::Method::Get => Method::GET,
            format::Method::Head => Method::HEAD,
        }
    }

    pub(super) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// The answer to a POST whose signature has passed; `None` where it is an event.
    pub(super) fn answer_post(&self, headers: &HeaderMap, payload: &Payload, secret: Option<&Secret>) -> Option<Reply> {
        let asked = Asked { headers, payload: Some(payload), url: "", secret };
        self.is_asked(&asked).then(|| self.reply(&asked)).flatten()
    }

    /// The answer to a request without a body; `None` where it is not this challenge.
    pub(super) fn answer_without_body(
        &self,
        method: &Method,
        url: &str,
        token: Option<&Secret>,
    ) -> Option<Result<Reply, Refusal>> {
        let headers = HeaderMap::new();
        let asked = Asked { headers: &headers, payload: None, url, secret: None };
        if self.is_posted() || self.method() != *method || !self.is_asked(&asked) {
            return None;
        }
        let reply = self.reply(&asked)?;
        Some(self.check_token(&asked, token).map(|()| reply))
    }

    fn check_token(&self, asked: &Asked<'_>, token: Option<&Secret>) -> Result<(), Refusal> {
        let Some(place) = &self.token else { return Ok(()) };
        let token = token.and_then(token::of_secret).ok_or(Refusal::NoSecret)?;
        let given = place.find(asked).unwrap_or_default();
        match token::are_equal(token, given.as_bytes()) {
            true => Ok(()),
            false => Err(Refusal::SignatureMismatch),
        }
    }

    fn is_asked(&self, asked: &Asked<'_>) -> bool {
        self.when.iter().all(|(place, value)| place.find(asked).as_deref() == Some(value))
            && self.absent.iter().all(|place| place.find(asked).is_none())
    }

    fn reply(&self, asked: &Asked<'_>) -> Option<Reply> {
        let (body, usual) = match &self.answer {
            Answer::Text(text) => (written(text, asked)?, "text/plain; charset=utf-8"),
            Answer::Json(members) => {
                let member =
                    |(name, text): &(&str, Vec<Place>)| Some(((*name).to_owned(), written(text, asked)?.into()));
                let object: Map<String, Value> = members.iter().map(member).collect::<Option<_>>()?;
                (Value::Object(object).to_string(), "application/json")
            }
            Answer::Body("") => (String::new(), ""),
            Answer::Body(body) => ((*body).to_owned(), "application/json"),
        };
        let content_type = self.format.content_type.as_deref().unwrap_or(usual).to_owned();
        Some(Reply { status: self.format.status, content_type, body: Bytes::from(body) })
    }
}

impl Place {
    fn parse(text: &'static str) -> Option<Self> {
        match text.split_once(':') {
            Some(("query", name)) => Some(Self::Query(name)),
            Some(("hmac", pointer)) => Step::parse(pointer).map(Self::Hmac),
            _ => Step::parse(text).map(Self::Of),
        }
    }

    fn find(&self, asked: &Asked<'_>) -> Option<String> {
        let of = |step: &Step| match (step, asked.payload) {
            (Step::Pointer(_), None) => None,
            (step, Some(payload)) => step.select(asked.headers, payload),
            (Step::Text(text), None) => Some((*text).to_owned()),
            (Step::Header(_), None) => None,
        };
        match self {
            Self::Of(step) => of(step),
            Self::Query(name) => address::parameter(asked.url, name).map(std::borrow::Cow::into_owned),
            Self::Hmac(step) => {
                let key = SecretEncoding::Text.key(asked.secret?)?;
                Some(hex::encode(Algorithm::Sha256.mac(&key, &[of(step)?.as_bytes()])))
            }
        }
    }
}

fn template_of(text: &'static str) -> Result<Vec<Place>, String> {
    let pieces = template::pieces(text).map_err(|_| format!("a brace of `{text}` is not closed"))?;
    let place = |piece| match piece {
        Piece::Text(text) => Ok(Place::Of(Step::Text(text))),
        Piece::Name(name) => Place::parse(name).ok_or_else(|| format!("`{{{name}}}` stands for nothing")),
    };
    pieces.into_iter().map(place).collect()
}

/// A text with its values; `None` where one of them is missing, or is nothing that we would repeat.
fn written(text: &[Place], asked: &Asked<'_>) -> Option<String> {
    let written: String = text.iter().map(|place| place.find(asked)).collect::<Option<_>>()?;
    let may_be_said =
        !written.is_empty() && written.len() <= LONGEST && written.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    may_be_said.then_some(written)
}
