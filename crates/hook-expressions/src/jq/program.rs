//! A program after parsing: names are resolved, constants are values, patterns are compiled.

use std::sync::Arc;

use crate::{pattern::Pattern, value::Value};

use super::{format::Format, natives::Native, search::Search, special::Special};

/// A filter: from a value to any number of values.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Identity,
    /// `..`
    Descend,
    Literal(Value),
    Text(Format, Vec<Piece>),
    List(Option<Box<Node>>),
    /// Without a value it is what the input has under the key.
    Object(Vec<(Node, Option<Node>)>),
    Negate(Box<Node>),
    Pipe(Box<[Node; 2]>),
    /// `source as pattern | body`
    Bind(Box<[Node; 2]>, Shape),
    Comma(Box<[Node; 2]>),
    /// `left // right`
    Alternative(Box<[Node; 2]>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Math(Math, Box<[Node; 2]>),
    Compare(Compare, Box<[Node; 2]>),
    /// What the left side names gets what the right side makes of it.
    Update(Update, Box<[Node; 2]>),
    Try(Box<Node>, Option<Box<Node>>),
    If(Vec<(Node, Node)>, Option<Box<Node>>),
    Fold(Box<Fold>),
    /// `label $name | body`
    Label(Box<Node>),
    /// A binding, so many back. One of a label breaks out to it.
    Variable(usize),
    /// Definitions for a body.
    Define(Vec<Function>, Box<Node>),
    /// A function so many back, with what its parameters stand for.
    Call(usize, Vec<Node>),
    /// A function of its input and of the values of its arguments.
    Native(Native, Vec<Node>),
    /// A function that runs its arguments itself.
    Special(Special, Vec<Node>),
    /// A function that looks for a pattern.
    Search(Search, Pattern, Vec<Node>),
    Path(Box<Node>, Vec<(Part, Optional)>),
}

/// A definition.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    /// `f`: the argument runs wherever it is named.
    Filter,
    /// `$x`: the argument runs first, and the body once for each of its values. As `x` it is a filter too.
    Value,
}

/// What destructuring binds, in the order of the bindings.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Variable,
    List(Vec<Shape>),
    /// Each with the filter that gives its key; a key written as a variable binds that first.
    Object(Vec<(Node, Shape)>),
}

#[derive(Debug, Clone)]
pub(super) struct Fold {
    pub(super) source: Node,
    pub(super) shape: Shape,
    pub(super) init: Node,
    pub(super) update: Node,
    pub(super) kind: FoldKind,
}

#[derive(Debug, Clone)]
pub(super) enum FoldKind {
    /// Gives the last state.
    Reduce,
    /// Gives each state, or what a filter makes of it.
    Foreach(Option<Node>),
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Arc<str>),
    Value(Node),
}

#[derive(Debug, Clone)]
pub(super) enum Part {
    Index(Node),
    Each,
    Slice(Option<Node>, Option<Node>),
}

/// Whether a part that cannot be there is passed over: `.a?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    Yes,
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Math {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Update {
    /// `=`
    Assign,
    /// `|=`
    Modify,
    /// `+=` and its like
    Calculate(Math),
    /// `//=`
    Alternative,
}
