//! The role `serve`: what an adapter receives is verified, checked, routed, deduplicated and made durable.

mod cooldown;
mod dedup;
mod gate;
mod inlet;
mod notice;
mod poison;
mod source;
mod text;

pub use dedup::copy_keys;
pub(crate) use gate::{Admission, Admitted, Gate};
pub(crate) use inlet::{Serve, cool, within_rate};
