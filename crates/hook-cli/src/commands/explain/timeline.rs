//! The steps of an event's story in the order of time, for people.

use std::collections::HashSet;

use hook_admin::story::{EventStory, ReplayStory};
use hook_core::{
    Timestamp,
    envelope::Trust,
    journal::{JournalEntry, Step},
};

/// So many places of users' text are named.
const SHOWN_POINTERS: usize = 4;

/// One row a step: how long after the event was received, and what happened.
pub(super) fn of(story: &EventStory) -> Vec<[String; 2]> {
    let start = story.header.received_at;
    let mut moments: Vec<(Timestamp, u8, String)> = Vec::new();
    if let Some(sent_at) = story.header.meta.sent_at {
        moments.push((sent_at, 0, format!("sent by {}, by the time that it has signed", story.header.source)));
    }
    moments.push((start, 1, received(story)));
    let replayed: HashSet<_> = story.replays.iter().map(|told| told.replay.id).collect();
    let mut topics = HashSet::new();
    // Nothing is written down beside the event: it was durable when the first destination read it, or before.
    let first_read = story.destinations.iter().filter_map(|destination| destination.times.read_ms).min();
    let durable = first_read.map_or(String::new(), |read_ms| format!(", durable by +{}", span(read_ms)));
    for position in &story.stored {
        // Of those in one topic the first is the event itself, the others are replays.
        if topics.insert(&position.topic) || replayed.is_empty() {
            let is_relayed = story.relayed_into.as_ref() == Some(&position.topic);
            let how = if is_relayed { "relayed into" } else { "stored in" };
            let place = format!("{how} {}/{}@{}{durable}", position.topic, position.partition, position.offset);
            moments.push((start, 2 + u8::from(is_relayed), place));
        }
    }
    moments.extend(story.replays.iter().map(|told| (told.replay.at, 4, replay(told))));
    for entry in &story.steps {
        moments.extend(read(start, entry).map(|(at, what)| (at, 5, what)));
        moments.push((entry.at, 6, step(&entry.step)));
    }
    moments.sort_by_key(|(at, rank, _)| (*at, *rank));
    let mut is_first = true;
    let row = |(at, _, what): (Timestamp, u8, String)| {
        let is_start = std::mem::take(&mut is_first);
        let when = if is_start { format!("{at:.3}") } else { later(start, at) };
        [when, what]
    };
    moments.into_iter().map(row).collect()
}

fn received(story: &EventStory) -> String {
    let meta = &story.header.meta;
    let adapter = meta.ingress_adapter.as_ref().map_or(String::new(), |adapter| format!(" by {adapter}"));
    let delivery = meta.delivery_id.as_ref().map_or(String::new(), |id| format!(", delivery {id}"));
    let proof = proof(meta.trust.as_ref(), story.verifier.as_deref());
    let flags = if meta.flags.is_empty() { String::new() } else { format!(", flagged {}", meta.flags.join(", ")) };
    let user_text = meta.trust.as_ref().map(user_text).unwrap_or_default();
    format!("received{adapter}{delivery}{proof}{user_text}{flags}")
}

/// How the sender has proven itself: as it is stored, of events from before that was as the contract has it now.
fn proof(trust: Option<&Trust>, verifier: Option<&str>) -> String {
    let rule = match trust {
        Some(trust) => Some(trust.authenticated_by.as_deref().unwrap_or("none")),
        None => verifier,
    };
    let slot = trust.and_then(|trust| trust.secret_slot).filter(|slot| *slot > 0);
    let slot = slot.map(|slot| format!(" with secret {}", slot + 1)).unwrap_or_default();
    match rule {
        Some("none") => ", sender not verified".to_owned(),
        Some("adapter") => ", sender known to the adapter".to_owned(),
        Some(rule) => format!(", signature verified ({rule}){slot}"),
        None => String::new(),
    }
}

/// Where users have written.
fn user_text(trust: &Trust) -> String {
    let shown: Vec<_> = trust.user_text.iter().take(SHOWN_POINTERS).map(String::as_str).collect();
    match (shown.as_slice(), trust.user_text.len().saturating_sub(SHOWN_POINTERS)) {
        ([], _) => String::new(),
        (pointers, _) if pointers.contains(&"") => ", users may have written all of it".to_owned(),
        (pointers, 0) => format!(", users have written {}", pointers.join(" ")),
        (pointers, more) => format!(", users have written {} and {more} more", pointers.join(" ")),
    }
}

fn replay(told: &ReplayStory) -> String {
    let ReplayStory { replay, by, command } = told;
    let by = by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
    let to = if replay.to.is_empty() { String::new() } else { format!(" for {}", replay.to.join(", ")) };
    let command = command.as_ref().map_or(String::new(), |command| format!(": {command}"));
    format!("replayed{by}{to} as job {}{command}", replay.id)
}

/// When a destination has read the event: told with its first attempt.
fn read(start: Timestamp, entry: &JournalEntry) -> Option<(Timestamp, String)> {
    let (Step::AttemptFailed { destination, attempt: 1, read_ms: Some(read_ms), .. }
    | Step::Delivered { destination, attempt: 1, read_ms: Some(read_ms), .. }) = &entry.step
    else {
        return None;
    };
    let at = start.checked_add(std::time::Duration::from_millis(*read_ms)).ok()?;
    Some((at, format!("{destination}: read from the log")))
}

/// What happened.
pub(super) fn step(step: &Step) -> String {
    match step {
        Step::Refused { source, code, reason } => {
            let source = source.as_ref().map_or(String::new(), |source| format!(" at source {source}"));
            format!("refused{source}: {code}: {reason}")
        }
        Step::Duplicate { .. } => "another copy came in, and was answered with this id".to_owned(),
        Step::NotRouted { source, event_type } => format!("verified, but no serve route takes {source} {event_type}"),
        Step::AttemptFailed { destination, attempt, class, error, took_ms, retry_in_ms, breaker_open, .. } => {
            let next = match retry_in_ms {
                Some(wait) => format!("; again in {}", span(*wait)),
                None => String::new(),
            };
            let breaker = if *breaker_open { "; breaker open, a probe comes first" } else { "" };
            format!(
                "{destination}: attempt {attempt} failed ({}): {error} [{took_ms} ms]{next}{breaker}",
                class.as_str()
            )
        }
        Step::Delivered { destination, attempt, answer, took_ms, .. } => {
            format!("{destination}: delivered with attempt {attempt}: {answer} [{took_ms} ms]")
        }
        Step::DeadLettered { destination, attempts, error } => {
            format!("{destination}: to the dead letters after {}: {error}", count(*attempts))
        }
        Step::Held { destination, error } => format!("{destination}: given up, and held with its key: {error}"),
        Step::Dropped { destination, reason } => format!("{destination}: dropped: {reason}"),
        Step::SentTo { url, answer, took_ms } => format!("sent to {url}: {answer} [{took_ms} ms]"),
        Step::JobStarted { job, .. } => format!("{} by {}: {}", job.kind.as_str(), job.by, job.command),
        Step::JobResumed { by } => format!("job resumed by {by}"),
        Step::JobReached { .. } => "job under way".to_owned(),
        Step::JobEnded { .. } => "job ended".to_owned(),
    }
}

fn later(start: Timestamp, at: Timestamp) -> String {
    relative(i64::try_from(at.duration_since(start).as_millis()).unwrap_or(i64::MAX))
}

/// A time as it counts from the beginning.
pub(super) fn relative(millis: i64) -> String {
    let sign = if millis < 0 { '-' } else { '+' };
    format!("{sign}{}", span(millis.unsigned_abs()))
}

fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..10 => format!("{millis} ms"),
        10..600 => format!("{:.1} s", millis as f64 / 1000.0),
        600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// So many attempts.
pub(super) fn count(attempts: u32) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sent_an_event_is_told_as_it_was_found_out_then() {
        let of = |rule: Option<&str>, slot| Trust {
            authenticated_by: rule.map(str::to_owned),
            secret_slot: slot,
            user_text: Vec::new(),
        };
        let told = |trust: Option<Trust>| proof(trust.as_ref(), Some("stripe"));
        assert_eq!(told(Some(of(Some("github"), Some(0)))), ", signature verified (github)");
        assert_eq!(told(Some(of(Some("github"), Some(1)))), ", signature verified (github) with secret 2");
        assert_eq!(told(Some(of(None, None))), ", sender not verified");
        assert_eq!(told(None), ", signature verified (stripe)");
    }

    #[test]
    fn where_users_have_written_is_named_as_far_as_a_line_has_room() {
        let told = |pointers: &[&str]| {
            user_text(&Trust { user_text: pointers.iter().map(|&at| at.into()).collect(), ..Trust::default() })
        };
        assert_eq!(told(&[]), "");
        assert_eq!(told(&["/issue/title", "/issue/body"]), ", users have written /issue/title /issue/body");
        assert_eq!(told(&["/a", "/b", "/c", "/d", "/e", "/f"]), ", users have written /a /b /c /d and 2 more");
        assert_eq!(told(&[""]), ", users may have written all of it");
    }

    #[test]
    fn times_are_told_in_units_that_fit() {
        let shown = [-812, 0, 9_999, 12_345, 3_720_000, 90_000_000].map(relative);
        assert_eq!(shown, ["-812 ms", "+0 ms", "+9999 ms", "+12.3 s", "+1 h 2 min", "+1 d 1 h"]);
    }
}
