//! Runs a program: each filter hands its results on, one by one, and nothing runs beyond the budget.
//!
//! A place is a value and, where somebody asks for it, the path that leads to it. What changes a value (`|=`, `del`) first
//! finds the paths and then goes along each.

use std::{cell::Cell, cmp::Ordering, rc::Rc, sync::Arc};

use crate::{
    budget::{Budget, Spent},
    value::{Members, Value},
};

use super::{
    RunError,
    access::{self, Step},
    arithmetic,
    format::Format,
    natives,
    program::{Compare, Function, Node, Piece},
    search,
};

/// Filters within each other while a program runs, at most so many. A filter that calls itself gets there.
const MAX_DEPTH: usize = 200;

/// Why a filter hands nothing more on.
#[derive(Debug)]
pub(super) enum Halt {
    /// An error, which `try` catches.
    Raised(Raised),
    /// Whoever has this number has seen enough.
    Enough(u64),
    Spent(Spent),
}

/// An error of a program.
#[derive(Debug)]
pub(super) struct Raised {
    /// What `catch` sees.
    pub(super) value: Value,
    /// What may be shown: it has nothing of the payload.
    pub(super) reason: Arc<str>,
}

impl From<Spent> for Halt {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

impl Halt {
    /// An error whose words are ours.
    pub(super) fn raised(message: impl Into<Arc<str>>) -> Self {
        let reason: Arc<str> = message.into();
        Self::Raised(Raised { value: Value::Text(reason.clone()), reason })
    }
}

pub(super) type Flow<T = ()> = Result<T, Halt>;

/// A value, and how it was come to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `None` where nobody asks.
    pub(super) path: Option<Vec<Step>>,
    pub(super) value: Value,
}

impl Place {
    pub(super) fn plain(value: Value) -> Self {
        Self { path: None, value }
    }

    pub(super) fn root(value: Value) -> Self {
        Self { path: Some(Vec::new()), value }
    }

    /// The place one step on.
    pub(super) fn step(&self, step: impl FnOnce() -> Step, value: Value) -> Self {
        let path = self.path.as_ref().map(|path| path.iter().cloned().chain([step()]).collect());
        Self { path, value }
    }
}

/// Who is given results.
pub(super) type Out<'o> = dyn FnMut(Place) -> Flow + 'o;

/// The bindings at a point of a program, the latest first.
#[derive(Clone)]
pub(super) struct Scope<'p>(pub(super) Option<Rc<Bound<'p>>>);

pub(super) struct Bound<'p> {
    pub(super) binding: Binding<'p>,
    outer: Scope<'p>,
}

pub(super) enum Binding<'p> {
    Value(Value),
    /// An argument, with the bindings of whoever calls.
    Filter(&'p Node, Scope<'p>),
    Function(&'p Function),
    /// What [`Halt::Enough`] says where a filter breaks out to it.
    Label(u64),
}

impl<'p> Scope<'p> {
    pub(super) fn with(&self, binding: Binding<'p>) -> Self {
        Self(Some(Rc::new(Bound { binding, outer: self.clone() })))
    }

    pub(super) fn with_value(&self, value: Value) -> Self {
        self.with(Binding::Value(value))
    }

    /// The scope whose latest binding is so many back.
    pub(super) fn back(&self, distance: usize) -> &Self {
        let mut scope = self;
        for _ in 0..distance {
            match &scope.0 {
                Some(bound) => scope = &bound.outer,
                None => break,
            }
        }
        scope
    }
}

/// The results of a program over an input, at most so many.
pub(super) fn run(program: &Node, input: Value, budget: &Budget, most: usize) -> Result<Vec<Value>, RunError> {
    let machine = Machine { budget, depth: Cell::new(0), marks: Cell::new(0) };
    let mut results = Vec::new();
    let enough = machine.mark();
    let ended = machine.run(program, &Scope(None), Place::plain(input), &mut |place| {
        results.push(place.value);
        if results.len() < most { Ok(()) } else { Err(Halt::Enough(enough)) }
    });
    match ended {
        Ok(()) | Err(Halt::Enough(_)) => Ok(results),
        Err(Halt::Raised(raised)) => Err(RunError::Raised(raised.reason.to_string())),
        Err(Halt::Spent(spent)) => Err(spent.into()),
    }
}

pub(super) struct Machine<'b> {
    pub(super) budget: &'b Budget,
    depth: Cell<usize>,
    marks: Cell<u64>,
}

impl Machine<'_> {
    /// A number that nobody else has, to be told by when enough was seen.
    pub(super) fn mark(&self) -> u64 {
        self.marks.set(self.marks.get() + 1);
        self.marks.get()
    }

    pub(super) fn run<'p>(&self, node: &'p Node, scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        self.budget.spend(1)?;
        if self.depth.get() == MAX_DEPTH {
            return Err(Halt::Spent(Spent));
        }
        self.depth.set(self.depth.get() + 1);
        let flow = self.filter(node, scope, at, out);
        self.depth.set(self.depth.get() - 1);
        flow
    }

    /// Runs a filter for its values alone.
    pub(super) fn values<'p>(
        &self,
        node: &'p Node,
        scope: &Scope<'p>,
        input: &Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        self.run(node, scope, Place::plain(input.clone()), &mut |place| out(place.value))
    }

    /// All values of a filter.
    pub(super) fn collect<'p>(&self, node: &'p Node, scope: &Scope<'p>, input: &Value) -> Flow<Vec<Value>> {
        let mut values = Vec::new();
        self.values(node, scope, input, &mut |value| {
            values.push(value);
            Ok(())
        })?;
        Ok(values)
    }

    /// The first value of a filter.
    pub(super) fn first<'p>(&self, node: &'p Node, scope: &Scope<'p>, input: &Value) -> Flow<Option<Value>> {
        let (enough, mut found) = (self.mark(), None);
        let flow = self.values(node, scope, input, &mut |value| {
            found = Some(value);
            Err(Halt::Enough(enough))
        });
        match flow {
            Err(Halt::Enough(mark)) if mark == enough => Ok(found),
            flow => flow.map(|()| found),
        }
    }

    fn filter<'p>(&self, node: &'p Node, scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        match node {
            Node::Identity => out(at),
            Node::Descend => self.descend(&at, out),
            Node::Pipe(sides) => self.run(&sides[0], scope, at, &mut |at| self.run(&sides[1], scope, at, out)),
            Node::Comma(sides) => {
                self.run(&sides[0], scope, at.clone(), out)?;
                self.run(&sides[1], scope, at, out)
            }
            Node::Bind(sides, shape) => self.values(&sides[0], scope, &at.value, &mut |value| {
                self.bind(shape, scope, scope, &value, &mut |scope| self.run(&sides[1], scope, at.clone(), out))
            }),
            Node::Alternative(sides) => self.alternative(sides, scope, at, out),
            Node::Try(inner, handler) => self.attempt(inner, handler.as_deref(), scope, at, out),
            Node::If(branches, otherwise) => self.branch(branches, otherwise.as_deref(), scope, at, out),
            Node::Fold(fold) => self.fold(fold, scope, &at, out),
            Node::Label(body) => self.label(body, scope, at, out),
            Node::Define(functions, body) => {
                let define = |scope: Scope<'p>, function| scope.with(Binding::Function(function));
                let scope = functions.iter().fold(scope.clone(), define);
                self.run(body, &scope, at, out)
            }
            Node::Variable(back) | Node::Call(back, _) => self.call(*back, node, scope, at, out),
            Node::Special(special, arguments) => self.special(*special, arguments, scope, at, out),
            Node::Path(head, parts) => self.keyed(parts, scope, &at.value, None, &mut |keys| {
                self.run(head, scope, at.clone(), &mut |from| self.go(keys, from, out))
            }),
            _ if at.path.is_some() => Err(no_path()),
            _ => self.calculated(node, scope, &at.value, &mut |value| out(Place::plain(value))),
        }
    }

    /// Filters whose results are new values, to which no path leads.
    fn calculated<'p>(
        &self,
        node: &'p Node,
        scope: &Scope<'p>,
        input: &Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        match node {
            Node::Literal(value) => out(value.clone()),
            Node::Text(format, pieces) => self.text(*format, pieces, scope, input, "", out),
            Node::List(None) => out(Value::list(Vec::new(), self.budget)?),
            Node::List(Some(inner)) => out(Value::list(self.collect(inner, scope, input)?, self.budget)?),
            Node::Object(entries) => self.object(entries, scope, input, &Members::new(), out),
            Node::Negate(inner) => self.values(inner, scope, input, &mut |value| out(arithmetic::negate(&value)?)),
            Node::And(sides) => self.logic(sides, false, scope, input, out),
            Node::Or(sides) => self.logic(sides, true, scope, input, out),
            Node::Math(operator, sides) => self.values(&sides[1], scope, input, &mut |right| {
                self.values(&sides[0], scope, input, &mut |left| {
                    out(arithmetic::calculate(*operator, left, right.clone(), self.budget)?)
                })
            }),
            Node::Compare(operator, sides) => self.values(&sides[1], scope, input, &mut |right| {
                self.values(&sides[0], scope, input, &mut |left| {
                    out(Value::Bool(self.compare(*operator, &left, &right)?))
                })
            }),
            Node::Update(update, sides) => self.update(*update, sides, scope, input, out),
            Node::Native(native, arguments) => {
                self.arguments(arguments, scope, input, &[], &mut |arguments| out(native.call(self, input, arguments)?))
            }
            Node::Search(search, pattern, arguments) => {
                search::search(self, *search, pattern, arguments, scope, input, out)
            }
            // The others were run by whoever calls this.
            _ => Err(Halt::raised("this is no calculation")),
        }
    }

    /// Every combination of the values of arguments, those of the first in turn for each of the last.
    fn arguments<'p>(
        &self,
        rest: &'p [Node],
        scope: &Scope<'p>,
        input: &Value,
        behind: &[Value],
        out: &mut dyn FnMut(&[Value]) -> Flow,
    ) -> Flow {
        let Some((last, rest)) = rest.split_last() else { return out(behind) };
        self.values(last, scope, input, &mut |value| {
            let arguments: Vec<Value> = [value].into_iter().chain(behind.iter().cloned()).collect();
            self.arguments(rest, scope, input, &arguments, out)
        })
    }

    fn label<'p>(&self, body: &'p Node, scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        let label = self.mark();
        match self.run(body, &scope.with(Binding::Label(label)), at, out) {
            Err(Halt::Enough(mark)) if mark == label => Ok(()),
            flow => flow,
        }
    }

    fn alternative<'p>(&self, sides: &'p [Node; 2], scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        let mut has_any = false;
        self.run(&sides[0], scope, at.clone(), &mut |at| match natives::is_true(&at.value) {
            true => {
                has_any = true;
                out(at)
            }
            false => Ok(()),
        })?;
        if has_any { Ok(()) } else { self.run(&sides[1], scope, at, out) }
    }

    fn attempt<'p>(
        &self,
        inner: &'p Node,
        handler: Option<&'p Node>,
        scope: &Scope<'p>,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        // An error of whoever is given the results is not one of what is tried.
        let mut beyond = None;
        let flow = self.run(inner, scope, at, &mut |at| {
            out(at).map_err(|halt| {
                beyond = Some(halt);
                Halt::Enough(0)
            })
        });
        match (beyond, flow) {
            (Some(halt), _) => Err(halt),
            (None, Err(Halt::Raised(raised))) => match handler {
                Some(handler) => self.run(handler, scope, Place::plain(raised.value), out),
                None => Ok(()),
            },
            (None, flow) => flow,
        }
    }

    fn branch<'p>(
        &self,
        branches: &'p [(Node, Node)],
        otherwise: Option<&'p Node>,
        scope: &Scope<'p>,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        let Some(((test, then), rest)) = branches.split_first() else {
            return match otherwise {
                Some(otherwise) => self.run(otherwise, scope, at, out),
                None => out(at),
            };
        };
        self.values(test, scope, &at.value, &mut |value| match natives::is_true(&value) {
            true => self.run(then, scope, at.clone(), out),
            false => self.branch(rest, otherwise, scope, at.clone(), out),
        })
    }

    /// Every combination of the values within a string, those of the first in turn for each of the last.
    fn text<'p>(
        &self,
        format: Format,
        pieces: &'p [Piece],
        scope: &Scope<'p>,
        input: &Value,
        behind: &str,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let Some((last, rest)) = pieces.split_last() else { return out(Value::text(behind)) };
        let mut with = |piece: &str| {
            self.budget.spend_bytes(piece.len() + behind.len())?;
            self.text(format, rest, scope, input, &[piece, behind].concat(), out)
        };
        match last {
            Piece::Text(text) => with(text),
            Piece::Value(node) => {
                self.values(node, scope, input, &mut |value| with(&format.apply(&value, self.budget)?))
            }
        }
    }

    fn object<'p>(
        &self,
        entries: &'p [(Node, Option<Node>)],
        scope: &Scope<'p>,
        input: &Value,
        so_far: &Members,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let Some(((key, value), rest)) = entries.split_first() else {
            return out(Value::map(so_far.clone(), self.budget)?);
        };
        self.values(key, scope, input, &mut |key| {
            let step = Step::of(&key, self.budget)?;
            let Step::Key(key) = &step else { return Err(Halt::raised("a key of an object is no string")) };
            let mut with = |value: Value| {
                self.budget.spend(1 + so_far.len() as u64)?;
                let mut members = so_far.clone();
                members.insert(key.clone(), value);
                self.object(rest, scope, input, &members, out)
            };
            match value {
                Some(value) => self.values(value, scope, input, &mut with),
                None => with(access::get(input, &step)?),
            }
        })
    }

    fn logic<'p>(
        &self,
        sides: &'p [Node; 2],
        decisive: bool,
        scope: &Scope<'p>,
        input: &Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        self.values(&sides[0], scope, input, &mut |left| match natives::is_true(&left) == decisive {
            true => out(Value::Bool(decisive)),
            false => self.values(&sides[1], scope, input, &mut |right| out(Value::Bool(natives::is_true(&right)))),
        })
    }

    /// What is no number is less than any, itself included.
    fn order(&self, left: &Value, right: &Value) -> Flow<Ordering> {
        match left {
            Value::Number(number) if number.as_f64().is_nan() && matches!(right, Value::Number(_)) => {
                Ok(Ordering::Less)
            }
            left => Ok(left.order(right, self.budget)?),
        }
    }

    fn compare(&self, operator: Compare, left: &Value, right: &Value) -> Flow<bool> {
        Ok(match operator {
            Compare::Equal => left.equals(right, self.budget)?,
            Compare::Unequal => !left.equals(right, self.budget)?,
            Compare::Less => self.order(left, right)?.is_lt(),
            Compare::LessOrEqual => self.order(left, right)?.is_le(),
            Compare::Greater => self.order(left, right)?.is_gt(),
            Compare::GreaterOrEqual => self.order(left, right)?.is_ge(),
        })
    }
}

/// The error where a path is asked for and there is none.
pub(super) fn no_path() -> Halt {
    Halt::raised("a path leads through what is calculated")
}
