//! What the first page tells a reader to type is right.

#![cfg(feature = "generate")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::path::Path;

/// A page at the root of the workspace.
fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

#[test]
fn the_contract_of_the_first_page_has_no_problems() {
    let page = page("README.md");
    let contract = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(contract.starts_with("[app]\n"), "{contract}");
    let catalog = hook_cli::catalog::default_catalog();
    let checked = hook_contract::check("README.md", contract, &catalog, &hook_contract::Options::default());
    let problems: Vec<&str> = checked.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(problems, [""; 0]);
    assert!(checked.plan.is_some());
}

#[test]
fn every_command_of_the_first_page_exists() {
    let page = page("README.md");
    let typed = page.lines().filter_map(|line| line.strip_prefix("hook "));
    let commands: Vec<&str> = typed.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(commands.len() > 5, "{commands:?}");
    let known = hook_cli::command();
    for command in commands {
        assert!(known.find_subcommand(command).is_some(), "there is no `hook {command}`");
    }
}
