//! The flags of `hook replay` and `hook dlq redrive`.

use std::num::NonZeroUsize;

use hook_core::{
    duration::HumanDuration,
    job::{Selection, Target, UrlTarget},
};
use hook_runtime::travel::{Rate, Speed};

use crate::since::Since;

/// Which events, whatever is read.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which events")]
pub struct Which {
    /// Only of sources that match this pattern; may be repeated
    #[arg(long = "source", value_name = "PATTERN")]
    pub sources: Vec<String>,
    /// Only of types that match this pattern, such as `issues.*`; may be repeated
    #[arg(long = "type", value_name = "PATTERN")]
    pub event_types: Vec<String>,
    /// Only where this expression (CEL) is true, such as `payload.action == "opened"`
    ///
    /// It sees `source`, `type`, `payload` and `meta`. An event for which it has no answer, as of a field that is not there, is left
    /// alone, and counted.
    #[arg(long = "where", value_name = "EXPRESSION")]
    pub condition: Option<String>,
    /// Everything that there is
    #[arg(long)]
    pub all: bool,
}

impl Which {
    /// What of a selection is said here.
    pub fn selection(&self) -> Selection {
        let Self { sources, event_types, condition, .. } = self.clone();
        Selection { sources, event_types, condition, ..Selection::default() }
    }
}

/// Where to, and how.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Where to, and how")]
pub struct How {
    /// To this destination alone: `route/adapter`, or the adapter where one route has it
    #[arg(long, value_name = "DESTINATION", conflicts_with = "to_url")]
    pub to: Option<String>,
    /// To this URL, which need not be in the contract: envelopes, in the order of the log, as `http_output` posts them
    #[arg(long, value_name = "URL")]
    pub to_url: Option<String>,
    /// Sign what goes to the URL with the secret in this environment variable (Standard Webhooks)
    #[arg(long, value_name = "VARIABLE", requires = "to_url")]
    pub sign_env: Option<String>,
    /// A network that is not public and may be reached all the same, such as `10.0.0.0/8`; may be repeated
    #[arg(long = "allow-network", value_name = "CIDR", requires = "to_url")]
    pub allow_networks: Vec<String>,
    /// How fast.
    #[command(flatten)]
    pub pace: Pace,
    /// Count by source, type and destination, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed for more than one event where nobody can answer
    #[arg(long)]
    pub yes: bool,
    /// Begin again although the same command was interrupted
    #[arg(long)]
    pub anew: bool,
}

impl How {
    /// What the flags say, where they cannot be meant together.
    pub fn check(&self) -> Result<(), &'static str> {
        match self.pace.concurrency.is_some() && self.to_url.is_none() {
            true => Err(
                "--concurrency is for --to-url: what a destination gets at once, its `concurrency` in the contract says",
            ),
            false => Ok(()),
        }
    }

    /// The URL without what may be secret in it.
    pub fn shown_url(&self) -> Option<String> {
        match self.target() {
            Target::Url(url) => Some(url.shown()),
            Target::Same | Target::Destination(_) => None,
        }
    }

    /// Where the events go.
    pub fn target(&self) -> Target {
        match (&self.to, &self.to_url) {
            (Some(to), _) => Target::Destination(to.clone()),
            (None, Some(url)) => Target::Url(UrlTarget {
                url: url.clone(),
                signing_secret_env: self.sign_env.clone(),
                allow_networks: self.allow_networks.clone(),
            }),
            (None, None) => Target::Same,
        }
    }
}

/// How fast.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Pace {
    /// At most so many a second, or a minute: `200/s`, `600/m`
    #[arg(long, value_name = "N/s")]
    rate: Option<Rate>,
    /// To a URL, so many at once; events of one key still go one after the other [default: 1]
    #[arg(long, value_name = "N", value_parser = at_once)]
    concurrency: Option<NonZeroUsize>,
}

impl Pace {
    /// What is said, or what is usual.
    pub fn speed(self) -> Speed {
        let usual = Speed::default();
        Speed { rate: self.rate, at_once: self.concurrency.unwrap_or(usual.at_once) }
    }
}

/// So many requests are under way at once, at most.
const MOST_AT_ONCE: usize = 64;

fn at_once(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST_AT_ONCE);
    number.ok_or_else(|| format!("expected a number from 1 to {MOST_AT_ONCE}, found `{text}`"))
}

/// A stretch of time on the command line, back from now.
#[derive(Debug, Clone)]
pub struct Age {
    /// As it was typed.
    pub text: String,
    /// Where it begins.
    pub since: Since,
}

impl std::str::FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A time would be a `--since`.
        text.parse::<HumanDuration>().map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), since: text.parse()? })
    }
}

/// A command as it is written down: what it selects and where to, without what only concerns the terminal.
pub fn command(words: &str, arguments: &[(&str, Vec<String>)]) -> String {
    let mut command = words.to_owned();
    for (flag, values) in arguments {
        for value in values {
            let is_plain = !value.is_empty()
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&byte));
            let quoted = if is_plain { value.clone() } else { format!("'{}'", value.replace('\'', "'\\''")) };
            command.push(' ');
            if !flag.is_empty() {
                command.push_str(flag);
                command.push(' ');
            }
            command.push_str(&quoted);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_written_down_as_it_can_be_typed() {
        let arguments =
            [("", vec!["a-1".into()]), ("--type", vec!["issues.*".into(), "it's".into()]), ("--to", vec![])];
        assert_eq!(command("hook replay", &arguments), r"hook replay a-1 --type 'issues.*' --type 'it'\''s'");
    }

    #[test]
    fn some_at_once_are_a_number_that_is_not_large() {
        for (text, is_one) in [("1", true), ("64", true), ("0", false), ("65", false), ("-1", false), ("many", false)] {
            assert_eq!(at_once(text).is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn an_age_is_a_duration_and_no_time() {
        assert!("1h".parse::<Age>().is_ok());
        assert!("2026-01-31T08:00:00Z".parse::<Age>().is_err());
    }
}
