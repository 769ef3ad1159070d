//! Functions of values alone.

use std::sync::Arc;

use crate::{
    budget::Budget,
    json,
    number::{self, Number},
    value::{Members, Value, sorted_keys},
};

use super::{
    access::{self, Step},
    dates,
    machine::{Flow, Halt, Machine},
};

macro_rules! natives {
    ($($variant:ident = $name:literal / $arity:literal),* $(,)?) => {
        /// A function of its input and the values of its arguments.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Native { $($variant),* }

        impl Native {
            pub(super) fn of(name: &str, arity: usize) -> Option<Self> {
                match (name, arity) {
                    $(($name, $arity) => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

natives! {
    Length = "length" / 0, Utf8ByteLength = "utf8bytelength" / 0, Keys = "keys" / 0, KeysUnsorted = "keys_unsorted" / 0,
    Reverse = "reverse" / 0, Floor = "floor" / 0, Ceil = "ceil" / 0, Round = "round" / 0, Sqrt = "sqrt" / 0,
    Abs = "abs" / 0, ToString = "tostring" / 0, ToNumber = "tonumber" / 0, ToJson = "tojson" / 0,
    FromJson = "fromjson" / 0, Type = "type" / 0, Downcase = "ascii_downcase" / 0, Upcase = "ascii_upcase" / 0,
    Explode = "explode" / 0, Implode = "implode" / 0, Trim = "trim" / 0, TrimStart = "ltrim" / 0, TrimEnd = "rtrim" / 0,
    Transpose = "transpose" / 0, Has = "has" / 1, Contains = "contains" / 1, Split = "split" / 1, Join = "join" / 1,
    StartsWith = "startswith" / 1, EndsWith = "endswith" / 1, TrimPrefix = "ltrimstr" / 1, TrimSuffix = "rtrimstr" / 1,
    Flatten = "flatten" / 1, Index = "index" / 1, LastIndex = "rindex" / 1, Indices = "indices" / 1,
    Truncate = "trunc" / 0, Exp = "exp" / 0, Exp2 = "exp2" / 0, Exp10 = "exp10" / 0, Log = "log" / 0, Log2 = "log2" / 0,
    Log10 = "log10" / 0, NotANumber = "nan" / 0, Infinite = "infinite" / 0, IsNan = "isnan" / 0,
    IsInfinite = "isinfinite" / 0, IsNormal = "isnormal" / 0, TrimBoth = "trimstr" / 1, BrokenDown = "gmtime" / 0,
    ToBoolean = "toboolean" / 0, FromEntries = "from_entries" / 0, MakeTime = "mktime" / 0, FormatTime = "strftime" / 1, ParseTime = "strptime" / 1,
    DeletePaths = "delpaths" / 1, SetPath = "setpath" / 2, Power = "pow" / 2,
}

pub(super) fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

pub(super) fn wrong(what: &str, value: &Value) -> Halt {
    Halt::raised(format!("{what}, found {}", value.kind()))
}

impl Native {
    pub(super) fn call(self, machine: &Machine<'_>, input: &Value, arguments: &[Value]) -> Flow<Value> {
        let budget = machine.budget;
        budget.spend_bytes(text_length(input) + arguments.iter().map(text_length).sum::<usize>())?;
        match arguments {
            [] => self.plain(input, budget),
            [argument] => self.unary(input, argument, budget),
            [Value::List(path), new] if self == Self::SetPath => {
                let path = Step::all_of(path, budget)?;
                access::set_path(input.clone(), &path, new.clone(), budget)
            }
            [Value::Number(base), Value::Number(exponent)] if self == Self::Power => {
                Ok(Value::float(base.as_f64().powf(exponent.as_f64())))
            }
            _ => Err(Halt::raised("an argument is of another type than expected")),
        }
    }

    fn plain(self, input: &Value, budget: &Budget) -> Flow<Value> {
        match (self, input) {
            (Self::Type, input) => Ok(Value::text(input.kind())),
            (Self::ToJson, input) => Ok(Value::text(json::write(input, budget)?)),
            (Self::ToString, Value::Text(_)) => Ok(input.clone()),
            (Self::ToString, input) => Ok(Value::text(json::write(input, budget)?)),
            // What is no number is above zero in jq's order.
            (Self::Abs, Value::Text(_) | Value::List(_) | Value::Map(_)) | (Self::ToBoolean, Value::Bool(_)) => {
                Ok(input.clone())
            }
            (Self::NotANumber, _) => Ok(Value::float(f64::NAN)),
            (Self::Infinite, _) => Ok(Value::float(f64::INFINITY)),
            (Self::IsNan | Self::IsInfinite | Self::IsNormal, other) if !matches!(other, Value::Number(_)) => {
                Ok(Value::Bool(false))
            }
            (Self::MakeTime, input) => dates::seconds(input),
            (Self::Length, input) => length(input, budget),
            (Self::Keys | Self::KeysUnsorted, input) => self.keys(input, budget),
            (Self::Reverse, Value::Null) => Ok(Value::list(Vec::new(), budget)?),
            (Self::Reverse, Value::List(items)) => Ok(Value::list(items.iter().rev().cloned().collect(), budget)?),
            (Self::Reverse, Value::Text(text)) => Ok(Value::text(text.chars().rev().collect::<String>())),
            (Self::FromEntries, Value::List(entries)) => from_entries(entries, budget),
            (Self::Transpose, Value::List(rows)) => transpose(rows, budget),
            (Self::Implode, Value::List(items)) => implode(items, budget),
            (_, Value::Number(number)) => self.of_number(input, number, budget),
            (_, Value::Text(text)) => self.of_text(input, text, budget),
            (_, other) => Err(wrong("a function got another type than it takes", other)),
        }
    }

    fn keys(self, input: &Value, budget: &Budget) -> Flow<Value> {
        budget.spend_bytes(input.bytes().min(1 << 20))?;
        let keys: Vec<Value> = match input {
            Value::List(items) => (0..items.len()).map(Value::count).collect(),
            Value::Map(members) if self == Self::Keys => {
                sorted_keys(members).into_iter().cloned().map(Value::Text).collect()
            }
            Value::Map(members) => members.keys().cloned().map(Value::Text).collect(),
            other => return Err(wrong("`keys` takes an object or an array", other)),
        };
        Ok(Value::list(keys, budget)?)
    }

    fn of_number(self, input: &Value, number: &Number, budget: &Budget) -> Flow<Value> {
        let float = |change: fn(f64) -> f64| match number {
            Number::Int(_) => Ok(input.clone()),
            number => Ok(Value::float(change(number.as_f64()))),
        };
        match (self, number) {
            (Self::Floor, _) => float(f64::floor),
            (Self::Ceil, _) => float(f64::ceil),
            (Self::Round, _) => float(f64::round),
            (Self::Truncate, _) => float(f64::trunc),
            (Self::Sqrt, number) => Ok(Value::float(number.as_f64().sqrt())),
            (Self::Exp, number) => Ok(Value::float(number.as_f64().exp())),
            (Self::Exp2, number) => Ok(Value::float(number.as_f64().exp2())),
            (Self::Exp10, number) => Ok(Value::float(10_f64.powf(number.as_f64()))),
            (Self::Log, number) => Ok(Value::float(number.as_f64().ln())),
            (Self::Log2, number) => Ok(Value::float(number.as_f64().log2())),
            (Self::Log10, number) => Ok(Value::float(number.as_f64().log10())),
            (Self::IsNan, number) => Ok(Value::Bool(number.as_f64().is_nan())),
            (Self::IsInfinite, number) => Ok(Value::Bool(number.as_f64().is_infinite())),
            (Self::IsNormal, number) => Ok(Value::Bool(number.as_f64().is_normal())),
            (Self::BrokenDown, number) => dates::broken_down(number.as_f64(), budget),
            (Self::Abs, Number::Int(int)) if *int != i64::MIN => Ok(Value::int(int.abs())),
            (Self::Abs, number) => Ok(Value::float(number.as_f64().abs())),
            (Self::ToNumber, _) => Ok(input.clone()),
            _ => Err(wrong("a function got another type than it takes", input)),
        }
    }

    fn of_text(self, input: &Value, text: &Arc<str>, budget: &Budget) -> Flow<Value> {
        match self {
            Self::Utf8ByteLength => Ok(Value::count(text.len())),
            Self::ToBoolean if matches!(&**text, "true" | "false") => Ok(Value::Bool(&**text == "true")),
            Self::ToNumber => number(text.trim()),
            Self::FromJson => json::read_any(text, budget)?.ok_or_else(|| Halt::raised("a string is no JSON")),
            Self::Downcase => Ok(Value::text(text.to_ascii_lowercase())),
            Self::Upcase => Ok(Value::text(text.to_ascii_uppercase())),
            Self::Explode => {
                budget.spend(text.len() as u64)?;
                let points = text.chars().map(|char| Value::int(i64::from(u32::from(char))));
                Ok(Value::list(points.collect(), budget)?)
            }
            Self::Trim => Ok(Value::text(text.trim())),
            Self::TrimStart => Ok(Value::text(text.trim_start())),
            Self::TrimEnd => Ok(Value::text(text.trim_end())),
            _ => Err(wrong("a function got another type than it takes", input)),
        }
    }

    fn unary(self, input: &Value, argument: &Value, budget: &Budget) -> Flow<Value> {
        match (self, input, argument) {
            (Self::Has, Value::Map(members), Value::Text(key)) => Ok(Value::Bool(members.contains_key(key))),
            (Self::Has, Value::Null, _) => Ok(Value::Bool(false)),
            (Self::Has, Value::List(items), Value::Number(index)) => {
                let index = index.as_i64().and_then(|index| usize::try_from(index).ok());
                Ok(Value::Bool(index.is_some_and(|index| index < items.len())))
            }
            (Self::Contains, input, part) => Ok(Value::Bool(contains(input, part, budget)?)),
            (Self::Split, Value::Text(text), Value::Text(by)) => split(text, by, budget),
            (Self::Join, Value::List(items), Value::Text(by)) => join(items, by, budget),
            (Self::Join, Value::List(items), Value::Null) => join(items, "", budget),
            (Self::StartsWith, Value::Text(text), Value::Text(part)) => Ok(Value::Bool(text.starts_with(&**part))),
            (Self::EndsWith, Value::Text(text), Value::Text(part)) => Ok(Value::Bool(text.ends_with(&**part))),
            (Self::TrimPrefix, Value::Text(text), Value::Text(part)) => {
                Ok(text.strip_prefix(&**part).map_or_else(|| input.clone(), Value::text))
            }
            (Self::TrimSuffix, Value::Text(text), Value::Text(part)) => {
                Ok(text.strip_suffix(&**part).map_or_else(|| input.clone(), Value::text))
            }
            (Self::TrimBoth, Value::Text(text), Value::Text(part)) => {
                let text = text.strip_prefix(&**part).unwrap_or(text);
                Ok(Value::text(text.strip_suffix(&**part).unwrap_or(text)))
            }
            (Self::TrimPrefix | Self::TrimSuffix | Self::TrimBoth, input, _) => Ok(input.clone()),
            (Self::FormatTime, input, Value::Text(format)) => dates::write(input, format, budget),
            (Self::ParseTime, Value::Text(text), Value::Text(format)) => dates::read(text, format, budget),
            (Self::Indices | Self::Index | Self::LastIndex, Value::Null, _) => Ok(Value::Null),
            (Self::Flatten, Value::List(_) | Value::Map(_), Value::Number(depth)) if depth.as_f64() >= 0.0 => {
                let mut flat = Vec::new();
                let items = match input {
                    Value::List(items) => items.to_vec(),
                    Value::Map(members) => members.values().cloned().collect(),
                    _ => Vec::new(),
                };
                flatten(&items, depth.as_f64(), &mut flat, budget)?;
                Ok(Value::list(flat, budget)?)
            }
            (Self::Indices, input, part) => Ok(Value::list(indices(input, part, budget)?, budget)?),
            (Self::Index, input, part) => Ok(indices(input, part, budget)?.into_iter().next().unwrap_or(Value::Null)),
            (Self::LastIndex, input, part) => Ok(indices(input, part, budget)?.pop().unwrap_or(Value::Null)),
            (Self::DeletePaths, input, Value::List(paths)) => {
                let path = |path: &Value| match path {
                    Value::List(steps) => Step::all_of(steps, budget),
                    other => Err(wrong("a path is an array", other)),
                };
                let paths = paths.iter().map(path).collect::<Flow<Vec<_>>>()?;
                access::delete_paths(input.clone(), &paths, budget)
            }
            (_, input, _) => Err(wrong("a function got another type than it takes", input)),
        }
    }
}

/// Signs and points may stand where JSON has none.
fn number(text: &str) -> Flow<Value> {
    if text.len() > number::MAX_LENGTH {
        return Err(Halt::raised(format!("a number is longer than {} characters", number::MAX_LENGTH)));
    }
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    match text.parse::<f64>() {
        Ok(_) if is_json => Ok(Value::Number(Number::of_json(text))),
        Ok(float) if text.ends_with(|last: char| last.is_ascii_digit() || last == '.') => Ok(Value::float(float)),
        _ => Err(Halt::raised("a string is no number")),
    }
}

fn text_length(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        _ => 0,
    }
}

fn length(input: &Value, budget: &Budget) -> Flow<Value> {
    match input {
        Value::Null => Ok(Value::int(0)),
        Value::Bool(_) => Err(Halt::raised("a boolean has no length")),
        Value::Number(Number::Int(int)) if *int != i64::MIN => Ok(Value::int(int.abs())),
        Value::Number(number) => Ok(Value::float(number.as_f64().abs())),
        Value::Text(text) => {
            budget.spend_bytes(text.len())?;
            Ok(Value::count(text.chars().count()))
        }
        Value::List(items) => Ok(Value::count(items.len())),
        Value::Map(members) => Ok(Value::count(members.len())),
    }
}

/// The same of parts, where another kind is no error.
fn holds(whole: &Value, part: &Value, budget: &Budget) -> Flow<bool> {
    match (whole, part) {
        (Value::Bool(whole), Value::Bool(part)) => Ok(whole == part),
        (whole, part) => Ok(whole.kind() == part.kind() && contains(whole, part, budget)?),
    }
}

fn contains(whole: &Value, part: &Value, budget: &Budget) -> Flow<bool> {
    budget.spend(1)?;
    match (whole, part) {
        (Value::Text(whole), Value::Text(part)) => {
            budget.spend_bytes(whole.len())?;
            Ok(whole.contains(&**part))
        }
        (Value::List(whole), Value::List(parts)) => {
            for part in parts.iter() {
                let mut is_there = false;
                for item in whole.iter() {
                    is_there = holds(item, part, budget)?;
                    if is_there {
                        break;
                    }
                }
                if !is_there {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(whole), Value::Map(parts)) => {
            for (key, part) in parts.iter() {
                let is_there = match whole.get(key) {
                    Some(value) => holds(value, part, budget)?,
                    None => false,
                };
                if !is_there {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        // Two booleans are of two kinds, for once.
        (Value::Bool(whole), Value::Bool(part)) if whole != part => {
            Err(Halt::raised("a boolean cannot contain another"))
        }
        (whole, part) if whole.kind() == part.kind() => Ok(whole.equals(part, budget)?),
        (whole, part) => Err(Halt::raised(format!("{} cannot contain {}", whole.kind(), part.kind()))),
    }
}

pub(super) fn split(text: &str, by: &str, budget: &Budget) -> Flow<Value> {
    // Each part is a value, and as many as there are characters can be made of a text.
    budget.spend(if by.is_empty() { text.len() as u64 } else { 0 })?;
    let parts: Vec<Value> = match (text, by) {
        ("", _) => Vec::new(),
        (text, "") => text.chars().map(|char| Value::text(char.to_string())).collect(),
        (text, by) => text.split(by).map(Value::text).collect(),
    };
    Ok(Value::list(parts, budget)?)
}

fn join(items: &[Value], by: &str, budget: &Budget) -> Flow<Value> {
    budget.spend_bytes(by.len().saturating_mul(items.len()))?;
    let mut joined = String::new();
    for (index, item) in items.iter().enumerate() {
        budget.spend_bytes(text_length(item))?;
        joined.push_str(if index > 0 { by } else { "" });
        match item {
            Value::Null => {}
            Value::Text(text) => joined.push_str(text),
            Value::Number(_) | Value::Bool(_) => joined.push_str(&json::write(item, budget)?),
            other => return Err(wrong("`join` takes strings", other)),
        }
    }
    Ok(Value::text(joined))
}

fn flatten(items: &[Value], depth: f64, flat: &mut Vec<Value>, budget: &Budget) -> Flow {
    for item in items {
        budget.spend(1)?;
        match item {
            Value::List(inner) if depth != 0.0 => flatten(inner, depth - 1.0, flat, budget)?,
            other => flat.push(other.clone()),
        }
    }
    Ok(())
}

pub(super) fn indices(input: &Value, part: &Value, budget: &Budget) -> Flow<Vec<Value>> {
    match (input, part) {
        (Value::Text(text), Value::Text(part)) if !part.is_empty() => {
            let (mut found, mut chars, mut from) = (Vec::new(), 0, 0);
            // Occurrences may overlap.
            while let Some(at) = text[from..].find(&**part) {
                // The next may be found a character on, after as many comparisons as the part is long.
                budget.spend_bytes(at + part.len())?;
                chars += text[from..from + at].chars().count();
                found.push(Value::count(chars));
                let first = text[from + at..].chars().next().map_or(1, char::len_utf8);
                chars += 1;
                from += at + first;
            }
            Ok(found)
        }
        (Value::Text(_), Value::Text(_)) => Ok(Vec::new()),
        (Value::List(items), Value::List(part)) if !part.is_empty() => {
            let mut found = Vec::new();
            for (at, window) in items.windows(part.len()).enumerate() {
                let mut is_equal = true;
                for (item, part) in window.iter().zip(part.iter()) {
                    is_equal = item.equals(part, budget)?;
                    if !is_equal {
                        break;
                    }
                }
                found.extend(is_equal.then(|| Value::count(at)));
            }
            Ok(found)
        }
        (Value::List(_), Value::List(_)) => Ok(Vec::new()),
        (Value::List(items), value) => {
            let mut found = Vec::new();
            for (at, item) in items.iter().enumerate() {
                if item.equals(value, budget)? {
                    found.push(Value::count(at));
                }
            }
            Ok(found)
        }
        (input, _) => Err(wrong("an index is looked for in a string or an array", input)),
    }
}

/// Takes the names that others give to a key and a value too.
fn from_entries(entries: &[Value], budget: &Budget) -> Flow<Value> {
    let mut members = Members::new();
    for entry in entries {
        let Value::Map(entry) = entry else { return Err(wrong("`from_entries` takes objects", entry)) };
        let first = |names: &[&str]| names.iter().filter_map(|name| entry.get(*name)).find(|value| is_true(value));
        let key = match first(&["key", "Key", "name", "Name", "k", "K"]).or(entry.get("key")) {
            Some(Value::Text(key)) => key.clone(),
            Some(key @ (Value::Number(_) | Value::Bool(_))) => json::write(key, budget)?.into(),
            _ => return Err(Halt::raised("an entry has no key that is a string")),
        };
        let value = entry.get("value").or(entry.get("v")).or(first(&["Value", "V"])).cloned().unwrap_or(Value::Null);
        budget.spend_bytes(key.len())?;
        members.insert(key, value);
    }
    Ok(Value::map(members, budget)?)
}

fn transpose(rows: &[Value], budget: &Budget) -> Flow<Value> {
    let row = |row: &Value| match row {
        Value::List(row) => Ok(row.clone()),
        other => Err(wrong("`transpose` takes an array of arrays", other)),
    };
    let rows = rows.iter().map(row).collect::<Flow<Vec<_>>>()?;
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or_default();
    budget.spend((longest as u64).saturating_mul(rows.len() as u64))?;
    let columns = (0..longest).map(|at| {
        let column = rows.iter().map(|row| row.get(at).cloned().unwrap_or(Value::Null)).collect();
        Value::list(column, budget)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(Value::list(columns, budget)?)
}

fn implode(points: &[Value], budget: &Budget) -> Flow<Value> {
    budget.spend(points.len() as u64)?;
    let char = |point: &Value| match point {
        Value::Number(point) => {
            let char = point.as_i64().and_then(|point| u32::try_from(point).ok()).and_then(char::from_u32);
            Some(char.unwrap_or(char::REPLACEMENT_CHARACTER))
        }
        _ => None,
    };
    let text: Option<String> = points.iter().map(char).collect();
    text.map(Value::text).ok_or_else(|| Halt::raised("`implode` takes code points"))
}
