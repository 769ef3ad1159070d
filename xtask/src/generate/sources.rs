//! The reference of sources: what each verifier checks, as `hook sources show` says it.

use hook_core::{
    catalog::{Catalog, Entry},
    ports::verifier::{Checks, SourceVerifier},
};
use serde_json::json;

const ABOUT: &str = "# Sources

What each verifier checks, and what events are called. `github`, `linear` and `stripe` need no block in the contract; every other source \
names its verifier, and where it is named like it that is all:

```toml
[sources.gitlab]
verifier = \"gitlab\"       # the secret is in HMAC_SECRET_GITLAB
```

`hook sources show NAME` says the same on a terminal, and `hook sources test NAME` which rule a captured request fails.
[The guide](../guides/sources.md) says how to describe a sender that is not here. Where several templates are given, the first counts whose
every part is there. An id that the signature does not cover could be changed under it: there the digest of the body tells copies too.
";

/// The page.
pub(super) fn page(catalog: &Catalog) -> String {
    let described: Vec<_> = catalog.verifiers.iter().filter_map(describe).collect();
    let mut page = format!("{ABOUT}\n| verifier | checks | in | delivery id |\n|---|---|---|---|\n");
    for (name, _, checks) in &described {
        let place = checks.place.map_or("-".to_owned(), |place| place.to_string());
        page += &format!("| [`{name}`](#{name}) | {} | {place} | {} |\n", checks.scheme, id(checks));
    }
    for (name, about, checks) in &described {
        page += &section(name, about, checks);
    }
    page
}

fn describe(entry: &Entry<dyn SourceVerifier>) -> Option<(&'static str, &'static str, Checks)> {
    let checks = entry.build(json!({})).ok()?.driver.checks()?;
    Some((entry.name(), entry.about(), checks))
}

fn id(checks: &Checks) -> &'static str {
    match (checks.delivery_id.is_empty(), checks.delivery_id_is_signed) {
        (true, _) => "-",
        (false, true) => "signed",
        (false, false) => "not signed",
    }
}

fn section(name: &str, about: &str, checks: &Checks) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            rows.push(format!("| {name} | {} |\n", value.replace('|', "\\|")));
        }
    };
    let templates =
        |templates: &[String]| templates.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", else ");
    row("checks", checks.scheme.clone());
    row("in", checks.place.map(|place| place.to_string()).unwrap_or_default());
    row("over", if checks.signed_content.is_empty() { String::new() } else { format!("`{}`", checks.signed_content) });
    if let Some(time) = &checks.time {
        row("signed time", format!("{}, within {} s of now", time.place, time.tolerance.as_secs()));
    }
    row("secret", checks.secret.clone());
    row("event type", templates(&checks.event_type));
    let is_signed = if checks.delivery_id_is_signed { "signed" } else { "not signed" };
    if !checks.delivery_id.is_empty() {
        row("delivery id", format!("{} ({is_signed})", templates(&checks.delivery_id)));
    }
    row("ordering key", templates(&checks.ordering_key));
    row("bodies", checks.bodies.join("; "));
    for challenge in &checks.challenges {
        row("challenge", challenge.clone());
    }
    for note in &checks.notes {
        row("note", note.clone());
    }
    row("published at", format!("<{}>", checks.docs));
    format!("\n## {name}\n\n{about}\n\n| | |\n|---|---|\n{}", rows.concat())
}
