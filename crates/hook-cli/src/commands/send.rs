//! `hook send`: signs a webhook as its provider would, and posts it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use hook_admin::socket::Client;
use hook_contract::plan::{IngressAdapter, Plan};
use hook_core::{
    Timestamp,
    catalog::Kind,
    names::{AdapterId, SourceName},
};
use hook_drivers::http::ingress::HttpWebhookIngress;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::posting::{Posting, read_file, said, stated};
use crate::{
    context::Context,
    data_directory::{self, Flag},
    environment::Environment,
    exit::Exit,
    lab::{
        sample,
        sender::{self, Answer, Webhook},
    },
    load::{self, Loaded},
    output::millis,
    owner::{block_on, fail},
};

/// Sign a webhook as its provider would, and post it
///
/// The secret is taken from the environment, where the contract says. Without --file a small sample body is sent.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    data_directory: Flag,

    /// The source, such as `github`
    source: SourceName,

    /// What happened, such as `pull_request.opened`
    event: String,

    /// Where to post [default: the pipeline that runs, else the contract's first HTTP adapter]
    #[arg(long, value_name = "URL")]
    url: Option<Url>,

    #[command(flatten)]
    posting: Posting,

    /// Send this body; `-` reads stdin
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// The provider's id for the delivery [default: a new one]
    #[arg(long, value_name = "ID")]
    delivery_id: Option<String>,
}

/// Sends, and fails where the pipeline refuses.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let loaded = load::load_for_question(context)?;
    let answer = block_on(context, send(context, arguments, &loaded))?;
    show(context, &answer)?;
    if answer.status.is_success() { Ok(()) } else { Err(Exit::Failure) }
}

async fn send(context: &Context, arguments: &Arguments, loaded: &Loaded) -> Result<Answer, Exit> {
    let Loaded { plan, environment, .. } = loaded;
    let source = plan.sources.get(&arguments.source).ok_or_else(|| {
        let known: Vec<&str> = plan.sources.keys().map(SourceName::as_str).collect();
        fail(context, &format!("the contract has no source {}; it has {}", arguments.source, known.join(", ")))
    })?;
    let secret = arguments.posting.key(context, source, environment)?;
    let url = match &arguments.url {
        Some(url) => url.clone(),
        None => find_url(context, arguments, plan, environment).await?,
    };
    let delivery_id = arguments.delivery_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let now = Timestamp::now();
    let verifier = (source.verifier_name.as_str(), &*source.verifier);
    let mut sample = sample::for_verifier(verifier, &arguments.event, &delivery_id, now);
    if let Some(path) = &arguments.file {
        sample.body = read_file(path).map_err(|error| fail(context, &format!("{}: {error}", path.display())))?;
    }
    let client = arguments.posting.client(context)?;
    let webhook = Webhook {
        url,
        verifier: &*source.verifier,
        event_name: &sample.event_name,
        delivery_id: &delivery_id,
        stated: stated(source, &arguments.event, &delivery_id),
        body: sample.body,
        secret: &secret,
    };
    sender::send(&client, webhook)
        .await
        .map_err(|error| fail(context, &format!("{error}; is the pipeline running? (`hook up`)")))
}

#[derive(Deserialize)]
struct Running {
    listeners: Vec<Listening>,
}

#[derive(Deserialize)]
struct Listening {
    adapter: AdapterId,
    /// None where it fetches events.
    address: Option<SocketAddr>,
}

/// The running pipeline knows its ports; otherwise the contract says where it would listen.
async fn find_url(
    context: &Context,
    arguments: &Arguments,
    plan: &Plan,
    environment: &Environment,
) -> Result<Url, Exit> {
    let directory = data_directory::locate(&arguments.data_directory, environment, &plan.app.id).ok();
    let running = match directory {
        Some(directory) => Client::new(&directory.path).get_json::<Running>("/status").await.ok(),
        None => None,
    };
    let listeners = running.map(|running| running.listeners).unwrap_or_default();
    let of_adapter = |adapter: &IngressAdapter| {
        let claim = adapter.driver.claims().into_iter().next()?;
        let listening = listeners.iter().find(|listening| listening.adapter == adapter.id);
        let address = listening.and_then(|listening| listening.address).or(claim.address)?;
        let scheme = if adapter.tls.is_some() { "https" } else { "http" };
        (address.port() != 0).then(|| url(scheme, address, &claim.path, &arguments.source)).flatten()
    };
    let takes_webhooks = |adapter: &&IngressAdapter| adapter.driver_name == HttpWebhookIngress::NAME;
    plan.serve
        .adapters
        .iter()
        .filter(takes_webhooks)
        .find_map(of_adapter)
        .ok_or_else(|| fail(context, "nothing says where to post: start the pipeline with `hook up`, or give --url"))
}

fn url(scheme: &str, mut address: SocketAddr, path: &str, source: &SourceName) -> Option<Url> {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    format!("{scheme}://{address}{}", path.replace("{source}", source.as_str())).parse().ok()
}

fn show(context: &Context, answer: &Answer) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        status: u16,
        took_ms: f64,
        answer: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    }
    let took_ms = millis(answer.took);
    if context.output.is_json() {
        let (status, id) = (answer.status.as_u16(), answer.id.as_deref());
        return context.output.json(&Shown { status, took_ms, answer: &answer.body, id });
    }
    context.output.line(&format!("{} {}  [{took_ms:.1} ms]", answer.status.as_u16(), said(answer)))?;
    // Of a refusal there is no event, but a request that can be asked about.
    let ids = ["event_id", "request_id"].map(|key| answer.text(key)).into_iter().chain(answer.id.as_deref());
    if let Some(id) = ids.into_iter().find(|id| !id.is_empty()) {
        context.output.note(&format!("`hook explain {id}` tells its story"));
    }
    Ok(())
}
