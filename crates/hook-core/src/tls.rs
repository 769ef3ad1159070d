//! TLS on an address that we listen on: which files it is spoken with, and how their certificate is.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The files of TLS on an address. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Our certificate, followed by those between it and its authority (PEM).
    pub cert_path: PathBuf,
    /// The private key of our certificate (PEM).
    pub key_path: PathBuf,
    /// The authorities (PEM) of which one must have signed a client's certificate. Left out, clients need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_path: Option<PathBuf>,
}

impl TlsFiles {
    /// Each file with its key in a contract.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let both = [("cert_path", &self.cert_path), ("key_path", &self.key_path)];
        both.into_iter().chain(self.client_ca_path.iter().map(|path| ("client_ca_path", path)))
    }
}

/// The certificate of an address while it is in use; shared with whoever shows it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Certificate(Arc<Mutex<CertificateStatus>>);

/// How a certificate is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CertificateStatus {
    /// Since when it is in use.
    pub since: Timestamp,
    /// When it expires; left out where it does not say so in a way that we read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How often its files have changed and the new ones were taken.
    pub reloads: u64,
    /// How often its files have changed and the new ones could not be used.
    pub refused_reloads: u64,
    /// Connections that ended before TLS was agreed on.
    pub failed_handshakes: u64,
    /// Why the files as they are now are not used: then those before them are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Certificate {
    /// How it is now.
    pub fn get(&self) -> CertificateStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what has become of it.
    pub fn change(&self, change: impl FnOnce(&mut CertificateStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
