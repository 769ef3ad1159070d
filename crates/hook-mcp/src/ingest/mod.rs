//! `mcp_ingest_exposed`: agents hand events in by calling a tool.
//!
//! | file | says |
//! |---|---|
//! | this one | the driver and its settings |
//! | `door` | one HTTP request: who may ask, what is too much |
//! | `browser` | what a browser asks before its page may |
//! | `call` | the arguments of a call, and the event that they are |
//! | `told` | what a call is answered |
//! | `tool` | the tool as MCP knows it |

mod browser;
mod call;
mod door;
mod told;
mod tool;

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use hook_core::{
    BoxFuture,
    catalog::{Fault, Kind},
    names::EnvName,
    ports::ingress::{AddressClaim, IngressDriver, ListenError, Listener, Opening},
    tls::TlsFiles,
};
use hook_http::{
    access::{Access, AuthMode},
    server::{Limits, Service, listen},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use door::Door;

/// A record holds a whole payload, and so does memory.
const LARGEST_PAYLOAD_BYTES: u64 = 32 << 20;
/// The most connections that one process can be asked to hold.
const MOST_CONNECTIONS: usize = 100_000;
/// How long a request may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// A tool's name as clients take it (MCP, "Tool names").
const LONGEST_TOOL_NAME: usize = 128;

/// The settings of `mcp_ingest_exposed`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How MCP is spoken. Both names mean its streamable HTTP transport.
    pub transport_driver: TransportDriver,
    /// The address to listen on, such as `127.0.0.1:8080`. Port 0 takes a free one.
    #[schemars(with = "String")]
    pub bind: SocketAddr,
    /// How a client proves who it is.
    pub auth_mode: AuthMode,
    /// The environment variable of the bearer token; needed with `auth_mode = "bearer"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_env: Option<EnvName>,
    /// The largest payload that is taken.
    pub max_payload_bytes: NonZeroU64,
    /// The name of the tool.
    #[serde(default = "default_tool_name")]
    pub tool_name: String,
    /// The path of the server.
    #[serde(default = "default_path")]
    pub path: String,
    /// The pages that may call from a browser, such as `https://app.example.com`. A browser says where its page comes from;
    /// other clients say nothing, and are not asked.
    #[serde(default)]
    pub allowed_origins: Vec<String>,
    /// How many connections may be open at once, on an address of its own.
    #[serde(default = "default_max_connections")]
    pub max_connections: NonZeroUsize,
    /// TLS of the address. Left out, plain HTTP is spoken there; adapters that share an address share its TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// How many requests a minute one address may make. No limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute_per_address: Option<NonZeroU32>,
}

/// How MCP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransportDriver {
    /// MCP's streamable HTTP.
    HttpSse,
    /// The same.
    StreamableHttp,
}

fn default_tool_name() -> String {
    "serve_ingest_event".into()
}

fn default_path() -> String {
    "/mcp".into()
}

fn default_max_connections() -> NonZeroUsize {
    const { NonZeroUsize::new(256).expect("not zero") }
}

/// The settings, checked.
struct Rules {
    access: Access,
    path: String,
    tool_name: String,
    max_payload_bytes: usize,
    rate_per_minute: Option<NonZeroU32>,
}

/// The driver `mcp_ingest_exposed`.
pub struct McpIngest {
    rules: Arc<Rules>,
    bind: SocketAddr,
    tls: Option<TlsFiles>,
    max_connections: usize,
}

impl Kind for McpIngest {
    const NAME: &'static str = "mcp_ingest_exposed";
    const ABOUT: &'static str = "Takes events from agents, as calls of a tool over MCP.";
    type Settings = Settings;
    type Driver = dyn IngressDriver;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = faults_of(&settings);
        let access = Access::new(settings.auth_mode, settings.token_env, settings.allowed_origins);
        let access = access.map_err(|mut wrong| faults.append(&mut wrong));
        let (Ok(access), true) = (access, faults.is_empty()) else { return Err(faults) };
        let rules = Rules {
            access,
            path: settings.path,
            tool_name: settings.tool_name,
            max_payload_bytes: usize::try_from(settings.max_payload_bytes.get()).unwrap_or(usize::MAX),
            rate_per_minute: settings.rate_per_minute_per_address,
        };
        Ok(Arc::new(Self {
            rules: Arc::new(rules),
            bind: settings.bind,
            tls: settings.tls,
            max_connections: settings.max_connections.get(),
        }))
    }
}

fn faults_of(settings: &Settings) -> Vec<Fault> {
    let limits = [
        ("/max_payload_bytes", settings.max_payload_bytes.get(), LARGEST_PAYLOAD_BYTES),
        ("/max_connections", settings.max_connections.get() as u64, MOST_CONNECTIONS as u64),
    ];
    let over = limits.into_iter().filter(|(_, value, most)| value > most);
    let mut faults: Vec<_> = over
        .map(|(pointer, value, most)| {
            Fault::at(pointer, format!("{value} is too much"), format!("write at most {most}"))
        })
        .collect();
    if !is_path(&settings.path) {
        faults.push(Fault::at("/path", "this is not a path", "write a path such as `/mcp`, without placeholders"));
    }
    if !is_tool_name(&settings.tool_name) {
        let help = format!("write 1 to {LONGEST_TOOL_NAME} of the characters A-Z a-z 0-9 _ - .");
        faults.push(Fault::at("/tool_name", "clients do not take this as the name of a tool", help));
    }
    faults
}

/// RFC 3986, section 3.3: an absolute path of `pchar`, without what would have to be decoded.
fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
    path.starts_with('/') && path.bytes().all(is_plain)
}

fn is_tool_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=LONGEST_TOOL_NAME).contains(&name.len()) && name.bytes().all(is_plain)
}

impl IngressDriver for McpIngest {
    fn claims(&self) -> Vec<AddressClaim> {
        vec![AddressClaim { address: Some(self.bind), path: self.rules.path.clone() }]
    }

    fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }

    fn listen<'a>(&'a self, opening: Opening<'a>) -> BoxFuture<'a, Result<Box<dyn Listener>, ListenError>> {
        Box::pin(async move {
            self.rules.access.ready(opening.secrets)?;
            let limits = Limits { read_timeout: READ_TIMEOUT, max_connections: self.max_connections };
            let (adapter, secrets) = (opening.adapter.clone(), Arc::clone(opening.secrets));
            let (rules, path) = (Arc::clone(&self.rules), self.rules.path.clone());
            let takes = Box::new(move |asked: &str| asked == path);
            let service = Box::new(|inlet| Arc::new(Door::new(adapter, rules, secrets, inlet)) as Arc<dyn Service>);
            listen(opening, self.bind, limits, takes, service).await
        })
    }
}

#[cfg(test)]
mod tests {
    use hook_core::catalog::{BuildError, Entry};
    use serde_json::json;

    use super::*;

    fn settings(changes: &serde_json::Value) -> serde_json::Value {
        let mut settings = json!({
            "transport_driver": "http_sse",
            "bind": "127.0.0.1:0",
            "auth_mode": "none",
            "max_payload_bytes": 1024,
        });
        settings.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let built = Entry::of::<McpIngest>().build(settings(&json!({}))).ok().unwrap();
        assert_eq!(
            built.settings,
            json!({
                "transport_driver": "http_sse",
                "bind": "127.0.0.1:0",
                "auth_mode": "none",
                "max_payload_bytes": 1024,
                "tool_name": "serve_ingest_event",
                "path": "/mcp",
                "allowed_origins": [],
                "max_connections": 256,
            })
        );
    }

    #[test]
    fn every_fault_is_told_at_its_place() {
        let wrong = json!({
            "auth_mode": "bearer",
            "max_payload_bytes": 1_u64 << 40,
            "max_connections": 1_000_000,
            "path": "/{source}",
            "tool_name": "ingest event",
            "allowed_origins": ["app.example.com"],
        });
        let Err(BuildError::Faulty(faults)) = Entry::of::<McpIngest>().build(settings(&wrong)) else { panic!() };
        let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            ["/max_payload_bytes", "/max_connections", "/path", "/tool_name", "/token_env", "/allowed_origins/0"]
        );
    }
}
