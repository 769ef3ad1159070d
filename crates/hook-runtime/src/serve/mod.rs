//! The role `serve`: what an adapter receives is verified, checked, routed, deduplicated and made durable.

mod cooldown;
mod dedup;
mod inlet;
mod notice;
mod source;

pub(crate) use inlet::Serve;
