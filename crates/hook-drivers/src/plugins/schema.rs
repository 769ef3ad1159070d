//! `schema`: refuses an event whose payload is not what a JSON Schema says.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use hook_expressions::schema::Schema;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The settings of `schema`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// A JSON Schema of the draft 2020-12, as a table or as JSON in a string. It stands alone: nothing is ever fetched.
    #[schemars(schema_with = "table_or_text")]
    pub schema: Value,
}

fn table_or_text(_: &mut SchemaGenerator) -> schemars::Schema {
    json_schema!({ "type": ["object", "string"], "examples": ["{ required = [\"issue\"] }"] })
}

/// The plugin `schema`.
pub struct CheckSchema(Schema);

impl Kind for CheckSchema {
    const NAME: &'static str = "schema";
    const ABOUT: &'static str = "Refuses the event where its payload is not what a JSON Schema says.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { schema }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let fault = |message: String, help: String| Err(vec![Fault::at("/schema", message, help)]);
        let schema = match schema {
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(schema) => schema,
                Err(error) => {
                    return fault(format!("the string is no JSON: {error}"), "mend the JSON, or write a table".into());
                }
            },
            schema => schema,
        };
        match Schema::compile(&schema) {
            Ok(schema) => Ok(Arc::new(Self(schema))),
            Err(error) if error.pointer.is_empty() => fault(error.message, error.help),
            Err(error) => fault(format!("at `{}`: {}", error.pointer, error.message), error.help),
        }
    }
}

impl Plugin for CheckSchema {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        match self.0.check(&draft.payload) {
            Ok(()) => Verdict::Keep,
            Err(error) => Verdict::Refuse { reason: format!("schema: {error}") },
        }
    }
}
