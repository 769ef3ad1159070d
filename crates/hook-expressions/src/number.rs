//! Numbers of JSON: what was written stays as it was written until somebody calculates with it.

use std::{cmp::Ordering, fmt, sync::Arc};

/// A number.
#[derive(Debug, Clone)]
pub(crate) enum Number {
    /// A whole number of 64 bits.
    Int(i64),
    /// What a calculation gave.
    Float(f64),
    /// As it stands in a JSON text, where it is not a whole number of 64 bits.
    Literal(Arc<str>),
}

impl Number {
    /// The number of a JSON text.
    pub(crate) fn of_json(text: &str) -> Self {
        match text.parse::<i64>() {
            // `-0` is not the whole number zero.
            Ok(int) if int != 0 || text == "0" => Self::Int(int),
            _ => Self::Literal(text.into()),
        }
    }

    pub(crate) fn as_f64(&self) -> f64 {
        match self {
            Self::Int(int) => *int as f64,
            Self::Float(float) => *float,
            Self::Literal(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// The whole number, where it is one of 64 bits.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            other => whole(other.as_f64()),
        }
    }

    /// Whether it has no fraction.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Int(_)) || self.as_f64().fract() == 0.0
    }

    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Int(left), right) => compare_whole(*left, right.as_f64()),
            (left, Self::Int(right)) => compare_whole(*right, left.as_f64()).map(Ordering::reverse),
            (Self::Literal(left), Self::Literal(right)) if left == right => Some(Ordering::Equal),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        }
    }

    /// A total order: what is no number comes before all that are.
    pub(crate) fn rank_with(&self, other: &Self) -> Ordering {
        self.compare(other).unwrap_or_else(|| other.as_f64().is_nan().cmp(&self.as_f64().is_nan()))
    }
}

/// The whole number of 64 bits that a float is exactly.
pub(crate) fn whole(float: f64) -> Option<i64> {
    // Both bounds are exact as floats; the upper one is the first that is too large.
    let is_in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (is_in_range && float.fract() == 0.0).then_some(float as i64)
}

/// Compares without the rounding that a conversion to a float has above 2^53.
fn compare_whole(int: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    match whole(float.trunc()) {
        Some(truncated) => Some(int.cmp(&truncated).then(0.0.partial_cmp(&float.fract())?)),
        None => Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater }),
    }
}

impl fmt::Display for Number {
    /// As JSON. What JSON has no number for is the nearest that it has, or null.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Literal(text) => f.write_str(text),
            Self::Float(float) if float.is_nan() => f.write_str("null"),
            Self::Float(float) if float.is_infinite() => {
                write!(f, "{:e}", if *float > 0.0 { f64::MAX } else { f64::MIN })
            }
            Self::Float(float) => match whole(*float) {
                Some(int) if int.unsigned_abs() < 1 << 53 => write!(f, "{int}"),
                _ if float.abs() >= 1e17 || float.abs() < 1e-5 => write!(f, "{float:e}"),
                _ => write!(f, "{float}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_as_it_was_written() {
        for text in ["0", "-0", "7", "1.10", "1e400", "123456789012345678901234567890", "-1.5E-7"] {
            assert_eq!(Number::of_json(text).to_string(), text);
        }
    }

    #[test]
    fn a_result_is_written_as_json() {
        let check = |float: f64, expected: &str| assert_eq!(Number::Float(float).to_string(), expected);
        check(3.0, "3");
        check(0.5, "0.5");
        check(1e300, "1e300");
        check(f64::NAN, "null");
        check(f64::INFINITY, "1.7976931348623157e308");
        check(-0.000001, "-1e-6");
    }

    #[test]
    fn numbers_compare_by_value_and_exactly() {
        let check = |left: &str, right: &str, expected| {
            assert_eq!(Number::of_json(left).compare(&Number::of_json(right)), Some(expected), "{left} {right}");
        };
        check("1", "1.0", Ordering::Equal);
        check("1", "1.5", Ordering::Less);
        check("-1", "-1.5", Ordering::Greater);
        check("9007199254740993", "9007199254740992.0", Ordering::Greater);
        check("9223372036854775807", "1e300", Ordering::Less);
        check("1e300", "-9223372036854775808", Ordering::Greater);
        check("2.50", "2.5", Ordering::Equal);
    }
}
