//! What can be known of an expression without an event: it has to be able to be true or false.

use crate::{text_error::TextError, value::Value};

use super::{
    functions::Function,
    syntax::{Kind, MacroName, Node},
};

const HELP: &str = "write something that is true or false, such as `payload.action == \"opened\"`";

/// The type of a node as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool,
    Other(&'static str),
    Unknown,
}

/// Whether an expression and all of its conditions can be true or false.
pub(super) fn check(text: &str, root: &Node) -> Result<(), TextError> {
    condition(text, root)?;
    conditions(text, root)
}

fn condition(text: &str, node: &Node) -> Result<(), TextError> {
    match type_of(node) {
        Type::Bool | Type::Unknown => Ok(()),
        Type::Other(kind) => {
            let message = format!("this is {kind}, which is never true or false");
            Err(TextError::new(text, node.span.clone(), message, HELP))
        }
    }
}

fn conditions(text: &str, node: &Node) -> Result<(), TextError> {
    match &node.kind {
        Kind::Not(inner) => condition(text, inner)?,
        Kind::All(parts) | Kind::Any(parts) => parts.iter().try_for_each(|part| condition(text, part))?,
        Kind::Conditional(parts) => condition(text, &parts[0])?,
        Kind::Macro(inner) if inner.name != MacroName::Map || inner.result.is_some() => condition(text, &inner.body)?,
        _ => {}
    }
    node.kind.parts().into_iter().try_for_each(|part| conditions(text, part))
}

fn type_of(node: &Node) -> Type {
    match &node.kind {
        Kind::Literal(Value::Bool(_)) => Type::Bool,
        Kind::Literal(Value::Null) => Type::Other("null"),
        Kind::Literal(Value::Number(_)) | Kind::Negate(_) => Type::Other("a number"),
        Kind::Literal(Value::Text(_)) | Kind::Source | Kind::Type => Type::Other("a string"),
        Kind::Literal(Value::List(_)) | Kind::List(_) => Type::Other("a list"),
        Kind::Literal(Value::Map(_)) | Kind::Map(_) => Type::Other("a map"),
        Kind::Not(_) | Kind::All(_) | Kind::Any(_) | Kind::Relation(..) | Kind::Has(..) | Kind::Matches(..) => {
            Type::Bool
        }
        Kind::Macro(inner) => match inner.name {
            MacroName::All | MacroName::Exists | MacroName::ExistsOne => Type::Bool,
            MacroName::Filter | MacroName::Map => Type::Other("a list"),
        },
        Kind::Conditional(parts) => match (type_of(&parts[1]), type_of(&parts[2])) {
            (Type::Other(one), Type::Other(_)) => Type::Other(one),
            (Type::Bool, Type::Bool) => Type::Bool,
            _ => Type::Unknown,
        },
        Kind::Call(function, _) => match function {
            Function::Contains | Function::StartsWith | Function::EndsWith | Function::Matches => Type::Bool,
            Function::Size | Function::Int | Function::Double => Type::Other("a number"),
            Function::String | Function::LowerAscii | Function::UpperAscii => Type::Other("a string"),
            Function::Dyn => Type::Unknown,
        },
        // `+` joins strings and lists too; none of them is true or false.
        Kind::Arithmetic(..) => Type::Other("the result of a calculation"),
        Kind::Field(_) | Kind::Local(_) | Kind::Select(..) | Kind::Index(..) => Type::Unknown,
    }
}
