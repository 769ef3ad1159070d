//! The files of a certificate are looked at again and again. New ones are taken whole or not at all: while they do not fit each
//! other, the connections go on with those before.

use std::{convert::Infallible, sync::PoisonError, time::Duration};

use hook_core::clock::{Clock, SystemClock};
use tokio::{task::spawn_blocking, time::sleep};
use tracing::{info, warn};

use super::{
    InUse, Tls,
    files::{Digest, Pem, Unusable},
};

/// How long a new certificate may wait. The files are small, and in the system's memory.
const EVERY: Duration = Duration::from_secs(2);

/// What was found the last time: nothing is said or counted twice.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Content(Digest),
    Nothing(Unusable),
}

impl Tls {
    /// Takes new files until it is dropped.
    pub(in crate::server) async fn watch(&self) -> Infallible {
        let mut seen = Seen::Content(self.current().digest);
        loop {
            sleep(EVERY).await;
            self.tell_of_expiry();
            let files = self.files.clone();
            let looked = spawn_blocking(move || match Pem::read(&files) {
                Ok(pem) => (Seen::Content(pem.digest()), pem.config().map(|config| (config, pem.expires()))),
                Err(error) => (Seen::Nothing(error.clone()), Err(error)),
            });
            let Ok((now, read)) = looked.await else { continue };
            if now == seen {
                continue;
            }
            seen = now;
            // One that clients refuse does not take the place of one that they take.
            let read = read.and_then(|(config, expires)| match expires.filter(|&at| at <= SystemClock.now()) {
                Some(at) if self.expired().is_none() => Err(Unusable::expired(&self.files, at)),
                _ => Ok((config, expires)),
            });
            match (&seen, read) {
                (Seen::Content(digest), Ok(_)) if *digest == self.current().digest => self.recover(),
                (Seen::Content(digest), Ok((config, expires))) => {
                    let next = InUse { config, digest: *digest };
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
                    self.certificate.change(|status| {
                        (status.since, status.expires, status.trouble) = (SystemClock.now(), expires, None);
                        status.reloads += 1;
                    });
                    let expires = expires.map(tracing::field::display);
                    info!(file = %self.files.cert_path.display(), expires, "new certificate in use");
                }
                (_, Err(error)) => self.refuse(&error),
                // What cannot be read has no configuration.
                (Seen::Nothing(_), Ok(_)) => {}
            }
        }
    }

    /// The files are again as they were.
    fn recover(&self) {
        self.certificate.change(|status| status.trouble = None);
        info!(file = %self.files.cert_path.display(), "the files of the certificate are again those that are in use");
    }

    fn refuse(&self, Unusable { file, reason, .. }: &Unusable) {
        let trouble = format!("{}: {reason}", file.display());
        warn!(file = %file.display(), reason, "new files of a certificate not used: those before stay in use");
        self.certificate.change(|status| {
            status.trouble = Some(trouble);
            status.refused_reloads += 1;
        });
    }
}
