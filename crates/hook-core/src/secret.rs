//! Secrets: bytes that no `Debug`, log line or error can show.

use std::{collections::BTreeMap, sync::Arc};

use crate::names::EnvName;

/// A secret's bytes. `Debug` shows only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Wraps the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into())
    }

    /// The bytes, for a comparison in constant time or a key schedule. Never for output.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, for a bearer header. `None` where they are not UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Where secrets are looked up by the name of their environment variable. Looked up when used, so that a reload
/// reaches every holder.
pub trait SecretStore: Send + Sync + 'static {
    /// The secret of that name; `None` where it is unset or empty.
    fn get(&self, name: &EnvName) -> Option<Secret>;
}

/// A secret store that can be handed around.
pub type Secrets = Arc<dyn SecretStore>;

impl SecretStore for BTreeMap<EnvName, Secret> {
    fn get(&self, name: &EnvName) -> Option<Secret> {
        BTreeMap::get(self, name).filter(|secret| !secret.expose().is_empty()).cloned()
    }
}
