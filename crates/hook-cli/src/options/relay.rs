//! What the flags of `hook relay` say: they come before the contract, and where there is none they suffice.

use std::time::Duration;

use hook_contract::{RelayOptions, plan::RelayRetry, written::Brokers};
use hook_core::{
    names::{CursorName, TopicName},
    problem::{Problem, codes},
};

/// The contract of a relay that has no other: its flags say the rest.
pub const CONTRACT: &str = include_str!("relay.toml");

/// What the relay does, whatever the contract says.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Instead of what the contract says")]
pub struct Flags {
    /// Read these topics, separated by commas
    #[arg(long, value_name = "TOPICS", value_delimiter = ',')]
    topics: Vec<TopicName>,

    /// Write them into this topic
    #[arg(long, value_name = "TOPIC")]
    output_topic: Option<TopicName>,

    /// Read on Kafka as this group [default: the app's id, and `.relay`]
    ///
    /// A new group begins at the oldest record, and knows no copies of what another has relayed. Other commands look at the
    /// group of the contract.
    #[arg(long, value_name = "GROUP")]
    group_id: Option<CursorName>,

    /// The Kafka brokers to ask first, separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<Brokers>,

    /// End the process when the log did not take a batch after so many retries [default: retry without end]
    ///
    /// What is not relayed stays in its topic, so that retrying without end loses nothing. A process that ends is for
    /// whoever starts it again to notice.
    #[arg(long, value_name = "N")]
    max_retries: Option<u32>,

    /// The pause before the first retry; it doubles with each
    #[arg(long, value_name = "MS", default_value_t = default_ms(RelayRetry::default().base), value_parser = PAUSE())]
    backoff_base_ms: u64,

    /// The longest pause between retries
    #[arg(long, value_name = "MS", default_value_t = default_ms(RelayRetry::default().cap), value_parser = PAUSE())]
    backoff_max_ms: u64,
}

/// A pause that is one, and not longer than an hour.
const PAUSE: fn() -> clap::builder::RangedU64ValueParser = || clap::value_parser!(u64).range(1..=3_600_000);

fn default_ms(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)
}

impl Flags {
    /// Whether they say what is relayed, so that no contract is needed.
    pub fn stand_alone(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Where the brokers are.
    pub fn brokers(&self) -> Option<Brokers> {
        self.brokers.clone()
    }

    /// What the check of a contract is given.
    pub fn options(&self) -> RelayOptions {
        RelayOptions {
            topics: self.topics.clone(),
            output_topic: self.output_topic.clone(),
            group: self.group_id.clone(),
            retry: RelayRetry {
                max_retries: self.max_retries,
                base: Duration::from_millis(self.backoff_base_ms),
                cap: Duration::from_millis(self.backoff_max_ms),
            },
        }
    }

    /// A problem for each flag that means nothing on the embedded log.
    pub fn on_embedded(&self) -> Vec<Problem> {
        let refused = |flag: &str, why: &str, help: &str| {
            Problem::error(&codes::FLAG_UNUSED, format!("{flag} means nothing on the embedded log: {why}"), help)
        };
        let mut problems = Vec::new();
        if self.brokers.is_some() {
            problems.push(refused(
                "--brokers",
                "it has none, and the contract says that it is the log",
                "leave it out; or write `driver = \"kafka\"` under [backbone]",
            ));
        }
        if self.group_id.is_some() {
            problems.push(refused(
                "--group-id",
                "it has one relay, and another name would relay everything again",
                "leave it out; groups are what a log on Kafka has",
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn flags(arguments: &str) -> Result<Flags, clap::Error> {
        let command = Flags::augment_args(clap::Command::new("relay").no_binary_name(true));
        Flags::from_arg_matches(&command.try_get_matches_from(arguments.split_whitespace())?)
    }

    #[test]
    fn what_flags_say_is_what_the_check_is_given() {
        let said = flags(
            "--topics a,b --output-topic c --group-id g --brokers k1:9092,k2:9092 --max-retries 3 --backoff-base-ms 10 \
             --backoff-max-ms 40",
        )
        .unwrap();
        assert!(said.stand_alone());
        assert_eq!(said.brokers().unwrap().to_list(), ["k1:9092", "k2:9092"]);
        let options = said.options();
        assert_eq!(options.topics.iter().map(TopicName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(options.output_topic.unwrap().as_str(), "c");
        assert_eq!(options.group.unwrap().as_str(), "g");
        let pauses: Vec<_> = (1..=5).map(|failures| options.retry.pause(failures)).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(pauses, [ms(10), ms(20), ms(40), None, None]);
    }

    #[test]
    fn nothing_said_is_the_default() {
        let said = flags("").unwrap();
        assert!(!said.stand_alone() && said.on_embedded().is_empty());
        assert_eq!(said.options().retry, RelayRetry::default());
        assert_eq!(RelayRetry::default().pause(1_000), Some(RelayRetry::default().cap));
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        for wrong in
            ["--topics a/b", "--brokers kafka:none", "--backoff-base-ms 0", "--group-id a/b", "--max-retries -1"]
        {
            assert!(flags(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_only_kafka_has_is_a_problem_on_the_embedded_log() {
        let problems = flags("--topics a --brokers k:1 --group-id g").unwrap().on_embedded();
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(messages[0].starts_with("--brokers") && messages[1].starts_with("--group-id"), "{messages:?}");
        assert!(problems.iter().all(Problem::is_error));
    }
}
