//! Logs: always to stderr; for people on a terminal, as JSON otherwise.

use std::io::{self, IsTerminal};

use hook_core::problem::{Problem, codes};
use tracing_subscriber::EnvFilter;

use crate::{
    environment::{Environment, variables},
    output::Output,
};

/// What is logged where `RUST_LOG` says nothing.
const DEFAULT_FILTER: &str = "info";

/// Crates that log whole messages, and with them payloads. They stay silent whatever `RUST_LOG` says.
const SILENT: [&str; 1] = ["rmcp=off"];

/// Starts logging. To be called once, after the environment has been read, because `RUST_LOG` may stand in an env file.
pub fn start(environment: &Environment, output: &Output) -> Result<(), Problem> {
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(silence(filter(environment)?));
    // A second start, as in a test, keeps the first: the caller's logs then go where they already went.
    let _ = if io::stderr().is_terminal() {
        builder.with_ansi(output.stderr_has_color()).try_init()
    } else {
        builder.json().flatten_event(true).with_ansi(false).try_init()
    };
    Ok(())
}

fn silence(filter: EnvFilter) -> EnvFilter {
    SILENT.iter().fold(filter, |filter, silent| filter.add_directive(silent.parse().expect("a target and a level")))
}

fn filter(environment: &Environment) -> Result<EnvFilter, Problem> {
    let Some(text) = environment.text(variables::RUST_LOG) else {
        return Ok(EnvFilter::new(DEFAULT_FILTER));
    };
    EnvFilter::try_new(&text).map_err(|error| {
        let origins = environment.origins(variables::RUST_LOG);
        let origin = origins.first().map(ToString::to_string).unwrap_or_default();
        Problem::error(
            &codes::ENVIRONMENT_VALUE,
            format!("{} is `{text}` ({origin}): {error}", variables::RUST_LOG),
            "expected a level, or `target=level` separated by commas, such as `info,hook_runtime=debug`",
        )
    })
}
