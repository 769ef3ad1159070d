//! What can be asked of a pipeline: health and metrics over TCP, questions about events over a Unix socket.
//!
//! | module | holds |
//! |---|---|
//! | [`query`] | answers from a log alone, whoever runs it |
//! | [`story`] | what happened to one event |
//! | [`transfer`] | records as JSON lines, out of a log and into one |
//! | [`public`] | `/health`, `/ready`, `/metrics` on the admin address |
//! | [`socket`] | typed requests on the admin socket, and the client for them |

pub mod public;
pub mod query;
pub mod socket;
pub mod story;
pub mod transfer;

/// The file name of the admin socket in a data directory.
pub const SOCKET_NAME: &str = "admin.sock";
