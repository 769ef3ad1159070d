//! `hook sources show`: one verifier, whole.

use hook_core::ports::verifier::Checks;

use super::{Known, find};
use crate::{context::Context, exit::Exit};

/// Show what a source checks: the signature and where it stands, what is signed, its secret, and what events are called
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A source of the contract, or a verifier, such as `gitlab`
    name: String,
}

/// Prints it.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let (known, _) = find(context, &arguments.name)?;
    if context.output.is_json() {
        return context.output.json(&known.shown(context));
    }
    context.output.line(&format!("{}: verified by `{}`", known.name, known.verifier_name))?;
    if let Some(about) = known.shown(context).about {
        context.output.line(about)?;
    }
    let rows = rows(&known, known.verifier.checks());
    context.output.line("")?;
    context.output.table(&rows)?;
    if !known.is_declared {
        context.output.heading("To take its events, add to the contract")?;
        context.output.line(&format!("[sources.{0}]\nverifier = \"{0}\"", known.name))?;
    }
    Ok(())
}

fn rows(known: &Known, checks: Option<Checks>) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push([name.to_owned(), value]);
        }
    };
    let variables = known.secret_env.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Some(checks) = checks else {
        row("secret", variables);
        return rows;
    };
    row("checks", checks.scheme);
    row("in", checks.place.map(|place| place.to_string()).unwrap_or_default());
    row("over", checks.signed_content);
    row(
        "which needs",
        checks.signed_headers.iter().map(|name| format!("header {name}")).collect::<Vec<_>>().join(", "),
    );
    if let Some(time) = checks.time {
        row("signed time", format!("{}, within {} s of now", time.place, time.tolerance.as_secs()));
    }
    row("secret", variables);
    row("which is", checks.secret);
    row("verify token", known.verify_token_env.as_ref().map(ToString::to_string).unwrap_or_default());
    row("event type", checks.event_type.join(", else "));
    let signed = if checks.delivery_id_is_signed { "signed" } else { "not signed: the body's digest deduplicates too" };
    if !checks.delivery_id.is_empty() {
        row("delivery id", format!("{} ({signed})", checks.delivery_id.join(", else ")));
    }
    row("ordering key", checks.ordering_key.join(", else "));
    row("bodies", checks.bodies.join("; "));
    for challenge in checks.challenges {
        row("challenge", challenge);
    }
    for note in checks.notes {
        row("note", note);
    }
    row("published at", checks.docs);
    rows
}
