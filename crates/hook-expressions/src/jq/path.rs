//! Paths: what stands in their brackets is evaluated first, and then they are gone along.

use crate::value::Value;

use super::{
    access::{self, Step},
    machine::{Flow, Halt, Machine, Out, Place, Scope},
    natives,
    program::{Node, Optional, Part},
};

/// A part of a path whose brackets have been evaluated.
enum Key<'k> {
    Each,
    Index(&'k Value),
    Slice(&'k Value, &'k Value),
}

/// The parts of a path from one on.
pub(super) struct Keys<'k> {
    key: Key<'k>,
    optional: Optional,
    behind: Option<&'k Keys<'k>>,
}

impl Machine<'_> {
    /// Finds what stands in the brackets of a path, over the input of the whole: that in the last in turn, and for each of its
    /// values that before.
    pub(super) fn keyed<'p>(
        &self,
        parts: &'p [(Part, Optional)],
        scope: &Scope<'p>,
        input: &Value,
        behind: Option<&Keys<'_>>,
        then: &mut dyn FnMut(Option<&Keys<'_>>) -> Flow,
    ) -> Flow {
        let Some(((part, optional), rest)) = parts.split_last() else { return then(behind) };
        let mut with =
            |key: Key<'_>| self.keyed(rest, scope, input, Some(&Keys { key, optional: *optional, behind }), then);
        match part {
            Part::Each => with(Key::Each),
            Part::Index(Node::Literal(index)) => with(Key::Index(index)),
            Part::Index(index) => self.values(index, scope, input, &mut |index| with(Key::Index(&index))),
            Part::Slice(from, upto) => self.bound(from.as_ref(), scope, input, &mut |from| {
                self.bound(upto.as_ref(), scope, input, &mut |upto| with(Key::Slice(from, upto)))
            }),
        }
    }

    /// Goes along the keys of a path.
    pub(super) fn go(&self, keys: Option<&Keys<'_>>, at: Place, out: &mut Out<'_>) -> Flow {
        self.budget.spend(1)?;
        let Some(Keys { key, optional, behind }) = keys else { return out(at) };
        let next = match key {
            Key::Each if access::can_each(&at.value) => {
                return access::each(&at, self.budget, &mut |at| self.go(*behind, at, out));
            }
            Key::Each => Err(access::no_children(&at.value)),
            Key::Index(index) => self.at_index(&at, index),
            Key::Slice(from, upto) => self.at_slice(&at, from, upto),
        };
        match (next, optional) {
            (Ok(next), _) => self.go(*behind, next, out),
            (Err(Halt::Raised(_)), Optional::Yes) => Ok(()),
            (Err(halt), _) => Err(halt),
        }
    }

    fn at_slice(&self, at: &Place, from: &Value, upto: &Value) -> Flow<Place> {
        let step = Step::slice(from, upto)?;
        let value = access::slice(&at.value, &step, self.budget)?;
        Ok(at.step(|| step, value))
    }

    fn at_index(&self, at: &Place, index: &Value) -> Flow<Place> {
        if let (Value::List(_), Value::List(_), None) = (&at.value, index, &at.path) {
            let found = natives::indices(&at.value, index, self.budget)?;
            return Ok(Place::plain(Value::list(found, self.budget)?));
        }
        let step = Step::of(index, self.budget)?;
        let value = access::slice(&at.value, &step, self.budget)?;
        Ok(at.step(|| step, value))
    }

    fn bound<'p>(
        &self,
        node: Option<&'p Node>,
        scope: &Scope<'p>,
        input: &Value,
        out: &mut dyn FnMut(&Value) -> Flow,
    ) -> Flow {
        match node {
            Some(node) => self.values(node, scope, input, &mut |value| out(&value)),
            None => out(&Value::Null),
        }
    }

    pub(super) fn descend(&self, at: &Place, out: &mut Out<'_>) -> Flow {
        self.budget.spend(1)?;
        out(at.clone())?;
        match &at.value {
            Value::List(_) | Value::Map(_) => access::each(at, self.budget, &mut |at| self.descend(&at, out)),
            _ => Ok(()),
        }
    }
}
