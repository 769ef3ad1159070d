//! A listener that adapters share.
//!
//! | file | says |
//! |---|---|
//! | `listen` | the listener: how many connections there may be, and how they end |
//! | `connection` | one connection and its limits |
//! | `front` | whose a path is |
//! | [`body`], [`rate`], [`token`] | one check of a request each |
//! | [`answer`] | what is answered |
//! | `stall` | a client that does not read |
//! | [`tls`] | TLS, its certificate and their reload |

pub mod answer;
pub mod body;
mod connection;
mod front;
mod listen;
pub mod rate;
mod stall;
pub mod tls;
pub mod token;

pub use connection::close;
pub use front::{Answer, Service, Takes, Upgrade, Upgraded};
pub use listen::{Limits, MakeService, listen, serve};
pub use stall::StallGuard;
pub use tls::{Tls, Wire};
