//! Numbers of JSON: what was written stays as it was written until somebody calculates with it.

use std::{cmp::Ordering, fmt, sync::Arc};

/// No number is longer, as it is written: every comparison looks at its digits again.
pub(crate) const MAX_LENGTH: usize = 256;

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
        match self {
            Self::Int(_) => true,
            Self::Float(float) => float.fract() == 0.0,
            Self::Literal(_) => Decimal::of(self).exponent >= 0,
        }
    }

    /// Whether it is a whole number times another: exactly, as tenths and hundredths have no float.
    pub(crate) fn is_multiple_of(&self, divisor: &Self) -> bool {
        if let (Self::Int(number), Self::Int(divisor)) = (self, divisor) {
            return number.checked_rem(*divisor) == Some(0);
        }
        Decimal::of(self).is_multiple_of(&Decimal::of(divisor))
    }

    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Int(left), Self::Float(right)) => compare_whole(*left, *right),
            (Self::Float(left), Self::Int(right)) => compare_whole(*right, *left).map(Ordering::reverse),
            (Self::Literal(left), Self::Literal(right)) if left == right => Some(Ordering::Equal),
            (Self::Float(_), _) | (_, Self::Float(_)) => self.as_f64().partial_cmp(&other.as_f64()),
            (left, right) => Some(left.compare_digits(right)),
        }
    }

    /// Rounding to floats never reverses an order. It can make two numbers one, and then their digits decide.
    fn compare_digits(&self, other: &Self) -> Ordering {
        let rounded = self.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal);
        rounded.then_with(|| Decimal::of(self).compare(&Decimal::of(other)))
    }

    /// A total order: what is no number comes before all that are.
    pub(crate) fn rank_with(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Two numbers that are written out may round to one float, and cannot both be equal to it.
            (Self::Float(float), Self::Literal(_)) | (Self::Literal(_), Self::Float(float)) if !float.is_nan() => {
                self.compare_digits(other)
            }
            _ => self.compare(other).unwrap_or_else(|| other.as_f64().is_nan().cmp(&self.as_f64().is_nan())),
        }
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

/// A number as digits and a power of ten, with no zero at either end of the digits: equal numbers are equal decimals.
struct Decimal {
    is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Of a float its shortest digits, as they are written, and where it is a whole number all of them.
    fn of(number: &Number) -> Self {
        match number {
            Number::Int(int) => Self::read(&int.to_string()),
            Number::Literal(text) => Self::read(text),
            Number::Float(float) => match whole(*float) {
                Some(int) => Self::read(&int.to_string()),
                None if float.is_finite() => Self::read(&format!("{float:e}")),
                None => Self { is_negative: *float < 0.0, digits: "1".into(), exponent: i64::MAX / 2 },
            },
        }
    }

    fn read(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let far = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        let exponent = exponent.parse().unwrap_or(far).clamp(i64::MIN / 4, i64::MAX / 4);
        let unsigned = mantissa.trim_start_matches('-');
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        if significant.is_empty() {
            return Self { is_negative: false, digits: String::new(), exponent: 0 };
        }
        let zeros = digits.len() - significant.len();
        let exponent = exponent + zeros as i64 - fraction.len() as i64;
        Self { is_negative: mantissa.starts_with('-'), digits: significant.to_owned(), exponent }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let leading = |decimal: &Self| decimal.exponent + decimal.digits.len() as i64;
        let sizes = leading(self).cmp(&leading(other)).then_with(|| self.digits.cmp(&other.digits));
        let sizes = if self.is_negative { sizes.reverse() } else { sizes };
        self.sign().cmp(&other.sign()).then(sizes)
    }

    fn is_multiple_of(&self, divisor: &Self) -> bool {
        if self.digits.is_empty() {
            return true;
        }
        // A digit where no multiple has one: the digits do not end in a zero.
        let Ok(scale) = u64::try_from(self.exponent - divisor.exponent) else { return false };
        // More digits than this no divisor has that anybody means.
        let Ok(modulus) = divisor.digits.parse::<u64>() else { return self.digits == divisor.digits && scale == 0 };
        let modulus = u128::from(modulus);
        let rest = self.digits.bytes().fold(0, |rest, digit| (rest * 10 + u128::from(digit - b'0')) % modulus);
        (rest * power_of_ten(scale, modulus)).is_multiple_of(modulus)
    }
}

/// What a power of ten leaves when it is divided by a number of 64 bits.
fn power_of_ten(mut exponent: u64, modulus: u128) -> u128 {
    let (mut power, mut base) = (1 % modulus, 10 % modulus);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power * base % modulus;
        }
        base = base * base % modulus;
        exponent /= 2;
    }
    power
}

/// A float as jq writes it: its shortest digits, with an exponent where there would be many zeros.
fn write_float(float: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = format!("{float:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return f.write_str(&text) };
    let exponent: i64 = exponent.parse().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i64;
    match exponent < -4 || exponent > digits + 14 {
        true => write!(f, "{mantissa}e{exponent:+03}"),
        false => write!(f, "{float}"),
    }
}

impl fmt::Display for Number {
    /// As JSON. What JSON has no number for is the nearest that it has, or null.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Literal(text) => f.write_str(text),
            Self::Float(float) if float.is_nan() => f.write_str("null"),
            Self::Float(float) => match whole(*float) {
                Some(int) if int.unsigned_abs() < 1 << 53 => write!(f, "{int}"),
                _ => write_float(float.clamp(f64::MIN, f64::MAX), f),
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
        check(1e300, "1e+300");
        check(1e17, "1e+17");
        check(123_456_789_012_345_680_000.0, "123456789012345680000");
        check(0.00012, "0.00012");
        check(f64::NAN, "null");
        check(f64::INFINITY, "1.7976931348623157e+308");
        check(-0.00001, "-1e-05");
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
        check("-0", "0", Ordering::Equal);
        check("18446744073709551615", "18446744073709551614", Ordering::Greater);
        check("-18446744073709551615", "-18446744073709551614", Ordering::Less);
        check("9007199254740993.0", "9007199254740993", Ordering::Equal);
        check("1e400", "1e401", Ordering::Less);
        check("1e99999999999999999999", "1e400", Ordering::Greater);
        check("10e-1", "1", Ordering::Equal);
    }

    #[test]
    fn the_order_of_numbers_is_total() {
        let mut numbers: Vec<Number> =
            ["9007199254740992", "9007199254740993.0", "9007199254740993", "1e400", "-0", "0.1"]
                .map(Number::of_json)
                .to_vec();
        numbers.extend([9_007_199_254_740_992.0, 0.1, f64::INFINITY, f64::NAN, 1e300].map(Number::Float));
        for (one, other, third) in numbers
            .iter()
            .flat_map(|a| numbers.iter().flat_map(move |b| [(a, b)]))
            .flat_map(|(a, b)| numbers.iter().map(move |c| (a, b, c)))
        {
            assert_eq!(one.rank_with(other), other.rank_with(one).reverse(), "{one} {other}");
            if one.rank_with(other).is_le() && other.rank_with(third).is_le() {
                assert!(one.rank_with(third).is_le(), "{one} {other} {third}");
            }
        }
    }

    #[test]
    fn a_multiple_is_one_exactly() {
        let check = |number: &str, divisor: &str, expected: bool| {
            let is_multiple = Number::of_json(number).is_multiple_of(&Number::of_json(divisor));
            assert_eq!(is_multiple, expected, "{number} {divisor}");
        };
        check("19.99", "0.01", true);
        check("4.02", "0.01", true);
        check("0.0075", "0.0001", true);
        check("0.00751", "0.0001", false);
        check("10000000000.005", "0.01", false);
        check("12391239123", "0.00000001", true);
        check("1e308", "0.5", true);
        check("1e308", "0.123456789", false);
        check("1e400", "1e399", true);
        check("0.0", "7", true);
        check("5", "10", false);
        check("0.5", "0.25", true);
        check("-7.5", "2.5", true);
    }

    #[test]
    fn a_whole_number_has_no_fraction_however_it_is_written() {
        for (text, expected) in
            [("1.0", true), ("1e400", true), ("15e-1", false), ("9007199254740993.5", false), ("-0", true)]
        {
            assert_eq!(Number::of_json(text).is_whole(), expected, "{text}");
        }
    }
}
