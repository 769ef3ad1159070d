//! Changes of what paths lead to: first all paths are found, and then each is gone along.

use crate::value::Value;

use super::{
    access::{self, Step},
    arithmetic,
    machine::{Flow, Machine, Place, Scope, no_path},
    natives,
    program::{Node, Update},
};

impl Machine<'_> {
    /// All paths that a filter leads to.
    fn paths<'p>(&self, node: &'p Node, scope: &Scope<'p>, input: &Value) -> Flow<Vec<Vec<Step>>> {
        let mut paths = Vec::new();
        self.run(node, scope, Place::root(input.clone()), &mut |place| {
            let path = place.path.ok_or_else(no_path)?;
            self.budget.spend(1 + path.len() as u64)?;
            paths.push(path);
            Ok(())
        })?;
        Ok(paths)
    }

    pub(super) fn update<'p>(
        &self,
        update: Update,
        sides: &'p [Node; 2],
        scope: &Scope<'p>,
        input: &Value,
        out: &mut dyn FnMut(Value) -> Flow,
    ) -> Flow {
        if update == Update::Modify {
            let paths = self.paths(&sides[0], scope, input)?;
            return out(self.modify(paths, &sides[1], scope, input.clone())?);
        }
        self.values(&sides[1], scope, input, &mut |right| {
            let mut value = input.clone();
            for path in &self.paths(&sides[0], scope, input)? {
                let after = match update {
                    Update::Calculate(operator) => {
                        let before = access::get_path(&value, path, self.budget)?;
                        arithmetic::calculate(operator, before, right.clone(), self.budget)?
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
