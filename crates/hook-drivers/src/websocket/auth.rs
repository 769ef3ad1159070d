//! How the two ends of a WebSocket tell who they are.

use hook_core::{catalog::Fault, names::EnvName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// With a bearer token in the opening request.
    Bearer,
    /// Not at all.
    None,
}

impl AuthMode {
    /// What is wrong with the token's variable beside it.
    pub(super) fn fault(self, token_env: Option<&EnvName>) -> Option<Fault> {
        match (self, token_env) {
            (Self::Bearer, None) => {
                let help = "name the environment variable that holds the token";
                Some(Fault::at("/token_env", "`auth_mode = \"bearer\"` needs a token", help).security_critical())
            }
            (Self::None, Some(_)) => {
                let help = "write `auth_mode = \"bearer\"`, or leave `token_env` out";
                Some(Fault::at("/token_env", "the token is not used with `auth_mode = \"none\"`", help))
            }
            _ => None,
        }
    }
}
