//! What can be asked of a pipeline: health and metrics over TCP, questions about events over a Unix socket.
//!
//! | module | holds |
//! |---|---|
//! | [`query`] | answers from a log alone, whoever runs it |
//! | [`story`] | what happened to one event |
//! | [`transfer`] | records as JSON lines, out of a log and into one |
//! | [`public`] | `/health`, `/ready`, `/metrics` on the admin address |
//! | [`travel`] | jobs that send stored events again |
//! | [`socket`] | typed requests on the admin socket, and the client for them |

pub mod public;
pub mod query;
pub mod socket;
pub mod story;
pub mod transfer;
pub mod travel;

/// The file name of the admin socket in a data directory that belongs to one process.
pub const SOCKET_NAME: &str = "admin.sock";

/// The file name of the admin socket of one process among several in a data directory: `admin-smash.sock`, or
/// `admin-smash.a.sock` for the one that is called `a`. The instance must be fit to be part of a file name.
pub fn socket_name(role: &str, instance: Option<&str>) -> String {
    match instance {
        None => format!("admin-{role}.sock"),
        Some(instance) => format!("admin-{role}.{instance}.sock"),
    }
}
