//! TLS on a listener.
//!
//! | file | says |
//! |---|---|
//! | `files` | from files to a configuration, or why not |
//! | `reload` | the files are looked at again and again |
//! | `handshake` | a connection until TLS is agreed on |
//! | `wire` | a connection with TLS or without |
//! | `validity` | when a certificate expires |

mod files;
mod handshake;
mod reload;
mod validity;
mod wire;

use std::sync::{Arc, PoisonError, RwLock};

use hook_core::{
    Timestamp,
    clock::{Clock, SystemClock},
    ports::ingress::ListenError,
    tls::{Certificate, TlsFiles},
};
use rustls::ServerConfig;
use tracing::warn;

pub use files::Unusable;
pub use wire::Wire;

/// TLS on one address: the certificate that is in use, and the files that it came from.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<InUse>,
    certificate: Certificate,
}

/// What connections are given from now on.
#[derive(Clone)]
struct InUse {
    config: Arc<ServerConfig>,
    digest: files::Digest,
}

impl Tls {
    /// Reads the files, which must be right when a process starts.
    pub fn open(files: &TlsFiles) -> Result<Arc<Self>, ListenError> {
        let unusable = |Unusable { file, reason, .. }| ListenError::Tls { file, reason };
        let read = files::Pem::read(files).map_err(unusable)?;
        let tls = Self {
            files: files.clone(),
            current: RwLock::new(InUse { config: read.config().map_err(unusable)?, digest: read.digest() }),
            certificate: Certificate::default(),
        };
        tls.certificate.change(|status| {
            (status.since, status.expires) = (SystemClock.now(), read.expires());
        });
        tls.tell_of_expiry();
        Ok(Arc::new(tls))
    }

    /// How the certificate is, while it is in use.
    pub fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }

    /// Whether the certificate that is in use has expired.
    fn expired(&self) -> Option<Timestamp> {
        self.certificate.get().expires.filter(|&at| at <= SystemClock.now())
    }

    /// Says that clients refuse what is in use: once, unless something else is said meanwhile.
    fn tell_of_expiry(&self) {
        let (Some(at), None) = (self.expired(), self.certificate.get().trouble) else { return };
        let file = self.files.cert_path.display();
        warn!(%file, %at, "the certificate has expired: clients refuse it");
        self.certificate
            .change(|status| status.trouble = Some(format!("{file}: it expired at {at}: clients refuse it")));
    }

    fn current(&self) -> InUse {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is wrong with the files of an address; `Ok` where it could be opened with them now.
pub fn check(files: &TlsFiles) -> Result<(), Unusable> {
    files::Pem::read(files)?.config().map(drop)
}
