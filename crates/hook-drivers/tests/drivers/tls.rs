//! TLS: of an address that we listen on, with clients that agree and with those that do not; and to a destination whose authority is a
//! private one.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use hook_core::{
    names::AdapterId,
    outcome::{FailureClass, Outcome},
    ports::ingress::{Doors, ListenError, Listener, Opening},
    stop::Stop,
    tls::{Certificate, TlsFiles},
};
use hook_testkit::fake_inlet::FakeInlet;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use reqwest::{StatusCode, tls::Version};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::{
    receiver::{class, deliver, driver, event, failure, secrets},
    websocket_server,
    wire::{Client, post},
};

const PATH: &str = "/webhook/github";
/// Of version 1, as `openssl x509 -req` makes them where nothing is said of extensions.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBIzCBywIULZg9UyBWks+Hwga4IyYEjt9zIAIwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjAxMDM0M1oYDzIxMjYxMDI5MDEwMzQz
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATXyNna4b4ROzESsfHk6U2Tp2lnsjQ9BuGmp1eQcN0J7bTbZLaEARqu9D08S1VX
VWgeH8O0hMOUK+Ld+ptlmo68MAoGCCqGSM49BAMCA0cAMEQCIGRA5yWv9tA2RAXK
SvddYYCgqeYUc0WHdd7/2pr/Zog2AiBxWZAO1GAwnZMYrySTPp7wNWnUjaLSYa1b
cPRnw4xbLQ==
-----END CERTIFICATE-----
";
const KEY_OF_VERSION_1: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBN/0et59P9LiQiEW
WFdQ2YKf7yw8S7navMUcY6xNK0GhRANCAATXyNna4b4ROzESsfHk6U2Tp2lnsjQ9
BuGmp1eQcN0J7bTbZLaEARqu9D08S1VXVWgeH8O0hMOUK+Ld+ptlmo68
-----END PRIVATE KEY-----
";

/// An authority, and files that it has signed.
struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Certificate and key for this machine.
    fn sign(&self) -> [String; 2] {
        self.sign_until(2096)
    }

    /// The same, until the first day of a year.
    fn sign_until(&self, year: i32) -> [String; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        [params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem()]
    }

    /// The same, written where the listener looks.
    fn issue(&self) -> TlsFiles {
        let [certificate, key] = self.sign();
        let files = self.files();
        fs::write(&files.cert_path, certificate).unwrap();
        fs::write(&files.key_path, key).unwrap();
        files
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { cert_path: self.path("server.pem"), key_path: self.path("server.key"), client_ca_path: None }
    }

    /// A client that trusts this authority and no other.
    fn client(&self) -> reqwest::ClientBuilder {
        let authority = reqwest::Certificate::from_pem(&fs::read(self.path("ca.pem")).unwrap()).unwrap();
        reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).add_root_certificate(authority)
    }
}

/// An ingress that speaks TLS.
struct Running {
    address: SocketAddr,
    certificate: Certificate,
}

impl Running {
    async fn open(files: &TlsFiles, more: Value) -> Result<Box<dyn Listener>, ListenError> {
        let mut settings = json!({ "bind": "127.0.0.1:0", "tls": files });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let entry = hook_drivers::ingress().into_iter().find(|entry| entry.name() == "http_webhook_ingress").unwrap();
        let driver = entry.build(settings).ok().unwrap().driver;
        let (adapter, secrets, doors) = (AdapterId::new("https-in").unwrap(), secrets(&[]), Doors::default());
        let opening = Opening { adapter: &adapter, secrets: &secrets, beside: None, tls: driver.tls(), doors: &doors };
        driver.listen(opening).await
    }

    async fn start(inlet: &Arc<FakeInlet>, files: &TlsFiles, more: Value) -> Self {
        let listener = Self::open(files, more).await.unwrap();
        let (address, certificate) = (listener.address().unwrap(), listener.certificate().unwrap());
        tokio::spawn(listener.run(Arc::clone(inlet) as _, Stop::never()));
        Self { address, certificate }
    }

    fn url(&self) -> String {
        format!("https://{}{PATH}", self.address)
    }

    async fn post(&self, client: reqwest::ClientBuilder) -> reqwest::Result<StatusCode> {
        Ok(client.build().unwrap().post(self.url()).body("{}").send().await?.status())
    }

    /// Waits until the certificate is as it should be.
    async fn until(&self, what: &str, is_so: impl Fn(&hook_core::tls::CertificateStatus) -> bool) {
        let waiting = async {
            while !is_so(&self.certificate.get()) {
                // tidy-allow(no-sleep): the files are looked at on real time, and that notifies nobody
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(in_time.is_ok(), "waited in vain until {what}: {:?}", self.certificate.get());
    }
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_with_who_trusts_the_authority() {
    let (authority, inlet) = (Authority::new(), FakeInlet::storing());
    let running = Running::start(&inlet, &authority.issue(), json!({})).await;
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let client = authority.client().min_tls_version(version).max_tls_version(version);
        assert_eq!(running.post(client).await.unwrap(), 202, "{version:?}");
    }
    assert_eq!(inlet.bodies().len(), 2);
    assert!(running.post(Authority::new().client()).await.is_err(), "it trusts another authority");
    running.until("the failed handshake is counted", |status| status.failed_handshakes == 1).await;
    assert_eq!(inlet.bodies().len(), 2);
}

#[tokio::test]
async fn who_speaks_http_in_the_clear_is_told_to_use_tls() {
    let (authority, inlet) = (Authority::new(), FakeInlet::storing());
    let running = Running::start(&inlet, &authority.issue(), json!({})).await;
    let mut client = Client::connect(running.address).await;
    client.send(post(PATH, &[], "{}")).await;
    let answer = client.receive().await;
    assert_eq!((answer.status, answer.body.as_str()), (400, "this address speaks TLS: use https\n"));
    assert!(client.is_closed().await);
    let mut client = Client::connect(running.address).await;
    client.send([0, 1, 2, 3]).await;
    assert!(client.is_closed().await, "what is no protocol that we know is not answered");
    assert!(inlet.bodies().is_empty());
    assert_eq!(running.post(authority.client()).await.unwrap(), 202);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_shake_hands_has_a_place_and_loses_it_after_the_time_out() {
    let authority = Authority::new();
    let limits = json!({ "max_connections": 1, "read_timeout_seconds": 7 });
    let running = Running::start(&FakeInlet::storing(), &authority.issue(), limits).await;
    let started = Instant::now();
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    // The first bytes of a record, and no more of them.
    let mut slow = Client::connect(running.address).await;
    slow.push([22, 3, 1]).await;
    assert!(matches!(silent.read(&mut [0]).await, Ok(0) | Err(_)));
    assert_eq!(started.elapsed().as_secs(), 7);
    assert!(slow.is_closed().await);
    assert_eq!(started.elapsed().as_secs(), 14, "it had no place before the first had lost it");
    assert_eq!(running.certificate.get().failed_handshakes, 2);
}

#[tokio::test]
async fn a_client_needs_a_certificate_where_its_authority_is_named() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = TlsFiles { client_ca_path: Some(clients.path("ca.pem")), ..authority.issue() };
    let running = Running::start(&FakeInlet::storing(), &files, json!({})).await;
    let identity = |authority: &Authority| {
        let [certificate, key] = authority.sign();
        reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    };
    assert_eq!(running.post(authority.client().identity(identity(&clients))).await.unwrap(), 202);
    assert!(running.post(authority.client().identity(identity(&authority))).await.is_err());
    assert!(running.post(authority.client()).await.is_err());
}

#[tokio::test]
async fn new_files_are_taken_when_they_fit_and_those_before_stay_until_then() {
    let (first, second) = (Authority::new(), Authority::new());
    let files = first.issue();
    let running = Running::start(&FakeInlet::storing(), &files, json!({})).await;
    assert_eq!(running.post(first.client()).await.unwrap(), 202);

    // Half of it: the certificate without its key, and then with a torn one.
    let [certificate, key] = second.sign();
    fs::write(&files.cert_path, certificate).unwrap();
    running.until("the pair is refused", |status| status.refused_reloads == 1).await;
    let trouble = running.certificate.get().trouble.unwrap();
    assert!(trouble.contains("server.key: it is not the key of"), "{trouble}");
    fs::write(&files.key_path, &key[..key.len() / 2]).unwrap();
    running.until("the torn key is refused", |status| status.refused_reloads == 2).await;
    assert_eq!(running.post(first.client()).await.unwrap(), 202, "the old pair is in use");
    assert_eq!(running.certificate.get().reloads, 0);

    fs::write(&files.key_path, key).unwrap();
    running.until("the new pair is in use", |status| status.reloads == 1).await;
    assert_eq!(running.certificate.get().trouble, None);
    assert_eq!(running.post(second.client()).await.unwrap(), 202);
    assert!(running.post(first.client()).await.is_err());

    // Gone and back.
    let kept = fs::read(&files.cert_path).unwrap();
    fs::remove_file(&files.cert_path).unwrap();
    running.until("the missing file is noticed", |status| status.trouble.is_some()).await;
    assert_eq!(running.post(second.client()).await.unwrap(), 202);
    fs::write(&files.cert_path, kept).unwrap();
    running.until("all is well", |status| status.trouble.is_none()).await;
    assert_eq!((running.certificate.get().reloads, running.certificate.get().refused_reloads), (1, 3));
}

#[tokio::test]
async fn a_certificate_that_has_expired_takes_the_place_of_none_that_has_not_and_is_said_to_be_so() {
    let authority = Authority::new();
    let files = authority.issue();
    let write = |year: i32| {
        let [certificate, key] = authority.sign_until(year);
        fs::write(&files.key_path, key).unwrap();
        fs::write(&files.cert_path, certificate).unwrap();
    };
    let running = Running::start(&FakeInlet::storing(), &files, json!({})).await;
    write(2021);
    running.until("the pair is refused", |status| is_expired(&status.trouble)).await;
    assert_eq!(running.post(authority.client()).await.unwrap(), 202, "the old pair is in use");

    // It opens an address: who renews it may come later, and nothing else is at fault.
    let running = Running::start(&FakeInlet::storing(), &files, json!({})).await;
    assert!(is_expired(&running.certificate.get().trouble));
    assert!(running.post(authority.client()).await.is_err());
    write(2096);
    running.until("the new pair is in use", |status| status.trouble.is_none()).await;
    assert_eq!(running.post(authority.client()).await.unwrap(), 202);
}

fn is_expired(trouble: &Option<String>) -> bool {
    trouble.as_ref().is_some_and(|trouble| trouble.contains("it expired at 2021-01-01T00:00:00Z"))
}

#[tokio::test]
async fn files_that_cannot_be_used_open_no_address() {
    let (authority, other) = (Authority::new(), Authority::new());
    let [files, others] = [authority.issue(), other.issue()];
    let garbage = authority.path("garbage.pem");
    fs::write(&garbage, "-----BEGIN CERTIFICATE-----\ncanary").unwrap();
    let [old, old_key] = [authority.path("version-1.pem"), authority.path("version-1.key")];
    fs::write(&old, VERSION_1).unwrap();
    fs::write(&old_key, KEY_OF_VERSION_1).unwrap();
    let with = |cert_path: &Path, key_path: &Path| TlsFiles {
        cert_path: cert_path.to_owned(),
        key_path: key_path.to_owned(),
        client_ca_path: None,
    };
    for (files, file, why) in [
        (with(&authority.path("missing.pem"), &files.key_path), "missing.pem", "it cannot be read"),
        (with(&files.cert_path, &others.key_path), "server.key", "it is not the key of"),
        (with(&files.key_path, &files.key_path), "server.key", "it holds no certificate in PEM"),
        (with(&files.cert_path, &files.cert_path), "server.pem", "it holds no private key in PEM"),
        (with(&garbage, &files.key_path), "garbage.pem", "no certificate in PEM"),
        (with(&old, &old_key), "version-1.pem", "make one of version 3"),
        (TlsFiles { client_ca_path: Some(garbage.clone()), ..files.clone() }, "garbage.pem", "no certificate in PEM"),
    ] {
        let Err(ListenError::Tls { file: wrong, reason }) = Running::open(&files, json!({})).await else {
            panic!("{files:?}")
        };
        assert!(wrong.ends_with(file) && reason.contains(why), "{}: {reason}", wrong.display());
        assert!(!reason.contains("canary"), "{reason}");
    }
}

#[tokio::test]
async fn a_destination_of_a_private_authority_is_delivered_to_and_no_other() {
    let (authority, inlet) = (Authority::new(), FakeInlet::storing());
    let running = Running::start(&inlet, &authority.issue(), json!({})).await;
    let send = async |ca_path: Option<PathBuf>| {
        let mut settings = json!({ "url": running.url() });
        if let Some(path) = ca_path {
            settings["ca_path"] = json!(path);
        }
        deliver(&*driver("http_output", settings), &event("{\"a\":1}"), &secrets(&[])).await
    };
    assert!(matches!(send(Some(authority.path("ca.pem"))).await, Outcome::Delivered { .. }));
    assert_eq!(inlet.bodies().len(), 1);
    let other = Authority::new();
    for ca_path in [None, Some(other.path("ca.pem"))] {
        assert_eq!(class(send(ca_path).await), FailureClass::Unreachable, "its certificate is not trusted");
    }
    let missing = failure(send(Some(authority.path("missing.pem"))).await);
    assert_eq!(missing.class, FailureClass::Misconfigured);
    assert!(missing.error.contains("missing.pem"), "{}", missing.error);
    assert_eq!(inlet.bodies().len(), 1);
}

#[tokio::test]
async fn clients_that_watch_are_given_events_over_tls() {
    let authority = Authority::new();
    let running = websocket_server::Running::start(json!({ "tls": authority.issue() })).await;
    let client = authority.client().build().unwrap();
    let request = client
        .get(format!("https://{}/events", running.address))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 101);
    let upgraded = response.upgrade().await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    assert_eq!(running.publish_one().await, "handed to 1 client");
    let Some(Ok(Message::Text(text))) = socket.next().await else { panic!("no event came") };
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["payload"]["n"], 0);
    assert_eq!(running.driver.certificate().unwrap().get().failed_handshakes, 0);
}
