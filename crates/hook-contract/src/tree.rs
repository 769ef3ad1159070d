//! The contract's text as a tree in which every key and every value knows its bytes.

use std::ops::Range;

use hook_core::problem::codes;
use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::findings::Findings;

/// More syntax errors than this are the echo of the first.
const MAX_SYNTAX_ERRORS: usize = 20;

/// A value and its bytes.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// In the order of the text.
    Table(Vec<Entry>),
    List(Vec<Node>),
    Text(String),
    Number(Number),
    Boolean(bool),
    /// A date or a time, as written.
    Time(String),
    /// A number that no number of ours can hold.
    TooLarge,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

/// Reads the text as TOML. Where it is broken, what could be read is returned, and everything that is wrong is found.
pub(crate) fn parse(text: &str, findings: &mut Findings<'_>) -> Node {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut last_start = None;
    for error in errors.into_iter().take(MAX_SYNTAX_ERRORS) {
        let span = error.span().unwrap_or(0..0);
        // Recovery often reports one mistake several times.
        if last_start.replace(span.start) != Some(span.start) {
            findings.error(&codes::SYNTAX, span, error.message().to_owned(), help_for(error.message()));
        }
    }
    let span = table.span();
    Node { span, content: table_of(table.into_inner()) }
}

fn help_for(message: &str) -> &'static str {
    match message {
        message if message.contains("duplicate key") => "give every key and every table once",
        message if message.contains("quote") || message.contains("string") => "write texts in double quotes: \"text\"",
        _ => "mend the TOML here; the format is described at https://toml.io",
    }
}

fn table_of(table: DeTable<'_>) -> Content {
    let entry = |(key, value): (toml::Spanned<toml::de::DeString<'_>>, toml::Spanned<DeValue<'_>>)| Entry {
        key_span: key.span(),
        key: key.into_inner().into_owned(),
        node: node_of(value),
    };
    let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    Content::Table(entries)
}

fn node_of(value: toml::Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let content = match value.into_inner() {
        DeValue::Table(table) => table_of(table),
        DeValue::Array(list) => Content::List(list.into_iter().map(node_of).collect()),
        DeValue::String(text) => Content::Text(text.into_owned()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Content::TooLarge, |n| Content::Number(n.into())),
        DeValue::Float(float) => {
            float.as_str().parse().ok().and_then(Number::from_f64).map_or(Content::TooLarge, Content::Number)
        }
        DeValue::Boolean(boolean) => Content::Boolean(boolean),
        DeValue::Datetime(time) => Content::Time(time.to_string()),
    };
    Node { span, content }
}

impl Node {
    /// The entries of a table; none where it is none.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The nodes of a list; none where it is none.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The node at a path of keys and indexes.
    pub(crate) fn at<S: AsRef<str>>(&self, path: &[S]) -> Option<&Node> {
        path.iter().try_fold(self, |node, step| node.step(step.as_ref()))
    }

    /// The node at a JSON pointer, or else the last one on the way to it.
    pub(crate) fn nearest(&self, pointer: &str) -> &Node {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let Some(next) = node.step(step).or_else(|| node.step(&step.replace("~1", "/").replace("~0", "~"))) else {
                break;
            };
            node = next;
        }
        node
    }

    fn step(&self, step: &str) -> Option<&Node> {
        match &self.content {
            Content::Table(_) => self.get(step),
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The span of a key's value; of the whole table where it has no such key.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        self.get(key).map_or(self.span.clone(), |node| node.span.clone())
    }

    /// The value as JSON, the spans lost.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Table(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect::<Map<_, _>>(),
            ),
            Content::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Content::Text(text) | Content::Time(text) => Value::String(text.clone()),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Boolean(boolean) => Value::Bool(*boolean),
            Content::TooLarge => Value::Null,
        }
    }

    /// What kind of value it is, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Table(_) => "a table",
            Content::List(_) => "a list",
            Content::Text(_) => "a text",
            Content::Number(number) if number.is_f64() => "a fraction",
            Content::Number(_) => "a number",
            Content::Boolean(_) => "true or false",
            Content::Time(_) => "a date or time",
            Content::TooLarge => "a number that is too large",
        }
    }
}
