//! The JSON object of an event, kept as the bytes that came. Fields are looked up in place; nothing is re-serialised.

use std::{borrow::Cow, collections::HashSet, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use thiserror::Error;

/// How deep a payload may nest. The outermost object is level 1.
pub const MAX_DEPTH: usize = 128;
/// Up to so many keys are compared with each other.
const FEW_KEYS: usize = 24;

/// Bytes that hold exactly one JSON object, no deeper than [`MAX_DEPTH`], whose top-level keys are distinct.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Bytes,
    /// The top-level members, where the bytes were parsed here: what is looked up in them is not looked for.
    members: Option<Arc<[Member]>>,
}

/// A member of the object: its key, and where its value stands.
#[derive(Debug)]
struct Member {
    key: Key,
    value: Range<usize>,
}

#[derive(Debug)]
enum Key {
    /// As it stands in the text.
    Plain(Range<usize>),
    /// Written with escapes.
    Escaped(Box<str>),
}

impl Member {
    fn key<'a>(&'a self, text: &'a str) -> &'a str {
        match &self.key {
            Key::Plain(place) => &text[place.clone()],
            Key::Escaped(key) => key,
        }
    }
}

/// Why bytes are not a payload. Says which rule failed, never what the bytes were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PayloadError {
    /// There is no body.
    #[error("the body is empty; send one JSON object")]
    Empty,
    /// The bytes are not UTF-8.
    #[error("the body is not valid UTF-8")]
    NotUtf8,
    /// The body looks like an HTML form.
    #[error("the body is form-encoded; choose the content type application/json in the sender's webhook settings")]
    FormEncoded,
    /// The body is not JSON at all.
    #[error("the body is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error, from 1.
        column: usize,
    },
    /// The body is JSON of another shape.
    #[error("the body is JSON, but not an object")]
    NotAnObject,
    /// The nesting exceeds [`MAX_DEPTH`].
    #[error("the body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Two top-level keys are equal, so that two readers could see two different events.
    #[error("the body has two equal top-level keys")]
    DuplicateKey,
}

impl Payload {
    /// Checks bytes that came from outside. Time is linear in their length, and no recursion depends on them.
    pub fn parse(bytes: Bytes) -> Result<Self, PayloadError> {
        let text = std::str::from_utf8(&bytes).map_err(|_| PayloadError::NotUtf8)?;
        let start = text.trim_ascii_start();
        if start.is_empty() {
            return Err(PayloadError::Empty);
        }
        if depth_of(text.as_bytes()) > MAX_DEPTH {
            return Err(PayloadError::TooDeep);
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let members = match start.starts_with('{') {
            true => deserializer.deserialize_map(TopLevel { text }),
            false => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| None),
        };
        match members.and_then(|members| deserializer.end().map(|()| members)) {
            Err(_) if looks_form_encoded(start) => Err(PayloadError::FormEncoded),
            Err(error) => Err(PayloadError::NotJson { line: error.line(), column: error.column() }),
            Ok(_) if !start.starts_with('{') => Err(PayloadError::NotAnObject),
            Ok(None) => Err(PayloadError::DuplicateKey),
            Ok(Some(members)) => Ok(Self { members: Some(members.into()), bytes }),
        }
    }

    /// Takes bytes that [`Payload::parse`] has accepted before, such as those that come back from the log.
    pub fn from_checked(bytes: Bytes) -> Self {
        Self { bytes, members: None }
    }

    /// The bytes as received.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The JSON text at an RFC 6901 pointer; `None` where there is nothing, or where a step leads into a scalar.
    pub fn pointer(&self, pointer: &str) -> Option<&RawValue> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        let mut steps = pointer.split('/');
        if !steps.next()?.is_empty() {
            return None;
        }
        let mut value = text.trim_ascii();
        if let (Some(members), Some(first)) = (&self.members, steps.clone().next()) {
            steps.next();
            let first = unescape(first);
            let member = members.iter().find(|member| member.key(text) == first)?;
            value = text.get(member.value.clone())?;
        }
        for step in steps {
            value = child(value, &unescape(step))?;
        }
        serde_json::from_str(value).ok()
    }

    /// The string at a pointer; `None` where there is none or something else.
    pub fn string(&self, pointer: &str) -> Option<String> {
        serde_json::from_str(self.pointer(pointer)?.get()).ok()
    }

    /// The string, number or boolean at a pointer, as text. What keys and ids are read with.
    pub fn scalar(&self, pointer: &str) -> Option<String> {
        let text = self.pointer(pointer)?.get();
        match text.as_bytes().first()? {
            b'"' => serde_json::from_str(text).ok(),
            b'{' | b'[' | b'n' => None,
            _ => Some(text.to_owned()),
        }
    }

    /// Appends the object without the whitespace outside its strings: one line, every value verbatim.
    pub fn write_compact(&self, out: &mut Vec<u8>) {
        let (mut in_string, mut escaped) = (false, false);
        let mut start = 0;
        for (at, &byte) in self.bytes.iter().enumerate() {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else if byte == b'"' {
                in_string = true;
            } else if byte.is_ascii_whitespace() {
                out.extend_from_slice(&self.bytes[start..at]);
                start = at + 1;
            }
        }
        out.extend_from_slice(&self.bytes[start..]);
    }
}

/// The deepest nesting of brackets outside strings. Right for valid JSON, and an upper bound that stops at nothing
/// for anything else, which the parser then refuses.
fn depth_of(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => rest = behind_string(rest.as_slice()).iter(),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What follows a string, whose opening quote stands before `bytes`.
fn behind_string(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let skipped = if rest[at] == b'"' { 1 } else { 2 };
        let Some(after) = rest.get(at + skipped..) else { break };
        if rest[at] == b'"' {
            return after;
        }
        rest = after;
    }
    &[]
}

fn looks_form_encoded(text: &str) -> bool {
    text.split('&').next().is_some_and(|pair| {
        pair.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.%+[]".contains(&byte))
        })
    })
}

/// Walks an object once and says where its members are; `None` where two keys are equal.
struct TopLevel<'t> {
    text: &'t str,
}

impl<'de> Visitor<'de> for TopLevel<'de> {
    type Value = Option<Vec<Member>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // What was borrowed from the text stands in it.
        let place = |part: &str| {
            let start = part.as_ptr().addr() - self.text.as_ptr().addr();
            start..start + part.len()
        };
        let mut members = Vec::new();
        while let Some(BorrowedKey(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            let key = match key {
                Cow::Borrowed(key) => Key::Plain(place(key)),
                Cow::Owned(key) => Key::Escaped(key.into()),
            };
            members.push(Member { key, value: place(value.get()) });
        }
        let are_distinct = are_distinct(self.text, &members);
        Ok(are_distinct.then_some(members))
    }
}

fn are_distinct(text: &str, members: &[Member]) -> bool {
    let key = |member| Member::key(member, text);
    // Most objects have few keys, and comparing them beats hashing them.
    match members.len() <= FEW_KEYS {
        true => {
            members.iter().enumerate().all(|(at, member)| members[..at].iter().all(|other| key(other) != key(member)))
        }
        false => {
            let mut seen = HashSet::new();
            members.iter().all(|member| seen.insert(key(member)))
        }
    }
}

/// A key that borrows from the text unless it has escapes (`Cow` itself would always be copied by serde).
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct BorrowedKey<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of the member or element that one pointer step leads to.
fn child<'a>(value: &'a str, step: &str) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(value);
    match value.as_bytes().first()? {
        b'{' => deserializer.deserialize_map(Find(step)).ok()?.map(RawValue::get),
        b'[' => {
            // RFC 6901, section 4: digits without a leading zero, and no sign.
            let is_index = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
            let index: usize = is_index.then(|| step.parse().ok()).flatten()?;
            let elements: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            elements.get(index).map(|element| element.get())
        }
        _ => None,
    }
}

/// Finds a member of an object.
struct Find<'s>(&'s str);

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<BorrowedKey<'de>>()? {
            // The last of equal keys wins, as with most parsers; at the top level there are none.
            match key.0 == self.0 {
                true => found = Some(map.next_value()?),
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

fn unescape(step: &str) -> Cow<'_, str> {
    match step.contains('~') {
        true => step.replace("~1", "/").replace("~0", "~").into(),
        false => step.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Payload, PayloadError> {
        Payload::parse(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn nested(levels: usize) -> String {
        format!("{}{}{}", "{\"a\":".repeat(levels - 1), "{}", "}".repeat(levels - 1))
    }

    #[test]
    fn one_object_is_a_payload_and_nothing_else_is() {
        assert!(parse(" {\"a\": 1}\n").is_ok());
        assert_eq!(parse("").unwrap_err(), PayloadError::Empty);
        assert_eq!(parse("[1]").unwrap_err(), PayloadError::NotAnObject);
        assert_eq!(parse("42").unwrap_err(), PayloadError::NotAnObject);
        assert!(matches!(parse("{\"a\":1} {}"), Err(PayloadError::NotJson { .. })));
        assert!(matches!(parse("{\"a\":"), Err(PayloadError::NotJson { .. })));
        assert_eq!(parse("payload=%7B%7D&x=1").unwrap_err(), PayloadError::FormEncoded);
        assert_eq!(Payload::parse(Bytes::from_static(b"{\"a\":\"\xff\"}")).unwrap_err(), PayloadError::NotUtf8);
    }

    #[test]
    fn the_depth_limit_is_exact_and_ignores_brackets_in_strings() {
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)).unwrap_err(), PayloadError::TooDeep);
        assert!(parse(&format!("{{\"a\":\"{}\"}}", "[".repeat(500))).is_ok());
        assert_eq!(parse(&"[".repeat(1_000_000)).unwrap_err(), PayloadError::TooDeep);
    }

    #[test]
    fn equal_top_level_keys_are_refused_also_when_escaped() {
        assert_eq!(parse(r#"{"a":1,"a":2}"#).unwrap_err(), PayloadError::DuplicateKey);
        assert_eq!(parse(r#"{"a":1,"\u0061":2}"#).unwrap_err(), PayloadError::DuplicateKey);
        assert!(parse(r#"{"x":{"a":1},"y":{"a":2}}"#).is_ok());
        let many = |last: usize| (0..100).chain([last]).map(|key| format!("\"{key}\":0")).collect::<Vec<_>>().join(",");
        assert!(parse(&format!("{{{}}}", many(100))).is_ok());
        assert_eq!(parse(&format!("{{{}}}", many(42))).unwrap_err(), PayloadError::DuplicateKey);
    }

    #[test]
    fn pointers_find_members_elements_and_escaped_names() {
        let payload = parse(r#"{"a":{"b":[10,{"c/d":"x"}]},"n":7,"t":true,"z":null}"#).unwrap();
        assert_eq!(payload.pointer("/a/b/0").unwrap().get(), "10");
        assert_eq!(payload.string("/a/b/1/c~1d").unwrap(), "x");
        assert_eq!(payload.scalar("/n").unwrap(), "7");
        assert_eq!(payload.scalar("/z"), None);
        assert!(payload.pointer("/z").is_some());
        assert!(payload.pointer("/a/b/00").is_none());
        assert!(payload.pointer("/a/b/+1").is_none());
        assert!(payload.pointer("/a/q").is_none());
        assert!(payload.pointer("/n/q").is_none());
        assert!(payload.pointer("no-slash").is_none());
        let escaped = parse(r#"{"\u0061":{"b":"x"},"c":"\"}","d/e":1}"#).unwrap();
        assert_eq!(escaped.string("/a/b").unwrap(), "x");
        assert_eq!(escaped.string("/c").unwrap(), "\"}");
        assert_eq!(escaped.scalar("/d~1e").unwrap(), "1");
        for pointer in ["", "/a", "/a/b/1/c~1d", "/z", "/q", "/a/b/9"] {
            let again = Payload::from_checked(payload.bytes().clone());
            let (one, other) = (payload.pointer(pointer), again.pointer(pointer));
            assert_eq!(one.map(RawValue::get), other.map(RawValue::get), "{pointer}");
        }
    }

    #[test]
    fn compacting_keeps_strings_and_drops_the_rest_of_the_whitespace() {
        let payload = parse("{ \"a b\" : \"x \\\" y\\\\\" ,\n\t\"n\" : [ 1 , 2 ] }").unwrap();
        let mut out = Vec::new();
        payload.write_compact(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":"x \" y\\","n":[1,2]}"#);
    }
}
