//! From the text of a schema to its rules.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value as Json};

use crate::{
    budget::Budget,
    json,
    number::Number,
    pattern::{Dialect, Pattern},
    text_error::shown,
    value::Value,
};

use super::{
    Schema, SchemaError,
    rules::{Bound, Counted, Kind, Limit, Node, NodeId, Properties, Rule},
};

/// No schema has more schemas in it.
const MAX_NODES: usize = 2_000;
/// Schemas within each other, at most so many.
const MAX_DEPTH: usize = 100;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keywords that say something to people, or that others look at.
const SILENT: [&str; 23] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "$anchor",
    "$dynamicAnchor",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    // Read together with another keyword.
    "then",
    "else",
    "minContains",
    "maxContains",
    "patternProperties",
];

/// Compiles a schema.
pub(super) fn compile(schema: &Json) -> Result<Schema, SchemaError> {
    let mut anchors = HashMap::new();
    find_anchors(schema, "", 0, &mut anchors)?;
    let mut compiler = Compiler { root: schema, anchors, known: HashMap::new(), nodes: Vec::new(), depth: 0 };
    compiler.node("")?;
    let nodes = compiler.nodes;
    find_loop(&nodes)?;
    Ok(Schema { nodes })
}

fn error(pointer: &str, message: impl Into<String>, help: impl Into<String>) -> SchemaError {
    SchemaError { pointer: pointer.to_owned(), message: message.into(), help: help.into() }
}

fn step(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn find_anchors(
    schema: &Json,
    pointer: &str,
    depth: usize,
    anchors: &mut HashMap<String, String>,
) -> Result<(), SchemaError> {
    if depth > MAX_DEPTH {
        return Err(error(
            pointer,
            format!("more than {MAX_DEPTH} levels stand within each other"),
            "flatten the schema",
        ));
    }
    match schema {
        Json::Object(members) => {
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(anchor) = members.get(keyword).and_then(Json::as_str) {
                    anchors.insert(anchor.to_owned(), pointer.to_owned());
                }
            }
            // What stands in these is a value, whatever it looks like.
            let mut inner = members.iter().filter(|(name, _)| !matches!(name.as_str(), "enum" | "const"));
            inner.try_for_each(|(name, value)| find_anchors(value, &step(pointer, name), depth + 1, anchors))
        }
        Json::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| find_anchors(item, &format!("{pointer}/{at}"), depth + 1, anchors)),
        _ => Ok(()),
    }
}

/// Refuses a schema that comes back to itself without going deeper into the value.
fn find_loop(nodes: &[Node]) -> Result<(), SchemaError> {
    /// What is known of a node.
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut states = vec![State::New; nodes.len()];
    for start in 0..nodes.len() {
        let mut stack = vec![(start, false)];
        while let Some((at, is_left)) = stack.pop() {
            if is_left {
                states[at] = State::Done;
                continue;
            }
            match states[at] {
                State::Done => continue,
                State::Open => {
                    let message = "the schema refers to itself without going into a part of the value";
                    return Err(error(
                        &nodes[at].pointer,
                        message,
                        "let the way back lead through `properties` or `items`",
                    ));
                }
                State::New => states[at] = State::Open,
            }
            stack.push((at, true));
            let next = nodes[at].rules.iter().flat_map(|(_, rule)| rule.in_place());
            stack.extend(next.filter(|next| states[*next] != State::Done).map(|next| (next, false)));
        }
    }
    Ok(())
}

struct Compiler<'s> {
    root: &'s Json,
    anchors: HashMap<String, String>,
    known: HashMap<String, NodeId>,
    nodes: Vec<Node>,
    depth: usize,
}

impl<'s> Compiler<'s> {
    /// The node of the schema at a pointer, compiled once.
    fn node(&mut self, pointer: &str) -> Result<NodeId, SchemaError> {
        if let Some(known) = self.known.get(pointer) {
            return Ok(*known);
        }
        let Some(schema) = self.root.pointer(pointer) else {
            return Err(error(pointer, "there is no schema at this place", "name a place within the schema"));
        };
        if self.nodes.len() == MAX_NODES || self.depth == MAX_DEPTH {
            return Err(error(pointer, "the schema is too large or nests too deeply", "split it, or check less"));
        }
        let id = self.nodes.len();
        self.nodes.push(Node { pointer: pointer.to_owned(), rules: Vec::new() });
        self.known.insert(pointer.to_owned(), id);
        self.depth += 1;
        self.nodes[id].rules = match schema {
            Json::Bool(true) => Vec::new(),
            Json::Bool(false) => vec![("", Rule::Never)],
            Json::Object(members) => self.rules(pointer, members)?,
            _ => return Err(error(pointer, "a schema is an object, true or false", "write an object")),
        };
        self.depth -= 1;
        Ok(id)
    }

    fn rules(
        &mut self,
        pointer: &str,
        members: &'s Map<String, Json>,
    ) -> Result<Vec<(&'static str, Rule)>, SchemaError> {
        let mut rules = Vec::new();
        for (name, value) in members {
            let place = step(pointer, name);
            if let Some(rule) = self.rule(pointer, &place, name, value, members)? {
                rules.push(rule);
            }
        }
        // These two look at what all others have seen.
        rules.sort_by_key(|(_, rule)| matches!(rule, Rule::UnevaluatedItems(_) | Rule::UnevaluatedProperties(_)));
        Ok(rules)
    }

    fn rule(
        &mut self,
        pointer: &str,
        place: &str,
        name: &str,
        value: &'s Json,
        members: &'s Map<String, Json>,
    ) -> Result<Option<(&'static str, Rule)>, SchemaError> {
        let rule = match name {
            "type" => ("type", Rule::Type(kinds(place, value)?)),
            "enum" => ("enum", Rule::Enum(list(place, value)?.iter().map(constant).collect())),
            "const" => ("const", Rule::Const(constant(value))),
            "minimum" => ("minimum", Rule::Bound(Bound::Minimum, number(place, value)?)),
            "exclusiveMinimum" => ("exclusiveMinimum", Rule::Bound(Bound::ExclusiveMinimum, number(place, value)?)),
            "maximum" => ("maximum", Rule::Bound(Bound::Maximum, number(place, value)?)),
            "exclusiveMaximum" => ("exclusiveMaximum", Rule::Bound(Bound::ExclusiveMaximum, number(place, value)?)),
            "multipleOf" => ("multipleOf", Rule::MultipleOf(divisor(place, value)?)),
            "pattern" => ("pattern", Rule::Pattern(pattern(place, text(place, value)?)?)),
            "minLength" => ("minLength", Rule::Size(Counted::String, Limit::Least, count(place, value)?)),
            "maxLength" => ("maxLength", Rule::Size(Counted::String, Limit::Most, count(place, value)?)),
            "minItems" => ("minItems", Rule::Size(Counted::Array, Limit::Least, count(place, value)?)),
            "maxItems" => ("maxItems", Rule::Size(Counted::Array, Limit::Most, count(place, value)?)),
            "minProperties" => ("minProperties", Rule::Size(Counted::Object, Limit::Least, count(place, value)?)),
            "maxProperties" => ("maxProperties", Rule::Size(Counted::Object, Limit::Most, count(place, value)?)),
            "uniqueItems" => match flag(place, value)? {
                true => ("uniqueItems", Rule::UniqueItems),
                false => return Ok(None),
            },
            "prefixItems" => ("prefixItems", Rule::PrefixItems(self.each(place, value)?)),
            "items" => ("items", Rule::Items(self.behind_prefix(place, value, members)?, self.node(place)?)),
            "contains" => ("contains", self.contains(pointer, place, members)?),
            "required" => ("required", Rule::Required(names(place, value)?)),
            "dependentRequired" => {
                let each = object(place, value)?.iter();
                let each = each.map(|(name, value)| Ok((name.as_str().into(), names(&step(place, name), value)?)));
                ("dependentRequired", Rule::DependentRequired(each.collect::<Result<_, _>>()?))
            }
            "properties" => ("properties", Rule::Properties(self.properties(pointer, members)?)),
            "patternProperties" if !members.contains_key("properties") => {
                ("patternProperties", Rule::Properties(self.properties(pointer, members)?))
            }
            "additionalProperties"
                if members.contains_key("properties") || members.contains_key("patternProperties") =>
            {
                return Ok(None);
            }
            "additionalProperties" => ("additionalProperties", Rule::Properties(self.properties(pointer, members)?)),
            "propertyNames" => ("propertyNames", Rule::PropertyNames(self.node(place)?)),
            "dependentSchemas" => ("dependentSchemas", Rule::DependentSchemas(self.named(place, value)?)),
            "allOf" => ("allOf", Rule::AllOf(self.each(place, value)?)),
            "anyOf" => ("anyOf", Rule::AnyOf(self.each(place, value)?)),
            "oneOf" => ("oneOf", Rule::OneOf(self.each(place, value)?)),
            "not" => ("not", Rule::Not(self.node(place)?)),
            "if" => {
                let mut branch =
                    |name: &str| members.contains_key(name).then(|| self.node(&step(pointer, name))).transpose();
                let (then, otherwise) = (branch("then")?, branch("else")?);
                ("if", Rule::If { test: self.node(place)?, then, otherwise })
            }
            // A schema that stands alone has one anchor of a name, so that what is dynamic leads there too.
            "$ref" | "$dynamicRef" => {
                let keyword = if name == "$ref" { "$ref" } else { "$dynamicRef" };
                (keyword, Rule::Ref(self.reference(place, text(place, value)?)?))
            }
            "unevaluatedItems" => ("unevaluatedItems", Rule::UnevaluatedItems(self.node(place)?)),
            "unevaluatedProperties" => ("unevaluatedProperties", Rule::UnevaluatedProperties(self.node(place)?)),
            name => return self.silent(pointer, place, name, value).map(|()| None),
        };
        Ok(Some(rule))
    }

    /// A keyword that asserts nothing by itself, or that we do not know.
    fn silent(&mut self, pointer: &str, place: &str, name: &str, value: &'s Json) -> Result<(), SchemaError> {
        match name {
            "$schema" if value.as_str().map(|text| text.trim_end_matches('#')) != Some(DRAFT) => {
                Err(error(place, "only schemas of the draft 2020-12 are understood", format!("write `{DRAFT}`")))
            }
            "$id" if !pointer.is_empty() => {
                Err(error(place, "an `$id` within a schema is not understood", "use `$defs` and `$anchor`"))
            }
            "$defs" | "definitions" => self.named(place, value).map(drop),
            name if SILENT.contains(&name) || name.starts_with("x-") => Ok(()),
            "additionalItems" | "dependencies" | "$recursiveRef" | "$recursiveAnchor" | "id" => {
                let help = "the draft 2020-12 has `prefixItems`, `dependentRequired`, `dependentSchemas` and `$ref`";
                Err(error(place, format!("`{name}` is a keyword of older drafts"), help))
            }
            "$vocabulary" => Err(error(place, "`$vocabulary` is not understood", "leave it out")),
            name => {
                let message = format!("there is no keyword `{}`", shown(name));
                Err(error(place, message, "correct its name; what is only for people goes under `$comment` or `x-…`"))
            }
        }
    }

    fn each(&mut self, place: &str, value: &'s Json) -> Result<Vec<NodeId>, SchemaError> {
        let items = list(place, value)?;
        (0..items.len()).map(|at| self.node(&format!("{place}/{at}"))).collect()
    }

    fn named(&mut self, place: &str, value: &'s Json) -> Result<Vec<(Arc<str>, NodeId)>, SchemaError> {
        let names = object(place, value)?.keys();
        names.map(|name| Ok((name.as_str().into(), self.node(&step(place, name))?))).collect()
    }

    fn behind_prefix(&self, place: &str, value: &Json, members: &Map<String, Json>) -> Result<usize, SchemaError> {
        match value {
            Json::Array(_) => Err(error(place, "`items` is one schema", "write `prefixItems` for a list of schemas")),
            _ => Ok(members.get("prefixItems").and_then(Json::as_array).map_or(0, Vec::len)),
        }
    }

    fn contains(&mut self, pointer: &str, place: &str, members: &'s Map<String, Json>) -> Result<Rule, SchemaError> {
        let limit = |name: &str| members.get(name).map(|value| count(&step(pointer, name), value)).transpose();
        let (least, most) = (limit("minContains")?.unwrap_or(1), limit("maxContains")?);
        Ok(Rule::Contains { node: self.node(place)?, least, most })
    }

    fn properties(&mut self, pointer: &str, members: &'s Map<String, Json>) -> Result<Properties, SchemaError> {
        let mut properties = Properties::default();
        if let Some(named) = members.get("properties") {
            properties.named = self.named(&step(pointer, "properties"), named)?.into_iter().collect();
        }
        if let Some(patterns) = members.get("patternProperties") {
            let place = step(pointer, "patternProperties");
            for name in object(&place, patterns)?.keys() {
                let place = step(&place, name);
                properties.patterns.push((pattern(&place, name)?, self.node(&place)?));
            }
        }
        if members.contains_key("additionalProperties") {
            properties.others = Some(self.node(&step(pointer, "additionalProperties"))?);
        }
        Ok(properties)
    }

    fn reference(&mut self, place: &str, reference: &str) -> Result<NodeId, SchemaError> {
        let own = self.root.get("$id").and_then(Json::as_str).unwrap_or_default();
        let local = reference.strip_prefix(own.trim_end_matches('#')).unwrap_or(reference);
        let Some(fragment) = local.strip_prefix('#') else {
            let message = "`$ref` leads out of the schema, and nothing is fetched";
            return Err(error(place, message, "copy what it means into `$defs`, and write `#/$defs/NAME`"));
        };
        let pointer = match fragment {
            "" => String::new(),
            pointer if pointer.starts_with('/') => decoded(pointer),
            anchor => self.anchors.get(anchor).cloned().ok_or_else(|| {
                error(place, format!("there is no `$anchor` named `{}`", shown(anchor)), "write `#/$defs/NAME`")
            })?,
        };
        if self.root.pointer(&pointer).is_none() {
            let message = format!("`$ref` leads to `{}`, where nothing is", shown(reference));
            return Err(error(place, message, "write the place of a schema such as `#/$defs/NAME`"));
        }
        self.node(&pointer)
    }
}

/// A fragment without the escapes of a URL.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = fragment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A value of the contract as one of ours. A contract is small, and was read within its own limits.
fn constant(value: &Json) -> Value {
    json::read(&value.to_string(), &Budget::default()).unwrap_or(Value::Null)
}

fn wrong(place: &str, expected: &str) -> SchemaError {
    let name = place.rsplit('/').next().unwrap_or_default();
    error(place, format!("`{name}` is {expected}"), format!("write {expected}"))
}

fn list<'s>(place: &str, value: &'s Json) -> Result<&'s Vec<Json>, SchemaError> {
    value.as_array().ok_or_else(|| wrong(place, "a list"))
}

fn object<'s>(place: &str, value: &'s Json) -> Result<&'s Map<String, Json>, SchemaError> {
    value.as_object().ok_or_else(|| wrong(place, "an object"))
}

fn text<'s>(place: &str, value: &'s Json) -> Result<&'s str, SchemaError> {
    value.as_str().ok_or_else(|| wrong(place, "a string"))
}

fn flag(place: &str, value: &Json) -> Result<bool, SchemaError> {
    value.as_bool().ok_or_else(|| wrong(place, "true or false"))
}

fn number(place: &str, value: &Json) -> Result<Number, SchemaError> {
    let number = value.as_number().ok_or_else(|| wrong(place, "a number"))?;
    Ok(Number::of_json(&number.to_string()))
}

fn divisor(place: &str, value: &Json) -> Result<Number, SchemaError> {
    let number = number(place, value)?;
    if number.as_f64() > 0.0 { Ok(number) } else { Err(wrong(place, "a number above zero")) }
}

fn count(place: &str, value: &Json) -> Result<u64, SchemaError> {
    let count = value
        .as_u64()
        .or_else(|| value.as_f64().filter(|float| *float >= 0.0 && float.fract() == 0.0).map(|float| float as u64));
    count.ok_or_else(|| wrong(place, "a whole number that is not negative"))
}

fn names(place: &str, value: &Json) -> Result<Vec<Arc<str>>, SchemaError> {
    let names = list(place, value)?.iter().map(|name| name.as_str().map(Arc::from));
    names.collect::<Option<_>>().ok_or_else(|| wrong(place, "a list of names"))
}

fn pattern(place: &str, text: &str) -> Result<Pattern, SchemaError> {
    Pattern::new(text, Dialect::Schema).map_err(|reason| {
        error(place, format!("this is no pattern: {reason}"), "write it without look-around and back-references")
    })
}

fn kinds(place: &str, value: &Json) -> Result<Vec<Kind>, SchemaError> {
    let kind = |value: &Json| {
        Some(match value.as_str()? {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "string" => Kind::String,
            "array" => Kind::Array,
            "object" => Kind::Object,
            _ => return None,
        })
    };
    let kinds: Option<Vec<Kind>> = match value {
        // Each once is enough.
        Json::Array(values) if values.len() <= 7 => values.iter().map(kind).collect(),
        value => kind(value).map(|kind| vec![kind]),
    };
    let expected = "null, boolean, integer, number, string, array or object, or a list of these";
    kinds.filter(|kinds| !kinds.is_empty()).ok_or_else(|| wrong(place, expected))
}
