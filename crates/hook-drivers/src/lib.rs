//! Drivers, grouped by the system that they speak to. None knows a role, a retry policy or the contract.

pub mod file;
pub mod http;
pub mod openclaw;
pub mod plugins;
pub mod verify;
