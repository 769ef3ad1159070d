//! `hook explain`: what happened to one event or request.

use hook_admin::{
    socket::ClientError,
    story::{self, DeliveryState, DestinationStory, EventStory, RequestStory, Story},
};
use hook_core::{Timestamp, event::EventId, journal::Step};

use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{Owner, block_on, fail, failed},
};

/// Tell what happened to an event or a request
///
/// Takes the event id of an accepted request, or the request id of a refused one.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,
    /// The id
    #[arg(value_parser = event_id::parse)]
    id: EventId,
}

/// Answers.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let story = block_on(context, find(context, arguments))?;
    if context.output.is_json() {
        return context.output.json(&story);
    }
    match &story {
        Story::Event(story) => print_event(context, story),
        Story::Request(story) => print_request(context, story),
    }
}

async fn find(context: &Context, arguments: &Arguments) -> Result<Story, Exit> {
    let id = arguments.id;
    let unknown =
        || fail(context, &format!("nothing is known of {id}: it was never here, or retention has removed it"));
    match Owner::find(context, &arguments.data_directory).await? {
        Owner::Running(client) => client.explain(id).await.map_err(|error| match error {
            ClientError::NotFound => unknown(),
            error => failed(context, &error),
        }),
        Owner::Resting { log, plan } => {
            let story = story::tell(&plan, &log, id).await.map_err(|error| fail(context, &error.to_string()))?;
            story.ok_or_else(unknown)
        }
    }
}

fn print_event(context: &Context, story: &EventStory) -> Result<(), Exit> {
    let header = &story.header;
    let start = header.received_at;
    context.output.line(&format!("event {}  {} {}", header.id, header.source, header.event_type))?;
    let adapter = header.meta.ingress_adapter.as_ref().map_or(String::new(), |adapter| format!(" by {adapter}"));
    let delivery = header.meta.delivery_id.as_ref().map_or(String::new(), |id| format!(", delivery {id}"));
    let mut rows = vec![[format!("{start:.3}"), format!("received{adapter}{delivery}, signature verified")]];
    for position in &story.stored {
        rows.push([String::new(), format!("stored in {}@{}", position.topic, position.offset)]);
    }
    let replayed = story.replays.iter().map(|replay| (replay.at, format!("replayed ({})", replay.id)));
    let steps = story.steps.iter().map(|entry| (entry.at, step(&entry.step)));
    let mut later_on: Vec<_> = replayed.chain(steps).collect();
    later_on.sort_by_key(|(at, _)| *at);
    rows.extend(later_on.into_iter().map(|(at, what)| [later(start, at), what]));
    context.output.table(&rows)?;
    context.output.heading("destinations")?;
    match story.destinations.is_empty() {
        true => context.output.line("  no smash route takes it"),
        false => context.output.table(&story.destinations.iter().map(destination).collect::<Vec<_>>()),
    }
}

fn print_request(context: &Context, story: &RequestStory) -> Result<(), Exit> {
    context.output.line(&format!("request {}", story.request_id))?;
    context.output.table(&[[format!("{:.3}", story.at), step(&story.step)]])?;
    match story.event_id {
        Some(id) => {
            context.output.line(&format!("  it is a copy of event {id}; to deliver that again: hook replay {id}"))
        }
        None => Ok(()),
    }
}

fn destination(story: &DestinationStory) -> [String; 2] {
    let state = match story.state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::DeadLettered => "in the dead letters",
        DeliveryState::Dropped => "dropped: it is not required",
        DeliveryState::Done => "done",
    };
    let attempts = match story.attempts {
        0 => String::new(),
        attempts => format!(", {}", count(attempts)),
    };
    [story.destination.clone(), format!("{state}{attempts}")]
}

fn step(step: &Step) -> String {
    match step {
        Step::Refused { code, reason, .. } => format!("refused: {code}: {reason}"),
        Step::Duplicate { .. } => "another copy came in, and was answered with this id".to_owned(),
        Step::NotRouted { source, event_type } => format!("verified, but no serve route takes {source} {event_type}"),
        Step::AttemptFailed { destination, attempt, class, error, took_ms } => {
            format!("{destination}: attempt {attempt} failed ({}): {error} [{took_ms} ms]", class.as_str())
        }
        Step::Delivered { destination, attempt, answer, took_ms } => {
            format!("{destination}: delivered with attempt {attempt}: {answer} [{took_ms} ms]")
        }
        Step::DeadLettered { destination, attempts, error } => {
            format!("{destination}: to the dead letters after {}: {error}", count(*attempts))
        }
        Step::Dropped { destination, reason } => format!("{destination}: dropped: {reason}"),
    }
}

fn later(start: Timestamp, at: Timestamp) -> String {
    let millis = at.duration_since(start).as_millis();
    if millis < 10_000 { format!("+{millis} ms") } else { format!("+{:.1} s", at.duration_since(start).as_secs_f64()) }
}

fn count(attempts: u32) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}
