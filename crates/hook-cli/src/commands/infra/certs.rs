//! `hook infra certs`: a certificate authority of one's own, for brokers and clients on machines of one's own.

use std::{
    fs::{DirBuilder, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hook_core::{Timestamp, tls::TlsFiles};
use jiff::{ToSpan, Zoned, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Serialize;

use crate::{context::Context, exit::Exit};

/// The longest that clients of several vendors accept for a server's certificate.
const DAYS: u16 = 825;
/// An authority outlives what it has signed.
const AUTHORITY_DAYS: u16 = 3650;
const AUTHORITY: &str = "ca";
const AUTHORITY_NAME: &str = "hook certificate authority";
const BROKER: &str = "broker";

/// Certificates for a broker or an ingress, and for their clients
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, clap::Subcommand)]
enum Task {
    Gen(Gen),
}

/// Make a certificate authority, and certificates of a server and a client that it has signed
///
/// Writes `ca`, `broker` (or what --server says) and the client's name, each as `.pem` (certificate) and `.key` (private key, PKCS#8, for its
/// owner alone), and `broker.keystore.pem`, which a broker takes as a key store of type PEM. An authority that is there
/// already is used again, so that clients can be added; no file is written over without --force.
#[derive(Debug, clap::Args)]
struct Gen {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "certs")]
    dir: PathBuf,
    /// What the server's files are called, such as `ingress` for an adapter of ours that speaks HTTPS
    #[arg(long, value_name = "NAME", default_value = BROKER, value_parser = server_name)]
    server: String,
    /// Names and addresses that clients reach the server by
    #[arg(long = "host", value_name = "HOST", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// A client, who becomes a principal `CN=NAME` at a broker; can be given several times
    #[arg(long = "client", value_name = "NAME", default_value = "hook", value_parser = file_name)]
    clients: Vec<String>,
    /// Only clients: the server has its certificate
    #[arg(long)]
    clients_only: bool,
    /// How long server and clients may use them
    #[arg(long, default_value_t = DAYS, value_parser = clap::value_parser!(u16).range(1..=i64::from(AUTHORITY_DAYS)))]
    days: u16,
    /// Write over the certificates of server and client; never over the authority
    #[arg(long)]
    force: bool,
}

/// What was written, for programs.
#[derive(Serialize)]
struct Answer {
    /// The authority was there before, and signed again.
    authority_existed: bool,
    expires_on: Date,
    files: Vec<PathBuf>,
    /// For a client of a broker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<(&'static str, PathBuf)>,
    /// For an adapter that listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsFiles>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("{} exists: --force writes over it, another --dir leaves it", .0.display())]
    Exists(PathBuf),
    #[error("{} exists and {} does not: put it back, or take another --dir", .0.display(), .1.display())]
    Half(PathBuf, PathBuf),
    #[error("could not write {}: {}", .0.display(), .1)]
    Write(PathBuf, io::Error),
    #[error("could not read {}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    #[error("{} holds no private key of an authority: {}", .0.display(), .1)]
    Authority(PathBuf, rcgen::Error),
    #[error("{} is not the certificate that this command made for ca.key: take another --dir", .0.display())]
    Foreign(PathBuf),
    #[error("{0:?} is neither a host name nor an address: write it as clients connect to it, without a port")]
    Host(String),
    #[error("{0} is the name of the server and of a client: give one of them another")]
    Same(String),
    #[error("could not make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Makes what was asked for.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let Task::Gen(arguments) = &arguments.task;
    let answer = arguments.make().map_err(|error| {
        context.output.error(&error.to_string());
        Exit::Failure
    })?;
    if context.output.is_json() {
        return context.output.json(&answer);
    }
    for file in &answer.files {
        context.output.line(&file.display().to_string())?;
    }
    if let Some(TlsFiles { cert_path, key_path, .. }) = &answer.tls {
        context.output.heading("For an adapter in the contract")?;
        let (certificate, key) = (cert_path.display(), key_path.display());
        context.output.line(&format!("tls = {{ cert_path = \"{certificate}\", key_path = \"{key}\" }}"))?;
    } else {
        context.output.heading("For the environment of hook")?;
    }
    for (name, file) in &answer.environment {
        context.output.line(&format!("{name}={}", file.display()))?;
    }
    let authority =
        if answer.authority_existed { "signed by the authority that was there" } else { "with a new authority" };
    context.output.note(&format!("good until {}, {authority}; keep ca.key where no pipeline runs", answer.expires_on));
    Ok(())
}

impl Gen {
    fn make(&self) -> Result<Answer, Failed> {
        let today = Timestamp::now().to_zoned(TimeZone::UTC);
        let pairs = self.pairs()?;
        let mut taken = pairs.iter().flat_map(|pair| pair.files(&self.dir));
        if let Some(file) = taken.find(|file| !self.force && file.exists()) {
            return Err(Failed::Exists(file));
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|error| Failed::Write(self.dir.clone(), error))?;
        let mut files = Vec::new();
        let (authority, authority_existed) = self.authority(&today, &mut files)?;
        let expires_on = in_days(&today, self.days);
        for mut pair in pairs {
            set_validity(&mut pair.params, &today, self.days);
            let key = KeyPair::generate()?;
            let certificate = pair.params.signed_by(&key, &authority)?;
            pair.write(&self.dir, &certificate.pem(), &key.serialize_pem(), &mut files)?;
        }
        let (environment, tls) =
            if self.server == BROKER { (self.environment(), None) } else { (Vec::new(), self.tls()) };
        Ok(Answer { authority_existed, expires_on, files, environment, tls })
    }

    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let client = self.clients.first().map_or("hook", String::as_str);
        vec![
            ("KAFKA_TLS_CA", certificate(&self.dir, AUTHORITY)),
            ("KAFKA_TLS_CERT", certificate(&self.dir, client)),
            ("KAFKA_TLS_KEY", private_key(&self.dir, client)),
        ]
    }

    fn tls(&self) -> Option<TlsFiles> {
        let (cert_path, key_path) = (certificate(&self.dir, &self.server), private_key(&self.dir, &self.server));
        Some(TlsFiles { cert_path, key_path, client_ca_path: None })
    }

    /// What is to be signed.
    fn pairs(&self) -> Result<Vec<Pair>, Failed> {
        let mut pairs = Vec::new();
        if self.clients.contains(&self.server) {
            return Err(Failed::Same(self.server.clone()));
        }
        if !self.clients_only {
            for host in &self.hosts {
                let is_name =
                    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-*".contains(&byte));
                if !is_name && host.parse::<std::net::IpAddr>().is_err() {
                    return Err(Failed::Host(host.clone()));
                }
            }
            let params = CertificateParams::new(self.hosts.clone())?;
            let name = self.hosts.first().unwrap_or(&self.server);
            // Brokers are clients of each other.
            let uses = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            pairs.push(Pair::new(&self.server, name, params, &uses));
        }
        for client in &self.clients {
            let params = CertificateParams::default();
            pairs.push(Pair::new(client, client, params, &[ExtendedKeyUsagePurpose::ClientAuth]));
        }
        Ok(pairs)
    }

    /// The authority that is there, or a new one. And whether it was there.
    fn authority(&self, today: &Zoned, files: &mut Vec<PathBuf>) -> Result<(Issuer<'static, KeyPair>, bool), Failed> {
        let (certificate, key) = (certificate(&self.dir, AUTHORITY), private_key(&self.dir, AUTHORITY));
        match (certificate.exists(), key.exists()) {
            (true, true) => {
                let pair = KeyPair::from_pem(&read(&key)?).map_err(|error| Failed::Authority(key, error))?;
                let pem = read(&certificate)?;
                let is_ours = CertificateDer::from_pem_slice(pem.as_bytes())
                    .is_ok_and(|der| [AUTHORITY_NAME.as_bytes(), pair.der_bytes()].iter().all(|part| find(&der, part)));
                if !is_ours {
                    return Err(Failed::Foreign(certificate));
                }
                Ok((Issuer::new(authority_params(today), pair), true))
            }
            (true, false) => Err(Failed::Half(certificate, key)),
            (false, true) => Err(Failed::Half(key, certificate)),
            (false, false) => {
                let params = authority_params(today);
                let pair = KeyPair::generate()?;
                let made = params.self_signed(&pair)?;
                write(&key, &pair.serialize_pem(), Readers::Owner, files)?;
                write(&certificate, &made.pem(), Readers::All, files)?;
                Ok((Issuer::new(params, pair), false))
            }
        }
    }
}

/// A certificate to be made, with its key.
struct Pair {
    name: String,
    params: CertificateParams,
}

impl Pair {
    fn new(name: &str, common: &str, mut params: CertificateParams, uses: &[ExtendedKeyUsagePurpose]) -> Self {
        params.distinguished_name = common_name(common);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = uses.to_vec();
        params.use_authority_key_identifier_extension = true;
        Self { name: name.to_owned(), params }
    }

    /// A broker takes certificate and key from one file; we take them from two.
    fn key_store(&self, dir: &Path) -> Option<PathBuf> {
        (self.name == BROKER).then(|| dir.join("broker.keystore.pem"))
    }

    fn files(&self, dir: &Path) -> Vec<PathBuf> {
        [certificate(dir, &self.name), private_key(dir, &self.name)].into_iter().chain(self.key_store(dir)).collect()
    }

    fn write(&self, dir: &Path, pem: &str, key: &str, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
        write(&certificate(dir, &self.name), pem, Readers::All, files)?;
        write(&private_key(dir, &self.name), key, Readers::Owner, files)?;
        match self.key_store(dir) {
            Some(store) => write(&store, &format!("{key}{pem}"), Readers::Owner, files),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Readers {
    Owner,
    All,
}

fn certificate(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.pem"))
}

fn private_key(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.key"))
}

fn authority_params(today: &Zoned) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = common_name(AUTHORITY_NAME);
    set_validity(&mut params, today, AUTHORITY_DAYS);
    params
}

fn find(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn server_name(name: &str) -> Result<String, String> {
    if name == BROKER { Ok(name.to_owned()) } else { file_name(name) }
}

/// A name is that of its files as well.
fn file_name(name: &str) -> Result<String, String> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match is_plain && !name.is_empty() && !name.starts_with('.') && ![AUTHORITY, BROKER].contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(format!(
            "letters, digits, `.`, `_` and `-`, not beginning with a dot, and neither `{AUTHORITY}` nor `{BROKER}`"
        )),
    }
}

fn in_days(today: &Zoned, days: u16) -> Date {
    today.date().saturating_add(i64::from(days).days())
}

/// From yesterday, so that a clock that is behind accepts it too, to the last day.
fn set_validity(params: &mut CertificateParams, today: &Zoned, days: u16) {
    let [from, to] = [today.date().saturating_sub(1.day()), in_days(today, days)].map(|date| {
        // Between 1 and 12, and between 1 and 31.
        date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    });
    (params.not_before, params.not_after) = (from, to);
}

fn read(file: &Path) -> Result<String, Failed> {
    std::fs::read_to_string(file).map_err(|error| Failed::Read(file.to_owned(), error))
}

/// Writes beside it first: a file that could not be written whole is not there.
fn write(file: &Path, text: &str, readers: Readers, files: &mut Vec<PathBuf>) -> Result<(), Failed> {
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    };
    let failed = |error| Failed::Write(file.to_owned(), error);
    let mut beside = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(file.parent().unwrap_or(Path::new(".")))
        .map_err(failed)?;
    beside.write_all(text.as_bytes()).and_then(|()| beside.as_file().sync_all()).map_err(failed)?;
    beside.persist(file).map_err(|error| failed(error.error))?;
    files.push(file.to_owned());
    Ok(())
}
