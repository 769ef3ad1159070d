//! Dates: seconds since 1970 in UTC, the parts of such a time in a list, and both as text. No clock and no time zone is asked.

use std::fmt::Write as _;

use crate::{budget::Budget, value::Value};

use super::machine::{Flow, Halt};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const DAY: i64 = 86_400;
/// No time is further from 1970, in seconds: that is some thirty thousand years.
const FAR: f64 = 1e12;
const KNOWN: &str = "a format of a date has a conversion that there is not: there are \
                     %Y %m %d %e %H %M %S %Z %z %s %j %a %A %b %B %h %y %p %I %u %w %k %D %F %T %R %n %t %%";

/// A time in UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Time {
    year: i64,
    /// From 0.
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    /// With its fraction.
    second: f64,
}

impl Time {
    fn of(seconds: f64) -> Flow<Self> {
        if !(-FAR..=FAR).contains(&seconds) {
            return Err(Halt::raised("a time is no number of seconds near enough to 1970"));
        }
        let whole = seconds.floor() as i64;
        let (days, second) = (whole.div_euclid(DAY), whole.rem_euclid(DAY));
        let (year, month, day) = date(days);
        let second_of_minute = (second % 60) as f64 + (seconds - seconds.floor());
        Ok(Self { year, month, day, hour: second / 3_600, minute: second / 60 % 60, second: second_of_minute })
    }

    /// What the elements of a list say: year, month from 0, day, hour, minute, second. Too large a part runs over.
    fn of_list(parts: &[Value]) -> Flow<Self> {
        let part = |at: usize, otherwise: f64| match parts.get(at) {
            None => Ok(otherwise),
            Some(Value::Number(number)) if number.as_f64().abs() < FAR => Ok(number.as_f64()),
            Some(_) => Err(Halt::raised("the parts of a time are numbers")),
        };
        let whole = |at: usize, otherwise: f64| part(at, otherwise).map(|part| part.trunc() as i64);
        Ok(Self {
            year: whole(0, 1970.0)?,
            month: whole(1, 0.0)?,
            day: whole(2, 0.0)?,
            hour: whole(3, 0.0)?,
            minute: whole(4, 0.0)?,
            second: part(5, 0.0)?,
        })
    }

    fn days(&self) -> i64 {
        days(self.year + self.month.div_euclid(12), self.month.rem_euclid(12)) + self.day - 1
    }

    fn seconds(&self) -> i64 {
        self.days() * DAY + self.hour * 3_600 + self.minute * 60 + self.second.trunc() as i64
    }

    fn day_of_week(&self) -> i64 {
        // 1970 began on a Thursday.
        (self.days() + 4).rem_euclid(7)
    }

    /// From 0.
    fn day_of_year(&self) -> i64 {
        self.days() - days(self.year, 0)
    }

    fn to_value(self, budget: &Budget) -> Flow<Value> {
        let second = match crate::number::whole(self.second) {
            Some(second) => Value::int(second),
            None => Value::float(self.second),
        };
        let [year, month, day, hour, minute] =
            [self.year, self.month, self.day, self.hour, self.minute].map(Value::int);
        let (of_week, of_year) = (Value::int(self.day_of_week()), Value::int(self.day_of_year()));
        Ok(Value::list(vec![year, month, day, hour, minute, second, of_week, of_year], budget)?)
    }
}

/// Days from 1970 to the first of a month, which counts from 0.
fn days(year: i64, month: i64) -> i64 {
    // Years that begin in March end with the day that leap years add.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 - 719_468
}

/// Year, month from 0 and day of the month.
fn date(since_1970: i64) -> (i64, i64, i64) {
    // A guess that is at most a year off, and then the month by counting.
    let mut year = 1970 + since_1970.div_euclid(366).min(since_1970.div_euclid(365));
    while days(year + 1, 0) <= since_1970 {
        year += 1;
    }
    while days(year, 0) > since_1970 {
        year -= 1;
    }
    let month = (0..12).rev().find(|month| days(year, *month) <= since_1970).unwrap_or_default();
    (year, month, since_1970 - days(year, month) + 1)
}

/// `gmtime`
pub(super) fn broken_down(seconds: f64, budget: &Budget) -> Flow<Value> {
    Time::of(seconds)?.to_value(budget)
}

/// `mktime`
pub(super) fn seconds(parts: &Value) -> Flow<Value> {
    match parts {
        Value::List(parts) => Ok(Value::int(Time::of_list(parts)?.seconds())),
        _ => Err(Halt::raised("`mktime` takes an array of numbers")),
    }
}

/// `strftime`
pub(super) fn write(time: &Value, format: &str, budget: &Budget) -> Flow<Value> {
    let time = match time {
        Value::Number(seconds) => Time::of(seconds.as_f64())?,
        // Parts that run over are brought into order.
        Value::List(parts) => Time::of(Time::of_list(parts)?.seconds() as f64)?,
        _ => return Err(Halt::raised("`strftime` takes a number of seconds or an array of numbers")),
    };
    budget.spend_bytes(format.len())?;
    let mut written = String::new();
    let format = expanded(format);
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '%' => {
                let part = signs.next().and_then(|conversion| time.write(conversion, &mut written));
                part.ok_or_else(|| Halt::raised(KNOWN))?;
            }
            sign => written.push(sign),
        }
    }
    budget.spend_bytes(written.len())?;
    Ok(Value::text(written))
}

/// The format with short forms written out.
fn expanded(format: &str) -> String {
    let format = format.replace("%D", "%m/%d/%y").replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S");
    format.replace("%R", "%H:%M").replace("%h", "%b")
}

impl Time {
    /// Writes one part; `None` where there is no such conversion.
    fn write(&self, conversion: char, out: &mut String) -> Option<()> {
        let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
        // Writing to a string does not fail.
        let _ = match conversion {
            'Y' => write!(out, "{}", self.year),
            'y' => write!(out, "{:02}", self.year.rem_euclid(100)),
            'm' => write!(out, "{:02}", self.month + 1),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:2}", self.day),
            'H' => write!(out, "{:02}", self.hour),
            'I' => write!(out, "{:02}", (self.hour + 11) % 12 + 1),
            'M' => write!(out, "{:02}", self.minute),
            'S' => write!(out, "{:02}", self.second.floor() as i64),
            'p' => write!(out, "{}", if self.hour < 12 { "AM" } else { "PM" }),
            'j' => write!(out, "{:03}", self.day_of_year() + 1),
            's' => write!(out, "{}", self.seconds()),
            'a' => write!(out, "{:.3}", name(&DAYS, self.day_of_week())?),
            'A' => write!(out, "{}", name(&DAYS, self.day_of_week())?),
            'b' => write!(out, "{:.3}", name(&MONTHS, self.month)?),
            'B' => write!(out, "{}", name(&MONTHS, self.month)?),
            'u' => write!(out, "{}", (self.day_of_week() + 6) % 7 + 1),
            'w' => write!(out, "{}", self.day_of_week()),
            'k' => write!(out, "{:2}", self.hour),
            'Z' => write!(out, "UTC"),
            'z' => write!(out, "+0000"),
            'n' => writeln!(out),
            't' => write!(out, "\t"),
            '%' => write!(out, "%"),
            _ => return None,
        };
        Some(())
    }
}

/// `strptime`
pub(super) fn read(text: &str, format: &str, budget: &Budget) -> Flow<Value> {
    budget.spend_bytes(text.len() + format.len())?;
    let no_match = || Halt::raised("a string is no date of that format");
    let format = expanded(format);
    let mut reader = Reader { rest: text, time: Time::of(0.0)?, is_afternoon: None, offset: 0, seconds: None };
    reader.time.year = 1900;
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '%' => reader.part(signs.next().unwrap_or_default())?.ok_or_else(no_match)?,
            sign if sign.is_whitespace() => reader.rest = reader.rest.trim_start(),
            sign => reader.rest = reader.rest.strip_prefix(sign).ok_or_else(no_match)?,
        }
    }
    match reader.rest {
        "" => reader.time().to_value(budget),
        _ => Err(no_match()),
    }
}

struct Reader<'t> {
    rest: &'t str,
    time: Time,
    is_afternoon: Option<bool>,
    offset: i64,
    /// Where the text gives the seconds since 1970.
    seconds: Option<i64>,
}

impl Reader<'_> {
    fn time(mut self) -> Time {
        if let Some(time) = self.seconds.and_then(|seconds| Time::of(seconds as f64).ok()) {
            return time;
        }
        if let Some(is_afternoon) = self.is_afternoon {
            self.time.hour = self.time.hour % 12 + if is_afternoon { 12 } else { 0 };
        }
        // A day that a month does not have runs over too.
        Time::of((self.time.seconds() - self.offset) as f64).unwrap_or(self.time)
    }

    /// Reads one part; `Some` where it is there.
    fn part(&mut self, conversion: char) -> Flow<Option<()>> {
        Ok(match conversion {
            'Y' => self.number(4, 0..=9_999).map(|year| self.time.year = year),
            'y' => self.number(2, 0..=99).map(|year| self.time.year = year + if year < 69 { 2_000 } else { 1_900 }),
            'm' => self.number(2, 1..=12).map(|month| self.time.month = month - 1),
            'd' | 'e' => self.number(2, 1..=31).map(|day| self.time.day = day),
            'H' => self.number(2, 0..=23).map(|hour| self.time.hour = hour),
            'I' => self.number(2, 1..=12).map(|hour| self.time.hour = hour),
            'M' => self.number(2, 0..=59).map(|minute| self.time.minute = minute),
            'S' => self.number(2, 0..=61).map(|second| self.time.second = second as f64),
            's' => self.number(12, 0..=999_999_999_999).map(|seconds| self.seconds = Some(seconds)),
            'j' => self.number(3, 1..=366).map(|day| (self.time.month, self.time.day) = (0, day)),
            'a' | 'A' => self.name(&DAYS).map(drop),
            'b' | 'B' => self.name(&MONTHS).map(|month| self.time.month = month),
            'p' => self.name(&["AM", "PM"]).map(|half| self.is_afternoon = Some(half == 1)),
            'Z' => self.zone(),
            'z' => self.offset(),
            'n' | 't' => {
                self.rest = self.rest.trim_start();
                Some(())
            }
            '%' => self.rest.strip_prefix('%').map(|rest| self.rest = rest),
            _ => return Err(Halt::raised(KNOWN)),
        })
    }

    fn number(&mut self, most: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let text = self.rest.trim_start();
        let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = text.split_at_checked(length)?;
        self.rest = rest;
        digits.parse().ok().filter(|number| range.contains(number))
    }

    /// A name in full or by its first three letters, whatever its case.
    fn name(&mut self, names: &[&str]) -> Option<i64> {
        let text = self.rest;
        let begins = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let (at, length) = names.iter().enumerate().find_map(|(at, name)| {
            let short = name.get(..3).unwrap_or(name);
            [*name, short].into_iter().find(|name| begins(name)).map(|name| (at, name.len()))
        })?;
        self.rest = &text[length..];
        i64::try_from(at).ok()
    }

    /// The name of a zone says nothing more: all times are UTC.
    fn zone(&mut self) -> Option<()> {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        self.rest = self.rest.get(length..).filter(|_| length > 0)?;
        Some(())
    }

    /// An offset from UTC, which the time is moved by; `Z` is none.
    fn offset(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        let sign = if self.rest.starts_with('-') { -1 } else { 1 };
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        let hours = self.number(2, 0..=23)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let minutes = self.number(2, 0..=59)?;
        self.offset = sign * (hours * 3_600 + minutes * 60);
        Some(())
    }
}
