//! The arguments of a call, and the event that they are.
//!
//! They are read from the bytes of the request and not from what the SDK has made of them: a payload goes through as it was
//! sent, to the digit of a number and the order of its keys.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use bytes::Bytes;
use hook_core::{
    clock::{Clock, SystemClock},
    event::{RawEvent, RequestId, Stated},
    names::{AdapterId, EventType, SourceName},
    ports::ingress::{Refused, RejectionKind},
};
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json, value::RawValue};

/// What names a delivery is not longer.
const LONGEST_ID: usize = 256;
/// A provider sends a few headers of its own.
const MOST_HEADERS: usize = 64;
const NAMES: [&str; 5] = ["source", "payload", "event_type", "headers", "metadata"];
const TRACEPARENT: &str = "traceparent";

/// A request as it came, beside what the SDK reads of it.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) body: Bytes,
    pub(super) peer: IpAddr,
}

/// The part of a request that is read again.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    arguments: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// What a caller may say of its event beside the payload.
#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    delivery_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ordering_key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    traceparent: Option<Cow<'a, str>>,
}

/// What the SDK is to read of a request: a payload is none of its business, and it would refuse what others take. `None` where the
/// request is no JSON.
pub(super) fn without_payload(body: &Bytes) -> Option<Bytes> {
    serde_json::from_slice::<IgnoredAny>(body).ok()?;
    let message = serde_json::from_slice::<Message<'_>>(body).ok();
    let payload = message.and_then(|message| message.params.arguments.get("payload").copied());
    let Some(payload) = payload.filter(|payload| payload.get().starts_with('{')) else { return Some(body.clone()) };
    let from = payload.get().as_ptr() as usize - body.as_ptr() as usize;
    let (before, behind) = (&body[..from], &body[from + payload.get().len()..]);
    Some([before, b"{}", behind].concat().into())
}

/// The arguments of one call.
pub(super) struct Call<'a> {
    arguments: BTreeMap<Cow<'a, str>, &'a RawValue>,
    asked: &'a Asked,
}

impl<'a> Call<'a> {
    /// Reads the arguments of a call.
    pub(super) fn read(asked: &'a Asked) -> Result<Self, Refused> {
        let message: Message<'_> =
            serde_json::from_slice(&asked.body).map_err(|_| malformed("`arguments` has to be an object"))?;
        let arguments = message.params.arguments;
        if arguments.keys().any(|name| !NAMES.contains(&name.as_ref())) {
            return Err(malformed(format!("there are no other arguments than {}", NAMES.join(", "))));
        }
        Ok(Self { arguments, asked })
    }

    /// The name of the source.
    pub(super) fn source(&self) -> Result<Cow<'a, str>, Refused> {
        self.text("source")?.ok_or_else(|| malformed("`source` is missing: the name of a source of the contract"))
    }

    /// The event, of a source that is known.
    pub(super) fn event(
        &self,
        adapter: &AdapterId,
        source: SourceName,
        head: &Parts,
        is_sender_proven: bool,
        most_bytes: usize,
    ) -> Result<RawEvent, Refused> {
        let payload = self.payload(most_bytes)?;
        let metadata = self.metadata()?;
        let event_type = self.text("event_type")?.map(|name| EventType::new(&*name)).transpose();
        // What is wrong with it would show it.
        let event_type = event_type.map_err(|_| malformed("`event_type` has to be 1 to 256 characters of text"))?;
        let mut headers = self.headers(&head.headers)?;
        if let Some(traceparent) = metadata.traceparent {
            let value = HeaderValue::try_from(&*traceparent);
            headers.insert(TRACEPARENT, value.map_err(|_| malformed("`metadata.traceparent` is not one"))?);
        }
        Ok(RawEvent {
            request_id: RequestId::generate(),
            adapter: adapter.clone(),
            source,
            url: head.uri.path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default(),
            headers,
            body: payload,
            received_at: SystemClock.now(),
            peer: Some(self.asked.peer),
            stated: Some(Stated {
                event_type,
                delivery_id: id("metadata.delivery_id", metadata.delivery_id)?,
                is_sender_proven,
                ordering_key: id("metadata.ordering_key", metadata.ordering_key)?,
            }),
        })
    }

    fn payload(&self, most_bytes: usize) -> Result<Bytes, Refused> {
        let payload = self.arguments.get("payload").ok_or_else(|| malformed("`payload` is missing: an object"))?;
        if !payload.get().starts_with('{') {
            return Err(malformed("`payload` has to be an object"));
        }
        if payload.get().len() > most_bytes {
            let message = format!("the payload is over the limit of {most_bytes} bytes");
            return Err(refused(RejectionKind::TooLarge, "body_too_large", message));
        }
        Ok(self.asked.body.slice_ref(payload.get().as_bytes()))
    }

    /// The headers of the event as its provider sent it, for the source's verifier; what the call does not say, the request
    /// does.
    fn headers(&self, request: &HeaderMap) -> Result<HeaderMap, Refused> {
        let mut headers = request.clone();
        let Some(given) = self.arguments.get("headers").filter(|raw| raw.get() != "null") else { return Ok(headers) };
        let wrong = || malformed(format!("`headers` has to be an object of at most {MOST_HEADERS} names and values"));
        let given: BTreeMap<Cow<'_, str>, Cow<'_, str>> = serde_json::from_str(given.get()).map_err(|_| wrong())?;
        if given.len() > MOST_HEADERS {
            return Err(wrong());
        }
        for (name, value) in given {
            let header = HeaderName::try_from(&*name).ok().zip(HeaderValue::try_from(&*value).ok());
            let (name, value) = header.ok_or_else(|| malformed("`headers` holds what is no header"))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn metadata(&self) -> Result<Metadata<'a>, Refused> {
        let Some(given) = self.arguments.get("metadata").filter(|raw| raw.get() != "null") else {
            return Ok(Metadata::default());
        };
        // A list of the three would be read as well.
        let object = Some(given.get()).filter(|text| text.starts_with('{')).unwrap_or_default();
        serde_json::from_str(object).map_err(|_| {
            malformed(
                "`metadata` has to be an object; `delivery_id`, `ordering_key` and `traceparent` in it have to be text",
            )
        })
    }

    fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Refused> {
        let Some(given) = self.arguments.get(name) else { return Ok(None) };
        let text: Option<Text<'a>> =
            serde_json::from_str(given.get()).map_err(|_| malformed(format!("`{name}` has to be text")))?;
        Ok(text.map(|text| text.0))
    }
}

/// Borrowed where nothing is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn id(name: &str, given: Option<Cow<'_, str>>) -> Result<Option<String>, Refused> {
    let Some(text) = given else { return Ok(None) };
    if text.is_empty() || text.len() > LONGEST_ID || text.chars().any(char::is_control) {
        return Err(malformed(format!("`{name}` has to be 1 to {LONGEST_ID} bytes of text")));
    }
    Ok(Some(text.into_owned()))
}

fn malformed(message: impl Into<String>) -> Refused {
    refused(RejectionKind::Malformed, "malformed_call", message)
}

fn refused(kind: RejectionKind, code: &'static str, message: impl Into<String>) -> Refused {
    Refused { kind, code, message: message.into(), retry_after: None }
}

/// What a client is told that it may send (JSON Schema 2020-12).
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "source": {
                "type": "string",
                "description": "Who the event comes from: the name of a source of this pipeline's contract."
            },
            "payload": { "type": "object", "description": "The event itself. It is kept as it is sent." },
            "event_type": {
                "type": "string",
                "description": "What happened, such as `issue.opened`. Left out, it is what the source says, else `unknown`."
            },
            "headers": {
                "type": "object",
                "additionalProperties": { "type": "string" },
                "description": "The headers that the provider sent the event with, where this call hands on somebody's webhook: its signature is checked like any other."
            },
            "metadata": {
                "type": "object",
                "properties": {
                    "delivery_id": {
                        "type": "string",
                        "description": "Names this event. A call that is repeated under the same name is answered `duplicate` and changes nothing."
                    },
                    "ordering_key": { "type": "string", "description": "Events of one key are delivered in order." },
                    "traceparent": { "type": "string", "description": "The trace that the event belongs to (W3C Trace Context)." }
                },
                "description": "What is known of the event beside its payload. Other keys are not kept."
            }
        },
        "required": ["source", "payload"],
        "additionalProperties": false
    })
}
