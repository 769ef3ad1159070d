//! Runs a program: each filter hands its results on, one by one, and nothing runs beyond the budget.
//!
//! A place is a value and, where somebody asks for it, the path that leads to it. What changes a value (`|=`, `del`) first
//! finds the paths and then goes along each.

use std::{cell::Cell, rc::Rc, sync::Arc};

use crate::{
    budget::{Budget, Spent},
    value::{Members, Value},
};

use super::{
    RunError,
    access::{self, Step},
    natives,
    program::{Compare, Fold, Function, Node, Optional, Parameter, Part, Piece, Shape, Update},
    text,
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
pub(super) struct Scope<'p>(Option<Rc<Bound<'p>>>);

pub(super) struct Bound<'p> {
    binding: Binding<'p>,
    outer: Scope<'p>,
}

enum Binding<'p> {
    Value(Value),
    /// An argument, with the bindings of whoever calls.
    Filter(&'p Node, Scope<'p>),
    Function(&'p Function),
}

impl<'p> Scope<'p> {
    fn with(&self, binding: Binding<'p>) -> Self {
        Self(Some(Rc::new(Bound { binding, outer: self.clone() })))
    }

    pub(super) fn with_value(&self, value: Value) -> Self {
        self.with(Binding::Value(value))
    }

    /// The scope whose latest binding is so many back.
    fn back(&self, distance: usize) -> &Self {
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
            Node::Reduce(fold) => self.reduce(fold, scope, &at, out),
            Node::Foreach(fold) => self.foreach(fold, scope, &at, out),
            Node::Define(functions, body) => {
                let define = |scope: Scope<'p>, function| scope.with(Binding::Function(function));
                let scope = functions.iter().fold(scope.clone(), define);
                self.run(body, &scope, at, out)
            }
            Node::Variable(back) | Node::Call(back, _) => self.call(*back, node, scope, at, out),
            Node::Special(special, arguments) => self.special(*special, arguments, scope, at, out),
            Node::Path(head, parts) => {
                self.run(head, scope, at.clone(), &mut |from| self.path(parts, scope, &at.value, from, out))
            }
            _ if at.path.is_some() => Err(Halt::raised("a path leads through what is calculated")),
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
            Node::Text(format, pieces) => self.text(*format, pieces, scope, input, String::new(), out),
            Node::List(None) => out(Value::list(Vec::new(), self.budget)?),
            Node::List(Some(inner)) => out(Value::list(self.collect(inner, scope, input)?, self.budget)?),
            Node::Object(entries) => self.object(entries, scope, input, &Members::new(), out),
            Node::Negate(inner) => self.values(inner, scope, input, &mut |value| out(natives::negate(&value)?)),
            Node::And(sides) => self.logic(sides, false, scope, input, out),
            Node::Or(sides) => self.logic(sides, true, scope, input, out),
            Node::Math(operator, sides) => self.values(&sides[1], scope, input, &mut |right| {
                self.values(&sides[0], scope, input, &mut |left| {
                    out(natives::calculate(*operator, left, right.clone(), self.budget)?)
                })
            }),
            Node::Compare(operator, sides) => self.values(&sides[1], scope, input, &mut |right| {
                self.values(&sides[0], scope, input, &mut |left| {
                    out(Value::Bool(self.compare(*operator, &left, &right)?))
                })
            }),
            Node::Update(update, sides) => self.update(*update, sides, scope, input, out),
            Node::Native(native, arguments) => {
                self.arguments(arguments, scope, input, &mut Vec::new(), &mut |arguments| {
                    out(native.call(self, input, arguments)?)
                })
            }
            Node::Search(search, pattern, arguments) => {
                text::search(self, *search, pattern, arguments, scope, input, out)
            }
            // The others were run by whoever calls this.
            _ => Err(Halt::raised("this is no calculation")),
        }
    }

    /// Every combination of the values of arguments.
    fn arguments<'p>(
        &self,
        rest: &'p [Node],
        scope: &Scope<'p>,
        input: &Value,
        so_far: &mut Vec<Value>,
        out: &mut dyn FnMut(&[Value]) -> Flow,
    ) -> Flow {
        let Some((first, rest)) = rest.split_first() else { return out(so_far) };
        self.values(first, scope, input, &mut |value| {
            so_far.push(value);
            let flow = self.arguments(rest, scope, input, so_far, out);
            so_far.pop();
            flow
        })
    }

    fn descend(&self, at: &Place, out: &mut Out<'_>) -> Flow {
        self.budget.spend(1)?;
        out(at.clone())?;
        match &at.value {
            Value::List(_) | Value::Map(_) => access::each(at, self.budget, &mut |at| self.descend(&at, out)),
            _ => Ok(()),
        }
    }

    fn alternative<'p>(&self, sides: &'p [Node; 2], scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        let mut found = Vec::new();
        let flow = self.run(&sides[0], scope, at.clone(), &mut |at| {
            if natives::is_true(&at.value) {
                found.push(at);
            }
            Ok(())
        });
        match flow {
            Err(Halt::Raised(_)) | Ok(()) if found.is_empty() => self.run(&sides[1], scope, at, out),
            Err(Halt::Raised(_)) | Ok(()) => found.into_iter().try_for_each(out),
            halt => halt,
        }
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

    fn reduce<'p>(&self, fold: &'p Fold, scope: &Scope<'p>, at: &Place, out: &mut Out<'_>) -> Flow {
        let mut inits = Vec::new();
        self.run(&fold.init, scope, at.clone(), &mut |init| {
            inits.push(init);
            Ok(())
        })?;
        for init in inits {
            // Taken out while it is updated, so that nobody else holds it and it changes in place.
            let mut state = Some(init);
            self.values(&fold.source, scope, &at.value, &mut |value| {
                self.bind(&fold.shape, scope, scope, &value, &mut |scope| {
                    let Some(before) = state.take() else { return Ok(()) };
                    self.run(&fold.update, scope, before, &mut |after| {
                        state = Some(after);
                        Ok(())
                    })
                })
            })?;
            match state {
                Some(state) => out(state)?,
                None => out(Place::plain(Value::Null))?,
            }
        }
        Ok(())
    }

    fn foreach<'p>(&self, fold: &'p Fold, scope: &Scope<'p>, at: &Place, out: &mut Out<'_>) -> Flow {
        let mut inits = Vec::new();
        self.run(&fold.init, scope, at.clone(), &mut |init| {
            inits.push(init);
            Ok(())
        })?;
        for init in inits {
            let mut state = init;
            self.values(&fold.source, scope, &at.value, &mut |value| {
                self.bind(&fold.shape, scope, scope, &value, &mut |scope| {
                    let before = state.clone();
                    self.run(&fold.update, scope, before, &mut |after| {
                        state = after.clone();
                        match &fold.extract {
                            Some(extract) => self.run(extract, scope, after, out),
                            None => out(after),
                        }
                    })
                })
            })?;
        }
        Ok(())
    }

    /// Binds what a shape takes from a value, and goes on with each way to do so. Keys are found in `outer`'s words.
    fn bind<'p>(
        &self,
        shape: &'p Shape,
        scope: &Scope<'p>,
        outer: &Scope<'p>,
        value: &Value,
        then: &mut dyn FnMut(&Scope<'p>) -> Flow,
    ) -> Flow {
        self.budget.spend(1)?;
        match shape {
            Shape::Variable => then(&scope.with_value(value.clone())),
            Shape::List(shapes) => self.bind_list(shapes, 0, scope, outer, value, then),
            Shape::Object(entries) => self.bind_object(entries, scope, outer, value, then),
        }
    }

    fn bind_list<'p>(
        &self,
        shapes: &'p [Shape],
        index: i64,
        scope: &Scope<'p>,
        outer: &Scope<'p>,
        value: &Value,
        then: &mut dyn FnMut(&Scope<'p>) -> Flow,
    ) -> Flow {
        let Some((first, rest)) = shapes.split_first() else { return then(scope) };
        let item = access::get(value, &Step::Index(index))?;
        self.bind(first, scope, outer, &item, &mut |scope| self.bind_list(rest, index + 1, scope, outer, value, then))
    }

    fn bind_object<'p>(
        &self,
        entries: &'p [(Node, Shape)],
        scope: &Scope<'p>,
        outer: &Scope<'p>,
        value: &Value,
        then: &mut dyn FnMut(&Scope<'p>) -> Flow,
    ) -> Flow {
        let Some(((key, shape), rest)) = entries.split_first() else { return then(scope) };
        self.values(key, scope, value, &mut |key| {
            let item = access::get(value, &Step::of(&key)?)?;
            self.bind(shape, scope, outer, &item, &mut |scope| self.bind_object(rest, scope, outer, value, then))
        })
    }

    fn call<'p>(&self, back: usize, node: &'p Node, scope: &Scope<'p>, at: Place, out: &mut Out<'_>) -> Flow {
        self.budget.spend(1 + back as u64 / 8)?;
        let home = scope.back(back);
        let Some(bound) = &home.0 else { return Err(Halt::raised("a name stands for nothing")) };
        match &bound.binding {
            Binding::Value(value) if at.path.is_none() => out(Place::plain(value.clone())),
            Binding::Value(_) => Err(Halt::raised("a path leads through a variable")),
            Binding::Filter(filter, scope) => self.run(filter, scope, at, out),
            Binding::Function(function) => {
                let arguments = match node {
                    Node::Call(_, arguments) => arguments.as_slice(),
                    _ => &[],
                };
                let parameters = function.parameters.as_slice();
                self.enter(function, (parameters, arguments), home, scope, at, out)
            }
        }
    }

    /// Binds parameters one after the other, and then runs the body.
    fn enter<'p>(
        &self,
        function: &'p Function,
        (parameters, arguments): (&'p [Parameter], &'p [Node]),
        inside: &Scope<'p>,
        caller: &Scope<'p>,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        match (parameters, arguments) {
            ([Parameter::Filter, parameters @ ..], [argument, arguments @ ..]) => {
                let inside = inside.with(Binding::Filter(argument, caller.clone()));
                self.enter(function, (parameters, arguments), &inside, caller, at, out)
            }
            ([Parameter::Value, parameters @ ..], [argument, arguments @ ..]) => {
                self.values(argument, caller, &at.value, &mut |value| {
                    let inside = inside.with_value(value);
                    self.enter(function, (parameters, arguments), &inside, caller, at.clone(), out)
                })
            }
            _ => self.run(&function.body, inside, at, out),
        }
    }

    /// Goes along the parts of a path. What stands in brackets is evaluated over the input of the whole.
    fn path<'p>(
        &self,
        parts: &'p [(Part, Optional)],
        scope: &Scope<'p>,
        input: &Value,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        self.budget.spend(1)?;
        let Some(((part, optional), rest)) = parts.split_first() else { return out(at) };
        let on = |at: Place, out: &mut Out<'_>| self.path(rest, scope, input, at, out);
        match part {
            Part::Each => match access::can_each(&at.value) {
                true => access::each(&at, self.budget, &mut |at| on(at, out)),
                false => passed_over(*optional, Err(access::no_children(&at.value))),
            },
            Part::Index(index) => self.values(index, scope, input, &mut |index| match Step::of(&index)
                .and_then(|step| Ok((access::get(&at.value, &step)?, step)))
            {
                Ok((value, step)) => on(at.step(|| step, value), out),
                Err(halt) => passed_over(*optional, Err(halt)),
            }),
            Part::Slice(from, upto) => self.bound(from.as_ref(), scope, input, &mut |from| {
                self.bound(upto.as_ref(), scope, input, &mut |upto| match Step::slice(from, upto)
                    .and_then(|step| Ok((access::slice(&at.value, &step, self.budget)?, step)))
                {
                    Ok((value, step)) => on(at.step(|| step, value), out),
                    Err(halt) => passed_over(*optional, Err(halt)),
                })
            }),
        }
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

    fn text<'p>(
        &self,
        format: text::Format,
        pieces: &'p [Piece],
        scope: &Scope<'p>,
        input: &Value,
        so_far: String,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let Some((first, rest)) = pieces.split_first() else {
            self.budget.spend_bytes(so_far.len())?;
            return out(Value::text(so_far));
        };
        match first {
            Piece::Text(text) => self.text(format, rest, scope, input, so_far + text, out),
            Piece::Value(node) => self.values(node, scope, input, &mut |value| {
                self.budget.spend_bytes(so_far.len())?;
                let text = so_far.clone() + &format.apply(&value, self.budget)?;
                self.text(format, rest, scope, input, text, out)
            }),
        }
    }

    fn object<'p>(
        &self,
        entries: &'p [(Node, Node)],
        scope: &Scope<'p>,
        input: &Value,
        so_far: &Members,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let Some(((key, value), rest)) = entries.split_first() else {
            return out(Value::map(so_far.clone(), self.budget)?);
        };
        self.values(key, scope, input, &mut |key| {
            let Value::Text(key) = key else { return Err(Halt::raised("a key of an object is no string")) };
            self.values(value, scope, input, &mut |value| {
                self.budget.spend(1 + so_far.len() as u64)?;
                let mut members = so_far.clone();
                members.insert(key.clone(), value);
                self.object(rest, scope, input, &members, out)
            })
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

    fn compare(&self, operator: Compare, left: &Value, right: &Value) -> Flow<bool> {
        Ok(match operator {
            Compare::Equal => left.equals(right, self.budget)?,
            Compare::Unequal => !left.equals(right, self.budget)?,
            Compare::Less => left.order(right, self.budget)?.is_lt(),
            Compare::LessOrEqual => left.order(right, self.budget)?.is_le(),
            Compare::Greater => left.order(right, self.budget)?.is_gt(),
            Compare::GreaterOrEqual => left.order(right, self.budget)?.is_ge(),
        })
    }

    /// All paths that a filter leads to.
    pub(super) fn paths<'p>(&self, node: &'p Node, scope: &Scope<'p>, input: &Value) -> Flow<Vec<Vec<Step>>> {
        let mut paths = Vec::new();
        self.run(node, scope, Place::root(input.clone()), &mut |place| {
            let path = place.path.unwrap_or_default();
            self.budget.spend(1 + path.len() as u64)?;
            paths.push(path);
            Ok(())
        })?;
        Ok(paths)
    }

    fn update<'p>(
        &self,
        update: Update,
        sides: &'p [Node; 2],
        scope: &Scope<'p>,
        input: &Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        let paths = self.paths(&sides[0], scope, input)?;
        if update == Update::Modify {
            return out(self.modify(paths, &sides[1], scope, input.clone())?);
        }
        self.values(&sides[1], scope, input, &mut |right| {
            let mut value = input.clone();
            for path in &paths {
                let after = match update {
                    Update::Calculate(operator) => {
                        let before = access::get_path(&value, path, self.budget)?;
                        natives::calculate(operator, before, right.clone(), self.budget)?
                    }
                    Update::Alternative => {
                        let before = access::get_path(&value, path, self.budget)?;
                        if natives::is_true(&before) { before } else { right.clone() }
                    }
                    Update::Assign | Update::Modify => right.clone(),
                };
                value = access::set_path(value, path, after, self.budget)?;
            }
            out(value)
        })
    }

    /// What gives nothing for a place removes it, after all others are done: removing moves what comes after.
    fn modify<'p>(&self, paths: Vec<Vec<Step>>, filter: &'p Node, scope: &Scope<'p>, input: Value) -> Flow<Value> {
        let (mut value, mut removed) = (input, Vec::new());
        for path in paths {
            let before = access::get_path(&value, &path, self.budget)?;
            match self.first(filter, scope, &before)? {
                Some(after) => {
                    drop(before);
                    value = access::set_path(value, &path, after, self.budget)?;
                }
                None => removed.push(path),
            }
        }
        access::delete_paths(value, &removed, self.budget)
    }
}

fn passed_over(optional: Optional, flow: Flow) -> Flow {
    match (optional, flow) {
        (Optional::Yes, Err(Halt::Raised(_))) => Ok(()),
        (_, flow) => flow,
    }
}
