//! Every code has a contract that provokes it, and the same contract mended.

mod support;

use hook_core::problem::codes;
use support::{checked, lines, of};

#[test]
fn every_example_provokes_its_code_until_it_is_mended() {
    for code in codes::ALL.iter().filter(|code| !code.wrong.is_empty()) {
        let wrong = checked(code.wrong);
        assert!(!of(code, &wrong.problems).is_empty(), "{} is not provoked:\n{}", code.id, lines(&wrong.problems));
        let right = checked(code.right);
        assert!(of(code, &right.problems).is_empty(), "{} stays:\n{}", code.id, lines(&right.problems));
    }
}

#[test]
fn every_code_of_a_contract_has_an_example() {
    // A profile that is asked for and not there, and a log that the build lacks, are no text's fault.
    let without: Vec<&str> = codes::ALL
        .iter()
        .filter(|code| code.id.starts_with("HOOK01") && code.wrong.is_empty())
        .map(|code| code.id)
        .collect();
    assert_eq!(without, [codes::UNKNOWN_PROFILE.id, codes::BACKBONE_NOT_BUILT.id]);
}

#[test]
fn ids_are_in_order_and_never_given_twice() {
    assert!(codes::ALL.is_sorted_by(|first, second| first.id < second.id));
}
