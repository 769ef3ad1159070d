//! The strings of a JSON text, one after the other, without a tree: keys as well as values, and which field each one is.
//!
//! The text is taken to be valid, as it was checked before; where it is not, what comes out is not defined, but the walk ends.

use memchr::{memchr, memchr2};

use crate::tables::{Node, Table};

/// A string of the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'j> {
    /// What stands between the quotes, escapes and all.
    pub(crate) raw: &'j str,
    pub(crate) is_key: bool,
    /// Which field of the table it is.
    pub(crate) field: Option<usize>,
}

/// An object or an array that has begun.
struct Frame<'j> {
    is_object: bool,
    /// Where the table stands.
    node: Option<Node>,
    /// Where the table stands for the value that comes.
    next: Option<Node>,
    key: &'j str,
    index: u32,
    is_key_next: bool,
}

/// A walk through a text.
pub(crate) struct Walk<'j> {
    json: &'j str,
    at: usize,
    table: Option<&'j Table>,
    frames: Vec<Frame<'j>>,
}

impl<'j> Walk<'j> {
    pub(crate) fn new(json: &'j str, table: Option<&'j Table>) -> Self {
        Self { json, at: 0, table, frames: Vec::with_capacity(16) }
    }

    /// The RFC 6901 pointer to the value that was given last.
    pub(crate) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for frame in &self.frames {
            pointer.push('/');
            match frame.is_object {
                true => pointer.push_str(&frame.key.replace('~', "~0").replace('/', "~1")),
                false => pointer.push_str(&frame.index.to_string()),
            }
        }
        pointer
    }

    fn open(&mut self, is_object: bool) {
        let node = match self.frames.last() {
            Some(frame) => frame.next,
            None => self.table.map(|_| Node::ROOT),
        };
        let next = if is_object { None } else { self.child(node, "*") };
        self.frames.push(Frame { is_object, node, next, key: "", index: 0, is_key_next: is_object });
    }

    fn child(&self, node: Option<Node>, key: &str) -> Option<Node> {
        self.table?.child(node?, key)
    }

    /// A value that is written without quotes: a field of the table may be a number.
    fn scalar(&mut self, start: usize) -> Option<Part<'j>> {
        let rest = &self.json.as_bytes()[start..];
        let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b'\n' | b' ' | b'\r' | b'\t'));
        let length = length.unwrap_or(rest.len());
        self.at = start + length;
        let field = self.field()?;
        let raw = &self.json[start..self.at];
        (raw != "null").then_some(Part { raw, is_key: false, field: Some(field) })
    }

    fn field(&self) -> Option<usize> {
        self.table?.field(self.frames.last()?.next?)
    }

    fn string(&mut self) -> Part<'j> {
        let start = self.at + 1;
        let end = end_of_string(self.json.as_bytes(), start);
        self.at = end + 1;
        let raw = self.json.get(start..end).unwrap_or_default();
        let is_key = self.frames.last().is_some_and(|frame| frame.is_key_next);
        if is_key {
            let node = self.frames.last().and_then(|frame| frame.node);
            let next = self.child(node, raw);
            if let Some(frame) = self.frames.last_mut() {
                (frame.key, frame.next, frame.is_key_next) = (raw, next, false);
            }
            return Part { raw, is_key, field: None };
        }
        Part { raw, is_key, field: self.field() }
    }
}

impl<'j> Iterator for Walk<'j> {
    type Item = Part<'j>;

    fn next(&mut self) -> Option<Part<'j>> {
        loop {
            match *self.json.as_bytes().get(self.at)? {
                b'"' => return Some(self.string()),
                b'{' => self.open(true),
                b'[' => self.open(false),
                b'}' | b']' => drop(self.frames.pop()),
                b',' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.is_key_next = frame.is_object;
                        frame.index += u32::from(!frame.is_object);
                    }
                }
                b'0'..=b'9' | b'-' | b't' | b'f' | b'n' => match self.scalar(self.at) {
                    Some(part) => return Some(part),
                    None => continue,
                },
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// Where the closing quote of a string stands.
fn end_of_string(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        match json[at + found] {
            b'"' => return at + found,
            _ => at += found + 2,
        }
    }
    json.len()
}

/// Appends a string without its escapes. What is no escape stays as it is.
pub(crate) fn unescape(raw: &str, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else { break };
        rest = &rest[kind.len_utf8()..];
        match kind {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' | 'f' => out.push(' '),
            'u' => rest = unicode(rest, out),
            other => out.push(other),
        }
    }
    out.push_str(rest);
}

/// The character of four hex digits, or of two surrogates. Gives what follows.
fn unicode<'r>(rest: &'r str, out: &mut String) -> &'r str {
    let unit = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let Some(first) = unit(rest) else { return rest };
    let after = &rest[4..];
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = after.strip_prefix("\\u").and_then(unit).filter(|unit| (0xdc00..0xe000).contains(unit))
    {
        let value = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        out.push(char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER));
        return &after[6..];
    }
    out.push(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_come_in_order() {
        let json = r#"{"a": "x", "b": [1, "y\"z", {"c": "w"}], "d": null}"#;
        let parts: Vec<_> = Walk::new(json, None).map(|part| (part.raw, part.is_key)).collect();
        let expected =
            [("a", true), ("x", false), ("b", true), ("y\\\"z", false), ("c", true), ("w", false), ("d", true)];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_pointer_leads_to_the_value() {
        let json = r#"{"a/b":[{"c":1},{"c":"x"}],"d":"y"}"#;
        let mut walk = Walk::new(json, None);
        let mut pointers = Vec::new();
        while let Some(part) = walk.next() {
            if !part.is_key {
                pointers.push(walk.pointer());
            }
        }
        assert_eq!(pointers, ["/a~1b/1/c", "/d"]);
    }

    #[test]
    fn escapes_are_undone() {
        let mut out = String::new();
        unescape(r#"a\n\"\u00e9\ud83d\ude00\ud83d\\ \u12"#, &mut out);
        assert_eq!(out, "a\n\"é😀\u{fffd}\\ 12");
    }

    #[test]
    fn a_walk_through_nonsense_ends() {
        for json in ["", "\"", "{\"a", "[[[[", "}}]]", "{\"a\":\"\\", "nul", "{\"a\":-"] {
            assert!(Walk::new(json, None).count() < 10, "{json}");
        }
    }
}
