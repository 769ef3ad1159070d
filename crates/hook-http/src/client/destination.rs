//! The client that every outgoing HTTP driver shares: one destination, one attempt at a time-out, no surprises.
//!
//! It follows no redirect, asks no proxy of the environment, retries nothing, and connects only where [`guard`] lets it.
//!
//! [`guard`]: super::Guard

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use hook_core::{
    catalog::Fault,
    clock::{Clock, SystemClock},
    outcome::{FailureClass, Outcome},
    ports::egress::CheckError,
};
use http::{HeaderMap, Method};
use reqwest::{Certificate, ClientBuilder, Response, redirect};
use url::{Host, Url};

use super::{
    classify,
    guard::{self, Guard},
};
use crate::networks;

/// An answer's body is read so far, so that its connection can be used again. Nobody looks at it.
const ANSWER_BYTES: usize = 64 * 1024;
/// Longer than an answer's body is waited for once its status is known.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// A connection that was idle for so long is closed, before most servers do it.
const IDLE: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT_SECONDS: u64 = 3600;

/// What every outgoing HTTP driver is told about its destination.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// Where it is.
    pub url: &'a str,
    /// How long one attempt may take.
    pub timeout_seconds: NonZeroU64,
    /// Networks that are not public and may be reached all the same.
    pub allow_networks: &'a [String],
}

/// A client of one destination. Inert until it is used.
pub struct Client {
    url: Url,
    timeout: Duration,
    guard: Guard,
    authority: Option<PathBuf>,
    client: OnceLock<reqwest::Client>,
}

impl Client {
    /// Checks the settings of a destination.
    pub fn new(destination: Destination<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let url = parse_url(destination.url).map_err(|fault| faults.push(fault));
        let seconds = destination.timeout_seconds.get();
        if seconds > LONGEST_TIMEOUT_SECONDS {
            let help = format!("write at most {LONGEST_TIMEOUT_SECONDS}");
            faults.push(Fault::at("/timeout_seconds", format!("{seconds} is too much"), help));
        }
        let allowed = networks::parse("/allow_networks", destination.allow_networks)
            .map_err(|mut wrong| faults.append(&mut wrong));
        let (Ok(url), Ok(allowed), true) = (url, allowed, faults.is_empty()) else { return Err(faults) };
        let guard = Guard::new(allowed, url.host_str() == Some("localhost"));
        Ok(Self { url, timeout: Duration::from_secs(seconds), guard, authority: None, client: OnceLock::new() })
    }

    /// The same, which trusts the authorities in this file and no others. The file is read when the first attempt is made.
    pub fn trusting(self, authority: Option<PathBuf>) -> Result<Self, Vec<Fault>> {
        if authority.is_some() && self.url.scheme() != "https" {
            let help = "write an `https` URL, or leave `ca_path` out";
            return Err(vec![Fault::at("/ca_path", "it has no effect: the URL is not one of TLS", help)]);
        }
        Ok(Self { authority, ..self })
    }

    /// Where it sends.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Makes one attempt.
    pub async fn send(&self, method: Method, headers: HeaderMap, body: Bytes) -> Outcome {
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return Outcome::failed(FailureClass::Misconfigured, error),
        };
        match client.request(method, self.url.clone()).headers(headers).body(body).send().await {
            Ok(response) => {
                let outcome = classify::answer(response.status(), response.headers(), SystemClock.now().into());
                discard(response).await;
                outcome
            }
            Err(error) => classify::error(&error, self.timeout),
        }
    }

    /// Makes one request with a time-out of its own, which holds for the answer's body too. Whatever is answered is the caller's
    /// to judge, and to read within bounds.
    pub async fn request(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response, Outcome> {
        let client = self.client().map_err(|error| Outcome::failed(FailureClass::Misconfigured, error))?;
        let request = client.request(method, self.url.clone()).headers(headers).body(body).timeout(timeout);
        request.send().await.map_err(|error| classify::error(&error, timeout))
    }

    /// Asks for the destination itself; whatever is answered is the caller's to judge.
    pub async fn get(&self, headers: HeaderMap) -> Result<Response, Outcome> {
        let client = self.client().map_err(|error| Outcome::failed(FailureClass::Misconfigured, error))?;
        let answered = client.get(self.url.clone()).headers(headers).send().await;
        answered.map_err(|error| classify::error(&error, self.timeout))
    }

    /// Asks the destination's root for its headers, with no credentials: any answer at all says that name, connection
    /// and TLS are well, and none can be mistaken for a delivery.
    pub async fn probe(&self) -> Result<(), CheckError> {
        let client = self.client().map_err(CheckError::Unreachable)?;
        let mut root = self.url.clone();
        root.set_path("/");
        root.set_query(None);
        match client.head(root).send().await {
            Ok(_) => Ok(()),
            Err(error) => match classify::error(&error, self.timeout) {
                Outcome::Delivered { .. } => Ok(()),
                Outcome::Failed(failure) => Err(CheckError::Unreachable(failure.error)),
            },
        }
    }

    /// Made when it is first needed: making one reads the system's certificates. Where it cannot be made, the next attempt
    /// tries again: the operator may have mended what was wrong.
    fn client(&self) -> Result<&reqwest::Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.build()?;
        Ok(self.client.get_or_init(|| client))
    }

    fn build(&self) -> Result<reqwest::Client, String> {
        let failed =
            |error: reqwest::Error| format!("the HTTP client could not be set up: {}", classify::root_cause(&error));
        if let Some(authority) = &self.authority {
            return self.trusting_only(authorities(authority)?).map_err(failed);
        }
        let needs_tls = self.url.scheme() == "https";
        // The system's own certificates where it has usable ones, beside those that are compiled in.
        self.build_with(needs_tls, needs_tls).or_else(|_| self.build_with(needs_tls, false)).map_err(failed)
    }

    fn trusting_only(&self, authorities: Vec<Certificate>) -> reqwest::Result<reqwest::Client> {
        let builder = self.builder().tls_built_in_root_certs(false);
        authorities.into_iter().fold(builder, ClientBuilder::add_root_certificate).build()
    }

    fn build_with(&self, compiled_roots: bool, system_roots: bool) -> reqwest::Result<reqwest::Client> {
        let builder = self.builder().tls_built_in_webpki_certs(compiled_roots);
        builder.tls_built_in_native_certs(system_roots).build()
    }

    fn builder(&self) -> ClientBuilder {
        reqwest::Client::builder()
            .user_agent(concat!("hook/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .timeout(self.timeout)
            .connect_timeout(self.timeout / 2)
            .pool_idle_timeout(IDLE)
            .dns_resolver(Arc::new(self.guard.clone()))
    }
}

/// The authorities in a file (PEM), or why there are none.
pub fn authorities(file: &Path) -> Result<Vec<Certificate>, String> {
    let failed = |why: String| format!("could not use the authority {}: {why}", file.display());
    let pem = std::fs::read(file).map_err(|error| failed(format!("it cannot be read: {error}")))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(authorities) if !authorities.is_empty() => Ok(authorities),
        _ => Err(failed("it holds no certificate in PEM".to_owned())),
    }
}

fn parse_url(text: &str) -> Result<Url, Fault> {
    let fault = |message: &str, help: &str| Fault::at("/url", message, help);
    let example = "write a URL such as `https://agent.example.com/hooks/agent`";
    let url = Url::parse(text).map_err(|error| fault(&format!("this is not a URL: {error}"), example))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fault("only `http` and `https` can be spoken to", example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "name an environment variable in `token_env`, and leave user and password out of the URL";
        return Err(fault("a secret is written into the URL", help).security_critical());
    }
    if url.fragment().is_some() {
        return Err(fault("a fragment is never sent", "leave out `#` and what follows it"));
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) | None => None,
    };
    if address.is_some_and(guard::is_metadata) {
        let help = "name the service that is to take the events";
        return Err(fault("this is a cloud metadata address, which is never reached", help).security_critical());
    }
    Ok(url)
}

/// Reads an answer's body to its end where that is near. The status has already decided.
async fn discard(mut response: Response) {
    let reading = async {
        let mut left = ANSWER_BYTES;
        while let Ok(Some(piece)) = response.chunk().await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(ANSWER_PATIENCE, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(url: &str) -> Vec<Fault> {
        let timeout_seconds = NonZeroU64::MIN;
        match Client::new(Destination { url, timeout_seconds, allow_networks: &[] }) {
            Ok(_) => Vec::new(),
            Err(faults) => faults,
        }
    }

    #[test]
    fn an_address_may_be_written_unless_it_is_a_metadata_address() {
        for url in
            ["http://127.0.0.1:18789/hooks/agent", "http://[::1]/", "http://localhost/", "https://example.com/a?b"]
        {
            assert_eq!(faults(url), [], "{url}");
        }
        for url in [
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://168.63.129.16/",
        ] {
            let faults = faults(url);
            assert!(faults.len() == 1 && faults[0].is_security_critical, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_a_destination_is_a_fault() {
        for url in ["", "example.com", "ftp://example.com/", "file:///etc/passwd", "http://", "https://example.com/#x"]
        {
            assert_eq!(faults(url).len(), 1, "{url}");
        }
    }

    #[test]
    fn a_secret_in_the_url_is_a_fault_that_does_not_repeat_it() {
        let faults = faults("https://user:canary@example.com/");
        assert!(faults[0].is_security_critical);
        assert!(!format!("{faults:?}").contains("canary"));
    }

    /// A client whose name leads to this machine and is not the `localhost` that the contract may write.
    fn client_of_a_private_name(port: u16, allowed: &[&str]) -> Client {
        let url = Url::parse(&format!("http://localhost:{port}/?key=canary")).unwrap();
        let guard = Guard::new(allowed.iter().map(|text| text.parse().unwrap()).collect(), false);
        Client { url, timeout: Duration::from_secs(5), guard, authority: None, client: OnceLock::new() }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_not_connected_to_unless_allowed() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let outcome = client_of_a_private_name(port, &[]).send(Method::POST, HeaderMap::new(), Bytes::new()).await;
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.class, FailureClass::Misconfigured);
        assert!(failure.error.contains("allow_networks") && !failure.error.contains("canary"), "{}", failure.error);

        let allowed = client_of_a_private_name(port, &["127.0.0.0/8", "::1/128"]);
        let (_accepted, _) = tokio::select! {
            outcome = allowed.send(Method::POST, HeaderMap::new(), Bytes::new()) => panic!("{outcome:?}"),
            accepted = server.accept() => accepted.unwrap(),
        };
    }
}
