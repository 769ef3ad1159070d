//! The contracts in `apps/` are examples: none of them has a problem in a build with every driver.

#![cfg(all(feature = "kafka", feature = "mcp"))]

use std::{fs, path::Path};

use hook_cli::catalog::default_catalog;

#[test]
fn no_example_has_a_problem() {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps");
    let mut count = 0;
    for app in fs::read_dir(apps).unwrap() {
        let app = app.unwrap();
        let text = fs::read_to_string(app.path().join("contract.toml")).unwrap();
        let checked = hook_contract::check("contract.toml", &text, &default_catalog(), &Default::default());
        let name = app.file_name();
        assert!(checked.problems.is_empty(), "{}: {:#?}", name.display(), checked.problems);
        let plan = checked.plan.unwrap();
        assert_eq!(plan.app.id.as_str(), name.to_str().unwrap(), "the id is the name of the folder");
        count += 1;
    }
    assert!(count > 0);
}
