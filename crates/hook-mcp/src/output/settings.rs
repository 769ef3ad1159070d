//! The settings of `mcp_tool_output`.

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use hook_core::{
    catalog::Fault,
    transport::{AuthMode, Transport},
};
use hook_http::client::{Client, Destination};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    link::Way,
    session::Patience,
    stdio::{GRACE, Program},
};

/// No answer is waited for longer than this without a word from the server.
const LONGEST_SILENCE: u64 = 3600;
/// No answer is waited for longer than this at all.
const LONGEST: u64 = 86_400;
const DEFAULT_WHOLE: u64 = 300;

/// The settings of `mcp_tool_output`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The tool that is called for each event.
    #[schemars(length(min = 1))]
    pub tool_name: String,
    /// The transport that leads to the server: the name of a table `[transports.NAME]`.
    #[schemars(with = "String")]
    pub transport_ref: Transport,
    /// The arguments of a call. In texts, `{{payload.issue.title}}` stands for a value of the event; a text that is nothing else
    /// becomes the value with its type. Where this is left out, the arguments are the event's envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Map<String, Value>>,
    /// How long an answer is waited for. A progress notification of the server begins the time anew.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: NonZeroU64,
    /// How long an answer is waited for with all progress. 300 where this is left out, or `timeout_seconds` where that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_timeout_seconds: Option<NonZeroU64>,
    /// What an error means that the tool itself returns.
    #[serde(default)]
    pub on_tool_error: OnToolError,
    /// Networks that are not public and may be reached all the same, such as `10.0.0.0/8`. For transports over HTTP.
    #[serde(default)]
    pub allow_networks: Vec<String>,
}

/// What an error means that a tool returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnToolError {
    /// It may pass: the event is tried again, as often as `retry` says.
    #[default]
    Retry,
    /// It is for good: the event is given up at once.
    Reject,
}

fn default_timeout_seconds() -> NonZeroU64 {
    const { NonZeroU64::new(30).expect("not zero") }
}

impl Settings {
    /// How long an answer is waited for.
    pub(super) fn patience(&self) -> Result<Patience, Vec<Fault>> {
        let silence = self.timeout_seconds.get();
        let whole = self.max_timeout_seconds.map_or(DEFAULT_WHOLE.max(silence), NonZeroU64::get);
        let mut faults = Vec::new();
        if silence > LONGEST_SILENCE {
            let help = format!("write at most {LONGEST_SILENCE}");
            faults.push(Fault::at("/timeout_seconds", format!("{silence} is too much"), help));
        }
        if whole > LONGEST {
            let help = format!("write at most {LONGEST}");
            faults.push(Fault::at("/max_timeout_seconds", format!("{whole} is too much"), help));
        }
        if whole < silence {
            let help = format!("write at least {silence}, as `timeout_seconds` says, or leave it out");
            faults.push(Fault::at("/max_timeout_seconds", format!("{whole} is less than one answer may take"), help));
        }
        let patience = Patience { silence: Duration::from_secs(silence), whole: Duration::from_secs(whole) };
        if faults.is_empty() { Ok(patience) } else { Err(faults) }
    }

    /// How the server is reached.
    pub(super) fn way(&self, patience: Patience) -> Result<Way, Vec<Fault>> {
        match &self.transport_ref {
            Transport::StdioJsonrpc { command, args, env, pass_env } => {
                let mut faults = Vec::new();
                if !self.allow_networks.is_empty() {
                    let help = "leave it out, or name a transport whose driver is `http_sse`";
                    faults.push(Fault::at("/allow_networks", "a process is not reached over a network", help));
                }
                for (index, name) in pass_env.iter().enumerate().filter(|(_, name)| env.contains_key(name.as_str())) {
                    let pointer = format!("/transport_ref/pass_env/{index}");
                    faults.push(Fault::at(&pointer, format!("`env` sets {name} too"), "leave one of the two out"));
                }
                let command = command.as_deref().filter(|command| !command.is_empty());
                let Some(command) = command else {
                    let help = "name the program that serves MCP: `command = \"npx\"` with its `args`";
                    faults.push(Fault::at("/transport_ref/command", "there is no program to start", help));
                    return Err(faults);
                };
                if !faults.is_empty() {
                    return Err(faults);
                }
                Ok(Way::Process(Program {
                    command: command.to_owned(),
                    args: args.clone(),
                    env: env.clone(),
                    pass_env: pass_env.clone(),
                    grace: GRACE,
                }))
            }
            Transport::HttpSse { url, auth_mode, token_env } => {
                let client = Client::new(Destination {
                    url,
                    timeout_seconds: NonZeroU64::new(patience.silence.as_secs()).unwrap_or(NonZeroU64::MIN),
                    allow_networks: &self.allow_networks,
                });
                let mut faults = auth_fault(*auth_mode, token_env.as_ref());
                match client {
                    Ok(client) if faults.is_empty() => {
                        Ok(Way::Http { client: Arc::new(client), token_env: token_env.clone() })
                    }
                    client => {
                        let wrong = client.err().unwrap_or_default();
                        faults.extend(wrong.into_iter().map(|fault| match fault.pointer.as_str() {
                            "/url" => in_transport(fault),
                            _ => fault,
                        }));
                        Err(faults)
                    }
                }
            }
        }
    }
}

fn auth_fault(mode: AuthMode, token_env: Option<&hook_core::names::EnvName>) -> Vec<Fault> {
    mode.fault(token_env).map(in_transport).into_iter().collect()
}

fn in_transport(fault: Fault) -> Fault {
    Fault { pointer: format!("/transport_ref{}", fault.pointer), ..fault }
}
