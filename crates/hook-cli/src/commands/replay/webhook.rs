//! `hook replay webhook`: what stands in a file to an ingress URL, as a provider would send it.

use std::path::PathBuf;

use bytes::Bytes;
use hook_contract::plan::SourcePlan;
use hook_core::{Timestamp, envelope::Written, names::SourceName, secret::Secret};
use http::HeaderMap;
use reqwest::Client;
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    commands::posting::{Posting, read_file, said, stated},
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

    #[command(flatten)]
    posting: Posting,

    /// Sign as this source of the contract does, with its secret from the environment
    #[arg(long, value_name = "SOURCE")]
    sign: Option<SourceName>,

    /// The event's name as the provider says it, for the body of one webhook that is signed
    #[arg(long, value_name = "NAME", default_value = "ping")]
    event: String,
}

/// One body, and what is known of it.
struct Item {
    body: Bytes,
    source: Option<SourceName>,
    event_type: Option<String>,
    delivery_id: Option<String>,
    /// Its id in the file.
    id: Option<String>,
}

/// What signs.
struct Signer<'l> {
    source: &'l SourcePlan,
    key: Secret,
}

impl Signer<'_> {
    /// Whether its provider sends lists, of which objects are made.
    fn takes_lists(&self) -> bool {
        self.source.verifier.payload(&HeaderMap::new(), &Bytes::from_static(b"[]")).is_ok()
    }
}

/// Posts everything that is in the file, and stops at the first that nobody answers. Fails where one was refused.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let file = arguments.file.display();
    let text = read_file(&arguments.file).map_err(|error| fail(context, &format!("{file}: {error}")))?;
    if arguments.posting.key_env.is_some() && arguments.sign.is_none() {
        return Err(fail(context, "--key-env says what to sign with: --sign SOURCE says how"));
    }
    let loaded = arguments.sign.as_ref().map(|_| load::load_for_question(context)).transpose()?;
    let signer = loaded.as_ref().zip(arguments.sign.as_ref());
    let signer = signer.map(|(loaded, name)| signer_of(context, arguments, loaded, name)).transpose()?;
    let takes_lists = signer.as_ref().is_some_and(Signer::takes_lists);
    let items = items(text.into(), takes_lists).map_err(|error| fail(context, &format!("{file}: {error}")))?;
    block_on(context, post_all(context, arguments, signer.as_ref(), &items))
}

fn signer_of<'l>(
    context: &Context,
    arguments: &Arguments,
    Loaded { plan, environment, .. }: &'l Loaded,
    name: &SourceName,
) -> Result<Signer<'l>, Exit> {
    let source = plan.sources.get(name).ok_or_else(|| {
        let known: Vec<&str> = plan.sources.keys().map(SourceName::as_str).collect();
        fail(context, &format!("the contract has no source {name} to sign as; it has {}", known.join(", ")))
    })?;
    Ok(Signer { source, key: arguments.posting.key(context, source, environment)? })
}

/// Envelopes where it begins with one, otherwise one body.
fn items(text: Bytes, takes_lists: bool) -> Result<Vec<Item>, String> {
    let mut envelopes = Written::read_all(&text).peekable();
    if !matches!(envelopes.peek(), Some(Ok(_))) {
        drop(envelopes);
        return Ok(vec![Item { body: text, source: None, event_type: None, delivery_id: None, id: None }]);
    }
    let item = |(index, read): (usize, Result<Written, serde_json::Error>)| match read {
        Ok(written) => Ok(of_envelope(written, takes_lists)),
        Err(error) => Err(format!("event {} is no envelope, as those before it are: {error}", index + 1)),
    };
    envelopes.enumerate().map(item).collect()
}

fn of_envelope(written: Written, takes_lists: bool) -> Item {
    let Written { header, payload } = written;
    let meta = header.meta;
    let body = match meta.received_body {
        Some(received) => received.into(),
        None => body(payload, meta.body_sha256.as_deref(), takes_lists),
    };
    Item {
        body,
        source: Some(header.source),
        event_type: Some(header.event_type.to_string()),
        delivery_id: meta.delivery_id,
        id: Some(header.id.to_string()),
    }
}

/// The body that a payload was made from: itself, or the list that is all there is in it. Its digest tells them apart. Where it
/// tells nothing, because white space is gone, a list is what a provider of lists has sent.
fn body(payload: Bytes, digest: Option<&str>, takes_lists: bool) -> Bytes {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OfList<'a> {
        #[serde(borrow)]
        items: &'a RawValue,
    }
    let is_body = |bytes: &[u8]| digest == Some(sha256(bytes).as_str());
    let list = serde_json::from_slice::<OfList<'_>>(&payload).ok().map(|list| list.items.get());
    match list.filter(|list| list.starts_with('[')) {
        Some(list) if is_body(list.as_bytes()) || takes_lists && !is_body(&payload) => {
            payload.slice_ref(list.as_bytes())
        }
        _ => payload,
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn post_all(
    context: &Context,
    arguments: &Arguments,
    signer: Option<&Signer<'_>>,
    items: &[Item],
) -> Result<(), Exit> {
    let client = arguments.posting.client(context)?;
    let mut refused = 0;
    for (index, item) in items.iter().enumerate() {
        let left = items.len() - index;
        let answer = post(arguments, signer, (&client, item)).await;
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
    arguments: &Arguments,
    signer: Option<&Signer<'_>>,
    (client, item): (&Client, &Item),
) -> Result<Answer, String> {
    let url = url(arguments, item)?;
    let Some(Signer { source, key }) = signer else {
        return sender::post(client, url, Default::default(), item.body.to_vec()).await;
    };
    let delivery_id = item.delivery_id.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let event_type = item.event_type.as_ref().unwrap_or(&arguments.event);
    let verifier = (source.verifier_name.as_str(), &*source.verifier);
    let event_name = sample::for_verifier(verifier, event_type, &delivery_id, Timestamp::now()).event_name;
    let webhook = Webhook {
        url,
        verifier: &*source.verifier,
        event_name: &event_name,
        delivery_id: &delivery_id,
        stated: stated(source, event_type, &delivery_id),
        body: item.body.to_vec(),
        secret: key,
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

    fn read(text: &str) -> Vec<Item> {
        items(text.to_owned().into(), false).unwrap()
    }

    #[test]
    fn envelopes_are_posted_one_by_one_and_anything_else_as_it_is() {
        let two = read(&format!("{EVENT}\n{EVENT}\n"));
        assert_eq!(two.len(), 2);
        assert_eq!((&two[0].body[..], two[1].delivery_id.as_deref()), (b"{ \"n\": 1.0 }".as_slice(), Some("d-1")));
        for raw in ["{ \"action\": \"opened\" }\n", "", "not json", "[]"] {
            let one = read(raw);
            assert_eq!((one.len(), &one[0].body[..]), (1, raw.as_bytes()));
        }
    }

    #[test]
    fn envelopes_of_which_one_is_broken_are_not_posted_as_one_body() {
        for broken in ["{\"id\":", "{}"] {
            let error = items(format!("{EVENT}\n{broken}").into(), false).err().unwrap();
            assert!(error.starts_with("event 2 is no envelope"), "{error}");
        }
    }

    #[test]
    fn the_body_of_a_list_is_the_list_and_that_of_a_form_is_the_form() {
        let payload = |payload: &str, digest_of: &str, takes_lists| {
            let meta = format!(r#"{{"body_sha256":"{}"}}"#, sha256(digest_of.as_bytes()));
            let event = EVENT.replace("{ \"n\": 1.0 }", payload).replace(r#"{"delivery_id":"d-1"}"#, &meta);
            let item = items(event.into(), takes_lists).unwrap().remove(0);
            String::from_utf8(item.body.to_vec()).unwrap()
        };
        let (list, object) = (r#"[1, {"a":2}]"#, r#"{"items":[1, {"a":2}]}"#);
        assert_eq!(payload(object, list, false), list);
        assert_eq!(payload(object, &format!(" {list}\n"), true), list, "white space is gone");
        assert_eq!(payload(object, &format!(" {list}\n"), false), object, "nothing says that it was one");
        assert_eq!(payload(object, object, true), object, "it was an object");
        for object in [r#"{"items":[1],"more":2}"#, r#"{"items":"x"}"#] {
            assert_eq!(payload(object, "?", true), object);
        }
        let form = EVENT.replace(r#""delivery_id""#, r#""received_body":"a=1","delivery_id""#);
        assert_eq!(&read(&form)[0].body[..], b"a=1");
    }

    #[test]
    fn a_source_in_the_url_is_that_of_the_event() {
        let arguments = |url: &str| Arguments {
            url: url.into(),
            file: "-".into(),
            sign: None,
            posting: Posting::default(),
            event: "ping".into(),
        };
        let item = read(EVENT).remove(0);
        let to = |url: &str, item: &Item| super::url(&arguments(url), item).map(String::from);
        assert_eq!(to("http://host/webhook/{source}", &item).unwrap(), "http://host/webhook/github");
        assert!(to("http://host/{source}", &read("{}").remove(0)).unwrap_err().contains("{source}"));
        assert!(to("no url", &item).unwrap_err().contains("--url"));
    }
}
