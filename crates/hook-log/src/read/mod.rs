//! Reads a chain: with a cursor, without one, or single records.

mod reader;
mod scan;
mod single;
mod subscription;

pub(crate) use reader::{Reader, Topics};
pub(crate) use scan::{Begin, ChainScan};
pub(crate) use single::{first_at_time, read};
pub(crate) use subscription::{ChainSubscription, wait_for};
