//! Checks a value against a schema, step by step within a budget.

use std::{cell::Cell, cmp::Ordering, collections::HashSet, sync::Arc};

use crate::{
    budget::{Budget, Spent},
    number::Number,
    value::{Members, Value},
};

use super::{
    Invalid,
    rules::{Bound, Counted, Kind, Limit, Node, NodeId, Properties, Rule},
};

/// Schemas within each other, at most so many while a value is checked.
const MAX_DEPTH: usize = 300;

/// Checks a value against the first schema.
pub(super) fn check(nodes: &[Node], value: &Value, budget: &Budget) -> Result<(), Invalid> {
    let looks_back = |(_, rule): &(_, Rule)| matches!(rule, Rule::UnevaluatedItems(_) | Rule::UnevaluatedProperties(_));
    let keeps_seen = nodes.iter().any(|node| node.rules.iter().any(looks_back));
    let checker = Checker { nodes, budget, keeps_seen, is_tried: Cell::new(false) };
    checker.node(0, &Instance { value, place: None, depth: 0 }, &mut Seen::default())
}

/// A value and the way to it.
#[derive(Clone, Copy)]
struct Instance<'i> {
    value: &'i Value,
    /// The value that it is a part of, and its step there.
    place: Option<(&'i Instance<'i>, Step<'i>)>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Step<'i> {
    Name(&'i str),
    Index(usize),
}

impl Instance<'_> {
    fn pointer(&self) -> String {
        let mut steps = Vec::new();
        let mut at = self;
        while let Some((parent, step)) = &at.place {
            steps.push(match step {
                Step::Name(name) => name.replace('~', "~0").replace('/', "~1"),
                Step::Index(index) => index.to_string(),
            });
            at = parent;
        }
        steps.reverse();
        format!("/{}", steps.join("/"))
    }
}

/// Which parts of a value some schema has looked at, for `unevaluated…`.
#[derive(Default)]
struct Seen {
    names: HashSet<Arc<str>>,
    indices: HashSet<usize>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        self.indices.extend(other.indices);
    }
}

struct Checker<'c> {
    nodes: &'c [Node],
    budget: &'c Budget,
    /// Whether any schema asks what others have looked at.
    keeps_seen: bool,
    /// Whether nobody will be told what is not met: the way to a value may be long, and is not written down for nothing.
    is_tried: Cell<bool>,
}

impl Checker<'_> {
    /// What the schema has looked at counts where all of it is met. It does not see what those beside it have looked at.
    fn node(&self, id: NodeId, at: &Instance<'_>, seen: &mut Seen) -> Result<(), Invalid> {
        if at.depth > MAX_DEPTH {
            return Err(Spent.into());
        }
        self.budget.spend(1)?;
        let node = &self.nodes[id];
        let at = &Instance { depth: at.depth + 1, ..*at };
        let mut own = Seen::default();
        for (keyword, rule) in &node.rules {
            self.budget.spend(1)?;
            if !self.rule(rule, at, &mut own)? {
                return Err(self.unmet(node, keyword, at));
            }
        }
        self.budget.spend((own.names.len() + own.indices.len()) as u64)?;
        seen.add(own);
        Ok(())
    }

    fn unmet(&self, node: &Node, keyword: &str, at: &Instance<'_>) -> Invalid {
        if self.is_tried.get() {
            return Invalid::Unmet { instance: String::new(), rule: String::new() };
        }
        let slash = if keyword.is_empty() { "" } else { "/" };
        Invalid::Unmet { instance: at.pointer(), rule: format!("{}{slash}{keyword}", node.pointer) }
    }

    /// Whether a value is what a schema says.
    fn holds(&self, id: NodeId, at: &Instance<'_>, seen: &mut Seen) -> Result<bool, Spent> {
        let outside = self.is_tried.replace(true);
        let met = self.node(id, at, seen);
        self.is_tried.set(outside);
        match met {
            Ok(()) => Ok(true),
            Err(Invalid::Unmet { .. }) => Ok(false),
            Err(Invalid::Spent(spent)) => Err(spent),
        }
    }

    /// Whether a rule is met. What fails deeper within is an error of its own, which names the place.
    fn rule(&self, rule: &Rule, at: &Instance<'_>, seen: &mut Seen) -> Result<bool, Invalid> {
        match (rule, at.value) {
            (Rule::Never, _) => Ok(false),
            (Rule::Type(kinds), value) => Ok(kinds.iter().any(|kind| is_of(value, *kind))),
            (Rule::Const(constant), value) => Ok(value.equals(constant, self.budget)?),
            (Rule::Enum(options), value) => {
                for option in options {
                    if value.equals(option, self.budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Rule::Bound(bound, limit), Value::Number(number)) => Ok(is_within(number, *bound, limit)),
            (Rule::MultipleOf(divisor), Value::Number(number)) => Ok(number.is_multiple_of(divisor)),
            (Rule::Pattern(pattern), Value::Text(text)) => Ok(pattern.matches(text, self.budget)?),
            (Rule::Size(what, limit, size), value) => self.size(*what, *limit, *size, value),
            (Rule::AllOf(nodes), _) => {
                nodes.iter().try_for_each(|node| self.node(*node, at, seen))?;
                Ok(true)
            }
            (Rule::AnyOf(nodes), _) => Ok(self.holding(nodes, at, seen)? > 0),
            (Rule::OneOf(nodes), _) => Ok(self.holding(nodes, at, seen)? == 1),
            (Rule::Not(node), _) => Ok(!self.holds(*node, at, &mut Seen::default())?),
            (Rule::If { test, then, otherwise }, _) => {
                let branch = if self.holds(*test, at, seen)? { then } else { otherwise };
                branch.map_or(Ok(()), |branch| self.node(branch, at, seen))?;
                Ok(true)
            }
            (Rule::Ref(node), _) => {
                self.node(*node, at, seen)?;
                Ok(true)
            }
            (rule, Value::List(items)) => self.items(rule, items, at, seen),
            (rule, Value::Map(members)) => self.members(rule, members, at, seen),
            _ => Ok(true),
        }
    }

    fn holding(&self, nodes: &[NodeId], at: &Instance<'_>, seen: &mut Seen) -> Result<usize, Spent> {
        nodes.iter().try_fold(0, |count, node| Ok(count + usize::from(self.holds(*node, at, seen)?)))
    }

    fn size(&self, what: Counted, limit: Limit, size: u64, value: &Value) -> Result<bool, Invalid> {
        let count = match (what, value) {
            (Counted::String, Value::Text(text)) => {
                self.budget.spend_bytes(text.len())?;
                text.chars().count()
            }
            (Counted::Array, Value::List(items)) => items.len(),
            (Counted::Object, Value::Map(members)) => members.len(),
            _ => return Ok(true),
        };
        Ok(match limit {
            Limit::Least => count as u64 >= size,
            Limit::Most => count as u64 <= size,
        })
    }

    fn items(&self, rule: &Rule, items: &[Value], at: &Instance<'_>, seen: &mut Seen) -> Result<bool, Invalid> {
        let item =
            |index: usize| Instance { value: &items[index], place: Some((at, Step::Index(index))), depth: at.depth };
        let check = |index: usize, node: NodeId, seen: &mut Seen| {
            self.saw_item(index, seen);
            self.node(node, &item(index), &mut Seen::default())
        };
        match rule {
            Rule::PrefixItems(nodes) => {
                nodes.iter().enumerate().take(items.len()).try_for_each(|(index, node)| check(index, *node, seen))?;
            }
            Rule::Items(from, node) => (*from..items.len()).try_for_each(|index| check(index, *node, seen))?,
            Rule::UnevaluatedItems(node) => {
                self.budget.spend(items.len() as u64)?;
                let left: Vec<usize> = (0..items.len()).filter(|index| !seen.indices.contains(index)).collect();
                left.into_iter().try_for_each(|index| check(index, *node, seen))?;
            }
            Rule::Contains { node, least, most } => {
                let mut found = 0;
                for index in 0..items.len() {
                    if self.holds(*node, &item(index), &mut Seen::default())? {
                        self.saw_item(index, seen);
                        found += 1;
                    }
                }
                return Ok(found >= *least && most.is_none_or(|most| found <= most));
            }
            Rule::UniqueItems => return self.are_unique(items, at.value.bytes()),
            _ => {}
        }
        Ok(true)
    }

    fn saw_item(&self, index: usize, seen: &mut Seen) {
        if self.keeps_seen {
            seen.indices.insert(index);
        }
    }

    fn are_unique(&self, items: &[Value], bytes: usize) -> Result<bool, Invalid> {
        // Paid before, so that sorting itself cannot fail.
        let rounds = items.len().max(1).ilog2() as usize + 1;
        self.budget.spend_bytes(bytes.saturating_mul(rounds))?;
        let mut sorted: Vec<&Value> = items.iter().collect();
        sorted.sort_by(|one, other| one.rank_with(other));
        Ok(sorted.windows(2).all(|pair| pair[0].rank_with(pair[1]) != Ordering::Equal))
    }

    fn members(&self, rule: &Rule, members: &Members, at: &Instance<'_>, seen: &mut Seen) -> Result<bool, Invalid> {
        match rule {
            Rule::Required(names) => return self.has_all(names, members),
            Rule::DependentRequired(all) => {
                for (name, needed) in all {
                    self.budget.spend_bytes(name.len())?;
                    if members.contains_key(name) && !self.has_all(needed, members)? {
                        return Ok(false);
                    }
                }
            }
            Rule::DependentSchemas(all) => {
                self.budget.spend(all.len() as u64)?;
                let present = all.iter().filter(|(name, _)| members.contains_key(name));
                present.map(|(_, node)| *node).try_for_each(|node| self.node(node, at, seen))?;
            }
            Rule::PropertyNames(node) => {
                for name in members.keys() {
                    self.budget.spend(1)?;
                    let text = Value::Text(name.clone());
                    let name = Instance { value: &text, place: Some((at, Step::Name(name))), depth: at.depth };
                    self.node(*node, &name, &mut Seen::default())?;
                }
            }
            Rule::Properties(properties) => self.properties(properties, members, at, seen)?,
            Rule::UnevaluatedProperties(node) => {
                members.keys().try_for_each(|name| self.budget.spend_bytes(name.len()))?;
                let left: Vec<&Arc<str>> = members.keys().filter(|name| !seen.names.contains(*name)).collect();
                for name in left {
                    self.member(*node, name, members, at, seen)?;
                }
            }
            _ => {}
        }
        Ok(true)
    }

    fn has_all(&self, names: &[Arc<str>], members: &Members) -> Result<bool, Invalid> {
        for name in names {
            self.budget.spend_bytes(name.len())?;
            if !members.contains_key(name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn member(
        &self,
        node: NodeId,
        name: &Arc<str>,
        members: &Members,
        at: &Instance<'_>,
        seen: &mut Seen,
    ) -> Result<(), Invalid> {
        // Finding a name and keeping it cost as much as it is long.
        self.budget.spend_bytes(2 * name.len())?;
        let Some(value) = members.get(name) else { return Ok(()) };
        if self.keeps_seen {
            seen.names.insert(name.clone());
        }
        let member = Instance { value, place: Some((at, Step::Name(name))), depth: at.depth };
        self.node(node, &member, &mut Seen::default())
    }

    fn properties(
        &self,
        properties: &Properties,
        members: &Members,
        at: &Instance<'_>,
        seen: &mut Seen,
    ) -> Result<(), Invalid> {
        for name in members.keys() {
            self.budget.spend_bytes(name.len())?;
            let named = properties.named.get(name);
            let mut is_known = named.is_some();
            named.map_or(Ok(()), |node| self.member(*node, name, members, at, seen))?;
            for (pattern, node) in &properties.patterns {
                if pattern.matches(name, self.budget)? {
                    is_known = true;
                    self.member(*node, name, members, at, seen)?;
                }
            }
            if let (false, Some(others)) = (is_known, properties.others) {
                self.member(others, name, members, at, seen)?;
            }
        }
        Ok(())
    }
}

fn is_of(value: &Value, kind: Kind) -> bool {
    match (kind, value) {
        (Kind::Integer, Value::Number(number)) => number.is_whole(),
        (Kind::Null, Value::Null)
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Number, Value::Number(_))
        | (Kind::String, Value::Text(_))
        | (Kind::Array, Value::List(_))
        | (Kind::Object, Value::Map(_)) => true,
        _ => false,
    }
}

fn is_within(number: &Number, bound: Bound, limit: &Number) -> bool {
    let Some(order) = number.compare(limit) else { return false };
    match bound {
        Bound::Minimum => order.is_ge(),
        Bound::ExclusiveMinimum => order.is_gt(),
        Bound::Maximum => order.is_le(),
        Bound::ExclusiveMaximum => order.is_lt(),
    }
}
