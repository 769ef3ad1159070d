//! `hook sources list`: every verifier of this build.

use hook_core::catalog::Entry;

use super::of_catalog;
use crate::{context::Context, exit::Exit};

/// List the verifiers of this build: what each checks, where, and which variable holds its secret
///
/// A source that is named like one of them needs `[sources.NAME]` with `verifier = "NAME"` alone; `github`, `linear` and `stripe`
/// need no block.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {}

/// Prints the list.
pub(super) fn run(context: &Context, _: &Arguments) -> Result<(), Exit> {
    let known: Vec<_> =
        context.catalog.verifiers.iter().map(Entry::name).filter_map(|name| of_catalog(context, name)).collect();
    if context.output.is_json() {
        return known.iter().try_for_each(|known| context.output.json(&known.shown(context)));
    }
    let rows: Vec<[String; 5]> = known
        .iter()
        .map(|known| {
            let checks = known.verifier.checks();
            let place =
                checks.as_ref().and_then(|checks| checks.place).map_or("-".to_owned(), |place| place.to_string());
            let id = match &checks {
                Some(checks) if checks.delivery_id.is_empty() => "-",
                Some(checks) if checks.delivery_id_is_signed => "signed",
                Some(_) => "unsigned",
                None => "-",
            };
            let scheme = checks.map_or("nothing".to_owned(), |checks| checks.scheme);
            let secret = known.secret_env.first().map_or("-".to_owned(), ToString::to_string);
            [known.name.clone(), scheme, place, id.to_owned(), secret]
        })
        .collect();
    context.output.titled_table(["VERIFIER", "CHECKS", "IN", "DELIVERY ID", "SECRET"], &rows)?;
    context
        .output
        .note("`hmac` describes any other sender in the contract; `hook sources show NAME` says more of each");
    Ok(())
}
