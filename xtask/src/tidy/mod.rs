//! The rules that no compiler knows. All findings are gathered before anything is said.
//!
//! | module | holds |
//! |---|---|
//! | [`levels`] | a crate depends on lower levels only, and not on what its boundary forbids |
//! | [`words`] | words that a place forbids: a runtime in the core, a sleep in a test, something unfinished |
//! | [`openings`] | every Rust file begins with a sentence that says what it is for |
//! | [`dependencies`] | every dependency is used and has its reason |
//! | [`codes`] | every problem code has a page and a test |
//! | [`environment`] | every variable stands in `.env.default` |
//! | [`links`] | links in Markdown lead somewhere |
//! | [`machines`] | nothing names the machine that it was written on |
//! | [`changelog`] | fragments have the right form |

mod changelog;
mod codes;
mod dependencies;
mod environment;
mod levels;
mod links;
mod machines;
mod metadata;
mod openings;
mod rust;
mod words;

use crate::{finding::Finding, tree::Tree};

/// Every finding, by file and line.
pub(crate) fn run(tree: &Tree) -> Result<Vec<Finding>, String> {
    let packages = metadata::read(tree)?;
    let sources = rust::read(tree);
    let mut findings: Vec<Finding> = [
        levels::check(&packages),
        words::check(&sources),
        openings::check(&sources),
        dependencies::check(tree, &packages, &sources),
        codes::check(tree, &sources),
        environment::check(tree, &sources),
        links::check(tree),
        machines::check(tree),
        changelog::check(tree),
    ]
    .into_iter()
    .flatten()
    .collect();
    findings.sort();
    findings.dedup();
    Ok(findings)
}
