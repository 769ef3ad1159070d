//! What a check has found so far, and how bad it is once the mode is known.

use std::{collections::BTreeSet, ops::Range};

use hook_core::problem::{Code, Place, Problem, Severity};

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
    /// Where it stands, if not at a span of the contract.
    place: Option<Place>,
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

    /// An error at a place that may be in another file, or nowhere.
    pub(crate) fn error_at(
        &mut self,
        code: &'static Code,
        place: Option<Place>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let first = self.found.len();
        self.error(code, None, message, help);
        self.found[first].place = place;
    }

    /// A warning in both modes, at a place that may be in another file, or nowhere.
    pub(crate) fn warning_at(
        &mut self,
        code: &'static Code,
        place: Option<Place>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let first = self.found.len();
        self.warning(code, None, message, help);
        self.found[first].place = place;
    }

    fn add(&mut self, code: &'static Code, weight: Weight, span: Somewhere, (message, help): (String, String)) {
        self.found.push(Finding { code, weight, span, place: None, message, help });
    }

    /// Takes over what was found in another file.
    pub(crate) fn absorb(&mut self, other: Findings<'_>) {
        let Findings { text, found, secrets } = other;
        self.secrets.extend(secrets);
        self.found.extend(found.into_iter().map(|mut finding| {
            let span = finding.span.take();
            finding.place = finding.place.or_else(|| span.map(|span| text.place(span)));
            finding
        }));
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

    /// The problems in the order of the text, then those of other files; those without a place come last.
    pub(crate) fn into_problems(mut self, is_strict: bool) -> Vec<Problem> {
        let found = std::mem::take(&mut self.found);
        let mut problems: Vec<Problem> = found.into_iter().map(|finding| self.problem(finding, is_strict)).collect();
        let file = self.text.file();
        problems.sort_by_key(|problem| match &problem.place {
            Some(place) if place.file == file => (0, place.span.start, problem.code.id),
            Some(place) => (1, place.span.start, problem.code.id),
            None => (2, 0, problem.code.id),
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
            place: finding.place.or_else(|| finding.span.map(|span| self.text.place(span))),
            message: self.without_secrets(&finding.message),
            help: self.without_secrets(&finding.help),
        }
    }
}
