//! `mcp_tool_output`: each event a call of a tool.
//!
//! | file | says |
//! |---|---|
//! | `settings` | what a contract may set |
//! | `driver` | an attempt, from the event to its outcome |
//! | `template` | the arguments of a call |
//! | `link` | the session: when it is opened, shared, opened again and ended |
//! | `session` | one initialized session: its tools, its calls, their time |
//! | `stdio`, `lines`, `chatter` | a server that is a process of ours |
//! | `http`, `sse` | a server that is reached over HTTP |
//! | `message` | messages as JSON |
//! | `outcome`, `scrub` | what an answer means, and what of it may be shown |

mod chatter;
mod driver;
mod http;
mod lines;
mod link;
mod message;
mod outcome;
mod scrub;
mod session;
mod settings;
mod sse;
mod stdio;
mod template;

pub use driver::McpToolOutput;
pub use settings::{OnToolError, Settings};

/// A message of a server that is larger is not read.
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;
