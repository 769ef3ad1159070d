//! The flags of `hook replay` and `hook dlq redrive`.

use hook_core::{
    duration::HumanDuration,
    job::{Selection, Target, UrlTarget},
};
use hook_runtime::travel::Rate;

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
    /// To this URL, which need not be in the contract: envelopes, one after the other, as `http_output` posts them
    #[arg(long, value_name = "URL")]
    pub to_url: Option<String>,
    /// Sign what goes to the URL with the secret in this environment variable (Standard Webhooks)
    #[arg(long, value_name = "VARIABLE", requires = "to_url")]
    pub sign_env: Option<String>,
    /// A network that is not public and may be reached all the same, such as `10.0.0.0/8`; may be repeated
    #[arg(long = "allow-network", value_name = "CIDR", requires = "to_url")]
    pub allow_networks: Vec<String>,
    /// At most so many a second, or a minute: `200/s`, `600/m`
    #[arg(long, value_name = "N/s")]
    pub rate: Option<Rate>,
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
    fn an_age_is_a_duration_and_no_time() {
        assert!("1h".parse::<Age>().is_ok());
        assert!("2026-01-31T08:00:00Z".parse::<Age>().is_err());
    }
}
