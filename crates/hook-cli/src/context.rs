//! What every command is given.

use hook_core::catalog::Catalog;

use crate::{globals::Globals, output::Output};

/// What every command is given.
pub struct Context {
    /// What this build can do.
    pub catalog: Catalog,
    /// The flags that every command takes.
    pub globals: Globals,
    /// Where to write.
    pub output: Output,
}
