//! Regular expressions whose time is linear in the text, and whose size has a bound.

use regex::{Regex, RegexBuilder};

use crate::budget::{Budget, Spent};

/// No pattern is longer, in bytes.
const MAX_LENGTH: usize = 1_024;
/// No pattern is larger once it is compiled, in bytes: a repetition of a repetition would be.
const MAX_COMPILED: usize = 1 << 18;

/// What `\d` and `\w` mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Letters and digits of any script, as jq has it.
    Jq,
    /// ASCII, as RE2 has it, which CEL names.
    Cel,
    /// ASCII but for `\s`, as ECMAScript has it, which JSON Schema names.
    Schema,
}

/// A pattern in the syntax of RE2: no look-around, no back-references.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Steps for a byte of text: a large pattern may look at each byte often.
    weight: u64,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn new(text: &str, dialect: Dialect) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("the pattern is longer than {MAX_LENGTH} bytes"));
        }
        let translated = translated(text, dialect);
        let mut builder = RegexBuilder::new(&translated);
        match builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(50).build() {
            Ok(regex) => {
                let repetition = if text.contains('{') { 16 } else { 0 };
                Ok(Self { regex, weight: 1 + text.len() as u64 / 64 + repetition })
            }
            Err(regex::Error::CompiledTooBig(_)) => Err("the pattern is too large: write smaller repetitions".into()),
            Err(error) => Err(first_reason(&error.to_string())),
        }
    }

    /// Whether some part of the text matches.
    pub(crate) fn matches(&self, text: &str, budget: &Budget) -> Result<bool, Spent> {
        self.pay(text, budget)?;
        Ok(self.regex.is_match(text))
    }

    /// The regular expression, for one walk over a text that is paid for here.
    pub(crate) fn over(&self, text: &str, budget: &Budget) -> Result<&Regex, Spent> {
        self.pay(text, budget)?;
        Ok(&self.regex)
    }

    fn pay(&self, text: &str, budget: &Budget) -> Result<(), Spent> {
        budget.spend(1 + (text.len() as u64 / 4).saturating_mul(self.weight))
    }
}

/// The pattern in the words of the library, whose classes are those of Unicode and nest.
fn translated(text: &str, dialect: Dialect) -> String {
    if dialect == Dialect::Jq {
        return text.to_owned();
    }
    let mut translated = String::with_capacity(text.len());
    let (mut rest, mut is_in_class) = (text, false);
    while let Some(char) = rest.chars().next() {
        let (part, length) = match rest.get(..2) {
            // Within a class it is the backspace.
            Some(r"\b") if is_in_class => (r"\x08", 2),
            Some(escape) if char == '\\' => (ascii(escape, dialect).unwrap_or(escape), 2),
            // Sets within sets, differences and intersections are not of these dialects.
            Some("[:") if is_in_class && dialect == Dialect::Cel => ("[:", 2),
            Some("&&") if is_in_class => (r"\&\&", 2),
            Some("--") if is_in_class => (r"-\-", 2),
            Some("~~") if is_in_class => (r"\~\~", 2),
            _ if char == '[' && is_in_class => (r"\[", 1),
            _ => (&rest[..char.len_utf8()], char.len_utf8()),
        };
        is_in_class = match part {
            "[" => true,
            // A bracket that comes first stands for itself.
            "]" => is_in_class && translated.ends_with(['[', '^']) && is_first(&translated),
            _ => is_in_class,
        };
        translated.push_str(part);
        rest = &rest[length..];
    }
    translated
}

/// Whether a class has just begun.
fn is_first(translated: &str) -> bool {
    let opening = translated.strip_suffix('^').unwrap_or(translated);
    opening.strip_suffix('[').is_some_and(|before| !before.ends_with('\\'))
}

/// The class of ASCII that an escape stands for.
fn ascii(escape: &str, dialect: Dialect) -> Option<&'static str> {
    Some(match escape {
        r"\d" => "[0-9]",
        r"\D" => "[^0-9]",
        r"\w" => "[0-9A-Za-z_]",
        r"\W" => "[^0-9A-Za-z_]",
        r"\s" if dialect == Dialect::Cel => r"[\t\n\f\r ]",
        r"\S" if dialect == Dialect::Cel => r"[^\t\n\f\r ]",
        // The mark of the byte order is a space too.
        r"\s" => r"[\s\x{feff}]",
        r"\S" => r"[^\s\x{feff}]",
        r"\b" => r"(?-u:\b)",
        _ => return None,
    })
}

/// The reason stands in the last line; those before it draw the pattern.
fn first_reason(error: &str) -> String {
    let line = error.lines().last().unwrap_or(error);
    line.trim_start_matches("error:").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_grows_without_bound_is_refused() {
        for bomb in ["(((a{100}){100}){100}){100}", &"a".repeat(2_000), &"(".repeat(200), "(?=a)", r"(a)\1"] {
            assert!(Pattern::new(bomb, Dialect::Jq).is_err(), "{bomb}");
        }
        assert!(Pattern::new("(a{1000}", Dialect::Jq).unwrap_err().contains("unclosed group"));
    }

    #[test]
    fn a_text_costs_by_its_length_whatever_the_pattern() {
        let text = "a".repeat(10_000);
        for pattern in ["(a*)*b", "(a|a)*b", "(.*)(.*)(.*)(.*)x"] {
            let budget = Budget::of(10_000);
            assert_eq!(Pattern::new(pattern, Dialect::Jq).unwrap().matches(&text, &budget), Ok(false), "{pattern}");
            assert!(budget.used() < 3_000, "{pattern}: {}", budget.used());
        }
        assert_eq!(Pattern::new("a{5}", Dialect::Jq).unwrap().matches(&text, &Budget::of(10_000)), Err(Spent));
    }

    #[test]
    fn a_class_means_what_the_dialect_says() {
        let check = |pattern: &str, text: &str, [jq, cel, schema]: [bool; 3]| {
            for (dialect, expected) in [(Dialect::Jq, jq), (Dialect::Cel, cel), (Dialect::Schema, schema)] {
                let pattern = Pattern::new(pattern, dialect).unwrap_or_else(|error| panic!("{pattern}: {error}"));
                assert_eq!(pattern.matches(text, &Budget::of(1_000)), Ok(expected), "{dialect:?} {text}");
            }
        };
        check(r"^\d+$", "\u{664}\u{665}", [true, false, false]);
        check(r"^\d+$", "45", [true; 3]);
        check(r"^[\d-]+$", "4-5", [true; 3]);
        check(r"^\w$", "ü", [true, false, false]);
        check(r"^\W$", "ü", [false, true, true]);
        check(r"^[^\w]$", "ü", [false, true, true]);
        check(r"^\s$", "\u{a0}", [true, false, true]);
        check(r"^\s$", "\u{feff}", [false, false, true]);
        check(r"^\S$", "\u{a0}", [false, true, false]);
        check(r"a\b", "aü", [false, true, true]);
        check(r"^\\d$", r"\d", [true; 3]);
        check("^[]a]+$", "]a", [true; 3]);
        check(r"^[\]a]+$", "]a", [true; 3]);
    }

    #[test]
    fn signs_within_a_class_stand_for_themselves_where_classes_do_not_nest() {
        let check = |pattern: &str, text: &str| {
            for dialect in [Dialect::Cel, Dialect::Schema] {
                let pattern = Pattern::new(pattern, dialect).unwrap_or_else(|error| panic!("{pattern}: {error}"));
                assert_eq!(pattern.matches(text, &Budget::of(1_000)), Ok(true), "{dialect:?} {text}");
            }
        };
        check("^[a&&b]+$", "a&b");
        check("^[[a]+$", "[a");
        check("^[a[b]c$", "[c");
        check("^[+--]+$", "+,-");
        check("^(a|[(])[)]$", "()");
        assert!(Pattern::new("^[[:alpha:]]$", Dialect::Cel).unwrap().matches("x", &Budget::of(1_000)).unwrap());
    }
}
