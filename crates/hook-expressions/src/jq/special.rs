//! Functions that run their arguments themselves.

use std::cmp::Ordering;

use crate::value::{MAX_DEPTH, Members, Value};

use super::{
    access::{self, Step},
    machine::{Flow, Halt, Machine, Out, Place, Raised, Scope, no_path},
    program::Node,
};

/// A function that runs its arguments itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Range,
    Recurse,
    Repeat,
    First,
    Last,
    Limit,
    Skip,
    Path,
    GetPath,
    Error,
    SortBy,
    GroupBy,
    UniqueBy,
    MinBy,
    MaxBy,
    Walk,
}

/// What stands for a message that may hold parts of a payload.
const HIDDEN: &str = "its message is not shown, as it may hold parts of the payload";

impl Special {
    pub(super) fn of(name: &str, arity: usize) -> Option<Self> {
        Some(match (name, arity) {
            ("range", 3) => Self::Range,
            ("recurse", 1) => Self::Recurse,
            ("repeat", 1) => Self::Repeat,
            ("first", 1) => Self::First,
            ("last", 1) => Self::Last,
            ("limit", 2) => Self::Limit,
            ("skip", 2) => Self::Skip,
            ("path", 1) => Self::Path,
            ("getpath", 1) => Self::GetPath,
            ("error", 0 | 1) => Self::Error,
            ("sort_by", 1) => Self::SortBy,
            ("group_by", 1) => Self::GroupBy,
            ("unique_by", 1) => Self::UniqueBy,
            ("min_by", 1) => Self::MinBy,
            ("max_by", 1) => Self::MaxBy,
            ("walk", 1) => Self::Walk,
            _ => return None,
        })
    }

    /// Whether a path leads to its results.
    fn has_paths(self) -> bool {
        matches!(
            self,
            Self::Recurse
                | Self::Repeat
                | Self::First
                | Self::Last
                | Self::Limit
                | Self::Skip
                | Self::GetPath
                | Self::Error
        )
    }
}

impl Machine<'_> {
    pub(super) fn special<'p>(
        &self,
        special: Special,
        arguments: &'p [Node],
        scope: &Scope<'p>,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        if at.path.is_some() && !special.has_paths() {
            return Err(no_path());
        }
        match (special, arguments) {
            (Special::Range, [from, upto, by]) => self.range((from, upto, by), scope, &at.value, out),
            (Special::Recurse, [filter]) => self.recurse(filter, scope, at, out),
            (Special::Repeat, [filter]) => loop {
                self.run(filter, scope, at.clone(), out)?;
            },
            (Special::First, [filter]) => self.some(0, 1, filter, scope, at, out),
            (Special::Last, [filter]) => {
                let mut last = None;
                self.run(filter, scope, at, &mut |place| {
                    last = Some(place);
                    Ok(())
                })?;
                last.map_or(Ok(()), out)
            }
            (Special::Limit, [count, filter]) => self.values(count, scope, &at.value, &mut |count| {
                self.some(0, whole("limit", &count)?, filter, scope, at.clone(), out)
            }),
            (Special::Skip, [count, filter]) => self.values(count, scope, &at.value, &mut |count| {
                self.some(whole("skip", &count)?, u64::MAX, filter, scope, at.clone(), out)
            }),
            (Special::Path, [filter]) => self.run(filter, scope, Place::root(at.value), &mut |place| {
                let steps = place.path.ok_or_else(no_path)?;
                let steps = steps.iter().map(|step| step.to_value(self.budget)).collect::<Result<_, _>>()?;
                out(Place::plain(Value::list(steps, self.budget)?))
            }),
            (Special::GetPath, [path]) => {
                self.values(path, scope, &at.value, &mut |path| self.get_path(&at, &path, out))
            }
            (Special::Error, []) => Err(raised(at.value, None)),
            (Special::Error, [message]) => {
                self.values(message, scope, &at.value, &mut |value| Err(raised(value, Some(message))))
            }
            (Special::Walk, [filter]) => self.walk(filter, scope, at.value, 0, &mut |value| out(Place::plain(value))),
            (by, [filter]) => out(Place::plain(self.by(by, filter, scope, &at.value)?)),
            _ => Err(Halt::raised("a function takes another number of arguments")),
        }
    }

    fn range<'p>(
        &self,
        (from, upto, by): (&'p Node, &'p Node, &'p Node),
        scope: &Scope<'p>,
        input: &Value,
        out: &mut Out<'_>,
    ) -> Flow {
        self.values(from, scope, input, &mut |from| {
            self.values(upto, scope, input, &mut |upto| {
                self.values(by, scope, input, &mut |by| {
                    let (from, upto, by) = (number(&from)?, number(&upto)?, number(&by)?);
                    let mut count = 0.0;
                    loop {
                        self.budget.spend(1)?;
                        let next = from + count * by;
                        // Without a step it would never get there.
                        if !(by > 0.0 && next < upto || by < 0.0 && next > upto) {
                            return Ok(());
                        }
                        let value = crate::number::whole(next).map_or_else(|| Value::float(next), Value::int);
                        out(Place::plain(value))?;
                        count += 1.0;
                    }
                })
            })
        })
    }

    /// The input, what the filter gives for it, what it gives for that, and so on: each before what comes of it.
    fn recurse<'p>(&self, filter: &'p Node, scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        let mut waiting = vec![at];
        while let Some(place) = waiting.pop() {
            self.budget.spend(1)?;
            out(place.clone())?;
            let first = waiting.len();
            self.run(filter, scope, place, &mut |next| {
                let steps = next.path.as_ref().map_or(0, Vec::len);
                self.budget.spend(1 + steps as u64)?;
                waiting.push(next);
                Ok(())
            })?;
            waiting[first..].reverse();
        }
        Ok(())
    }

    /// So many results, after so many that are left out.
    fn some<'p>(
        &self,
        skipped: u64,
        most: u64,
        filter: &'p Node,
        scope: &Scope<'p>,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        if most == 0 {
            return Ok(());
        }
        let (enough, mut seen) = (self.mark(), 0);
        let flow = self.run(filter, scope, at, &mut |place| {
            seen += 1;
            if seen <= skipped {
                return Ok(());
            }
            out(place)?;
            if seen - skipped >= most { Err(Halt::Enough(enough)) } else { Ok(()) }
        });
        match flow {
            Err(Halt::Enough(mark)) if mark == enough => Ok(()),
            flow => flow,
        }
    }

    fn get_path(&self, at: &Place, path: &Value, out: &mut Out<'_>) -> Flow {
        let Value::List(steps) = path else { return Err(Halt::raised("a path is an array")) };
        let steps = Step::all_of(steps, self.budget)?;
        let mut place = at.clone();
        for step in steps {
            self.budget.spend(1)?;
            let value = access::slice(&place.value, &step, self.budget)?;
            place = place.step(|| step, value);
        }
        out(place)
    }

    /// Runs a filter on every part of a value, the inner ones first.
    fn walk<'p>(
        &self,
        filter: &'p Node,
        scope: &Scope<'p>,
        value: Value,
        depth: u32,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        self.budget.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(Halt::Spent(crate::budget::Spent));
        }
        let inner = match value {
            Value::List(items) => {
                let mut walked = Vec::new();
                for item in items.iter() {
                    self.walk(filter, scope, item.clone(), depth + 1, &mut |value| {
                        walked.push(value);
                        Ok(())
                    })?;
                }
                Value::list(walked, self.budget)?
            }
            Value::Map(members) => {
                let mut walked = Members::new();
                for (key, member) in members.iter() {
                    let mut first = None;
                    self.walk(filter, scope, member.clone(), depth + 1, &mut |value| {
                        first.get_or_insert(value);
                        Ok(())
                    })?;
                    walked.extend(first.map(|value| (key.clone(), value)));
                }
                Value::map(walked, self.budget)?
            }
            other => other,
        };
        self.values(filter, scope, &inner, out)
    }

    /// Sorts by what a filter gives for each element, and takes of that what is asked for.
    fn by<'p>(&self, special: Special, filter: &'p Node, scope: &Scope<'p>, input: &Value) -> Flow<Value> {
        let Value::List(items) = input else {
            return Err(Halt::raised(format!("expected an array, found {}", input.kind())));
        };
        let mut keyed = Vec::with_capacity(items.len());
        let mut bytes = 0_usize;
        for item in items.iter() {
            let key = Value::list(self.collect(filter, scope, item)?, self.budget)?;
            bytes = bytes.saturating_add(key.bytes());
            keyed.push((key, item.clone()));
        }
        // Each is compared about as often as the list can be halved; paid before, so that sorting itself cannot fail.
        let rounds = items.len().max(1).ilog2() as usize + 1;
        self.budget.spend_bytes(bytes.saturating_mul(rounds))?;
        let order = |one: &(Value, Value), other: &(Value, Value)| one.0.rank_with(&other.0);
        let list = |items: Vec<Value>| Value::list(items, self.budget);
        match special {
            Special::MinBy => {
                // The first of those that are equally small.
                let least =
                    keyed.into_iter().reduce(|one, other| if order(&other, &one).is_lt() { other } else { one });
                return Ok(least.map_or(Value::Null, |(_, item)| item));
            }
            Special::MaxBy => {
                let most = keyed.into_iter().reduce(|one, other| if order(&other, &one).is_ge() { other } else { one });
                return Ok(most.map_or(Value::Null, |(_, item)| item));
            }
            _ => keyed.sort_by(order),
        }
        match special {
            Special::GroupBy => {
                let groups = keyed.chunk_by(|one, other| order(one, other) == Ordering::Equal);
                let groups = groups.map(|group| list(group.iter().map(|(_, item)| item.clone()).collect()));
                Ok(list(groups.collect::<Result<_, _>>()?)?)
            }
            Special::UniqueBy => {
                keyed.dedup_by(|one, other| order(one, other) == Ordering::Equal);
                Ok(list(keyed.into_iter().map(|(_, item)| item).collect())?)
            }
            _ => Ok(list(keyed.into_iter().map(|(_, item)| item).collect())?),
        }
    }
}

fn number(value: &Value) -> Flow<f64> {
    match value {
        Value::Number(number) => Ok(number.as_f64()),
        other => Err(Halt::raised(format!("expected a number, found {}", other.kind()))),
    }
}

fn whole(function: &str, value: &Value) -> Flow<u64> {
    match number(value)? {
        number if number < 0.0 => Err(Halt::raised(format!("`{function}` takes a number that is not negative"))),
        number => Ok(number.ceil() as u64),
    }
}

/// The error of a program. Only a message that stands in the program is shown.
fn raised(value: Value, message: Option<&Node>) -> Halt {
    let reason = match (message, &value) {
        (Some(Node::Literal(Value::Text(text))), _) => text.clone(),
        _ => HIDDEN.into(),
    };
    Halt::Raised(Raised { value, reason })
}
