//! Regular expressions whose time is linear in the text, and whose size has a bound.

use regex::{Regex, RegexBuilder};

use crate::budget::{Budget, Spent};

/// No pattern is longer, in bytes.
const MAX_LENGTH: usize = 1_024;
/// No pattern is larger once it is compiled, in bytes: a repetition of a repetition would be.
const MAX_COMPILED: usize = 1 << 18;

/// A pattern in the syntax of RE2: no look-around, no back-references.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    /// Steps for a byte of text: a large pattern may look at each byte often.
    weight: u64,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("the pattern is longer than {MAX_LENGTH} bytes"));
        }
        let mut builder = RegexBuilder::new(text);
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
            assert!(Pattern::new(bomb).is_err(), "{bomb}");
        }
        assert!(Pattern::new("(a{1000}").unwrap_err().contains("unclosed group"));
    }

    #[test]
    fn a_text_costs_by_its_length_whatever_the_pattern() {
        let text = "a".repeat(10_000);
        for pattern in ["(a*)*b", "(a|a)*b", "(.*)(.*)(.*)(.*)x"] {
            let budget = Budget::of(10_000);
            assert_eq!(Pattern::new(pattern).unwrap().matches(&text, &budget), Ok(false), "{pattern}");
            assert!(budget.used() < 3_000, "{pattern}: {}", budget.used());
        }
        assert_eq!(Pattern::new("a{5}").unwrap().matches(&text, &Budget::of(10_000)), Err(Spent));
    }
}
