//! Where in a request its proof stands: a signature, or a token.

use std::borrow::Cow;

use bytes::Bytes;
use hook_core::{
    payload::Payload,
    ports::verifier::{Place, Refusal, Signed, SignedRequest},
};
use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::{address, header};

/// The place of a proof.
pub(crate) enum Proof {
    /// A header, and what a refusal calls it.
    Header(HeaderName, &'static str),
    /// A parameter of the URL.
    Query(&'static str),
    /// A field of the body.
    Field(&'static str),
}

impl Proof {
    /// In a header of ours.
    pub(crate) fn header(name: &'static str) -> Self {
        Self::Header(HeaderName::try_from(name).expect("our own header names are valid"), name)
    }

    /// The place, for people.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Header(_, shown) => Place::Header(shown),
            Self::Query(name) => Place::Query(name),
            Self::Field(pointer) => Place::Field(pointer),
        }
    }

    /// Whether it stands in the body, which is read then before anything has proven it.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self, Self::Field(_))
    }

    /// The text of the proof. `fields` are the body, where that is read.
    pub(crate) fn find<'r>(
        &self,
        request: &SignedRequest<'r>,
        fields: Option<&Payload>,
    ) -> Result<Cow<'r, str>, Refusal> {
        let found = match self {
            Self::Header(name, _) => {
                header::only(request.headers, name).map_err(|_| Refusal::MalformedSignature)?.map(Cow::Borrowed)
            }
            Self::Query(name) => {
                let is_there = address::parameters(request.url).any(|(key, _)| key == *name);
                let value = address::parameter(request.url, name);
                if is_there && value.is_none() {
                    return Err(Refusal::MalformedSignature);
                }
                value
            }
            Self::Field(pointer) => fields.and_then(|fields| fields.string(pointer)).map(Cow::Owned),
        };
        found.ok_or(Refusal::MissingSignature { place: self.place() })
    }

    /// Puts a proof where it is looked for. `body` is what is sent, where its proof stands in it.
    pub(crate) fn put(&self, value: &str, signed: &mut Signed, body: Option<Value>) -> Option<()> {
        match self {
            Self::Header(name, _) => {
                let mut value = HeaderValue::try_from(value).ok()?;
                value.set_sensitive(true);
                signed.headers.insert(name, value);
            }
            Self::Query(name) => signed.parameter = Some(((*name).to_owned(), value.to_owned())),
            Self::Field(pointer) => {
                let mut body = body?;
                *body.pointer_mut(pointer)? = value.into();
                signed.body = Some(body.to_string().into_bytes());
            }
        }
        Some(())
    }
}

/// The fields of a body that nothing has proven yet, within the limits of every payload.
pub(crate) fn fields(body: &[u8]) -> Result<Payload, Refusal> {
    Payload::parse(Bytes::copy_from_slice(body)).map_err(|_| Refusal::MalformedSignature)
}
