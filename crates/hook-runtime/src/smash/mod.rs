//! The role `smash`: one worker per destination of a route, each with a cursor, lanes and a breaker of its own.

mod attempt;
mod breaker;
mod destination;
mod history;
mod lanes;
mod retry;
mod shared;
mod status;
mod unrouted;

pub(crate) use attempt::prepare;
pub(crate) use destination::Worker;
pub(crate) use history::AdapterHistory;
pub(crate) use retry::back_off;
pub(crate) use shared::Shared;
pub(crate) use status::StatusCell;
pub use status::{DestinationState, DestinationStatus, WaitingKey};
pub(crate) use unrouted::Unrouted;
