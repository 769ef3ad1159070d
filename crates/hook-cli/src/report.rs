//! Problems as people read them: the code, the message, the source line with the wrong part underlined, the help.

use std::fmt;

use hook_core::problem::{Problem, Severity};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::{discovery::ContractText, redaction};

/// Wide enough for a sentence, narrow enough for half a screen.
const WIDTH: usize = 100;

/// Renders problems. Only the contract's lines are shown: an env file's could hold a secret.
pub fn render(problems: &[Problem], contract: Option<&ContractText>, has_color: bool) -> String {
    let source = contract.map(|contract| NamedSource::new(&contract.file, redaction::readable(&contract.text)));
    let theme = if has_color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(WIDTH);
    let mut report = String::new();
    for problem in problems {
        let place = problem.place.as_ref();
        let is_shown = place.zip(contract).is_some_and(|(place, contract)| place.file == contract.file);
        let shown = Shown { problem, source: source.as_ref().filter(|_| is_shown) };
        if handler.render_report(&mut report, &shown).is_err() {
            report.push_str(&format!("{}: {shown}\n", problem.code.id));
        }
    }
    report
}

/// How many errors and warnings there are, for people.
pub fn count(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, warnings) => plural(warnings, "warning"),
        (errors, 0) => plural(errors, "error"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

/// A problem as miette wants it.
struct Shown<'a> {
    problem: &'a Problem,
    source: Option<&'a NamedSource<String>>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.problem.place, self.source) {
            (Some(place), None) => {
                write!(f, "{}:{}:{}: {}", place.file, place.line, place.column, self.problem.message)
            }
            _ => f.write_str(&self.problem.message),
        }
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.problem.code.id))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Warning => miette::Severity::Warning,
            Severity::Error => miette::Severity::Error,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = &self.problem.help;
        (!help.is_empty()).then(|| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.problem.place.as_ref()?;
        let span = LabeledSpan::underline(place.span.clone());
        self.source.map(|_| Box::new(std::iter::once(span)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
