//! A connection that adapters share by name, as a contract writes it under `[transports.NAME]`.
//!
//! A driver that uses one has a setting of this type. The contract names the transport, and hands its table to the driver.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{catalog::Fault, names::EnvName};

/// A connection that adapters share.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "driver", rename_all = "snake_case")]
pub enum Transport {
    /// JSON-RPC over the standard streams of a process, one message a line.
    StdioJsonrpc {
        /// The program: a path, or a name that is looked up in `PATH`.
        command: Option<String>,
        /// Its arguments.
        #[serde(default)]
        args: Vec<String>,
        /// Its environment, beside `PATH`, `HOME` and the like, and `pass_env`. Never secrets.
        #[serde(default)]
        #[schemars(extend("propertyNames" = { "format": "env-name", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }))]
        env: BTreeMap<String, String>,
        /// Environment variables that it is given as they are: how it comes by its secrets.
        #[serde(default)]
        pass_env: Vec<EnvName>,
    },
    /// MCP over streamable HTTP.
    HttpSse {
        /// Where the server is.
        #[schemars(extend("format" = "uri"))]
        url: String,
        /// How we prove who we are.
        auth_mode: AuthMode,
        /// The environment variable of the token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_env: Option<EnvName>,
    },
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// With a bearer token in the request.
    Bearer,
    /// Not at all.
    None,
}

impl AuthMode {
    /// What is wrong with the token's variable beside it.
    pub fn fault(self, token_env: Option<&EnvName>) -> Option<Fault> {
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
