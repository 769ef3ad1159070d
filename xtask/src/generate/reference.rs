//! The reference: drivers with their keys, commands with their options, variables.

use clap::{Arg, Command, Id};
use hook_cli::environment::variables::{self, Variable};
use hook_core::catalog::{Catalog, Entry};
use hook_sanitize::{Class, Field, Table};
use serde_json::Value;

use super::{MARK, sources};

/// Every page, by path.
pub(super) fn files(catalog: &Catalog) -> Vec<(String, String)> {
    let page = |name: &str, text: String| (format!("docs/reference/{name}.md"), format!("{MARK}\n\n{text}"));
    vec![
        page("drivers", drivers(catalog)),
        page("commands", commands(hook_cli::command())),
        page("sources", sources::page(catalog)),
        page("variables", variables(variables::ALL, catalog)),
        page("flags", flags()),
    ]
}

/// The flags of the sanitizer, and what it shows of providers' events.
fn flags() -> String {
    let mut page = String::from(
        "# Flags and fields of untrusted text\n\nWhat `serve` finds in the text of an event stands in `meta.flags` under these \
         names. They never change, and no plugin sets one that begins with `text:`. What they promise is in\n\
         [untrusted text](../guides/untrusted-text.md).\n\n| flag | the event |\n|---|---|\n",
    );
    for class in Class::ALL {
        page += &format!("| `{}` | {} |\n", class.flag(), cell(class.about()));
    }
    page += "\n## What an agent is shown\n\nOf these events, an agent is shown these fields; the others stay in the log. What is \
             longer than its limit is cut. Of any other event, it is shown all of the payload, up to 50000 characters.\n";
    for (provider, families) in hook_sanitize::providers() {
        page += &format!("\n### `{provider}`\n");
        let mut last = String::new();
        for family in families {
            let Some(table) = hook_sanitize::table(provider, family) else { continue };
            let rows = fields(table);
            match rows == last {
                true => page += &format!("\n{}: the same.\n", family_shown(family)),
                false => {
                    page += &format!(
                        "\n{}\n\n| field | pointer | written by users | limit |\n|---|---|---|---|\n{rows}",
                        family_shown(family)
                    )
                }
            }
            last = rows;
        }
    }
    page
}

/// What a family of events is called: `""` is that of types that begin with a slash, such as a command of Slack.
fn family_shown(family: &str) -> String {
    match family {
        "" => "`/…`, a command".to_owned(),
        "*" => "every event".to_owned(),
        family => format!("`{family}`"),
    }
}

fn fields(table: &Table) -> String {
    let row = |field: &Field| {
        let is_user_text = if field.kind.is_user_text() { "yes" } else { "" };
        format!("| {} | `{}` | {is_user_text} | {} |\n", field.name, field.pointer, field.kind.limit())
    };
    table.fields().iter().map(row).collect()
}

fn drivers(catalog: &Catalog) -> String {
    let mut page = String::from(
        "# Drivers\n\nWhat this build has: `hook debug capabilities` prints the same list. Keys that every adapter has (`id`, \
         `driver`, `plugins`, and for destinations `retry`, `on_give_up`, `concurrency`, `max_ahead`) stand in\n\
         [the schema of contracts](../../schemas/contract.schema.json).\n",
    );
    kinds(&mut page, "Where events come in", "`[[serve.ingress_adapters]]`, `driver`", &catalog.ingress);
    kinds(&mut page, "Where events go out", "`[[smash.egress_adapters]]`, `driver`", &catalog.egress);
    kinds(
        &mut page,
        "Verifiers",
        "`[sources.NAME]`, `verifier`; [sources](sources.md) says what each checks",
        &catalog.verifiers,
    );
    kinds(&mut page, "Plugins", "`plugins` of an adapter, `driver`", &catalog.plugins);
    page += "\n## Built-in sources\n\nThese need no block in the contract; one in the contract takes its place.\n\n";
    page += "| source | verifier | secret |\n|---|---|---|\n";
    for source in &catalog.sources {
        page += &format!("| `{}` | `{}` | `{}` |\n", source.name, source.verifier, source.secret_env);
    }
    if !catalog.planned.is_empty() {
        page += "\n## Known by name\n\nContracts may name these. Inactive they pass; active they are refused, because this build \
                 does not have them.\n\n";
    }
    for driver in &catalog.planned {
        page += &format!("- `{}` ({})\n", driver.name, driver.side);
    }
    page
}

fn kinds<D: ?Sized>(page: &mut String, title: &str, place: &str, entries: &[Entry<D>]) {
    *page += &format!("\n## {title}\n\nNamed in {place}.\n");
    for entry in entries {
        *page += &format!("\n### `{}`\n\n{}\n", entry.name(), entry.about());
        *page += &keys(&entry.schema().to_value());
    }
}

/// The table of the keys of a schema; a sentence where there are none.
fn keys(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return "\nIt has no keys of its own.\n".to_owned();
    };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = String::from("\n| key | value | default | what it does |\n|---|---|---|---|\n");
    for (name, property) in properties {
        let default = match &property["default"] {
            _ if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let about = property["description"].as_str().unwrap_or_default();
        table += &format!("| `{name}` | {} | {default} | {} |\n", value_of(property), cell(about));
    }
    table
}

/// What may stand as the value of a key.
fn value_of(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    if let Some(values) = schema["enum"].as_array() {
        return join(values.iter().filter(|value| !value.is_null()).map(|value| format!("`{value}`")));
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return join(choices.iter().filter(|choice| choice["type"] != "null").map(value_of));
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    };
    match (kind, schema["format"].as_str()) {
        (Some("array"), _) => format!("list of {}", value_of(&schema["items"])),
        (Some("object"), _) => "table".to_owned(),
        (Some("integer"), _) => "whole number".to_owned(),
        (Some("string"), Some(format)) => format!("text ({format})"),
        (Some("string"), None) => "text".to_owned(),
        (Some("boolean"), _) => "`true` or `false`".to_owned(),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

fn join(values: impl Iterator<Item = String>) -> String {
    let mut seen: Vec<String> = Vec::new();
    for value in values {
        if !seen.contains(&value) {
            seen.push(value);
        }
    }
    seen.join(", ")
}

fn commands(mut root: Command) -> String {
    root.build();
    let mut page = String::from("# Commands\n\n");
    page += "`hook help COMMAND` says the same on a terminal. Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage, \
             3 the log is damaged.\n";
    page += "\n## Options of every command\n\n";
    page += &options(root.get_arguments().filter(|argument| argument.is_global_set()));
    let everywhere: Vec<&Id> = root.get_arguments().map(Arg::get_id).collect();
    for command in root.get_subcommands() {
        describe(&mut page, "hook", command, &everywhere);
    }
    page
}

/// A command and those within it, without the options that every command takes.
fn describe(page: &mut String, parent: &str, command: &Command, everywhere: &[&Id]) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    *page += &format!("\n## `{name}`\n\n{}\n", prose(about.trim()));
    let own: Vec<&Arg> = command.get_arguments().filter(|argument| !everywhere.contains(&argument.get_id())).collect();
    if !own.is_empty() {
        *page += &format!("\n{}", options(own.into_iter()));
    }
    for inner in command.get_subcommands() {
        describe(page, &name, inner, everywhere);
    }
}

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let mut table = String::from("| option | what it does |\n|---|---|\n");
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        let about = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        table += &format!("| `{}` | {} |\n", usage(argument).replace('|', "\\|"), cell(&about));
    }
    table
}

/// How an option is typed.
fn usage(argument: &Arg) -> String {
    let takes_value = argument.get_action().takes_values();
    let value = argument.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
    let value = value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase());
    match argument.get_long() {
        Some(long) if takes_value => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn variables(variables: &[Variable], catalog: &Catalog) -> String {
    let mut page = String::from(
        "# Variables\n\nValues come from flags, then from the profile's `env`, then from env files (a later one first; \
         `./.env` only where none is named), then from the process environment. `hook debug env` shows which are set and \
         where.\n\n| variable | what it does |\n|---|---|\n",
    );
    for variable in variables {
        page += &format!("| `{}` | {} |\n", variable.name, cell(variable.about));
    }
    for source in &catalog.sources {
        page += &format!("| `{}` | The secret of the built-in source `{}`. |\n", source.secret_env, source.name);
    }
    page += "\nA contract names further variables, for secrets and tokens, with its `*_env` keys.\n";
    page
}

/// Text for a cell of a table: its paragraphs on one line, its bars escaped.
fn cell(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.ends_with(['.', ':', ']']) || !text.contains("\n\n") { line } else { line + "." }
    });
    prose(&paragraphs.collect::<Vec<_>>().join(" ")).replace('|', "\\|")
}

/// Text in which `<` outside code is not taken for HTML.
fn prose(text: &str) -> String {
    let escape = |(at, part): (usize, &str)| if at % 2 == 0 { part.replace('<', "\\<") } else { part.to_owned() };
    text.split('`').enumerate().map(escape).collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_shown_with_its_value_and_default() {
        let schema = json!({
            "properties": {
                "url": { "type": "string", "format": "uri", "description": "Where\nto." },
                "method": { "enum": ["POST", "PUT"], "default": "POST", "description": "How | why." },
                "networks": { "type": ["array", "null"], "items": { "type": "string" } },
            },
            "required": ["url"],
        });
        let expected = "\n| key | value | default | what it does |\n|---|---|---|---|\n\
                        | `url` | text (uri) | required | Where to. |\n\
                        | `method` | `\"POST\"`, `\"PUT\"` | `\"POST\"` | How \\| why. |\n\
                        | `networks` | list of text |  |  |\n";
        assert_eq!(keys(&schema), expected);
        assert!(keys(&json!({ "type": "object" })).contains("no keys"));
    }

    #[test]
    fn a_cell_is_one_line_of_markdown() {
        assert_eq!(cell("Say\nit.\n\nAgain"), "Say it. Again.");
        assert_eq!(cell("Use it\n\nWithout it, none."), "Use it. Without it, none.");
        assert_eq!(cell("in `a|<b>` or <c>"), "in `a\\|<b>` or \\<c>");
    }

    #[test]
    fn every_driver_and_every_command_has_its_heading() {
        let catalog = hook_cli::catalog::default_catalog();
        let pages = files(&catalog);
        let text = |name: &str| &pages.iter().find(|(path, _)| path.ends_with(name)).unwrap().1;
        for entry in &catalog.egress {
            assert!(text("drivers.md").contains(&format!("### `{}`", entry.name())), "{}", entry.name());
        }
        for command in hook_cli::command().get_subcommands() {
            assert!(text("commands.md").contains(&format!("## `hook {}`", command.get_name())));
        }
    }
}
