//! `hook config explain`: the page of a problem code.

use hook_core::problem::{Code, codes};
use serde::Serialize;

use crate::{context::Context, exit::Exit};

/// Explain a problem code, such as HOOK0101
///
/// Tells why it is a problem and what to do, with the shortest contract text that provokes it, wrong and right.
/// Without a code, all of them are listed.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The code; upper or lower case
    code: Option<String>,
}

/// Prints the page, or the list.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    match &arguments.code {
        Some(id) => match codes::ALL.iter().find(|code| code.id.eq_ignore_ascii_case(id)) {
            Some(code) => explain(context, code),
            None => {
                context.output.error(&format!("there is no problem code `{id}`; `hook config explain` lists them"));
                Err(Exit::Usage)
            }
        },
        None => list(context),
    }
}

/// A code for programs.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    title: &'static str,
    security_critical: bool,
    about: &'static str,
    wrong: &'static str,
    right: &'static str,
}

impl From<&Code> for Explained {
    fn from(code: &Code) -> Self {
        Self {
            code: code.id,
            title: code.title,
            security_critical: code.is_security_critical,
            about: code.about,
            wrong: code.wrong,
            right: code.right,
        }
    }
}

fn explain(context: &Context, code: &Code) -> Result<(), Exit> {
    let output = &context.output;
    if output.is_json() {
        return output.json(&Explained::from(code));
    }
    output.line(&format!("{}: {}\n\n{}", code.id, code.title, wrapped(code.about)))?;
    if code.is_security_critical {
        output.line("\nSecurity-critical: it stops the start in every mode, and with --force.")?;
    }
    for (heading, text) in [("Wrong", code.wrong), ("Right", code.right)] {
        if !text.is_empty() {
            output.heading(heading)?;
            let indented: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
            output.line(&indented.join("\n"))?;
        }
    }
    Ok(())
}

fn list(context: &Context) -> Result<(), Exit> {
    if context.output.is_json() {
        let all: Vec<Explained> = codes::ALL.iter().map(|code| Explained::from(*code)).collect();
        return context.output.json(&all);
    }
    let rows: Vec<[String; 2]> = codes::ALL.iter().map(|code| [code.id.into(), code.title.into()]).collect();
    context.output.table(&rows)
}

/// Prose in lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 100 {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines.push(String::new());
    }
    lines.join("\n").trim_end().to_owned()
}
