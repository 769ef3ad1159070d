//! Env files: one `NAME=value` a line. Nothing is substituted, so that a secret with a `$` in it stays what it is.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use hook_core::{
    names::EnvName,
    problem::{Place, Problem, codes},
};

/// More than any env file needs; a wrong path does not fill the memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// One line of an env file.
pub(super) struct Line {
    /// The variable.
    pub(super) name: EnvName,
    /// The line on which it begins, from 1.
    pub(super) number: usize,
    /// Its value, unquoted.
    pub(super) value: String,
}

/// Reads a file, as far as it can be read; what cannot is added to the problems.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Vec<Line> {
    let name = path.display().to_string();
    match read_text(path) {
        Ok(text) => parse(&name, &text, problems),
        Err(error) => {
            problems.push(Problem::error(
                &codes::ENV_FILE,
                format!("could not read the env file {name}: {error}"),
                "name a readable text file of at most 1 MiB, with one `NAME=value` a line",
            ));
            Vec::new()
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(text)
}

fn parse(file: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Line> {
    let mut reader = Reader { file, text, at: text.len() - text.trim_start_matches('\u{feff}').len() };
    let mut lines: Vec<Line> = Vec::new();
    while reader.skip_to_content() {
        let end_of_line = reader.at + reader.rest().split_inclusive('\n').next().map_or(0, str::len);
        match reader.line() {
            Ok(line) => {
                if let Some(first) = lines.iter().find(|earlier| earlier.name == line.name) {
                    problems.push(set_twice(file, first, &line));
                }
                lines.push(line);
            }
            Err(problem) => {
                problems.push(problem);
                reader.at = reader.at.max(end_of_line);
            }
        }
    }
    lines
}

fn set_twice(file: &str, first: &Line, second: &Line) -> Problem {
    Problem::warning(
        &codes::ENV_FILE,
        format!("{file} sets {} on line {} and again on line {}", first.name, first.number, second.number),
        "the later line is used; remove one of them",
    )
}

/// A place in the text of a file.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Moves to the next line that says something. `false` at the end of the file.
    fn skip_to_content(&mut self) -> bool {
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.rest_of_line();
        }
    }

    fn line(&mut self) -> Result<Line, Problem> {
        let start = self.at;
        let line = self.rest().lines().next().unwrap_or_default();
        let Some((before, _)) = line.split_once('=') else {
            return Err(self.problem(start, "expected `NAME=value`", "write `NAME=` to set a variable to nothing"));
        };
        let bare = before.trim();
        let name = bare.strip_prefix("export ").unwrap_or(bare).trim_start();
        let Ok(name) = EnvName::new(name) else {
            return Err(self.problem(
                start,
                "what stands before `=` is no name of a variable",
                "a name has letters, digits and `_`, and begins with no digit, such as `HMAC_SECRET_GITHUB`",
            ));
        };
        self.at += before.len() + 1;
        let value = self.value()?;
        let number = Place::in_text(self.file, self.text, start..start).line;
        Ok(Line { name, number, value })
    }

    fn value(&mut self) -> Result<String, Problem> {
        let before_blanks = self.at;
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        match self.rest().chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            _ => {
                self.at = before_blanks;
                self.unquoted()
            }
        }
    }

    fn unquoted(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let line = self.rest_of_line();
        let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with([' ', '\t']));
        let value = comment.map_or(line, |(at, _)| &line[..at]).trim();
        if has_substitution(value) {
            return Err(self.no_substitution(start));
        }
        Ok(value.to_owned())
    }

    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let open = self.at;
        let inner = &self.text[open + 1..];
        let Some(end) = closing_quote(inner, quote) else {
            self.at = self.text.len();
            return Err(self.problem(open, "the quote is not closed", "end the value with the same quote"));
        };
        self.at = open + 1 + end + 1;
        let after = self.at;
        let rest = self.rest_of_line().trim();
        if !(rest.is_empty() || rest.starts_with('#')) {
            return Err(self.problem(after, "text stands after the closing quote", "write the whole value in quotes"));
        }
        match quote {
            '\'' => Ok(inner[..end].to_owned()),
            _ => self.unescaped(&inner[..end], open + 1),
        }
    }

    fn unescaped(&self, inner: &str, start: usize) -> Result<String, Problem> {
        if has_substitution(inner) {
            return Err(self.no_substitution(start));
        }
        let mut value = String::with_capacity(inner.len());
        let mut chars = inner.char_indices();
        while let Some((at, char)) = chars.next() {
            let escaped = if char == '\\' { chars.next().map(|(_, escaped)| escaped) } else { None };
            value.push(match (char, escaped) {
                ('\\', Some('n')) => '\n',
                ('\\', Some('r')) => '\r',
                ('\\', Some('t')) => '\t',
                ('\\', Some(same @ ('\\' | '"' | '$'))) => same,
                ('\\', _) => {
                    let help = "write `\\\\` for a backslash, or the value in single quotes, where nothing is special";
                    return Err(self.problem(start + at, "unknown escape in a value in double quotes", help));
                }
                _ => char,
            });
        }
        Ok(value)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// What is left of the line; moves behind it.
    fn rest_of_line(&mut self) -> &'a str {
        let rest = self.rest();
        let line = rest.split_inclusive('\n').next().unwrap_or_default();
        self.at += line.len();
        line
    }

    fn no_substitution(&self, at: usize) -> Problem {
        self.problem(
            at,
            "`${NAME}` would stay as it is: env files are read without substitution",
            "write the value itself; where it really holds `${`, write it in single quotes",
        )
    }

    /// A problem at a place. The text is never shown: it may be a secret.
    fn problem(&self, at: usize, message: &str, help: &str) -> Problem {
        Problem::error(&codes::ENV_FILE, message, help).at(Place::in_text(self.file, self.text, at..at))
    }
}

/// Whether another tool would replace a part of the value.
fn has_substitution(value: &str) -> bool {
    value.match_indices("${").any(|(at, _)| !value[..at].ends_with('\\') && value[at..].contains('}'))
}

fn closing_quote(inner: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    inner.char_indices().find_map(|(at, char)| {
        let closes = char == quote && !is_escaped;
        is_escaped = quote == '"' && char == '\\' && !is_escaped;
        closes.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, usize, &str)]) {
        let mut problems = Vec::new();
        let lines = parse(".env", text, &mut problems);
        let found: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.number, line.value.as_str())).collect();
        assert_eq!((found.as_slice(), problems.len()), (expected, 0), "{problems:?}");
    }

    #[track_caller]
    fn check_problem(text: &str, place: (usize, usize), message: &str) {
        let mut problems = Vec::new();
        parse(".env", text, &mut problems);
        let found = problems.first().and_then(|problem| problem.place.as_ref());
        assert_eq!(found.map(|found| (found.line, found.column)), Some(place), "{problems:?}");
        assert!(problems[0].message.contains(message), "{problems:?}");
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        check("A=1\n", &[("A", 1, "1")]);
        check("\u{feff}# note\r\n\r\nexport A = b c \r\n", &[("A", 3, "b c")]);
        check("A=x # note\nB=x#y\nC= # note\nD=#x", &[("A", 1, "x"), ("B", 2, "x#y"), ("C", 3, ""), ("D", 4, "#x")]);
        check("A=pa$$word\nB=a\\b\nC=", &[("A", 1, "pa$$word"), ("B", 2, "a\\b"), ("C", 3, "")]);
    }

    #[test]
    fn quotes_keep_what_is_in_them() {
        check("A='x # ${y} \\n' # note", &[("A", 1, "x # ${y} \\n")]);
        check("A=\"a\\nb \\\"c\\\" \\\\ \\${d}\"", &[("A", 1, "a\nb \"c\" \\ ${d}")]);
        check("A=\"one\ntwo\"\nB=2", &[("A", 1, "one\ntwo"), ("B", 3, "2")]);
    }

    #[test]
    fn what_cannot_be_read_has_a_place_and_the_rest_is_read() {
        check_problem("A=1\nnonsense\nB=2", (2, 1), "NAME=value");
        check_problem("1A=1", (1, 1), "no name");
        check_problem("A=1\nB='open\nC=3", (2, 3), "not closed");
        check_problem("A='x'y", (1, 6), "after the closing quote");
        check_problem("A=\"a\\qb\"", (1, 5), "unknown escape");
        check_problem("A=${B}", (1, 3), "substitution");
        check_problem("A=\"${B}\"", (1, 4), "substitution");
        let mut problems = Vec::new();
        assert_eq!(parse(".env", "bad\nA=1\nA=2", &mut problems).len(), 2);
        assert_eq!(problems.iter().filter(|problem| problem.is_error()).count(), 1);
    }

    #[test]
    fn a_problem_never_shows_the_line() {
        let mut problems = Vec::new();
        parse(".env", "canary-secret\n1A=canary-secret\nA=\"canary\\q\"\nB='canary", &mut problems);
        assert_eq!(problems.len(), 4);
        assert!(!format!("{problems:?}").contains("canary"), "{problems:?}");
    }
}
