//! Problems as people read them: the code, the message, the source line with the wrong part underlined, the help.

use std::fmt;

use hook_core::problem::{Problem, Severity};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use crate::{discovery::ContractText, redaction};

/// Wide enough for a sentence, narrow enough for half a screen.
const WIDTH: usize = 100;

/// Renders problems. Only the contract's lines are shown: an env file's could hold a secret.
pub fn render(problems: &[Problem], contract: Option<&ContractText>, has_color: bool) -> String {
    let source = contract.map(|contract| {
        NamedSource::new(&contract.file, redaction::readable(&contract.file, &contract.text, problems))
    });
    let theme = if has_color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(WIDTH);
    let mut reports: Vec<String> = Vec::new();
    for problem in problems {
        let place = problem.place.as_ref();
        let is_shown = place.zip(contract).is_some_and(|(place, contract)| place.file == contract.file);
        let shown = Shown { problem, source: source.as_ref().filter(|_| is_shown) };
        let mut report = String::new();
        if handler.render_report(&mut report, &shown).is_err() {
            report = format!("{}: {shown}", problem.code.id);
        }
        reports.push(report.trim_end().to_owned());
    }
    reports.join("\n\n")
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

#[cfg(test)]
mod tests {
    use hook_core::problem::{Place, codes};

    use super::*;
    use crate::discovery::FoundBy;

    fn contract() -> ContractText {
        let text = "[app]\nid = \"my-app\"\nnane = \"My app\"\n".to_owned();
        ContractText { file: "contract.toml".into(), text, found_by: FoundBy::WorkingDirectory }
    }

    #[test]
    fn a_problem_shows_its_line_with_the_wrong_part_underlined() {
        let contract = contract();
        let place = Place::in_text("contract.toml", &contract.text, 20..24);
        let problem = Problem::error(&codes::UNKNOWN_KEY, "unknown key `nane`", "did you mean `name`?").at(place);
        let report = render(&[problem], Some(&contract), false);
        let expected = [
            "HOOK0101",
            "",
            "  × unknown key `nane`",
            "   ╭─[contract.toml:3:1]",
            " 2 │ id = \"my-app\"",
            " 3 │ nane = \"My app\"",
            "   · ────",
            "   ╰────",
            "  help: did you mean `name`?",
        ];
        assert_eq!(report, expected.join("\n"));
    }

    #[test]
    fn a_line_of_another_file_is_named_and_not_shown() {
        let place = Place::in_text(".env", "SECRET", 0..0);
        let problem = Problem::error(&codes::ENV_FILE, "expected `NAME=value`", "").at(place);
        let report = render(&[problem], Some(&contract()), false);
        assert!(report.contains(".env:1:1: expected `NAME=value`"), "{report}");
        assert!(!report.contains('─'), "{report}");
    }

    #[test]
    fn errors_and_warnings_are_counted_apart() {
        let error = || Problem::error(&codes::UNKNOWN_KEY, "", "");
        let warning = || Problem::warning(&codes::UNKNOWN_KEY, "", "");
        assert_eq!(count(&[error(), warning(), warning()]), "1 error, 2 warnings");
        assert_eq!(count(&[error(), error()]), "2 errors");
        assert_eq!(count(&[warning()]), "1 warning");
    }
}
