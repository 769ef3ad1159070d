//! Words that a place forbids. Comments and literals may use them.
//!
//! An exception stands where it is made, with its reason: `// tidy-allow(RULE): reason` on the line or the one above.

use super::rust::Source;
use crate::finding::Finding;

/// Where a rule looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// In what users run.
    Code,
    /// In what only tests run.
    Tests,
    /// In both.
    Everywhere,
}

struct Rule {
    name: &'static str,
    look: Look,
    applies: fn(&Source) -> bool,
    words: &'static [&'static str],
    /// What to do instead.
    advice: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "unfinished",
        look: Look::Everywhere,
        applies: |_| true,
        words: &["todo!", "unimplemented!", "dbg!"],
        advice: "finish it, or leave it out",
    },
    Rule {
        name: "no-runtime",
        look: Look::Code,
        applies: |source| is_in(source, &["crates/hook-core/", "crates/hook-expressions/", "crates/hook-contract/"]),
        words: &["tokio", "reqwest", "hyper", "axum"],
        advice: "vocabulary and contract know no runtime and no protocol: do it in a driver or in a role",
    },
    Rule {
        name: "no-io",
        look: Look::Code,
        applies: |source| is_in(source, &["crates/hook-core/", "crates/hook-expressions/", "crates/hook-contract/"]),
        words: &["std::fs", "std::env", "std::process", "std::thread", "TcpStream", "TcpListener", "UdpSocket"],
        advice: "vocabulary and contract touch nothing: let the caller read, and pass what was read",
    },
    Rule {
        name: "only-bytes",
        look: Look::Code,
        applies: |source| is_in(source, &["crates/hook-log/"]),
        words: &["Envelope", "EventHeader", "EventId", "RawEvent", "serde_json"],
        advice: "the log keeps keys and bytes and does not know what an event is",
    },
    Rule {
        name: "no-driver",
        look: Look::Code,
        applies: |source| is_in(source, &["crates/hook-runtime/", "crates/hook-admin/"]),
        words: &["hook_drivers", "hook_log", "hook_kafka"],
        advice: "roles know ports: what is named here is given by the caller",
    },
    Rule {
        name: "clock",
        look: Look::Code,
        applies: |source| {
            source.path.starts_with("crates/") && !is_in(source, &["crates/hook-core/src/clock.rs", "crates/hook-cli/"])
        },
        words: &["Timestamp::now", "SystemTime::now", "Zoned::now"],
        advice: "wall-clock time comes from hook_core::clock::Clock, so that tests decide what time it is",
    },
    Rule {
        name: "environment",
        look: Look::Code,
        applies: |source| source.path.starts_with("crates/") && !is_in(source, &["crates/hook-cli/"]),
        words: &["env::var", "env::var_os", "env::vars", "env::vars_os"],
        advice: "only the command reads the environment: let it read, and pass what was read",
    },
    Rule {
        name: "supervised",
        look: Look::Code,
        applies: |source| {
            source.path.starts_with("crates/")
                && !is_in(source, &["crates/hook-runtime/src/supervisor", "crates/hook-cli/"])
        },
        words: &["tokio::spawn", "tokio::task::spawn", "task::spawn", "thread::spawn"],
        advice: "nothing runs on its own: let the supervisor spawn it, keep it in a JoinSet, or name a thread with \
                 thread::Builder and join it",
    },
    Rule {
        name: "no-sleep",
        look: Look::Tests,
        applies: |source| !has_paused_time(source),
        words: &["thread::sleep", "time::sleep", "sleep_until"],
        advice: "tests never sleep: wait for what is to happen, or run on paused time",
    },
];

/// Findings of all files.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Finding> {
    RULES.iter().filter(|rule| (rule.applies)(source)).flat_map(|rule| broken(rule, source)).collect()
}

fn broken(rule: &Rule, source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        let is_looked_at = match rule.look {
            Look::Code => !source.is_test[at],
            Look::Tests => source.is_test[at],
            Look::Everywhere => true,
        };
        let Some(word) = rule.words.iter().find(|word| has_word(line, word)) else { continue };
        if is_looked_at && !is_excepted(rule, source, at) {
            let message = format!("`{word}` is not allowed here ({}): {}", rule.name, rule.advice);
            findings.push(Finding::at(&source.path, at + 1, message));
        }
    }
    findings
}

fn is_excepted(rule: &Rule, source: &Source, at: usize) -> bool {
    let mark = format!("tidy-allow({}): ", rule.name);
    let has_mark = |line: &String| line.split_once(&mark).is_some_and(|(_, reason)| !reason.trim().is_empty());
    has_mark(&source.lines[at]) || at.checked_sub(1).is_some_and(|above| has_mark(&source.lines[above]))
}

fn is_in(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

/// On paused time a sleep takes none.
fn has_paused_time(source: &Source) -> bool {
    source.code.iter().any(|line| line.contains("start_paused") || line.contains("time::pause()"))
}

/// Whether the line has the word, not only as a part of another.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_rules(path: &str, text: &str, expected: &[(usize, &str)]) {
        let findings = check_source(&Source::of(path, text));
        let found: Vec<_> = findings
            .iter()
            .map(|finding| {
                let (_, after) = finding.message.split_once('(').unwrap();
                (finding.line, after.split_once(')').unwrap().0)
            })
            .collect();
        assert_eq!(found, expected, "{findings:?}");
    }

    #[test]
    fn a_word_is_found_in_code_and_not_in_comments_or_literals() {
        check_rules("crates/hook-core/src/a.rs", "// tokio\nlet a = \"tokio\";\n", &[]);
        check_rules("crates/hook-core/src/a.rs", "//! A.\nuse tokio::net;\n", &[(2, "no-runtime")]);
        check_rules("crates/hook-core/src/a.rs", "let tokio_like = 1;\n", &[]);
        check_rules("crates/hook-log/src/a.rs", "fn a() { todo!() }\n", &[(1, "unfinished")]);
    }

    #[test]
    fn a_test_does_not_sleep_unless_time_is_paused() {
        let text = "#[cfg(test)]\nmod tests {\n    fn a() { tokio::time::sleep(b).await; }\n}\n";
        check_rules("crates/hook-log/src/a.rs", text, &[(3, "no-sleep")]);
        let paused = text.replace("    fn", "    #[tokio::test(start_paused = true)]\n    async fn");
        check_rules("crates/hook-log/src/a.rs", &paused, &[]);
    }

    #[test]
    fn time_comes_from_the_clock() {
        check_rules("crates/hook-runtime/src/a.rs", "let now = Timestamp::now();\n", &[(1, "clock")]);
        check_rules("crates/hook-core/src/clock.rs", "let now = Timestamp::now();\n", &[]);
    }

    #[test]
    fn an_exception_needs_its_reason() {
        let path = "crates/hook-runtime/src/a.rs";
        check_rules(path, "// tidy-allow(clock): measures the clock itself\nTimestamp::now();\n", &[]);
        check_rules(path, "// tidy-allow(clock):\nTimestamp::now();\n", &[(2, "clock")]);
        check_rules(path, "// tidy-allow(supervised): other\nTimestamp::now();\n", &[(2, "clock")]);
    }
}
