//! The values that expressions work on: JSON, shared instead of copied, each knowing how large and how deep it is.

use std::{cmp::Ordering, ops::Deref, sync::Arc};

use indexmap::IndexMap;

use crate::{
    budget::{Budget, Spent},
    number::Number,
};

/// No value nests deeper. A payload does not either; it is what an expression builds that could.
pub(crate) const MAX_DEPTH: u32 = 200;
/// No value is larger, written out: parts that are shared count each time.
pub(crate) const MAX_BYTES: u64 = 16 << 20;
/// So large is the least of values, in bytes.
const LEAST: u64 = 8;

/// Members of an object in the order in which they were written.
pub(crate) type Members = IndexMap<Arc<str>, Value>;

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
    List(Arc<Measured<Vec<Value>>>),
    Map(Arc<Measured<Members>>),
}

/// What holds other values, and how large all of it is.
#[derive(Debug, Clone)]
pub(crate) struct Measured<T> {
    inner: T,
    extent: Extent,
}

/// How large and how deep a value is.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    bytes: u64,
    depth: u32,
}

impl<T> Deref for Measured<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> Measured<T> {
    fn new(inner: T, extent: Extent) -> Result<Arc<Self>, Spent> {
        match extent.depth > MAX_DEPTH || extent.bytes > MAX_BYTES {
            true => Err(Spent),
            false => Ok(Arc::new(Self { inner, extent })),
        }
    }
}

impl Extent {
    fn around(parts: impl Iterator<Item = Extent>) -> Self {
        let add = |all: Self, part: Self| Self {
            bytes: all.bytes.saturating_add(part.bytes),
            depth: all.depth.max(part.depth + 1),
        };
        parts.fold(Self { bytes: LEAST, depth: 1 }, add)
    }
}

impl<T: Clone> Measured<T> {
    /// The only copy, or one that nobody else holds.
    fn own(this: Arc<Self>, size: usize, budget: &Budget) -> Result<Self, Spent> {
        match Arc::try_unwrap(this) {
            Ok(own) => Ok(own),
            Err(shared) => {
                budget.spend(1 + size as u64)?;
                Ok((*shared).clone())
            }
        }
    }

    /// Accounts for one part in the place of another. The depth may stay too large, never too small.
    fn exchanged(mut self, before: Extent, after: Extent) -> Result<Arc<Self>, Spent> {
        self.extent.bytes = self.extent.bytes.saturating_sub(before.bytes).saturating_add(after.bytes);
        self.extent.depth = self.extent.depth.max(after.depth + 1);
        Self::new(self.inner, self.extent)
    }
}

/// Changes an element in place where nobody else holds the list. One behind the end is null before.
pub(crate) fn change_item<E: From<Spent>>(
    list: Arc<Measured<Vec<Value>>>,
    index: usize,
    budget: &Budget,
    change: impl FnOnce(Value) -> Result<Value, E>,
) -> Result<Value, E> {
    budget.spend(1)?;
    let size = list.len();
    let mut own = Measured::own(list, size, budget)?;
    if index >= size {
        let added = (index - size) as u64 + 1;
        budget.spend(added)?;
        own.inner.resize(index + 1, Value::Null);
        own.extent.bytes = own.extent.bytes.saturating_add(added.saturating_mul(LEAST));
    }
    let before = std::mem::replace(&mut own.inner[index], Value::Null);
    let extent = before.extent();
    let after = change(before)?;
    let new = after.extent();
    own.inner[index] = after;
    Ok(Value::List(own.exchanged(extent, new)?))
}

/// Changes a member in place where nobody else holds the object. One that is not there is null before.
pub(crate) fn change_member<E: From<Spent>>(
    map: Arc<Measured<Members>>,
    key: &Arc<str>,
    budget: &Budget,
    change: impl FnOnce(Value) -> Result<Value, E>,
) -> Result<Value, E> {
    // It is found twice, and taken in.
    budget.spend_bytes(3 * key.len())?;
    let size = map.len();
    let mut own = Measured::own(map, size, budget)?;
    if !own.inner.contains_key(key) {
        own.extent.bytes = own.extent.bytes.saturating_add(LEAST + key.len() as u64);
    }
    let place = own.inner.entry(key.clone()).or_insert(Value::Null);
    let before = std::mem::replace(place, Value::Null);
    let extent = before.extent();
    let after = change(before)?;
    let new = after.extent();
    own.inner.insert(key.clone(), after);
    Ok(Value::Map(own.exchanged(extent, new)?))
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn int(int: i64) -> Self {
        Self::Number(Number::Int(int))
    }

    pub(crate) fn count(count: usize) -> Self {
        Self::int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A whole result stays a whole number.
    pub(crate) fn float(float: f64) -> Self {
        Self::Number(Number::Float(float))
    }

    pub(crate) fn list(items: Vec<Value>, budget: &Budget) -> Result<Self, Spent> {
        budget.spend(1 + items.len() as u64)?;
        let extent = Extent::around(items.iter().map(Self::extent));
        Measured::new(items, extent).map(Self::List)
    }

    pub(crate) fn map(members: Members, budget: &Budget) -> Result<Self, Spent> {
        budget.spend(1 + members.len() as u64)?;
        let of_key = |key: &str| Extent { bytes: key.len() as u64, depth: 0 };
        let parts = members.iter().flat_map(|(key, value)| [of_key(key), value.extent()]);
        let extent = Extent::around(parts);
        Measured::new(members, extent).map(Self::Map)
    }

    fn extent(&self) -> Extent {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(Number::Int(_) | Number::Float(_)) => {
                Extent { bytes: LEAST, depth: 0 }
            }
            Self::Number(Number::Literal(text)) | Self::Text(text) => {
                Extent { bytes: LEAST + text.len() as u64, depth: 0 }
            }
            Self::List(list) => list.extent,
            Self::Map(map) => map.extent,
        }
    }

    /// How large it is, written out.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.extent().bytes).unwrap_or(usize::MAX)
    }

    /// What it is, in the words of JSON.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }

    /// Whether two values are equal: numbers by value, objects whatever their order.
    pub(crate) fn equals(&self, other: &Self, budget: &Budget) -> Result<bool, Spent> {
        budget.spend_bytes(self.bytes().min(other.bytes()))?;
        Ok(self.same(other))
    }

    /// The work of this is bounded by the smaller of the two, which the caller has paid for.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => left.compare(right) == Some(Ordering::Equal),
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| left.same(right))
            }
            (Self::Map(left), Self::Map(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| value.same(other)))
            }
            _ => false,
        }
    }

    /// The order of jq: null, false, true, numbers, strings, arrays, objects.
    pub(crate) fn order(&self, other: &Self, budget: &Budget) -> Result<Ordering, Spent> {
        budget.spend_bytes(self.bytes().min(other.bytes()))?;
        Ok(self.rank_with(other))
    }

    /// The same order, for a caller who has paid for it. It is total, as sorting demands.
    pub(crate) fn rank_with(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(left), Self::Number(right)) => left.rank_with(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => {
                let differing = left.iter().zip(right.iter()).map(|(left, right)| left.rank_with(right));
                differing.into_iter().find(|order| order.is_ne()).unwrap_or(left.len().cmp(&right.len()))
            }
            (Self::Map(left), Self::Map(right)) => {
                let (mine, others) = (sorted_keys(left), sorted_keys(right));
                mine.cmp(&others).then_with(|| {
                    let orders = mine.iter().map(|key| left[*key].rank_with(&right[*key]));
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                })
            }
            (left, right) => left.rank().cmp(&right.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(false) => 1,
            Self::Bool(true) => 2,
            Self::Number(_) => 3,
            Self::Text(_) => 4,
            Self::List(_) => 5,
            Self::Map(_) => 6,
        }
    }
}

/// Pays for looking up all keys of an object in another.
pub(crate) fn pay_for_keys(members: &Members, budget: &Budget) -> Result<(), Spent> {
    members.keys().try_for_each(|key| budget.spend_bytes(key.len()))
}

pub(crate) fn sorted_keys(members: &Members) -> Vec<&Arc<str>> {
    let mut keys: Vec<_> = members.keys().collect();
    keys.sort_unstable();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shares_its_parts_is_as_large_as_written_out() {
        let budget = Budget::of(1_000);
        let mut value = Value::text("x".repeat(100));
        let doublings = (0..64).take_while(|_| {
            let Ok(twice) = Value::list(vec![value.clone(), value.clone()], &budget) else { return false };
            value = twice;
            true
        });
        assert_eq!(doublings.count(), 17, "16 MiB are passed with the next");
    }

    #[test]
    fn nothing_nests_deeper_than_its_bound() {
        let budget = Budget::of(10_000);
        let nest = |value: Value, _: u32| Value::list(vec![value], &budget);
        assert!((0..MAX_DEPTH).try_fold(Value::Null, nest).is_ok());
        assert!((0..=MAX_DEPTH).try_fold(Value::Null, nest).is_err());
    }
}
