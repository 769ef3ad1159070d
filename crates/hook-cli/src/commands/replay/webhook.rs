//! `hook replay webhook`: what stands in a file to an ingress URL, as a provider would send it.

use std::path::PathBuf;

use bytes::Bytes;
use hook_core::{Timestamp, envelope::Written, names::SourceName, secret::Secret};
use reqwest::Client;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::{
    commands::send::{read_body, said, secret},
    context::Context,
    exit::Exit,
    lab::{
        sample,
        sender::{self, Answer, Webhook},
    },
    load::{self, Loaded},
    output::millis,
    owner::{block_on, fail},
};

/// Post a file to an ingress URL, as a provider would send it
///
/// The file holds the body of one webhook, which is posted byte for byte; or envelopes, one or several, as `hook events` and
/// `file_output` write them: then each payload is posted by itself. Nothing is signed unless --sign says for which source. What
/// is taken is a new event, with a new id; a copy that the pipeline knows is answered as one.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to post; `{source}` stands for the source of each event
    #[arg(long, value_name = "URL")]
    url: String,

    /// The body, or the envelopes; `-` reads stdin
    #[arg(long, value_name = "PATH")]
    file: PathBuf,

    /// Trust this authority (PEM), and no other, where the URL is one of TLS
    #[arg(long, value_name = "PATH")]
    ca: Option<PathBuf>,

    /// Sign as this source of the contract does, with its secret from the environment
    #[arg(long, value_name = "SOURCE")]
    sign: Option<SourceName>,

    /// The event's name as the provider says it, for the body of one webhook that is signed
    #[arg(long, value_name = "NAME", default_value = "ping")]
    event: String,
}

/// One body, and what is known of it.
struct Item {
    body: Vec<u8>,
    source: Option<SourceName>,
    event_type: Option<String>,
    delivery_id: Option<String>,
    /// Its id in the file.
    id: Option<String>,
}

/// Posts everything that is in the file, and stops at the first that nobody answers. Fails where one was refused.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let file = arguments.file.display();
    let text = read_body(&arguments.file).map_err(|error| fail(context, &format!("{file}: {error}")))?;
    let items = items(text.into());
    let loaded = arguments.sign.as_ref().map(|_| load::load(context, &[])).transpose()?;
    block_on(context, post_all(context, arguments, loaded.as_ref(), &items))
}

/// Envelopes where all of it are such, otherwise one body.
fn items(text: Bytes) -> Vec<Item> {
    let envelopes: Result<Vec<_>, _> = Written::read_all(&text).collect();
    match envelopes {
        Ok(envelopes) if !envelopes.is_empty() => envelopes.into_iter().map(of_envelope).collect(),
        _ => vec![Item { body: text.into(), source: None, event_type: None, delivery_id: None, id: None }],
    }
}

fn of_envelope(written: Written) -> Item {
    let Written { header, payload } = written;
    Item {
        body: header.meta.received_body.map_or_else(|| payload.into(), String::into_bytes),
        source: Some(header.source),
        event_type: Some(header.event_type.to_string()),
        delivery_id: header.meta.delivery_id,
        id: Some(header.id.to_string()),
    }
}

async fn post_all(
    context: &Context,
    arguments: &Arguments,
    loaded: Option<&Loaded>,
    items: &[Item],
) -> Result<(), Exit> {
    let client = sender::client(arguments.ca.as_deref()).map_err(|error| fail(context, &error))?;
    let mut refused = 0;
    for (index, item) in items.iter().enumerate() {
        let left = items.len() - index;
        let answer = post(context, arguments, loaded, (&client, item)).await;
        let answer = answer.map_err(|error| fail(context, &format!("{error} ({left} not posted)")))?;
        refused += usize::from(!answer.status.is_success());
        show(context, item, &answer)?;
    }
    match refused {
        0 => Ok(()),
        _ => Err(fail(context, &format!("{refused} of {} were refused", items.len()))),
    }
}

async fn post(
    context: &Context,
    arguments: &Arguments,
    loaded: Option<&Loaded>,
    (client, item): (&Client, &Item),
) -> Result<Answer, String> {
    let url = url(arguments, item)?;
    let (Some(name), Some(Loaded { plan, environment, .. })) = (&arguments.sign, loaded) else {
        return sender::post(client, url, Default::default(), item.body.clone()).await;
    };
    let source = plan.sources.get(name).ok_or_else(|| format!("the contract has no source {name} to sign as"))?;
    let secret: Secret = secret(context, source, environment).map_err(|_| "nothing was signed".to_owned())?;
    let delivery_id = item.delivery_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let event_type = item.event_type.as_ref().unwrap_or(&arguments.event);
    let verifier = (source.verifier_name.as_str(), &*source.verifier);
    let event_name = sample::for_verifier(verifier, event_type, &delivery_id, Timestamp::now()).event_name;
    let webhook = Webhook {
        url,
        verifier: &*source.verifier,
        event_name: &event_name,
        delivery_id: &delivery_id,
        body: item.body.clone(),
        secret: &secret,
    };
    sender::send(client, webhook).await
}

fn url(arguments: &Arguments, item: &Item) -> Result<Url, String> {
    let mut text = arguments.url.clone();
    if text.contains("{source}") {
        let source = item.source.as_ref().or(arguments.sign.as_ref());
        let source = source.ok_or("the file does not say of which source it is: write it into --url, for {source}")?;
        text = text.replace("{source}", source.as_str());
    }
    text.parse().map_err(|error| format!("--url {text}: {error}"))
}

fn show(context: &Context, item: &Item, answer: &Answer) -> Result<(), Exit> {
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        replayed: Option<&'a str>,
        status: u16,
        took_ms: f64,
        answer: &'a Value,
    }
    let (status, took_ms) = (answer.status.as_u16(), millis(answer.took));
    if context.output.is_json() {
        let replayed = item.id.as_deref();
        return context.output.json(&Shown { replayed, status, took_ms, answer: &answer.body });
    }
    let of = item.id.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
    context.output.line(&format!("{status} {}{of}  [{took_ms:.1} ms]", said(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"id":"07070707-0707-0707-0707-070707070707","source":"github","event_type":"issues.opened","received_at":"1970-01-01T00:00:00Z","payload":{ "n": 1.0 },"meta":{"delivery_id":"d-1"}}"#;

    #[test]
    fn envelopes_are_posted_one_by_one_and_anything_else_as_it_is() {
        let two = items(format!("{EVENT}\n{EVENT}\n").into());
        assert_eq!(two.len(), 2);
        assert_eq!(
            (two[0].body.as_slice(), two[1].delivery_id.as_deref()),
            (b"{ \"n\": 1.0 }".as_slice(), Some("d-1"))
        );
        for raw in ["{ \"action\": \"opened\" }\n", "", "not json", "[]"] {
            let one = items(raw.to_owned().into());
            assert_eq!((one.len(), one[0].body.as_slice()), (1, raw.as_bytes()));
        }
    }

    #[test]
    fn a_source_in_the_url_is_that_of_the_event() {
        let arguments =
            |url: &str| Arguments { url: url.into(), file: "-".into(), sign: None, ca: None, event: "ping".into() };
        let item = items(EVENT.to_owned().into()).remove(0);
        let to = |url: &str, item: &Item| super::url(&arguments(url), item).map(String::from);
        assert_eq!(to("http://host/webhook/{source}", &item).unwrap(), "http://host/webhook/github");
        assert!(to("http://host/{source}", &items("{}".into()).remove(0)).unwrap_err().contains("{source}"));
        assert!(to("no url", &item).unwrap_err().contains("--url"));
    }
}
