//! Small, pure steps of a plugin chain, one file each.

pub mod add_meta_flag;
pub mod event_type_alias;
pub mod filter;
mod pointer;
pub mod redact;
pub mod require_payload_field;
pub mod sample;
pub mod schema;
#[cfg(test)]
mod tests;
pub mod transform;

use hook_core::{catalog::Entry, ports::plugin::Plugin};

/// The plugins that an adapter can name.
pub fn entries() -> Vec<Entry<dyn Plugin>> {
    vec![
        Entry::of::<event_type_alias::EventTypeAlias>(),
        Entry::of::<require_payload_field::RequirePayloadField>(),
        Entry::of::<add_meta_flag::AddMetaFlag>(),
        Entry::of::<filter::Filter>(),
        Entry::of::<transform::Transform>(),
        Entry::of::<redact::Redact>(),
        Entry::of::<sample::Sample>(),
        Entry::of::<schema::CheckSchema>(),
    ]
}
