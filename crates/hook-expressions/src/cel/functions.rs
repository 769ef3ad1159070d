//! The functions of the language.

use crate::{
    budget::Budget,
    json,
    number::{Number, whole},
    value::Value,
};

use super::EvalError;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Int,
    Double,
    String,
    Dyn,
    LowerAscii,
    UpperAscii,
}

impl Function {
    /// All of them, for people.
    pub(super) const ALL: &'static str = "there are size, contains, startsWith, endsWith, matches, int, double, string, \
                                          dyn, lowerAscii and upperAscii, and the macros has, all, exists, exists_one, \
                                          filter and map";

    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "size" => Self::Size,
            "contains" => Self::Contains,
            "startsWith" => Self::StartsWith,
            "endsWith" => Self::EndsWith,
            "matches" => Self::Matches,
            "int" => Self::Int,
            "double" => Self::Double,
            "string" => Self::String,
            "dyn" => Self::Dyn,
            "lowerAscii" => Self::LowerAscii,
            "upperAscii" => Self::UpperAscii,
            _ => return None,
        })
    }

    /// How many arguments it takes, what it is called on included.
    pub(super) fn arity(self) -> usize {
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches => 2,
            _ => 1,
        }
    }

    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Size => "size(payload.commits)",
            Self::Contains => "payload.title.contains(\"fix\")",
            Self::StartsWith => "payload.ref.startsWith(\"refs/heads/\")",
            Self::EndsWith => "payload.ref.endsWith(\"/main\")",
            Self::Matches => "payload.title.matches(\"^fix\")",
            Self::Int => "int(payload.number)",
            Self::Double => "double(payload.price)",
            Self::String => "string(payload.number)",
            Self::Dyn => "dyn(payload.id)",
            Self::LowerAscii => "payload.title.lowerAscii()",
            Self::UpperAscii => "payload.title.upperAscii()",
        }
    }

    pub(super) fn call(self, arguments: &[Value], budget: &Budget) -> Result<Value, EvalError> {
        let bytes: usize = arguments.iter().map(text_length).sum();
        budget.spend_bytes(bytes)?;
        match (self, arguments) {
            (Self::Size, [Value::Text(text)]) => Ok(Value::count(text.chars().count())),
            (Self::Size, [Value::List(items)]) => Ok(Value::count(items.len())),
            (Self::Size, [Value::Map(members)]) => Ok(Value::count(members.len())),
            (Self::Contains, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.contains(&**part))),
            (Self::StartsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.starts_with(&**part))),
            (Self::EndsWith, [Value::Text(text), Value::Text(part)]) => Ok(Value::Bool(text.ends_with(&**part))),
            (Self::Int, [value]) => int(value).ok_or_else(|| mismatch("`int` takes a number, or a string that is one")),
            (Self::Double, [value]) => {
                double(value).ok_or_else(|| mismatch("`double` takes a number, or a string that is one"))
            }
            (Self::String, [Value::Text(text)]) => Ok(Value::Text(text.clone())),
            (Self::String, [value @ (Value::Number(_) | Value::Bool(_))]) => {
                Ok(Value::text(json::write(value, budget)?))
            }
            (Self::Dyn, [value]) => Ok(value.clone()),
            (Self::LowerAscii, [Value::Text(text)]) => Ok(Value::text(text.to_ascii_lowercase())),
            (Self::UpperAscii, [Value::Text(text)]) => Ok(Value::text(text.to_ascii_uppercase())),
            (function, _) => Err(mismatch(&format!("expected types as in `{}`", function.example()))),
        }
    }
}

pub(super) fn mismatch(message: &str) -> EvalError {
    EvalError::Mismatch(message.to_owned())
}

fn text_length(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        _ => 0,
    }
}

fn int(value: &Value) -> Option<Value> {
    let int = match value {
        Value::Number(Number::Int(int)) => *int,
        // Towards zero, as the language has it.
        Value::Number(number) => whole(number.as_f64().trunc())?,
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Value::int(int))
}

fn double(value: &Value) -> Option<Value> {
    let float = match value {
        Value::Number(number) => number.as_f64(),
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    Some(Value::float(float))
}
