//! `hook explain`: what happened to one event or request, from its sender's time to each destination's answer.

mod timeline;

use hook_admin::{
    socket::ClientError,
    story::{self, DeliveryState, DestinationStory, EventStory, RequestStory, RouteStory, Story},
};
use hook_core::event::EventId;

use crate::{
    context::Context,
    data_directory::Flag,
    event_id,
    exit::Exit,
    owner::{Owner, block_on, fail, failed},
};

/// Tell what happened to an event or a request
///
/// Takes the event id of an accepted request, or the request id of a refused one. Times count from when the event was received.
/// Which routes take it, and why the others do not, is what the contract in force says.
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
    context.output.line(&format!("event {}  {} {}", header.id, header.source, header.event_type))?;
    context.output.table(&timeline::of(story))?;
    context.output.heading("routes, by the contract in force")?;
    context.output.table(&story.routes.iter().map(route).collect::<Vec<_>>())?;
    context.output.heading("destinations")?;
    match story.destinations.is_empty() {
        true => context.output.line("  no smash route takes it"),
        false => context.output.table(&story.destinations.iter().map(destination).collect::<Vec<_>>()),
    }
}

fn print_request(context: &Context, story: &RequestStory) -> Result<(), Exit> {
    context.output.line(&format!("request {}", story.request_id))?;
    context.output.table(&[[format!("{:.3}", story.at), timeline::step(&story.step)]])?;
    match story.event_id {
        Some(id) => {
            context.output.line(&format!("  it is a copy of event {id}; to deliver that again: hook replay {id}"))
        }
        None => Ok(()),
    }
}

fn route(route: &RouteStory) -> [String; 3] {
    let takes = if route.takes { "takes it" } else { "does not" };
    [route.route.clone(), takes.to_owned(), route.reason.clone()]
}

fn destination(story: &DestinationStory) -> [String; 4] {
    let state = match story.state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::DeadLettered => "in the dead letters",
        DeliveryState::Dropped => "dropped",
        DeliveryState::Done => "done",
    };
    let attempts = match story.attempts {
        0 => String::new(),
        attempts => format!(", {}", timeline::count(attempts)),
    };
    let times = story.times;
    let read = times.read_ms.and_then(|read| i64::try_from(read).ok());
    let parts = [("read", read), ("tried", times.first_attempt_ms), ("ended", times.ended_ms)];
    let parts = parts.iter().filter_map(|(what, at)| Some(format!("{what} {}", timeline::relative((*at)?))));
    let times = parts.collect::<Vec<_>>().join(", ");
    [story.destination.clone(), format!("{state}{attempts}"), times, story.reason.clone().unwrap_or_default()]
}
