//! From files to a configuration, or why not.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use hook_core::{Timestamp, tls::TlsFiles};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};
use sha2::Sha256;

use super::validity;

/// More than any chain needs; a wrong path does not fill the memory.
const MAX_BYTES: u64 = 1 << 20;
/// RFC 7301: the one protocol that the listener speaks.
const PROTOCOL: &[u8] = b"http/1.1";

/// Why files cannot be used for TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The key of the contract that names the file, such as `cert_path`.
    pub key: &'static str,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it. Never shows what is in it.
    pub reason: String,
}

impl Unusable {
    /// A certificate whose time is over.
    pub(super) fn expired(files: &TlsFiles, at: Timestamp) -> Self {
        unusable("cert_path", &files.cert_path, format!("it expired at {at}"))
    }
}

/// Tells contents apart.
pub(super) type Digest = [u8; 32];

/// What stands in the files.
pub(super) struct Pem<'a> {
    files: &'a TlsFiles,
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

impl<'a> Pem<'a> {
    /// Reads all of them.
    pub(super) fn read(files: &'a TlsFiles) -> Result<Self, Unusable> {
        let mut contents = Vec::new();
        for (key, path) in files.named() {
            contents.push(read(path).map_err(|error| unusable(key, path, format!("it cannot be read: {error}")))?);
        }
        let mut contents = contents.into_iter();
        let mut next = || contents.next().unwrap_or_default();
        let (certificate, key) = (next(), next());
        Ok(Self { files, certificate, key, client_authorities: contents.next() })
    }

    pub(super) fn digest(&self) -> Digest {
        use sha2::Digest as _;
        let parts = [Some(&self.certificate), Some(&self.key), self.client_authorities.as_ref()];
        let each = parts.map(|part| Sha256::digest(part.map(Vec::as_slice).unwrap_or_default()));
        each.iter().fold(Sha256::new(), Sha256::chain_update).finalize().into()
    }

    /// When the certificate expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        validity::not_after(&CertificateDer::from_pem_slice(&self.certificate).ok()?)
    }

    /// TLS 1.2 and 1.3. Fails where key and certificate are not of each other, as between the writing of one and of the other.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, Unusable> {
        let TlsFiles { cert_path, key_path, client_ca_path } = self.files;
        let of_certificate = |reason: String| unusable("cert_path", cert_path, reason);
        let chain = certificates(&self.certificate).map_err(of_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|error| unusable("key_path", key_path, not_pem(&error, "private key")))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| of_certificate(error.to_string()))?;
        let builder = match (&self.client_authorities, client_ca_path) {
            (Some(authorities), Some(path)) => {
                let of_clients = |reason: String| unusable("client_ca_path", path, reason);
                builder.with_client_cert_verifier(verifier(authorities, provider).map_err(of_clients)?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                unusable("key_path", key_path, format!("it is not the key of {}", cert_path.display()))
            }
            rustls::Error::General(reason) => unusable("key_path", key_path, reason),
            error => of_certificate(refused(&error)),
        })?;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Arc::new(config))
    }
}

fn verifier(
    authorities: &[u8],
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|error| error.to_string())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(not_pem(&pem::Error::NoItemsFound, "certificate")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(not_pem(&error, "certificate")),
    }
}

/// Why a certificate that can be read is none for us. What signs it is not asked, and neither is its time: clients judge those.
fn refused(error: &rustls::Error) -> String {
    let text = error.to_string();
    // The library's own words are those of a program.
    match text.contains("UnsupportedCertVersion") {
        true => "it is an X.509 certificate of version 1: make one of version 3, with its names as `subjectAltName`"
            .to_owned(),
        false => text,
    }
}

fn not_pem(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("it holds no {what} in PEM"),
        // The others could show what is in it.
        _ => format!("what it holds is no {what} in PEM, or not all of it"),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn unusable(key: &'static str, file: &Path, reason: String) -> Unusable {
    Unusable { key, file: file.to_owned(), reason }
}
