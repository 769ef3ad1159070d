//! Calculations: numbers, and what operators make of texts, lists and objects.

use crate::{
    budget::{Budget, Spent},
    number::Number,
    value::{Members, Value, pay_for_keys},
};

use super::{
    machine::{Flow, Halt},
    natives::{split, wrong},
    program::Math,
};

pub(super) fn negate(value: &Value) -> Flow<Value> {
    match value {
        Value::Number(Number::Int(int)) => {
            Ok(int.checked_neg().map_or_else(|| Value::float(-(*int as f64)), Value::int))
        }
        Value::Number(number) => Ok(Value::float(-number.as_f64())),
        other => Err(wrong("`-` takes a number", other)),
    }
}

pub(super) fn calculate(operator: Math, left: Value, right: Value, budget: &Budget) -> Flow<Value> {
    match (operator, left, right) {
        (_, Value::Number(left), Value::Number(right)) => numbers(operator, &left, &right),
        (Math::Add, Value::Null, other) | (Math::Add, other, Value::Null) => Ok(other),
        (Math::Add, Value::Text(left), Value::Text(right)) => {
            budget.spend_bytes(left.len() + right.len())?;
            Ok(Value::text([&*left, &*right].concat()))
        }
        (Math::Add, Value::List(left), Value::List(right)) => {
            budget.spend((left.len() + right.len()) as u64)?;
            Ok(Value::list(left.iter().chain(right.iter()).cloned().collect(), budget)?)
        }
        (Math::Add, Value::Map(left), Value::Map(right)) => {
            budget.spend((left.len() + right.len()) as u64)?;
            pay_for_keys(&right, budget)?;
            let mut members: Members = (**left).clone();
            members.extend(right.iter().map(|(key, value)| (key.clone(), value.clone())));
            Ok(Value::map(members, budget)?)
        }
        (Math::Subtract, Value::List(left), Value::List(right)) => {
            let mut kept = Vec::new();
            for item in left.iter() {
                if !is_among(item, &right, budget)? {
                    kept.push(item.clone());
                }
            }
            Ok(Value::list(kept, budget)?)
        }
        (Math::Multiply, Value::Text(text), Value::Number(times))
        | (Math::Multiply, Value::Number(times), Value::Text(text)) => repeat(&text, times.as_f64(), budget),
        (Math::Multiply, Value::Map(left), Value::Map(right)) => merge(&left, &right, budget),
        (Math::Divide, Value::Text(text), Value::Text(by)) => {
            budget.spend_bytes(text.len())?;
            split(&text, &by, budget)
        }
        (_, left, right) => {
            Err(Halt::raised(format!("{} and {} cannot be calculated with", left.kind(), right.kind())))
        }
    }
}

fn numbers(operator: Math, left: &Number, right: &Number) -> Flow<Value> {
    let whole = match (operator, left, right) {
        (Math::Add, Number::Int(left), Number::Int(right)) => left.checked_add(*right),
        (Math::Subtract, Number::Int(left), Number::Int(right)) => left.checked_sub(*right),
        (Math::Multiply, Number::Int(left), Number::Int(right)) => left.checked_mul(*right),
        _ => None,
    };
    if let Some(whole) = whole {
        return Ok(Value::int(whole));
    }
    let (one, other) = (left.as_f64(), right.as_f64());
    match operator {
        Math::Add => Ok(Value::float(one + other)),
        Math::Subtract => Ok(Value::float(one - other)),
        Math::Multiply => Ok(Value::float(one * other)),
        Math::Divide if other == 0.0 => Err(Halt::raised("a number was divided by zero")),
        Math::Divide => Ok(Value::float(one / other)),
        Math::Remainder if one.is_nan() || other.is_nan() => Ok(Value::float(f64::NAN)),
        // Both are cut to whole numbers first.
        Math::Remainder => {
            let cut = |number: f64| number.clamp(i64::MIN as f64, i64::MAX as f64) as i64;
            let remainder = cut(one).checked_rem(cut(other).unsigned_abs().try_into().unwrap_or(i64::MAX));
            remainder.map(Value::int).ok_or_else(|| Halt::raised("a number was divided by zero"))
        }
    }
}

fn repeat(text: &str, times: f64, budget: &Budget) -> Flow<Value> {
    if times < 0.0 || times.is_nan() {
        return Ok(Value::Null);
    }
    let times = times.min(1e9) as usize;
    budget.spend_bytes(text.len().saturating_mul(times))?;
    Ok(Value::text(text.repeat(times)))
}

fn merge(left: &Members, right: &Members, budget: &Budget) -> Flow<Value> {
    budget.spend((left.len() + right.len()) as u64)?;
    pay_for_keys(right, budget)?;
    let mut merged = left.clone();
    for (key, value) in right {
        let value = match (merged.get(key), value) {
            (Some(Value::Map(before)), Value::Map(after)) => merge(before, after, budget)?,
            _ => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    Ok(Value::map(merged, budget)?)
}

fn is_among(value: &Value, items: &[Value], budget: &Budget) -> Result<bool, Spent> {
    for item in items {
        if item.equals(value, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
