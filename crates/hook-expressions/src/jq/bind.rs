//! Names and what they stand for: variables, destructuring, parameters, the state of a fold.

use crate::value::Value;

use super::{
    access::{self, Step},
    machine::{Binding, Flow, Halt, Machine, Out, Place, Scope},
    program::{Fold, FoldKind, Function, Node, Parameter, Shape},
};

impl Machine<'_> {
    /// `reduce` and `foreach`. The state is taken out while it is updated, so that nobody else holds it and it changes in
    /// place; an update without a result leaves null.
    pub(super) fn fold<'p>(&self, fold: &'p Fold, scope: &Scope<'p>, at: &Place, out: &mut Out<'_>) -> Flow {
        let mut inits = Vec::new();
        self.run(&fold.init, scope, at.clone(), &mut |init| {
            inits.push(init);
            Ok(())
        })?;
        for mut state in inits {
            self.values(&fold.source, scope, &at.value, &mut |value| {
                self.bind(&fold.shape, scope, scope, &value, &mut |scope| {
                    let before = std::mem::replace(&mut state, Place::plain(Value::Null));
                    self.run(&fold.update, scope, before, &mut |after| {
                        state = after;
                        match &fold.kind {
                            FoldKind::Reduce => Ok(()),
                            FoldKind::Foreach(None) => out(state.clone()),
                            FoldKind::Foreach(Some(extract)) => self.run(extract, scope, state.clone(), out),
                        }
                    })
                })
            })?;
            if let FoldKind::Reduce = fold.kind {
                out(state)?;
            }
        }
        Ok(())
    }

    /// Binds what a shape takes from a value, and goes on with each way to do so. Keys are found in `outer`'s words.
    pub(super) fn bind<'p>(
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
            let item = access::get(value, &Step::of(&key, self.budget)?)?;
            self.bind(shape, scope, outer, &item, &mut |scope| self.bind_object(rest, scope, outer, value, then))
        })
    }

    pub(super) fn call<'p>(
        &self,
        back: usize,
        node: &'p Node,
        scope: &Scope<'p>,
        at: Place,
        out: &mut Out<'_>,
    ) -> Flow {
        self.budget.spend(1 + back as u64 / 8)?;
        let home = scope.back(back);
        let Some(bound) = &home.0 else { return Err(Halt::raised("a name stands for nothing")) };
        match &bound.binding {
            Binding::Value(value) if at.path.is_none() => out(Place::plain(value.clone())),
            Binding::Value(_) => Err(Halt::raised("a path leads through a variable")),
            // Whoever set the label sees its number come back.
            Binding::Label(mark) => Err(Halt::Enough(*mark)),
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
                let inside = inside.with(Binding::Filter(argument, caller.clone()));
                self.values(argument, caller, &at.value, &mut |value| {
                    let inside = inside.with_value(value);
                    self.enter(function, (parameters, arguments), &inside, caller, at.clone(), out)
                })
            }
            _ => self.run(&function.body, inside, at, out),
        }
    }
}
