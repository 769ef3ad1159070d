//! The ports: one trait a file, documented for whoever implements it.

pub mod egress;
pub mod history;
pub mod ingress;
pub mod log;
pub mod plugin;
pub mod verifier;
