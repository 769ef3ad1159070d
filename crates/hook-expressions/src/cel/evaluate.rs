//! Evaluates a program over an event, step by step within a budget.

use std::{cell::OnceCell, cmp::Ordering, sync::Arc};

use crate::{
    budget::{Budget, Spent},
    json,
    number::Number,
    value::{Members, Value},
};

use super::{
    EvalError, EventView,
    functions::mismatch,
    syntax::{Arithmetic, Field, Kind, Macro, MacroName, Node, Program, Relation, Root},
};

/// Looking for a field passes over so many bytes a step: they are skipped, not read.
const BYTES_SKIPPED: usize = 64;

/// Whether a program is true of an event.
pub(super) fn truth(program: &Program, event: EventView<'_>, budget: &Budget) -> Result<bool, EvalError> {
    let fields = program.fields.iter().map(|_| OnceCell::new()).collect();
    let mut evaluation = Evaluation { program, event, budget, fields, locals: Vec::new() };
    evaluation.condition(&program.root)
}

struct Evaluation<'e> {
    program: &'e Program,
    event: EventView<'e>,
    budget: &'e Budget,
    /// Fields that were read already; `None` for one that is not there.
    fields: Vec<OnceCell<Option<Value>>>,
    locals: Vec<Value>,
}

type Evaluated = Result<Value, EvalError>;

impl Evaluation<'_> {
    fn condition(&mut self, node: &Node) -> Result<bool, EvalError> {
        match self.value(node)? {
            Value::Bool(truth) => Ok(truth),
            other => Err(mismatch(&format!("expected true or false, found {}", kind_of(&other)))),
        }
    }

    fn value(&mut self, node: &Node) -> Evaluated {
        self.budget.spend(1)?;
        match &node.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Source => Ok(Value::text(self.event.source)),
            Kind::Type => Ok(Value::text(self.event.event_type)),
            Kind::Field(at) => self.field(*at)?.ok_or_else(|| EvalError::Missing(self.path(*at))),
            Kind::Local(at) => Ok(self.locals[*at].clone()),
            Kind::Select(inner, name) => {
                let value = self.value(inner)?;
                self.member(&value, name)?.ok_or_else(|| EvalError::Missing(name.to_string()))
            }
            Kind::Has(inner, name) => self.has(inner, name),
            Kind::Index(inner, index) => self.element(inner, index),
            Kind::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
                Ok(Value::list(items, self.budget)?)
            }
            Kind::Map(entries) => self.map(entries),
            Kind::Not(inner) => Ok(Value::Bool(!self.condition(inner)?)),
            Kind::Negate(inner) => negated(&self.value(inner)?),
            Kind::All(parts) => self.until(parts, false),
            Kind::Any(parts) => self.until(parts, true),
            Kind::Conditional(parts) => {
                let branch = if self.condition(&parts[0])? { &parts[1] } else { &parts[2] };
                self.value(branch)
            }
            Kind::Relation(relation, sides) => self.relation(*relation, sides),
            Kind::Arithmetic(operator, sides) => {
                let (left, right) = (self.value(&sides[0])?, self.value(&sides[1])?);
                calculate(*operator, left, right, self.budget)
            }
            Kind::Call(function, arguments) => {
                let arguments = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
                function.call(&arguments, self.budget)
            }
            Kind::Matches(subject, pattern) => match self.value(subject)? {
                Value::Text(text) => Ok(Value::Bool(pattern.matches(&text, self.budget)?)),
                other => Err(mismatch(&format!("`matches` takes a string, found {}", kind_of(&other)))),
            },
            Kind::Macro(inner) => self.comprehension(inner),
        }
    }

    /// The value of a field at a fixed place, read once; `None` where it is not there.
    fn field(&self, at: usize) -> Result<Option<Value>, Spent> {
        if let Some(known) = self.fields[at].get() {
            return Ok(known.clone());
        }
        let Field { root, pointer } = &self.program.fields[at];
        let value = match root {
            Root::Payload => self.of_payload(pointer)?,
            Root::Meta => self.of_meta(pointer)?,
        };
        Ok(self.fields[at].get_or_init(|| value).clone())
    }

    fn of_payload(&self, pointer: &str) -> Result<Option<Value>, Spent> {
        self.budget.spend(1 + (self.event.payload.bytes().len() / BYTES_SKIPPED) as u64)?;
        match self.event.payload.pointer(pointer) {
            Some(text) => json::read(text.get(), self.budget).map(Some),
            None => Ok(None),
        }
    }

    fn of_meta(&self, pointer: &str) -> Result<Option<Value>, Spent> {
        // Plain data of our own, which has text keys only: it serialises.
        let text = serde_json::to_string(self.event.meta).unwrap_or_default();
        let Value::Map(meta) = json::read(&text, self.budget)? else { return Ok(None) };
        let mut meta: Members = (**meta).clone();
        // An event without flags has none of them, instead of no answer.
        if !meta.contains_key("flags") {
            meta.insert("flags".into(), Value::list(Vec::new(), self.budget)?);
        }
        let mut value = Value::map(meta, self.budget)?;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let Value::Map(members) = &value else { return Ok(None) };
            let Some(member) = members.get(step.as_str()).cloned() else { return Ok(None) };
            value = member;
        }
        Ok(Some(value))
    }

    fn path(&self, at: usize) -> String {
        let Field { root, pointer } = &self.program.fields[at];
        let root = match root {
            Root::Payload => "payload",
            Root::Meta => "meta",
        };
        format!("{root}{}", pointer.replace('/', ".").replace("~1", "/").replace("~0", "~"))
    }

    fn has(&mut self, inner: &Node, name: &Arc<str>) -> Evaluated {
        // `has(payload.a.b)` is false where there is no `payload.a` either: senders leave whole objects out.
        let value = match self.value(inner) {
            Err(EvalError::Missing(_)) => return Ok(Value::Bool(false)),
            value => value?,
        };
        match value {
            Value::Map(members) => Ok(Value::Bool(members.contains_key(name))),
            Value::Null => Ok(Value::Bool(false)),
            other => Err(mismatch(&format!("`has` takes a field of a map, found one of {}", kind_of(&other)))),
        }
    }

    fn member(&self, value: &Value, name: &str) -> Result<Option<Value>, EvalError> {
        match value {
            Value::Map(members) => Ok(members.get(name).cloned()),
            other => Err(mismatch(&format!("a field was asked of {}", kind_of(other)))),
        }
    }

    fn element(&mut self, inner: &Node, index: &Node) -> Evaluated {
        let (value, index) = (self.value(inner)?, self.value(index)?);
        let found = match (&value, &index) {
            (Value::List(items), Value::Number(at)) => {
                at.as_i64().and_then(|at| usize::try_from(at).ok()).and_then(|at| items.get(at).cloned())
            }
            (Value::Map(members), Value::Text(name)) => {
                self.budget.spend_bytes(name.len())?;
                members.get(name).cloned()
            }
            _ => return Err(mismatch("an index is a number of a list or a string of a map")),
        };
        found.ok_or_else(|| EvalError::Missing("element of that index".into()))
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Evaluated {
        let mut members = Members::new();
        for (key, value) in entries {
            let Value::Text(key) = self.value(key)? else { return Err(mismatch("the keys of a map are strings")) };
            self.budget.spend_bytes(key.len())?;
            let value = self.value(value)?;
            if members.insert(key, value).is_some() {
                return Err(mismatch("a key stands twice in a map"));
            }
        }
        Ok(Value::map(members, self.budget)?)
    }

    /// `&&` and `||`: one part that decides makes up for others that have no answer.
    fn until(&mut self, parts: &[Node], decisive: bool) -> Evaluated {
        let mut first_error = None;
        for part in parts {
            match self.condition(part) {
                Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(EvalError::Spent(spent)) => return Err(spent.into()),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn relation(&mut self, relation: Relation, sides: &[Node; 2]) -> Evaluated {
        let (left, right) = (self.value(&sides[0])?, self.value(&sides[1])?);
        let truth = match relation {
            Relation::Equal => left.equals(&right, self.budget)?,
            Relation::Unequal => !left.equals(&right, self.budget)?,
            Relation::In => self.is_in(&left, &right)?,
            relation => {
                let order = compare(&left, &right, self.budget)?;
                match relation {
                    Relation::Less => order.is_some_and(Ordering::is_lt),
                    Relation::LessOrEqual => order.is_some_and(Ordering::is_le),
                    Relation::Greater => order.is_some_and(Ordering::is_gt),
                    _ => order.is_some_and(Ordering::is_ge),
                }
            }
        };
        Ok(Value::Bool(truth))
    }

    fn is_in(&self, value: &Value, all: &Value) -> Result<bool, EvalError> {
        match (value, all) {
            (_, Value::List(items)) => {
                for item in items.iter() {
                    if item.equals(value, self.budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Value::Text(key), Value::Map(members)) => {
                self.budget.spend_bytes(key.len())?;
                Ok(members.contains_key(key))
            }
            // The keys of a map are strings, so that nothing else is one.
            (_, Value::Map(_)) => Ok(false),
            (_, other) => Err(mismatch(&format!("`in` looks into a list or a map, found {}", kind_of(other)))),
        }
    }

    fn comprehension(&mut self, inner: &Macro) -> Evaluated {
        let items: Vec<Value> = match self.value(&inner.range)? {
            Value::List(items) => items.to_vec(),
            Value::Map(members) => members.keys().cloned().map(Value::Text).collect(),
            other => return Err(mismatch(&format!("a macro goes over a list or a map, found {}", kind_of(&other)))),
        };
        self.budget.spend(items.len() as u64)?;
        let depth = self.locals.len();
        let mut tally = Tally::default();
        for item in items {
            self.locals.truncate(depth);
            self.locals.push(item.clone());
            let done = self.visit(inner, item, &mut tally);
            if done? {
                break;
            }
        }
        self.locals.truncate(depth);
        tally.result(inner.name, self.budget)
    }

    /// Looks at one element; whether the result is known.
    fn visit(&mut self, inner: &Macro, item: Value, tally: &mut Tally) -> Result<bool, EvalError> {
        if inner.name == MacroName::Map && inner.result.is_none() {
            let made = self.value(&inner.body)?;
            tally.made.push(made);
            return Ok(false);
        }
        let truth = match (self.condition(&inner.body), inner.name) {
            (Err(EvalError::Spent(spent)), _) => return Err(spent.into()),
            (Err(error), MacroName::All | MacroName::Exists) => {
                tally.error.get_or_insert(error);
                return Ok(false);
            }
            (truth, _) => truth?,
        };
        tally.met += usize::from(truth);
        match inner.name {
            MacroName::All => tally.is_decided = !truth,
            MacroName::Exists => tally.is_decided = truth,
            MacroName::ExistsOne => {}
            MacroName::Filter if truth => tally.made.push(item),
            MacroName::Map if truth => {
                let made = inner.result.as_ref().map(|result| self.value(result)).transpose()?;
                tally.made.extend(made);
            }
            MacroName::Filter | MacroName::Map => {}
        }
        Ok(tally.is_decided)
    }
}

/// What a macro has found so far.
#[derive(Default)]
struct Tally {
    met: usize,
    made: Vec<Value>,
    is_decided: bool,
    error: Option<EvalError>,
}

impl Tally {
    fn result(self, name: MacroName, budget: &Budget) -> Evaluated {
        match (name, self.is_decided, self.error) {
            (MacroName::All, is_decided, None) => Ok(Value::Bool(!is_decided)),
            (MacroName::All, true, _) => Ok(Value::Bool(false)),
            (MacroName::Exists, is_decided, None) => Ok(Value::Bool(is_decided)),
            (MacroName::Exists, true, _) => Ok(Value::Bool(true)),
            (_, _, Some(error)) => Err(error),
            (MacroName::ExistsOne, ..) => Ok(Value::Bool(self.met == 1)),
            (MacroName::Filter | MacroName::Map, ..) => Ok(Value::list(self.made, budget)?),
        }
    }
}

fn negated(value: &Value) -> Evaluated {
    match value {
        Value::Number(Number::Int(int)) => int.checked_neg().map(Value::int).ok_or_else(overflow),
        Value::Number(number) => Ok(Value::float(-number.as_f64())),
        other => Err(mismatch(&format!("`-` takes a number, found {}", kind_of(other)))),
    }
}

/// `None` where a number is none.
fn compare(left: &Value, right: &Value, budget: &Budget) -> Result<Option<Ordering>, EvalError> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Ok(left.compare(right)),
        (Value::Text(_), Value::Text(_)) | (Value::Bool(_), Value::Bool(_)) => Ok(Some(left.order(right, budget)?)),
        _ => {
            let message = format!("{} and {} have no order", kind_of(left), kind_of(right));
            Err(mismatch(&message))
        }
    }
}

fn calculate(operator: Arithmetic, left: Value, right: Value, budget: &Budget) -> Evaluated {
    match (operator, left, right) {
        (_, Value::Number(Number::Int(left)), Value::Number(Number::Int(right))) => whole(operator, left, right),
        (_, Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64(), right.as_f64());
            Ok(Value::float(match operator {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left / right,
                Arithmetic::Remainder => return Err(mismatch("`%` takes whole numbers")),
            }))
        }
        (Arithmetic::Add, Value::Text(left), Value::Text(right)) => {
            budget.spend_bytes(left.len() + right.len())?;
            Ok(Value::text([&*left, &*right].concat()))
        }
        (Arithmetic::Add, Value::List(left), Value::List(right)) => {
            let items: Vec<Value> = left.iter().chain(right.iter()).cloned().collect();
            Ok(Value::list(items, budget)?)
        }
        (_, left, right) => {
            let message = format!("{} and {} cannot be calculated with", kind_of(&left), kind_of(&right));
            Err(mismatch(&message))
        }
    }
}

fn whole(operator: Arithmetic, left: i64, right: i64) -> Evaluated {
    let result = match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    };
    result.map(Value::int).ok_or_else(overflow)
}

fn overflow() -> EvalError {
    mismatch("the result is no integer of 64 bits: it is too large, or something was divided by zero")
}

/// What a value is, in the words of the language.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::Text(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    }
}
