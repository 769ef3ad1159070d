//! `http_webhook_ingress`: webhooks over HTTP/1.1, with TLS of its own or behind a proxy that ends it.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    ports::ingress::{AddressClaim, IngressDriver, ListenError, Listener, Opening},
    tls::TlsFiles,
};
use hook_http::{
    networks,
    server::{Limits, Service, listen},
};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{path::PathTemplate, receive::Receiver};

/// A record holds a whole body, and so does memory while it arrives.
const LARGEST_BODY_BYTES: u64 = 32 * 1024 * 1024;
/// Longer than any sender of webhooks waits for its answer.
const LONGEST_READ_TIMEOUT_SECONDS: u64 = 3600;
/// The most connections that one process can be asked to hold.
const MOST_CONNECTIONS: usize = 1_000_000;

/// The settings of `http_webhook_ingress`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The address to listen on, such as `127.0.0.1:8080`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub bind: SocketAddr,
    /// The path, in which `{source}` stands for the name of the source.
    #[serde(default = "default_path_template")]
    pub path_template: String,
    /// The largest body that is taken.
    #[serde(default = "default_max_body_bytes")]
    pub max_body_bytes: NonZeroU64,
    /// How long a request head may take to arrive, and then its body. A connection without a request ends as late.
    #[serde(default = "default_read_timeout_seconds")]
    pub read_timeout_seconds: NonZeroU64,
    /// How many connections are served at once. Further ones wait. Of adapters that share an address, the first decides.
    #[serde(default = "default_max_connections")]
    pub max_connections: NonZeroUsize,
    /// The proxies whose `X-Forwarded-For` and `Forwarded` headers are believed.
    #[serde(default)]
    pub trusted_proxy_cidrs: Vec<String>,
    /// TLS of the address. Left out, plain HTTP is spoken there; adapters that share an address share its TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// How many requests a minute one address may make. No limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute_per_address: Option<NonZeroU32>,
}

fn default_path_template() -> String {
    "/webhook/{source}".into()
}

fn default_max_body_bytes() -> NonZeroU64 {
    const { NonZeroU64::new(1024 * 1024).expect("not zero") }
}

fn default_read_timeout_seconds() -> NonZeroU64 {
    const { NonZeroU64::new(10).expect("not zero") }
}

fn default_max_connections() -> NonZeroUsize {
    const { NonZeroUsize::new(1024).expect("not zero") }
}

/// The settings, checked.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) bind: SocketAddr,
    pub(super) path: PathTemplate,
    pub(super) max_body_bytes: u64,
    pub(super) read_timeout: Duration,
    pub(super) max_connections: usize,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) rate_per_minute: Option<NonZeroU32>,
    pub(super) tls: Option<TlsFiles>,
}

/// The driver `http_webhook_ingress`.
pub struct HttpWebhookIngress {
    rules: Arc<Rules>,
    path_template: String,
}

impl Kind for HttpWebhookIngress {
    const NAME: &'static str = "http_webhook_ingress";
    const ABOUT: &'static str = "Takes webhooks over HTTP, one path for each source.";
    type Settings = Settings;
    type Driver = dyn IngressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = limits_of(&settings);
        let path = PathTemplate::parse(&settings.path_template).map_err(|fault| faults.push(fault));
        let trusted_proxies = networks::parse("/trusted_proxy_cidrs", &settings.trusted_proxy_cidrs)
            .map_err(|mut wrong| faults.append(&mut wrong));
        let (Ok(path), Ok(trusted_proxies), true) = (path, trusted_proxies, faults.is_empty()) else {
            return Err(faults);
        };
        let rules = Rules {
            bind: settings.bind,
            path,
            max_body_bytes: settings.max_body_bytes.get(),
            read_timeout: Duration::from_secs(settings.read_timeout_seconds.get()),
            max_connections: settings.max_connections.get(),
            trusted_proxies,
            rate_per_minute: settings.rate_per_minute_per_address,
            tls: settings.tls,
        };
        Ok(Arc::new(Self { rules: Arc::new(rules), path_template: settings.path_template }))
    }
}

fn limits_of(settings: &Settings) -> Vec<Fault> {
    let limits = [
        ("/max_body_bytes", settings.max_body_bytes.get(), LARGEST_BODY_BYTES),
        ("/read_timeout_seconds", settings.read_timeout_seconds.get(), LONGEST_READ_TIMEOUT_SECONDS),
        ("/max_connections", settings.max_connections.get() as u64, MOST_CONNECTIONS as u64),
    ];
    limits
        .into_iter()
        .filter(|(_, value, most)| value > most)
        .map(|(pointer, value, most)| {
            Fault::at(pointer, format!("{value} is too much"), format!("write at most {most}"))
        })
        .collect()
}

impl IngressDriver for HttpWebhookIngress {
    fn claims(&self) -> Vec<AddressClaim> {
        vec![AddressClaim { address: Some(self.rules.bind), path: self.path_template.clone() }]
    }

    fn tls(&self) -> Option<&TlsFiles> {
        self.rules.tls.as_ref()
    }

    fn listen<'a>(&'a self, opening: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>> {
        let (adapter, rules) = (opening.adapter.clone(), Arc::clone(&self.rules));
        let limits = Limits { read_timeout: rules.read_timeout, max_connections: rules.max_connections };
        let path = rules.path.clone();
        let takes = Box::new(move |asked: &str| path.source(asked).is_some());
        let service = Box::new(|inlet| Arc::new(Receiver::new(adapter, rules, inlet)) as Arc<dyn Service>);
        Box::pin(listen(opening, self.rules.bind, limits, takes, service))
    }
}

#[cfg(test)]
mod tests {
    use hook_core::catalog::{BuildError, Entry};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_all_that_must_be_set() {
        let built = Entry::of::<HttpWebhookIngress>().build(json!({ "bind": "127.0.0.1:0" })).ok().unwrap();
        assert_eq!(
            built.settings,
            json!({
                "bind": "127.0.0.1:0",
                "path_template": "/webhook/{source}",
                "max_body_bytes": 1_048_576,
                "read_timeout_seconds": 10,
                "max_connections": 1024,
                "trusted_proxy_cidrs": [],
            })
        );
        assert_eq!(built.driver.claims()[0].path, "/webhook/{source}");
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let settings = json!({
            "bind": "127.0.0.1:0",
            "path_template": "/webhook",
            "max_body_bytes": 1u64 << 40,
            "read_timeout_seconds": 100_000,
            "max_connections": 2_000_000,
            "trusted_proxy_cidrs": ["10.0.0.0/8", "here"],
        });
        let Err(BuildError::Faulty(faults)) = Entry::of::<HttpWebhookIngress>().build(settings) else { panic!() };
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/max_body_bytes",
                "/read_timeout_seconds",
                "/max_connections",
                "/path_template",
                "/trusted_proxy_cidrs/1"
            ]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        for (key, value) in [("bind", json!("here")), ("max_body_bytes", json!(0)), ("max_connections", json!(-1))] {
            let mut settings = json!({ "bind": "127.0.0.1:0" });
            settings[key] = value;
            let Err(BuildError::Unreadable { pointer, .. }) = Entry::of::<HttpWebhookIngress>().build(settings) else {
                panic!("{key}")
            };
            assert_eq!(pointer, format!("/{key}"));
        }
    }
}
