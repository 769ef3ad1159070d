//! Whatever the text is, a check answers, its places lie in the text, and it has a plan or an error.

mod support;

use hook_contract::{Options, check, masked, plan::ValidationMode};
use hook_core::problem::codes;
use proptest::prelude::*;
use support::{FILE, catalog};

fn holds(text: &str) {
    let catalog = catalog();
    for mode in [ValidationMode::Strict, ValidationMode::Debug] {
        let options = Options { mode: Some(mode), ..Options::default() };
        let checked = check(FILE, text, &catalog, &options);
        let has_error = checked.problems.iter().any(hook_core::problem::Problem::is_error);
        assert_eq!(checked.plan.is_none(), has_error, "a plan or an error, never both or neither:\n{text}");
        for place in checked.problems.iter().filter_map(|problem| problem.place.as_ref()) {
            assert!(text.get(place.span.clone()).is_some(), "{place:?} lies in the text:\n{text}");
            assert!(place.line >= 1 && place.column >= 1);
        }
        assert_eq!(masked(text, &checked.problems).len(), text.len());
    }
}

/// Contracts to start from: every example of every code.
fn seeds() -> Vec<&'static str> {
    let examples = codes::ALL.iter().flat_map(|code| [code.wrong, code.right]);
    examples
        .chain([include_str!("../../../apps/default-openclaw/contract.toml")])
        .filter(|text| !text.is_empty())
        .collect()
}

#[test]
fn a_truncated_contract_is_answered() {
    for text in seeds() {
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)).step_by(3) {
            holds(&text[..end]);
        }
    }
}

#[test]
fn a_contract_without_one_of_its_lines_is_answered() {
    for text in seeds() {
        for skipped in 0..text.lines().count() {
            let kept = text.lines().enumerate().filter(|(index, _)| *index != skipped).map(|(_, line)| line);
            holds(&kept.collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn a_value_of_every_other_kind_is_answered() {
    let text = include_str!("../../../apps/default-openclaw/contract.toml");
    let values = [
        "1",
        "-1",
        "1.5",
        "nan",
        "inf",
        "99999999999999999999",
        "true",
        "\"\"",
        "\"ä*?{source}\"",
        "[]",
        "[[1], {}]",
        "{}",
        "{ a = 1 }",
        "2026-01-31T08:00:00Z",
    ];
    for (index, line) in text.lines().enumerate() {
        let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        for value in values {
            let mutated = text.lines().enumerate().map(|(at, line)| match at == index {
                true => format!("{key}= {value}\n"),
                false => format!("{line}\n"),
            });
            holds(&mutated.collect::<String>());
        }
    }
}

#[test]
fn every_problem_of_a_large_contract_is_found() {
    let routes: String =
        (0..6_000).map(|index| format!("[[serve.routes]]\nid = \"r{index}\"\nnonsense = 1\n")).collect();
    let checked = check(FILE, &routes, &catalog(), &Options::default());
    // Of every route three keys are missing and one is unknown; of the contract, the app and a profile.
    assert_eq!(checked.problems.len(), 4 * 6_000 + 2);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn pieces_of_contracts_in_any_order_are_answered(pieces in prop::collection::vec((0..1_000_usize, 0..1_000_usize), 1..20)) {
        let seeds = seeds();
        let text: String = pieces
            .iter()
            .map(|(seed, line)| {
                let lines: Vec<&str> = seeds[seed % seeds.len()].lines().collect();
                format!("{}\n", lines[line % lines.len()])
            })
            .collect();
        holds(&text);
    }
}
