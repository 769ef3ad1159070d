//! The contracts in `apps/` are examples: none of them has a problem.

mod support;

use std::{fs, path::Path};

use support::{checked, lines};

#[test]
fn no_example_has_a_problem() {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps");
    let mut count = 0;
    for app in fs::read_dir(apps).unwrap() {
        let app = app.unwrap();
        let text = fs::read_to_string(app.path().join("contract.toml")).unwrap();
        let checked = checked(&text);
        let name = app.file_name();
        assert_eq!(lines(&checked.problems), "", "{}", name.display());
        let plan = checked.plan.unwrap();
        assert_eq!(plan.app.id.as_str(), name.to_str().unwrap(), "the id is the name of the folder");
        count += 1;
    }
    assert!(count > 0);
}
