//! Where in a request a value stands: `header:NAME`, or a JSON pointer into the body.

use std::{borrow::Cow, fmt, str::FromStr};

use http::{HeaderMap, HeaderName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

use crate::payload::Payload;

/// The place of a value in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A header's value.
    Header(HeaderName),
    /// A string, number or boolean at an RFC 6901 pointer.
    Pointer(String),
}

/// Text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected `header:NAME` or a JSON pointer such as `/data/id`, found `{found}`")]
pub struct SelectorError {
    /// What was there, cut to 80 characters.
    pub found: String,
}

impl Selector {
    /// The value in a request; `None` where it is absent, empty, or not text.
    pub fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<String> {
        let value = match self {
            Self::Header(name) => headers.get(name)?.to_str().ok()?.trim().to_owned(),
            Self::Pointer(pointer) => payload.scalar(pointer)?,
        };
        Some(value).filter(|value| !value.is_empty())
    }
}

impl FromStr for Selector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let refuse = || SelectorError { found: text.chars().take(80).collect() };
        match text.strip_prefix("header:") {
            Some(name) => name.parse().map(Self::Header).map_err(|_| refuse()),
            None if text.starts_with('/') => Ok(Self::Pointer(text.to_owned())),
            None => Err(refuse()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Pointer(pointer) => f.write_str(pointer),
        }
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "selector", "pattern": "^(header:[!#-'*+.^_`|~0-9A-Za-z-]+|/.*)$", "examples": ["header:X-Event", "/data/id"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_header_or_a_pointer() {
        assert!(matches!("header:X-GitHub-Event".parse(), Ok(Selector::Header(_))));
        assert!(matches!("/data/id".parse(), Ok(Selector::Pointer(_))));
        assert!("data.id".parse::<Selector>().is_err());
        assert!("header:".parse::<Selector>().is_err());
    }
}
