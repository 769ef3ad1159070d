//! A contract's text as it may be shown on a terminal: no secret, no control character, and every byte where it was.
//!
//! No secret belongs into a contract, but the lines that are shown are those with mistakes in them, and the secret itself
//! in the place of its variable's name is a common one.

use hook_core::{names::EnvName, problem::Problem};

/// The text of a file with what may be a secret replaced by `*`, and control characters by `?`, byte by byte.
pub(crate) fn readable(file: &str, text: &str, problems: &[Problem]) -> String {
    // A secret in another file stands at bytes of that file.
    let own = problems.iter().filter(|problem| problem.place.as_ref().is_some_and(|place| place.file == file));
    let own: Vec<Problem> = own.cloned().collect();
    hook_contract::masked(text, &own).split_inclusive('\n').map(readable_line).collect()
}

/// Hides strings after a `*_env` key, unless they are written as names of variables are.
fn readable_line(line: &str) -> String {
    let names_from = line.find("_env").unwrap_or(line.len());
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((open, close)) = next_string(rest) {
        let inner = &rest[open + 1..close];
        let is_hidden = line.len() - rest.len() + open > names_from && !is_variable(inner);
        shown.push_str(&printable(&rest[..=open]));
        shown.push_str(&if is_hidden { "*".repeat(inner.len()) } else { printable(inner) });
        // The closing quote, where there is one.
        let after = (close + 1).min(rest.len());
        shown.push_str(&printable(&rest[close..after]));
        rest = &rest[after..];
    }
    shown.push_str(&printable(rest));
    shown
}

/// The quotes of the next string; an open string ends with its line.
fn next_string(text: &str) -> Option<(usize, usize)> {
    let open = text.find(['"', '\''])?;
    let quote = &text[open..=open];
    let content = text[open + 1..].trim_end_matches(['\r', '\n']).len();
    let close = text[open + 1..].find(quote).unwrap_or(content);
    Some((open, open + 1 + close))
}

/// Written like the name of a variable by convention: a secret hardly ever is.
fn is_variable(text: &str) -> bool {
    EnvName::new(text).is_ok() && !text.contains(|char: char| char.is_ascii_lowercase())
}

fn printable(text: &str) -> String {
    let shown = |char: char| match char {
        '\n' | '\t' | '\r' => char.to_string(),
        char if char.is_control() => "?".repeat(char.len_utf8()),
        char => char.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use hook_core::problem::{Place, codes};

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let shown = readable("contract.toml", line, &[]);
        assert_eq!((shown.as_str(), shown.len()), (expected, line.len()));
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_and_nothing_moves() {
        check("token_env = \"hunter2\"\r\n", "token_env = \"*******\"\r\n");
        check("secret_env = [\"OLD_SECRET\", 'ä'] # x\n", "secret_env = [\"OLD_SECRET\", '**'] # x\n");
        check("token_env = \"open\nurl = \"x\"", "token_env = \"****\nurl = \"x\"");
        check("token_env = \"", "token_env = \"");
        check("token = \"abc\"\n", "token =*\"***\"\n");
    }

    #[test]
    fn a_secret_in_another_file_hides_nothing_here() {
        let text = "id = \"webhooks\"\n";
        let found = |file: &str| {
            let problem = Problem::error(&codes::SECRET_IN_FILE, "", "").at(Place::in_text(file, text, 6..14));
            readable("contract.toml", text, &[problem])
        };
        assert_eq!(found("kafka-core.toml"), text);
        assert_eq!(found("contract.toml"), "id = \"********\"\n");
    }

    #[test]
    fn everything_else_stays_readable() {
        check("id = \"webhooks\"\nurl = 'http://a/'", "id = \"webhooks\"\nurl = 'http://a/'");
        check("auth_mode = \"bearer\"", "auth_mode = \"bearer\"");
    }

    #[test]
    fn a_terminal_is_not_controlled() {
        check("id = \"\u{1b}[2J\u{9b}\"\t\n", "id = \"?[2J??\"\t\n");
    }
}
