//! An expression after parsing: names are resolved, constants are values, patterns are compiled.

use std::{ops::Range, sync::Arc};

use crate::{pattern::Pattern, value::Value};

use super::functions::Function;

/// What is evaluated.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) root: Node,
    /// The fields of payload and meta that are read, each once.
    pub(super) fields: Vec<Field>,
}

/// A field that stands at a fixed place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) root: Root,
    /// As a JSON pointer; empty for all of it.
    pub(super) pointer: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    Payload,
    Meta,
}

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) span: Range<usize>,
    /// How many nodes stand within each other, this one included.
    pub(super) depth: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Literal(Value),
    Source,
    Type,
    /// An index into [`Program::fields`].
    Field(usize),
    /// A variable of a macro, counted from the outermost.
    Local(usize),
    Select(Box<Node>, Arc<str>),
    /// `has(node.name)`.
    Has(Box<Node>, Arc<str>),
    Index(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `&&` over all of them.
    All(Vec<Node>),
    /// `||` over all of them.
    Any(Vec<Node>),
    Conditional(Box<[Node; 3]>),
    Relation(Relation, Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Pattern),
    Macro(Box<Macro>),
}

impl Kind {
    /// The nodes directly within.
    pub(super) fn parts(&self) -> Vec<&Node> {
        match self {
            Self::Literal(_) | Self::Source | Self::Type | Self::Field(_) | Self::Local(_) => Vec::new(),
            Self::Select(inner, _) | Self::Has(inner, _) | Self::Matches(inner, _) => vec![inner],
            Self::Not(inner) | Self::Negate(inner) => vec![inner],
            Self::Index(node, index) => vec![node, index],
            Self::List(parts) | Self::All(parts) | Self::Any(parts) | Self::Call(_, parts) => parts.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::Conditional(parts) => parts.iter().collect(),
            Self::Relation(_, parts) => parts.iter().collect(),
            Self::Arithmetic(_, parts) => parts.iter().collect(),
            Self::Macro(inner) => [&inner.range, &inner.body].into_iter().chain(&inner.result).collect(),
        }
    }
}

/// A macro over a list or the keys of a map.
#[derive(Debug, Clone)]
pub(super) struct Macro {
    pub(super) name: MacroName,
    pub(super) range: Node,
    /// The condition; for `map` with two arguments what is made.
    pub(super) body: Node,
    /// What `map` with three arguments makes of an element that meets the condition.
    pub(super) result: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacroName {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl MacroName {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "filter" => Self::Filter,
            "map" => Self::Map,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}
