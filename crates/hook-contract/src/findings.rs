//! What a check has found so far, and how bad it is once the mode is known.

use std::{collections::BTreeSet, ops::Range};

use hook_core::problem::{Code, Problem, Severity};

use crate::text::Text;

/// What stands where a secret stood.
const HIDDEN: &str = "(hidden)";

/// When a finding stops the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Always,
    InStrictMode,
    Never,
}

#[derive(Debug)]
struct Finding {
    code: &'static Code,
    weight: Weight,
    span: Option<Range<usize>>,
    message: String,
    help: String,
}

/// Everything that was found.
pub(crate) struct Findings<'t> {
    pub(crate) text: &'t Text<'t>,
    found: Vec<Finding>,
    secrets: BTreeSet<String>,
}

/// A span, or none for what stands nowhere in the text.
pub(crate) type Somewhere = Option<Range<usize>>;

impl<'t> Findings<'t> {
    pub(crate) fn new(text: &'t Text<'t>) -> Self {
        Self { text, found: Vec::new(), secrets: BTreeSet::new() }
    }

    /// An error: in every mode where its code is security-critical, otherwise in strict mode.
    pub(crate) fn error(
        &mut self,
        code: &'static Code,
        span: impl Into<Somewhere>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let weight = if code.is_security_critical { Weight::Always } else { Weight::InStrictMode };
        self.add(code, weight, span.into(), (message.into(), help.into()));
    }

    /// An error in strict mode only, whatever its code says: something can stand in for what is wrong.
    pub(crate) fn lenient(
        &mut self,
        code: &'static Code,
        span: impl Into<Somewhere>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(code, Weight::InStrictMode, span.into(), (message.into(), help.into()));
    }

    /// A warning in both modes.
    pub(crate) fn warning(
        &mut self,
        code: &'static Code,
        span: impl Into<Somewhere>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.add(code, Weight::Never, span.into(), (message.into(), help.into()));
    }

    fn add(&mut self, code: &'static Code, weight: Weight, span: Somewhere, (message, help): (String, String)) {
        self.found.push(Finding { code, weight, span, message, help });
    }

    /// Remembers a secret that stands in the text: no message will show it.
    pub(crate) fn hide(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.insert(secret.to_owned());
        }
    }

    /// The text without any secret that was found.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for secret in &self.secrets {
            // A short one would be blanked out in the middle of words: it goes where it stands alone or in quotes.
            shown = match secret.len() {
                _ if shown == *secret => HIDDEN.to_owned(),
                0..4 => shown.replace(&format!("`{secret}`"), HIDDEN),
                _ => shown.replace(secret.as_str(), HIDDEN),
            };
        }
        shown
    }

    pub(crate) fn has(&self, code: &'static Code) -> bool {
        self.found.iter().any(|finding| finding.code == code)
    }

    /// Whether something was found under that code at a place that holds the whole span.
    pub(crate) fn covers(&self, code: &'static Code, span: &Range<usize>) -> bool {
        let holds = |found: &Range<usize>| found.start <= span.start && span.end <= found.end;
        self.found.iter().any(|finding| finding.code == code && finding.span.as_ref().is_some_and(holds))
    }

    /// The problems in the order of the text; those without a place come last.
    pub(crate) fn into_problems(mut self, is_strict: bool) -> Vec<Problem> {
        let found = std::mem::take(&mut self.found);
        let mut problems: Vec<Problem> = found.into_iter().map(|finding| self.problem(finding, is_strict)).collect();
        problems.sort_by_key(|problem| match &problem.place {
            Some(place) => (0, place.span.start, problem.code.id),
            None => (1, 0, problem.code.id),
        });
        problems.dedup();
        problems
    }

    fn problem(&self, finding: Finding, is_strict: bool) -> Problem {
        let is_error = match finding.weight {
            Weight::Always => true,
            Weight::InStrictMode => is_strict,
            Weight::Never => false,
        };
        Problem {
            code: finding.code,
            severity: if is_error { Severity::Error } else { Severity::Warning },
            place: finding.span.map(|span| self.text.place(span)),
            message: self.without_secrets(&finding.message),
            help: self.without_secrets(&finding.help),
        }
    }
}
