//! Does a value have the shape that a JSON Schema gives it? Every deviation is found, with its place and its remedy.
//!
//! The part of JSON Schema that our types and drivers produce: types, properties, lists, enumerations, ranges, lengths
//! and formats. What it does not know it lets pass; reading the value into its type finds it then.

use std::ops::Range;

use hook_core::problem::{Code, codes};
use serde_json::Value;

use crate::{
    format,
    schema_query::{alternatives, discriminator, limit, options, property_names, types},
    suggest::{self, listed},
    tree::{Content, Entry, Node},
    words::{expectation, first_sentence, place_name, sample, sample_of_format},
};

/// One deviation.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) path: Vec<String>,
    pub(crate) code: &'static Code,
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Flaw {
    /// Whether the value cannot be read: an unknown key can be left out, nothing else can.
    pub(crate) fn is_blocking(&self) -> bool {
        self.code != &codes::UNKNOWN_KEY
    }
}

/// Checks a value that stands at `path`.
pub(crate) fn check(node: &Node, schema: &Value, path: &[String]) -> Vec<Flaw> {
    let mut walk = Walk { path: path.to_vec(), flaws: Vec::new() };
    walk.value(node, schema);
    walk.flaws
}

struct Walk {
    path: Vec<String>,
    flaws: Vec<Flaw>,
}

impl Walk {
    fn value(&mut self, node: &Node, schema: &Value) {
        if matches!(node.content, Content::TooLarge) {
            return self.flaw(&codes::WRONG_VALUE, node, self.about("is too large"), "write a smaller number".into());
        }
        if let Some(options) = options(schema) {
            return self.option(node, &options);
        }
        match alternatives(schema).as_slice() {
            [] => self.plain(node, schema),
            alternatives => self.any_of(node, alternatives),
        }
    }

    fn plain(&mut self, node: &Node, schema: &Value) {
        let types = types(schema);
        if !types.is_empty() && !types.iter().any(|wanted| is_of_type(node, wanted, schema)) {
            return self.wrong_type(node, schema, &types);
        }
        match &node.content {
            Content::Table(entries) => self.table(node, entries, schema),
            Content::List(items) => self.list(node, items, schema),
            Content::Text(text) | Content::Time(text) => self.text(node, text, schema),
            Content::Number(number) => self.number(node, number.as_f64().unwrap_or_default(), schema),
            Content::Boolean(_) | Content::TooLarge => {}
        }
    }

    fn option(&mut self, node: &Node, options: &[&str]) {
        match node.text() {
            Some(text) if options.contains(&text) => {}
            Some(text) => {
                let found: String = text.chars().take(80).collect();
                let message = self.about(&format!("cannot be `{found}`"));
                let help = suggest::help(text, options.iter().copied(), "it can be");
                self.flaw(&codes::WRONG_VALUE, node, message, help);
            }
            None => {
                let message = self.about(&format!("is {}, expected a text", node.kind()));
                self.flaw(&codes::WRONG_TYPE, node, message, format!("it can be: {}", listed(options)));
            }
        }
    }

    /// The alternative that was meant is the one whose fixed key matches, else the one that fits best.
    fn any_of(&mut self, node: &Node, alternatives: &[&Value]) {
        if let Some(key) = alternatives.iter().find_map(|schema| discriminator(schema))
            && let Content::Table(_) = node.content
        {
            return self.tagged(node, key, alternatives);
        }
        let fitting: Vec<&&Value> = alternatives
            .iter()
            .filter(|schema| {
                let types = types(schema);
                types.is_empty() || types.iter().any(|wanted| is_of_type(node, wanted, schema))
            })
            .collect();
        if fitting.is_empty() {
            let kinds: Vec<String> = alternatives.iter().map(|schema| expectation(schema)).collect();
            let message = self.about(&format!("is {}, expected {}", node.kind(), kinds.join(" or ")));
            return self.flaw(&codes::WRONG_TYPE, node, message, format!("write {}", kinds.join(" or ")));
        }
        let best = fitting.iter().map(|schema| check(node, schema, &self.path)).min_by_key(Vec::len);
        self.flaws.extend(best.unwrap_or_default());
    }

    fn tagged(&mut self, node: &Node, key: &str, alternatives: &[&Value]) {
        let tag_of = |schema: &&Value| schema["properties"][key]["const"].as_str().map(str::to_owned);
        let tags: Vec<String> = alternatives.iter().filter_map(tag_of).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        match node.get(key) {
            None => self.missing(node, key, &Value::Null),
            Some(tag) => {
                match alternatives.iter().find(|schema| tag.text().is_some() && tag_of(schema).as_deref() == tag.text())
                {
                    Some(schema) => self.plain(node, schema),
                    None => self.within(key, |walk| walk.option(tag, &tags)),
                }
            }
        }
    }

    fn table(&mut self, node: &Node, entries: &[Entry], schema: &Value) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let open = schema.get("additionalProperties").filter(|open| **open != Value::Bool(false));
        // A schema without any property and without a word about others describes just any table.
        let is_closed = open.is_none() && (properties.is_some() || schema.get("additionalProperties").is_some());
        for entry in entries {
            match (properties.and_then(|properties| properties.get(&entry.key)), open) {
                (Some(property), _) => self.within(&entry.key, |walk| walk.value(&entry.node, property)),
                (None, Some(value)) => self.other(entry, value, schema),
                (None, None) if is_closed => self.unknown(entry, schema),
                (None, None) => {}
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for key in required.filter_map(Value::as_str).filter(|key| node.get(key).is_none()) {
            self.missing(node, key, &schema["properties"][key]);
        }
    }

    fn other(&mut self, entry: &Entry, value: &Value, schema: &Value) {
        if let Some(format) = schema["propertyNames"]["format"].as_str()
            && let Err(message) = format::check(format, &entry.key)
        {
            let help = format!("rename it: {}", sample_of_format(format));
            self.flaws.push(Flaw {
                path: self.joined(&entry.key),
                code: &codes::WRONG_VALUE,
                span: entry.key_span.clone(),
                message: format!("the key `{}` is no name: {message}", entry.key),
                help,
            });
        }
        self.within(&entry.key, |walk| walk.value(&entry.node, value));
    }

    fn unknown(&mut self, entry: &Entry, schema: &Value) {
        let known = property_names(schema);
        self.flaws.push(Flaw {
            path: self.joined(&entry.key),
            code: &codes::UNKNOWN_KEY,
            span: entry.key_span.clone(),
            message: format!("unknown key `{}` in {}", entry.key, self.here()),
            help: suggest::help(&entry.key, known, "the keys here"),
        });
    }

    fn missing(&mut self, node: &Node, key: &str, property: &Value) {
        let about =
            property.get("description").and_then(Value::as_str).map(|text| format!(": {}", first_sentence(text)));
        let path = self.joined(key);
        let addition = match types(property).as_slice() {
            ["object"] => place_name(&path),
            _ => format!("{key} = {}", sample(property)),
        };
        self.flaws.push(Flaw {
            path,
            code: &codes::MISSING_KEY,
            span: node.span.clone(),
            message: format!("`{key}` is missing in {}", self.here()),
            help: format!("add `{addition}`{}", about.unwrap_or_default()),
        });
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Value) {
        if let Some(item_schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.within(&index.to_string(), |walk| walk.value(item, item_schema));
            }
        }
        let count = items.len() as f64;
        if let Some(min) = limit(schema, "minItems").filter(|min| count < *min) {
            let message = self.about(&format!("needs at least {min} of them"));
            self.flaw(&codes::WRONG_VALUE, node, message, format!("write a list with at least {min} in it"));
        }
        if let Some(max) = limit(schema, "maxItems").filter(|max| count > *max) {
            self.flaw(&codes::WRONG_VALUE, node, self.about(&format!("takes at most {max}")), "leave some out".into());
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value) {
        let count = text.chars().count() as f64;
        if let Some(format) = schema["format"].as_str()
            && let Err(message) = format::check(format, text)
        {
            let help = self.like(schema);
            self.flaw(&codes::WRONG_VALUE, node, self.about_value(&message), help);
        } else if limit(schema, "minLength").is_some_and(|min| count < min) {
            let (what, help) = match limit(schema, "minLength").unwrap_or_default() {
                _ if text.is_empty() => ("is empty", "write some text".to_owned()),
                min => ("is too short", format!("write at least {min} characters")),
            };
            self.flaw(&codes::WRONG_VALUE, node, self.about(what), help);
        } else if let Some(max) = limit(schema, "maxLength").filter(|max| count > *max) {
            self.flaw(&codes::WRONG_VALUE, node, self.about("is too long"), format!("write at most {max} characters"));
        }
    }

    fn number(&mut self, node: &Node, number: f64, schema: &Value) {
        let is_low = limit(schema, "minimum").is_some_and(|min| number < min)
            || limit(schema, "exclusiveMinimum").is_some_and(|min| number <= min);
        let is_high = limit(schema, "maximum").is_some_and(|max| number > max)
            || limit(schema, "exclusiveMaximum").is_some_and(|max| number >= max);
        if !is_low && !is_high {
            return;
        }
        let bounds =
            [("minimum", "from"), ("exclusiveMinimum", "above"), ("maximum", "to"), ("exclusiveMaximum", "below")];
        let range: Vec<String> =
            bounds.iter().filter_map(|(key, word)| Some(format!("{word} {}", limit(schema, key)?))).collect();
        let message = self.about(&format!("is {number}, which is out of its range"));
        self.flaw(&codes::WRONG_VALUE, node, message, format!("write a number {}", range.join(" ")));
    }

    fn wrong_type(&mut self, node: &Node, schema: &Value, types: &[&str]) {
        // A bare number where a text with a format belongs gets the format's own words: "expected a duration such as".
        if let ([_, ..], Some(format), Content::Number(number)) = (types, schema["format"].as_str(), &node.content)
            && types.contains(&"string")
            && let Err(message) = format::check(format, &number.to_string())
        {
            let help = self.like(schema);
            return self.flaw(&codes::WRONG_TYPE, node, self.about_value(&message), help);
        }
        let message = self.about(&format!("is {}, expected {}", node.kind(), expectation(schema)));
        let help = match &node.content {
            Content::Text(text) if types.iter().any(|wanted| matches!(*wanted, "integer" | "number")) => {
                match text.trim().parse::<f64>() {
                    Ok(number) => format!("write it without quotes: `{} = {number}`", self.key()),
                    Err(_) => self.like(schema),
                }
            }
            _ => self.like(schema),
        };
        self.flaw(&codes::WRONG_TYPE, node, message, help);
    }

    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        self.path.push(step.to_owned());
        check(self);
        self.path.pop();
    }

    fn flaw(&mut self, code: &'static Code, node: &Node, message: String, help: String) {
        self.flaws.push(Flaw { path: self.path.clone(), code, span: node.span.clone(), message, help });
    }

    fn joined(&self, step: &str) -> Vec<String> {
        self.path.iter().cloned().chain([step.to_owned()]).collect()
    }

    fn here(&self) -> String {
        place_name(&self.path)
    }

    /// How the value could look.
    fn like(&self, schema: &Value) -> String {
        match self.is_item() {
            true => format!("write it like `{}`", sample(schema)),
            false => format!("write it like `{} = {}`", self.key(), sample(schema)),
        }
    }

    /// The last key on the path.
    fn key(&self) -> &str {
        self.path.iter().rev().find(|step| step.parse::<usize>().is_err()).map_or("it", String::as_str)
    }

    fn about(&self, what: &str) -> String {
        format!("{} {what}", self.subject())
    }

    fn about_value(&self, what: &str) -> String {
        format!("{}: {what}", self.subject())
    }

    /// The value for people: its key, or the list in which it stands.
    fn subject(&self) -> String {
        match self.is_item() {
            true => format!("an item of `{}`", self.key()),
            false => format!("`{}`", self.key()),
        }
    }

    fn is_item(&self) -> bool {
        self.path.last().is_some_and(|step| step.parse::<usize>().is_ok())
    }
}

fn is_of_type(node: &Node, wanted: &str, schema: &Value) -> bool {
    match &node.content {
        Content::Table(_) => wanted == "object",
        Content::List(_) => wanted == "array",
        Content::Text(_) => wanted == "string",
        Content::Number(number) => wanted == "number" || wanted == "integer" && !number.is_f64(),
        Content::Boolean(_) => wanted == "boolean",
        Content::Time(_) => wanted == "string" && matches!(schema["format"].as_str(), Some("date-time" | "start-from")),
        Content::TooLarge => true,
    }
}
