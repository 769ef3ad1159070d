//! Steps into values, and values changed at the end of such steps.

use std::{collections::HashSet, ops::Range, sync::Arc};

use indexmap::IndexMap;

use crate::{
    budget::{Budget, Spent},
    value::{MAX_DEPTH, Members, Value, change_item, change_member},
};

use super::machine::{Flow, Halt, Out, Place};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Key(Arc<str>),
    /// From the end where it is negative.
    Index(i64),
    Slice(Option<i64>, Option<i64>),
}

impl Step {
    /// The step that a value stands for. Whoever goes it looks for the key, which costs as much as that is long.
    pub(super) fn of(value: &Value, budget: &Budget) -> Flow<Self> {
        match value {
            Value::Text(key) => {
                budget.spend_bytes(key.len())?;
                Ok(Self::Key(key.clone()))
            }
            Value::Number(number) => index_of(number.as_f64().trunc()),
            Value::Map(members) => {
                let bound = |name: &str| members.get(name).cloned().unwrap_or(Value::Null);
                Self::slice(&bound("start"), &bound("end"))
            }
            other => Err(Halt::raised(format!("{} is no index", other.kind()))),
        }
    }

    pub(super) fn slice(from: &Value, upto: &Value) -> Flow<Self> {
        let bound = |value: &Value, round: fn(f64) -> f64| match value {
            Value::Null => Ok(None),
            Value::Number(number) => match (number.as_f64(), round(number.as_f64())) {
                (number, _) if number.is_nan() => Ok(None),
                // Less than one before the end, rounded up, is the end.
                (number, rounded) if number < 0.0 && rounded == 0.0 => Ok(None),
                (_, rounded) => match index_of(rounded)? {
                    Self::Index(index) => Ok(Some(index)),
                    _ => Ok(None),
                },
            },
            other => Err(Halt::raised(format!("{} is no bound of a slice", other.kind()))),
        };
        Ok(Self::Slice(bound(from, f64::floor)?, bound(upto, f64::ceil)?))
    }

    /// The steps of a path.
    pub(super) fn all_of(path: &[Value], budget: &Budget) -> Flow<Vec<Self>> {
        path.iter().map(|step| Self::of(step, budget)).collect()
    }

    /// Pays for finding what it leads to.
    fn pay(&self, budget: &Budget) -> Result<(), Spent> {
        match self {
            Self::Key(key) => budget.spend_bytes(key.len()),
            Self::Index(_) | Self::Slice(..) => budget.spend(1),
        }
    }

    /// The value that stands for the step.
    pub(super) fn to_value(&self, budget: &Budget) -> Result<Value, Spent> {
        let bound = |bound: &Option<i64>| bound.map_or(Value::Null, Value::int);
        match self {
            Self::Key(key) => Ok(Value::Text(key.clone())),
            Self::Index(index) => Ok(Value::int(*index)),
            Self::Slice(from, upto) => {
                let bounds = [("start".into(), bound(from)), ("end".into(), bound(upto))];
                Value::map(Members::from_iter(bounds), budget)
            }
        }
    }
}

/// Out of every list.
const FAR: i64 = 1_000_000_000_000_000;

/// Far out of every list is as good as any other place out of it, and where a number is none there is nothing.
fn index_of(number: f64) -> Flow<Step> {
    match number.is_nan() {
        true => Ok(Step::Index(FAR)),
        false => Ok(Step::Index(number.clamp(-(FAR as f64), FAR as f64) as i64)),
    }
}

/// The place in a list of that length; `None` before its beginning.
fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

fn range(from: Option<i64>, upto: Option<i64>, length: usize) -> Range<usize> {
    let place = |index: i64| position(index, length).unwrap_or(0).min(length);
    let (from, upto) = (from.map_or(0, place), upto.map_or(length, place));
    from..upto.max(from)
}

/// What stands one step on; null where nothing does.
pub(super) fn get(value: &Value, step: &Step) -> Flow<Value> {
    match (value, step) {
        (Value::Null, _) => Ok(Value::Null),
        (Value::Map(members), Step::Key(key)) => Ok(members.get(key).cloned().unwrap_or(Value::Null)),
        (Value::List(items), Step::Index(index)) => {
            let at = position(*index, items.len());
            Ok(at.and_then(|at| items.get(at).cloned()).unwrap_or(Value::Null))
        }
        (value, Step::Key(_)) => Err(Halt::raised(format!("a field was asked of {}", named(value)))),
        (value, _) => Err(Halt::raised(format!("an element was asked of {}", named(value)))),
    }
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Text(_) => "a string",
        Value::List(_) => "an array",
        Value::Map(_) => "an object",
    }
}

/// A part of a list or string.
pub(super) fn slice(value: &Value, step: &Step, budget: &Budget) -> Flow<Value> {
    let Step::Slice(from, upto) = step else { return get(value, step) };
    match value {
        Value::Null => Ok(Value::Null),
        Value::List(items) => Ok(Value::list(items[range(*from, *upto, items.len())].to_vec(), budget)?),
        Value::Text(text) => {
            budget.spend_bytes(text.len())?;
            let range = range(*from, *upto, text.chars().count());
            Ok(Value::text(text.chars().skip(range.start).take(range.len()).collect::<String>()))
        }
        other => Err(Halt::raised(format!("a slice was asked of {}", named(other)))),
    }
}

pub(super) fn can_each(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

pub(super) fn no_children(value: &Value) -> Halt {
    Halt::raised(format!("{} has no elements to go over", named(value)))
}

/// Hands on every element or member.
pub(super) fn each(at: &Place, budget: &Budget, out: &mut Out<'_>) -> Flow {
    match &at.value {
        Value::List(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            budget.spend(1)?;
            out(at.step(|| Step::Index(i64::try_from(index).unwrap_or(i64::MAX)), item.clone()))
        }),
        Value::Map(members) => members.iter().try_for_each(|(key, value)| {
            budget.spend(1)?;
            out(at.step(|| Step::Key(key.clone()), value.clone()))
        }),
        other => Err(no_children(other)),
    }
}

/// What a path leads to.
pub(super) fn get_path(value: &Value, path: &[Step], budget: &Budget) -> Flow<Value> {
    path.iter().try_fold(value.clone(), |value, step| {
        step.pay(budget)?;
        slice(&value, step, budget)
    })
}

fn check_length(path: &[Step]) -> Result<(), Spent> {
    if path.len() > MAX_DEPTH as usize { Err(Spent) } else { Ok(()) }
}

/// The value with another at the end of a path; what is missing on the way is made.
pub(super) fn set_path(value: Value, path: &[Step], new: Value, budget: &Budget) -> Flow<Value> {
    check_length(path)?;
    set(value, path, new, budget)
}

fn set(value: Value, path: &[Step], new: Value, budget: &Budget) -> Flow<Value> {
    let Some((step, rest)) = path.split_first() else { return Ok(new) };
    let change = |before: Value| set(before, rest, new, budget);
    match (value, step) {
        (Value::Null, Step::Key(key)) => {
            let Value::Map(map) = Value::map(Members::new(), budget)? else { return Ok(Value::Null) };
            change_member(map, key, budget, change)
        }
        (Value::Null, Step::Index(index)) => {
            let Value::List(list) = Value::list(Vec::new(), budget)? else { return Ok(Value::Null) };
            let at = position(*index, 0).ok_or_else(|| Halt::raised("an index is before the beginning"))?;
            change_item(list, at, budget, change)
        }
        (Value::Map(map), Step::Key(key)) => change_member(map, key, budget, change),
        (Value::List(list), Step::Index(index)) => {
            let at = position(*index, list.len()).ok_or_else(|| Halt::raised("an index is before the beginning"))?;
            change_item(list, at, budget, change)
        }
        (Value::Null, Step::Slice(..)) => {
            let Value::List(part) = change(Value::Null)? else {
                return Err(Halt::raised("a slice becomes an array only"));
            };
            Ok(Value::List(part))
        }
        (Value::List(list), Step::Slice(from, upto)) => {
            let range = range(*from, *upto, list.len());
            let part = Value::list(list[range.clone()].to_vec(), budget)?;
            let Value::List(part) = change(part)? else { return Err(Halt::raised("a slice becomes an array only")) };
            let items = list[..range.start].iter().chain(part.iter()).chain(&list[range.end..]);
            Ok(Value::list(items.cloned().collect(), budget)?)
        }
        (value, Step::Key(_)) => Err(Halt::raised(format!("a field was set in {}", named(&value)))),
        (value, _) => Err(Halt::raised(format!("an element was set in {}", named(&value)))),
    }
}

/// The value without what stands at the ends of paths.
pub(super) fn delete_paths(value: Value, paths: &[Vec<Step>], budget: &Budget) -> Flow<Value> {
    paths.iter().try_for_each(|path| check_length(path))?;
    let paths: Vec<&[Step]> = paths.iter().map(Vec::as_slice).collect();
    delete(value, &paths, budget)
}

fn delete(value: Value, paths: &[&[Step]], budget: &Budget) -> Flow<Value> {
    budget.spend(1)?;
    if paths.is_empty() {
        return Ok(value);
    }
    // What begins with one step goes together, so that removing moves nothing that is still to be found.
    let mut by_step: IndexMap<&Step, Vec<&[Step]>> = IndexMap::new();
    for path in paths {
        path.first().map_or(Ok(()), |step| step.pay(budget))?;
        match path.split_first() {
            Some((step, rest)) => by_step.entry(step).or_default().push(rest),
            None => return Ok(Value::Null),
        }
    }
    match value {
        Value::Null => Ok(Value::Null),
        Value::List(_) => delete_items(value, by_step, budget),
        Value::Map(_) => delete_members(value, by_step, budget),
        other => Err(Halt::raised(format!("nothing can be removed from {}", named(&other)))),
    }
}

fn delete_items(mut value: Value, by_step: IndexMap<&Step, Vec<&[Step]>>, budget: &Budget) -> Flow<Value> {
    let mut removed: HashSet<usize> = HashSet::new();
    for (step, rests) in by_step {
        let Value::List(list) = value else { break };
        let is_whole = rests.iter().any(|rest| rest.is_empty());
        value = match step {
            Step::Index(index) => match position(*index, list.len()).filter(|at| *at < list.len()) {
                Some(at) if is_whole => {
                    removed.insert(at);
                    Value::List(list)
                }
                Some(at) => change_item(list, at, budget, |item| delete(item, &rests, budget))?,
                None => Value::List(list),
            },
            Step::Slice(from, upto) if is_whole => {
                let range = range(*from, *upto, list.len());
                budget.spend(range.len() as u64)?;
                removed.extend(range);
                Value::List(list)
            }
            Step::Slice(..) => return Err(Halt::raised("a slice is removed as a whole only")),
            Step::Key(_) => return Err(Halt::raised("a field was removed from an array")),
        };
    }
    match value {
        Value::List(items) if !removed.is_empty() => {
            let kept = items.iter().enumerate().filter(|(at, _)| !removed.contains(at)).map(|(_, item)| item.clone());
            Ok(Value::list(kept.collect(), budget)?)
        }
        value => Ok(value),
    }
}

fn delete_members(mut value: Value, by_step: IndexMap<&Step, Vec<&[Step]>>, budget: &Budget) -> Flow<Value> {
    let mut removed: HashSet<&str> = HashSet::new();
    for (step, rests) in by_step {
        let Value::Map(map) = value else { break };
        let Step::Key(key) = step else { return Err(Halt::raised("an element was removed from an object")) };
        value = match map.contains_key(key) {
            true if rests.iter().any(|rest| rest.is_empty()) => {
                removed.insert(key);
                Value::Map(map)
            }
            true => change_member(map, key, budget, |member| delete(member, &rests, budget))?,
            false => Value::Map(map),
        };
    }
    match value {
        Value::Map(members) if !removed.is_empty() => {
            let kept = members.iter().filter(|(key, _)| !removed.contains(&***key));
            Ok(Value::map(kept.map(|(key, value)| (key.clone(), value.clone())).collect(), budget)?)
        }
        value => Ok(value),
    }
}
