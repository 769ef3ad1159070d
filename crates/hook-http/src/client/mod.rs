//! A client of one destination: what every driver that sends requests shares.
//!
//! | file | says |
//! |---|---|
//! | `destination` | the client |
//! | `guard` | where it may connect |
//! | [`classify`] | what an answer, or its absence, means for the next attempt |
//! | [`credentials`] | what a request proves itself with |
//! | [`headers`] | what it tells of the event |

pub mod classify;
pub mod credentials;
mod destination;
mod guard;
pub mod headers;

pub use destination::{Client, Destination, authorities};
pub use guard::{Forbidden, Guard};
