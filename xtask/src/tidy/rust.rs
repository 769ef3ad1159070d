//! Rust files with comments and literals blanked out, and with the lines that are only for tests marked.

use std::collections::BTreeSet;

use crate::tree::Tree;

/// A Rust file.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// From the root of the workspace.
    pub(super) path: String,
    /// The lines as written.
    pub(super) lines: Vec<String>,
    /// The same lines; comments and what stands in literals are spaces.
    pub(super) code: Vec<String>,
    /// Which of them are only for tests.
    pub(super) is_test: Vec<bool>,
}

impl Source {
    /// A source made of a text.
    pub(super) fn of(path: &str, text: &str) -> Self {
        let masked = mask(text);
        let code: Vec<String> = masked.lines().map(str::to_owned).collect();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let is_test = test_lines(path, &masked, lines.len());
        Self { path: path.to_owned(), lines, code, is_test }
    }
}

/// Every Rust file of the checkout.
pub(super) fn read(tree: &Tree) -> Vec<Source> {
    let mut sources: Vec<Source> = tree.matching("", ".rs").map(|file| Source::of(&file.path, &file.text)).collect();
    let modules: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if modules.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/"))) {
            source.is_test.fill(true);
        }
    }
    sources
}

/// Where the modules lie that a file declares under `#[cfg(test)]`, without their ending.
fn test_modules(source: &Source) -> Vec<String> {
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let folder = match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let module = |(at, line): (usize, &String)| {
        let declared = line.trim().trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';')?;
        source.is_test[at].then(|| format!("{folder}/{declared}"))
    };
    source.code.iter().enumerate().filter_map(module).collect()
}

fn test_lines(path: &str, masked: &str, count: usize) -> Vec<bool> {
    let is_all_test = path.contains("/tests/")
        || path.contains("/benches/")
        || path.contains("/examples/")
        || path.ends_with("/tests.rs")
        || path.starts_with("crates/hook-testkit/")
        || masked.contains("#![cfg(test)]");
    let mut is_test = vec![is_all_test; count];
    for (start, attribute) in masked.match_indices("#[cfg(test)]") {
        let end = item_end(masked, start + attribute.len());
        let line = |at: usize| masked[..at].matches('\n').count();
        is_test[line(start)..=line(end).min(count - 1)].fill(true);
    }
    is_test
}

/// Where the item that follows ends: at its closing brace, or at its semicolon.
fn item_end(masked: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in masked.bytes().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at,
            _ => {}
        }
    }
    masked.len()
}

/// The text with comments and the inside of literals as spaces. Lines stay where they are.
fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = masked.chars().next_back().is_some_and(|char| char.is_alphanumeric() || char == '_');
        let length = token(rest, first, after_word);
        let (inside, after) = rest.split_at(length.unwrap_or(first.len_utf8()));
        match length {
            // The quotes stay, so that an empty and a blanked literal look alike and braces in it do not count.
            Some(_) => masked.extend(inside.chars().map(|char| if char == '\n' { '\n' } else { ' ' })),
            None => masked.push_str(inside),
        }
        rest = after;
    }
    masked
}

/// How long the comment or literal is that begins here; `None` where none does.
fn token(rest: &str, first: char, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    match first {
        '"' => Some(quoted(rest, 1)),
        'r' | 'b' | 'c' if !after_word => prefixed(rest),
        '\'' => character(rest),
        _ => None,
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The end of a string whose opening quote ends at `from`.
fn quoted(rest: &str, from: usize) -> usize {
    let mut is_escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(from) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A literal with a prefix: `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `b'…'`.
fn prefixed(rest: &str) -> Option<usize> {
    let prefix = rest.len() - rest.trim_start_matches(['r', 'b', 'c']).len();
    let after = &rest[prefix..];
    let is_raw = rest[..prefix].contains('r');
    let hashes = if is_raw { after.len() - after.trim_start_matches('#').len() } else { 0 };
    if prefix > 2 {
        return None;
    }
    if !is_raw && after.starts_with('\'') {
        return character(after).map(|length| prefix + length);
    }
    let quote = prefix + hashes;
    if !rest[quote..].starts_with('"') {
        return None;
    }
    if !is_raw {
        return Some(quoted(rest, quote + 1));
    }
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest[quote + 1..].find(&end).map_or(rest.len(), |at| quote + 1 + at + end.len()))
}

/// A character literal; `None` where it is a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let escaped = chars.next()?.0;
        let from = escaped + rest[escaped..].chars().next()?.len_utf8();
        return rest[from..].find('\'').map(|at| from + at + 1);
    }
    let (at, second) = chars.next()?;
    (second == '\'').then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_mask(text: &str, expected: &str) {
        assert_eq!(mask(text), expected, "{text}");
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check_mask("a // b\nc", "a     \nc");
        check_mask("a /* b /* c */ d */ e", "a                   e");
        check_mask(r#"f("x\"y") + g"#, "f(      ) + g");
        check_mask("f(r#\"a\"b\"#) + r", "f(        ) + r");
        check_mask("b'{' + b\"}\" + br\"{\"", "     +      +      ");
        check_mask("'{' + '\\'' + 'a", "    +      + 'a");
        check_mask("f::<'a>('\\u{7f}')", "f::<'a>(        )");
        check_mask("for r in b", "for r in b");
    }

    #[test]
    fn what_stands_under_cfg_test_is_for_tests() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\" }\n}\nfn c() {}\n";
        assert_eq!(Source::of("crates/x/src/a.rs", text).is_test, [false, true, true, true, true, false]);
        assert_eq!(Source::of("crates/x/tests/a.rs", "fn a() {}\n").is_test, [true]);
    }

    #[test]
    fn a_module_declared_for_tests_is_for_tests() {
        let source = Source::of("crates/x/src/disk/mod.rs", "mod a;\n#[cfg(test)]\nmod simulated;\n");
        assert_eq!(test_modules(&source), ["crates/x/src/disk/simulated"]);
        let source = Source::of("crates/x/src/disk.rs", "#[cfg(test)]\nmod simulated;\n");
        assert_eq!(test_modules(&source), ["crates/x/src/disk/simulated"]);
    }
}
