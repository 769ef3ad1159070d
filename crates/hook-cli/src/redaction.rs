//! A contract's text as it may be shown: what looks like a secret is made unreadable, every byte stays where it is.
//!
//! No secret belongs into a contract, but the lines that are shown are those with mistakes in them, and a secret in the
//! place of a variable's name is a common one.

use hook_core::names::EnvName;

/// Where one of these stands before a string on a line, the string may be a secret.
const SECRETIVE: [&str; 8] = ["token", "secret", "password", "passwd", "auth", "credential", "api_key", "apikey"];

/// The text with what may be a secret replaced by `*`, and control characters by `?`, byte by byte.
pub(crate) fn readable(text: &str) -> String {
    text.split_inclusive('\n').map(readable_line).collect()
}

fn readable_line(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let hidden_from = SECRETIVE.iter().filter_map(|word| lower.find(word)).min().unwrap_or(line.len());
    let names_variables = lower.contains("_env");
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((open, close)) = next_string(rest) {
        let inner = &rest[open + 1..close];
        let at = line.len() - rest.len() + open;
        let is_hidden = at > hidden_from && !(names_variables && is_variable(inner)) && !is_choice(inner);
        shown.push_str(&printable(&rest[..=open]));
        shown.push_str(&if is_hidden { "*".repeat(inner.len()) } else { printable(inner) });
        rest = &rest[close..];
        shown.push_str(&rest[..rest.len().min(1)]);
        rest = &rest[rest.len().min(1)..];
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

/// What `auth_mode` may say.
fn is_choice(text: &str) -> bool {
    matches!(text, "bearer" | "none")
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
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &str) {
        let shown = readable(line);
        assert_eq!((shown.as_str(), shown.len()), (expected, line.len()));
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_and_nothing_moves() {
        check("token = \"abc\" # note\n", "token = \"***\" # note\n");
        check("env = { AGENT_TOKEN = 'äb', A = 'x' }", "env = { AGENT_TOKEN = '***', A = '*' }");
        check("headers = { Authorization = \"Bearer x\" }", "headers = { Authorization = \"********\" }");
        check("token_env = \"hunter2\"\r\n", "token_env = \"*******\"\r\n");
        check("secret = \"open\nnext = 1", "secret = \"****\nnext = 1");
        check("token = \"", "token = \"");
    }

    #[test]
    fn names_and_choices_stay_readable() {
        check("secret_env = [\"OLD_SECRET\", 'NEW_SECRET']", "secret_env = [\"OLD_SECRET\", 'NEW_SECRET']");
        check("auth_mode = \"bearer\"", "auth_mode = \"bearer\"");
        check("id = \"webhooks\"\nurl = \"http://a/\"", "id = \"webhooks\"\nurl = \"http://a/\"");
    }

    #[test]
    fn a_terminal_is_not_controlled() {
        check("id = \"\u{1b}[2J\u{9b}\"\t\n", "id = \"?[2J??\"\t\n");
    }
}
