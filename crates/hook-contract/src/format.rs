//! Texts with a format: what each must look like, and what to say where it does not.

use std::{fmt::Display, net::SocketAddr, str::FromStr, time::Duration};

use hook_core::{
    Timestamp,
    duration::HumanDuration,
    names::{AdapterId, AppId, EnvName, EventType, Glob, RouteId, SourceName, TopicName},
    selector::Selector,
};
use hook_expressions::cel::Expression;

use crate::{
    plan::{EventFilter, StartFrom, TargetTopic},
    written::parts_of,
};

/// The format of names of environment variables in every schema.
pub(crate) const ENV_NAME: &str = "env-name";

/// Whether the text has the format; otherwise what would have been right. Unknown formats are left to the type.
pub(crate) fn check(format: &str, text: &str) -> Result<(), String> {
    match format {
        "duration" => duration(text),
        "app-id" => parse::<AppId>(text),
        "adapter-id" => parse::<AdapterId>(text),
        "route-id" => parse::<RouteId>(text),
        "source-name" => parse::<SourceName>(text),
        "topic-name" => parse::<TopicName>(text),
        "event-type" => parse::<EventType>(text),
        // Nobody knows what was pasted here: the text is not shown.
        ENV_NAME => EnvName::new(text).map(drop).map_err(|error| format!("expected {}", error.expected)),
        "selector" => parse::<Selector>(text),
        "glob" => glob(text),
        // What is wrong with an expression is found where the routes are checked, which say where in it.
        "event-filter" if text.starts_with(CEL) => Ok(()),
        "event-filter" => event_filter(text).map(drop),
        "target-topic" => target_topic(text).map(drop),
        "start-from" => start_from(text).map(drop),
        "semver" => expect::<semver::Version>(text, "a semantic version such as `1.0.0`"),
        "kafka-broker" => broker(text),
        "kafka-brokers" => brokers(text),
        "socket-address" => expect::<SocketAddr>(text, "an address and a port such as `127.0.0.1:8080`"),
        _ => Ok(()),
    }
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<(), String> {
    T::from_str(text).map(drop).map_err(|error| error.to_string())
}

fn expect<T: FromStr>(text: &str, expected: &str) -> Result<(), String> {
    T::from_str(text).map(drop).map_err(|_| refusal(expected, text))
}

fn refusal(expected: &str, text: &str) -> String {
    format!("expected {expected}, found `{}`", text.chars().take(80).collect::<String>())
}

/// No duration here means anything as nothing, and none has to outlive us: sums of times stay in range.
fn duration(text: &str) -> Result<(), String> {
    const LONGEST: HumanDuration = HumanDuration::from_days(36_500);
    match text.parse::<HumanDuration>() {
        Ok(HumanDuration(Duration::ZERO)) => Err(refusal("a duration above zero, such as `30s`", text)),
        Ok(duration) if duration > LONGEST => Err(refusal("a duration of at most 100 years, such as `30d`", text)),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn glob(text: &str) -> Result<(), String> {
    match text {
        "" => Err("expected a pattern such as `github` or `*`, found an empty text".into()),
        text if text.contains(char::is_control) => Err(refusal("a pattern such as `github` or `*`", text)),
        _ => Ok(()),
    }
}

/// What an expression begins with in a list of filters.
pub(crate) const CEL: &str = "cel:";

/// `TYPE` or `SOURCE:TYPE`, both globs; or `cel:` and an expression.
pub(crate) fn event_filter(text: &str) -> Result<EventFilter, String> {
    if let Some(expression) = text.strip_prefix(CEL) {
        let compiled = Expression::compile(expression).map_err(|error| error.to_string())?;
        return Ok(EventFilter::Expression(Box::new(compiled)));
    }
    let is_source = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_*?".contains(&byte);
    let filter = match text.split_once(':') {
        None => EventFilter::Pattern { source: None, event_type: Glob::new(text) },
        Some((source, event_type)) if !source.is_empty() && source.bytes().all(is_source) => {
            EventFilter::Pattern { source: Some(Glob::new(source)), event_type: Glob::new(event_type) }
        }
        Some(_) => return Err(refusal("a lower-case source before the colon, such as `github:issues.*`", text)),
    };
    match text.rsplit_once(':').map_or(text, |(_, event_type)| event_type) {
        "" => Err(refusal("an event type such as `issues.*` or `github:issues.*`", text)),
        _ if text.contains(char::is_control) => Err(refusal("an event type such as `issues.*`", text)),
        _ => Ok(filter),
    }
}

/// A topic name in which `{source}` may stand for the source.
pub(crate) fn target_topic(text: &str) -> Result<TargetTopic, String> {
    // The longest name that a source can have.
    let longest = text.replace("{source}", &"s".repeat(64));
    match TopicName::new(&longest) {
        Ok(_) => Ok(TargetTopic(text.to_owned())),
        Err(_) if text.replace("{source}", "").contains(['{', '}']) => {
            Err(refusal("`{source}` as the only placeholder of a topic, such as `webhooks.{source}`", text))
        }
        Err(error) => Err(refusal(error.expected, text)),
    }
}

/// `HOST:PORT`.
pub(crate) fn broker(text: &str) -> Result<(), String> {
    // An address of IPv6 stands in brackets, as everywhere before a port.
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, rest.strip_prefix(':')),
        _ => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_address = host.parse::<std::net::Ipv6Addr>().is_ok() && text.starts_with('[');
    let is_name = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let is_port = |port: &str| port.parse::<std::num::NonZeroU16>().is_ok();
    match (is_name || is_address) && port.is_some_and(is_port) {
        true => Ok(()),
        // What stands before an `@` may be a secret.
        false if text.contains('@') => Err("expected a broker such as `kafka-1.example.com:9093`, without `@`".into()),
        false => Err(refusal("a broker such as `kafka-1.example.com:9093`", text)),
    }
}

/// Brokers with commas between them.
pub(crate) fn brokers(text: &str) -> Result<(), String> {
    let mut parts = parts_of(text).peekable();
    match parts.peek() {
        None => Err(refusal("brokers such as `kafka-1.example.com:9093`", text)),
        Some(_) => parts.try_for_each(broker),
    }
}

/// `now`, `earliest`, or a time.
pub(crate) fn start_from(text: &str) -> Result<StartFrom, String> {
    match text {
        "now" => Ok(StartFrom::Now),
        "earliest" => Ok(StartFrom::Earliest),
        time => match time.parse::<Timestamp>() {
            Ok(time) => Ok(StartFrom::Time(time)),
            Err(_) => Err(refusal("`now`, `earliest` or a time such as `2026-01-31T08:00:00Z`", text)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_may_name_a_source() {
        let takes = |filter, name| match event_filter(filter).unwrap() {
            EventFilter::Pattern { source, event_type } => {
                source.is_none_or(|source| source.matches("github")) && event_type.matches(name)
            }
            EventFilter::Expression(_) => panic!("{filter} is no expression"),
        };
        assert!(takes("issues.*", "issues.opened"));
        assert!(takes("github:*", "ping"));
        assert!(takes("git*:issues.?*", "issues.opened"));
        assert!(!takes("linear:*", "ping"));
        assert!(matches!(event_filter("cel:true"), Ok(EventFilter::Expression(_))));
        assert!(event_filter("cel:nobody").unwrap_err().contains("no variable `nobody`"));
        assert!(event_filter("GitHub:*").is_err());
        assert!(event_filter("github:").is_err());
        assert!(event_filter("").is_err());
    }

    #[test]
    fn a_target_has_one_placeholder() {
        assert!(target_topic("webhooks.{source}").is_ok());
        assert!(target_topic("webhooks.core").is_ok());
        assert!(target_topic("webhooks.{type}").unwrap_err().contains("only placeholder"));
        assert!(target_topic("webhooks core").is_err());
        assert!(target_topic(&format!("{}.{{source}}", "w".repeat(200))).is_err(), "too long for a long source");
    }

    #[test]
    fn a_duration_is_neither_nothing_nor_for_ever() {
        assert!(check("duration", "1h 30m").is_ok());
        assert!(check("duration", "0s").unwrap_err().contains("above zero"));
        assert!(check("duration", "101y").unwrap_err().contains("at most 100 years"));
        assert!(check("duration", "30").is_err());
    }

    #[test]
    fn a_start_is_a_word_or_a_time() {
        assert!(matches!(start_from("now"), Ok(StartFrom::Now)));
        assert!(matches!(start_from("2026-01-31T08:00:00Z"), Ok(StartFrom::Time(_))));
        assert!(start_from("yesterday").is_err());
    }

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        for right in ["kafka:9092", "kafka-1.example.com:9093", "10.0.0.1:9092", "[::1]:9092"] {
            assert_eq!(broker(right), Ok(()), "{right}");
        }
        for wrong in [
            "",
            ":9092",
            "kafka:",
            "kafka:0",
            "kafka:port",
            "kafka:70000",
            "ssl://kafka:9093",
            "a b:1",
            "[x]:1",
            "kafka",
            "[::1]",
        ] {
            assert!(broker(wrong).unwrap_err().contains("such as"), "{wrong}");
        }
        assert!(!broker("user:s3cret@kafka:9092").unwrap_err().contains("s3cret"));
        assert!(brokers(" a:1 , b:2,").is_ok());
        assert!(brokers(" , ").is_err() && brokers("a:1,b:c").is_err());
    }

    #[test]
    fn a_text_in_the_place_of_a_variable_name_is_not_shown() {
        assert!(!check(ENV_NAME, "s3cret value").unwrap_err().contains("s3cret"));
    }
}
