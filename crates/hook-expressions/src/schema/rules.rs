//! A schema after compiling: references are numbers, constants are values, patterns are compiled.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::{number::Number, pattern::Pattern, value::Value};

/// The number of a node.
pub(super) type NodeId = usize;

/// One schema.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Where it stands, as a JSON pointer.
    pub(super) pointer: String,
    pub(super) rules: Vec<(&'static str, Rule)>,
}

/// What is asserted, by keyword.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    /// `false`.
    Never,
    Type(Vec<Kind>),
    Enum(Vec<Value>),
    Const(Value),
    Bound(Bound, Number),
    MultipleOf(Number),
    Pattern(Pattern),
    /// Of a string in characters, of a list in elements, of an object in members.
    Size(Counted, Limit, u64),
    UniqueItems,
    PrefixItems(Vec<NodeId>),
    /// For the elements from there on.
    Items(usize, NodeId),
    Contains {
        node: NodeId,
        least: u64,
        most: Option<u64>,
    },
    Required(Vec<Arc<str>>),
    DependentRequired(Vec<(Arc<str>, Vec<Arc<str>>)>),
    Properties(Properties),
    PropertyNames(NodeId),
    DependentSchemas(Vec<(Arc<str>, NodeId)>),
    AllOf(Vec<NodeId>),
    AnyOf(Vec<NodeId>),
    OneOf(Vec<NodeId>),
    Not(NodeId),
    If {
        test: NodeId,
        then: Option<NodeId>,
        otherwise: Option<NodeId>,
    },
    Ref(NodeId),
    UnevaluatedItems(NodeId),
    UnevaluatedProperties(NodeId),
}

/// The members of an object: those named, those whose name matches a pattern, all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Properties {
    pub(super) named: IndexMap<Arc<str>, NodeId>,
    pub(super) patterns: Vec<(Pattern, NodeId)>,
    pub(super) others: Option<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    Minimum,
    ExclusiveMinimum,
    Maximum,
    ExclusiveMaximum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    String,
    Array,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Least,
    Most,
}

impl Rule {
    /// The schemas that look at the same value: through these a schema must not come back to itself.
    pub(super) fn in_place(&self) -> Vec<NodeId> {
        match self {
            Self::AllOf(nodes) | Self::AnyOf(nodes) | Self::OneOf(nodes) => nodes.clone(),
            Self::Not(node) | Self::Ref(node) => vec![*node],
            Self::If { test, then, otherwise } => [Some(*test), *then, *otherwise].into_iter().flatten().collect(),
            Self::DependentSchemas(nodes) => nodes.iter().map(|(_, node)| *node).collect(),
            _ => Vec::new(),
        }
    }
}
