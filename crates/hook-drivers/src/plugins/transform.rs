//! `transform`: makes another payload out of an event's, with jq.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use hook_expressions::jq::Program;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of `transform`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// A jq program whose input is the payload and whose one result is the new payload, an object: `{title: .issue.title}`.
    pub jq: String,
}

/// The plugin `transform`.
pub struct Transform(Program);

impl Kind for Transform {
    const NAME: &'static str = "transform";
    const ABOUT: &'static str = "Makes another payload out of the event's with a jq program.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { jq }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        match Program::compile(&jq) {
            Ok(program) => Ok(Arc::new(Self(program))),
            Err(error) => Err(vec![Fault::at("/jq", error.to_string(), error.help)]),
        }
    }
}

impl Plugin for Transform {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        match self.0.run(&draft.payload) {
            Ok(payload) => {
                draft.payload = payload;
                Verdict::Keep
            }
            Err(error) => Verdict::Refuse { reason: format!("transform: {error}") },
        }
    }
}
