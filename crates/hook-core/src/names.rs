//! Names parsed once, at the edge, into types that cannot be wrong. All of them are cheap to clone.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// Text that is not a name of the kind asked for. `Display` says what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected}, found `{found}`")]
pub struct NameError {
    /// What a right name looks like, with an example.
    pub expected: &'static str,
    /// What was there instead, cut to 80 characters.
    pub found: String,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $schema:literal, $pattern:literal, $expected:literal, $is_valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name, or says what a right one looks like.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(text) {
                    return Ok(Self(text.into()));
                }
                Err(NameError { expected: $expected, found: text.chars().take(80).collect() })
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $schema, "pattern": $pattern })
            }
        }
    };
}

name!(
    /// The id of an app: kebab-case, such as `github-to-agent`.
    AppId, "app-id", "^[a-z0-9]+(-[a-z0-9]+)*$", "a kebab-case id such as `github-to-agent`",
    |text| text.len() <= 64 && text.split('-').all(|part| !part.is_empty() && part.bytes().all(is_lower_alphanumeric))
);
name!(
    /// The id of an adapter, such as `openclaw-output`.
    AdapterId, "adapter-id", "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$",
    "an id of letters, digits, `-` and `_`, such as `openclaw-output`", is_id
);
name!(
    /// The id of a route, such as `core-to-openclaw`.
    RouteId, "route-id", "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$",
    "an id of letters, digits, `-` and `_`, such as `core-to-openclaw`", is_id
);
name!(
    /// The name of a source, such as `github`. Lower-case.
    SourceName, "source-name", "^[a-z0-9][a-z0-9_-]{0,63}$",
    "a lower-case source name such as `github`",
    |text| text.len() <= 64
        && text.bytes().next().is_some_and(is_lower_alphanumeric)
        && text.bytes().all(|byte| is_lower_alphanumeric(byte) || matches!(byte, b'-' | b'_'))
);
name!(
    /// The name of a topic, in the alphabet that Kafka allows: such as `webhooks.core`.
    TopicName, "topic-name", "^[A-Za-z0-9._-]{1,249}$",
    "a topic of letters, digits, `.`, `_` and `-`, such as `webhooks.core`",
    |text| !text.is_empty()
        && text.len() <= 249
        && text != "."
        && text != ".."
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
);
name!(
    /// What kind of event it is, such as `pull_request.opened`. At most 256 bytes, without control characters.
    EventType, "event-type", "^[^\\u0000-\\u001f\\u007f]{1,256}$",
    "an event type such as `pull_request.opened`, of at most 256 bytes and without control characters",
    |text| !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control)
);
name!(
    /// The name of an environment variable, such as `HMAC_SECRET_GITHUB`.
    EnvName, "env-name", "^[A-Za-z_][A-Za-z0-9_]*$",
    "the name of an environment variable such as `HMAC_SECRET_GITHUB`",
    |text| text.len() <= 256
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
);
name!(
    /// The name of a durable cursor, on Kafka its group id: `<app id>.<route id>.<adapter id>`.
    CursorName, "cursor-name", "^[A-Za-z0-9._-]{1,400}$",
    "a cursor name such as `my-app.core-to-agent.agent`",
    |text| !text.is_empty()
        && text.len() <= 400
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
);

impl CursorName {
    /// The cursor of one destination of one route.
    pub fn of_destination(app: &AppId, route: &RouteId, adapter: &AdapterId) -> Self {
        Self(format!("{app}.{route}.{adapter}").into())
    }

    /// The cursor of an app's relay.
    pub fn of_relay(app: &AppId) -> Self {
        Self(format!("{app}.relay").into())
    }

    /// Whether this cursor belongs to that app.
    pub fn belongs_to(&self, app: &AppId) -> bool {
        self.0.strip_prefix(app.as_str()).is_some_and(|rest| rest.starts_with('.'))
    }
}

impl EventType {
    /// The type of an event whose source says nothing about it.
    pub fn unknown() -> Self {
        Self("unknown".into())
    }
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_id(text: &str) -> bool {
    text.len() <= 128
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A pattern with `*` (any text, dots included) and `?` (any one character), matched against the whole name.
#[derive(Debug, Clone)]
pub struct Glob(wildmatch::WildMatch);

impl Glob {
    /// Every text is a glob.
    pub fn new(pattern: &str) -> Self {
        Self(wildmatch::WildMatch::new(pattern))
    }

    /// Whether the whole of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }

    /// Whether the pattern is plain text, which matches only itself.
    pub fn is_literal(&self) -> bool {
        !self.0.to_string().contains(['*', '?'])
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&Cow::<str>::deserialize(deserializer)?))
    }
}

impl JsonSchema for Glob {
    fn schema_name() -> Cow<'static, str> {
        "Glob".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "glob", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_their_pattern_refuses() {
        assert!(AppId::new("github-to-agent").is_ok());
        for wrong in ["", "-a", "a-", "a--b", "A", "a_b"] {
            assert!(AppId::new(wrong).is_err(), "{wrong}");
        }
        assert!(SourceName::new("GitHub").is_err());
        assert!(TopicName::new("..").is_err());
        assert!(EventType::new("a\nb").is_err());
        assert!(EnvName::new("1A").is_err());
    }

    #[test]
    fn a_glob_star_crosses_dots() {
        assert!(Glob::new("pull_request.*").matches("pull_request.review.submitted"));
        assert!(Glob::new("*").matches(""));
        assert!(!Glob::new("issues.?").matches("issues.10"));
    }

    #[test]
    fn the_cursor_of_the_longest_ids_is_a_legal_name() {
        let app = AppId::new("a".repeat(64)).unwrap();
        let (route, adapter) = (RouteId::new("r".repeat(128)).unwrap(), AdapterId::new("A_-".repeat(42)).unwrap());
        for cursor in [CursorName::of_destination(&app, &route, &adapter), CursorName::of_relay(&app)] {
            assert_eq!(CursorName::new(cursor.as_str()).as_ref(), Ok(&cursor));
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_app_and_no_other() {
        let cursor = CursorName::new("my-app.route.out").unwrap();
        assert!(cursor.belongs_to(&AppId::new("my-app").unwrap()));
        assert!(!cursor.belongs_to(&AppId::new("my").unwrap()));
    }
}
