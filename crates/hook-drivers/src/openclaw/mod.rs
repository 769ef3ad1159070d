//! OpenClaw gateways: events become turns of an agent.
//!
//! | file | says |
//! |---|---|
//! | [`output`] | the driver `openclaw_http_output` and its settings |
//! | `endpoint` | which of the gateway's endpoints a URL names, and what it takes |
//! | `message` | an event as text for an agent |

mod endpoint;
mod message;
pub mod output;
