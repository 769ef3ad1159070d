//! `sample`: lets a share of the events pass, the same ones each time they come by.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The settings of `sample`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The share of events that pass, above 0 and below 1: `0.1` is every tenth, as chance has it.
    pub keep: f64,
    /// What is chosen: single events, or whole ordering keys.
    #[serde(default)]
    pub by: By,
    /// Another text chooses other events. Samples of one text choose alike: the smaller share is a part of the larger.
    #[serde(default)]
    pub seed: String,
}

/// What is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Every event by itself, known by its delivery id or else by its body.
    #[default]
    Event,
    /// All events of an ordering key, or none. An event without one is chosen by itself.
    OrderingKey,
}

/// The plugin `sample`.
pub struct Sample {
    /// What is below passes.
    limit: f64,
    by: By,
    seed: String,
}

impl Kind for Sample {
    const NAME: &'static str = "sample";
    const ABOUT: &'static str = "Lets a share of the events pass, the same ones on every retry and in every process.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { keep, by, seed }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        match keep > 0.0 && keep < 1.0 {
            true => Ok(Arc::new(Self { limit: keep, by, seed })),
            false => {
                let help = "write a share above 0 and below 1, such as `0.1`; leave the plugin out to keep all";
                Err(vec![Fault::at("/keep", "this is no share", help)])
            }
        }
    }
}

impl Plugin for Sample {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        // All of this is in the event's record, so that ingress, a destination and a replay come to one verdict.
        let meta = &draft.meta;
        let event = meta.delivery_id.as_ref().or(meta.body_sha256.as_ref());
        let (kind, id) = match (self.by, &meta.route_key) {
            (By::OrderingKey, Some(key)) => ("key", Some(key)),
            _ => ("event", event),
        };
        let parts = [self.seed.as_str(), kind, draft.source.as_str(), id.map(String::as_str).unwrap_or_default()];
        match share(&parts) < self.limit {
            true => Verdict::Keep,
            false => Verdict::Drop { reason: format!("sample: not among the share of {} that is kept", self.limit) },
        }
    }
}

/// A number from 0 up to 1 that looks like chance and depends on nothing else.
fn share(parts: &[&str]) -> f64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    // As many bits as a float holds exactly.
    let bits = digest.iter().take(7).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte)) >> 3;
    bits as f64 / (1_u64 << 53) as f64
}
