//! `filter`: lets only those events pass of which an expression is true.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use hook_expressions::cel::Expression;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of `filter`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// A CEL expression over `source`, `type`, `payload` and `meta`, such as `payload.action == "opened"`.
    pub expression: String,
    /// What becomes of an event of which it is not true. One for which it has no answer is refused in any case.
    #[serde(default)]
    pub otherwise: Otherwise,
}

/// What becomes of an event that does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// It is refused: at ingress with 422, at a destination as a dead letter.
    #[default]
    Refuse,
    /// It is left out: at ingress it is answered with 200, and nowhere is it a dead letter.
    Drop,
}

/// The plugin `filter`.
pub struct Filter {
    expression: Expression,
    otherwise: Otherwise,
}

impl Kind for Filter {
    const NAME: &'static str = "filter";
    const ABOUT: &'static str = "Lets only those events pass of which a CEL expression is true.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { expression, otherwise }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        match Expression::compile(&expression) {
            Ok(expression) => Ok(Arc::new(Self { expression, otherwise })),
            Err(error) => Err(vec![Fault::at("/expression", error.to_string(), error.help)]),
        }
    }
}

impl Plugin for Filter {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        let text = self.expression.text();
        match (self.expression.matches(&*draft), self.otherwise) {
            (Ok(true), _) => Verdict::Keep,
            (Ok(false), Otherwise::Drop) => Verdict::Drop { reason: format!("filter: not true: {text}") },
            (Ok(false), Otherwise::Refuse) => Verdict::Refuse { reason: format!("filter: not true: {text}") },
            (Err(error), _) => Verdict::Refuse { reason: format!("filter: {error}: {text}") },
        }
    }
}
