//! `mcp_tool_output` against servers that are there: a process, and an HTTP server made with the SDK.
//!
//! | module | promises |
//! |---|---|
//! | [`process`] | the port's promises over a process, and what a process can do wrong |
//! | [`web`] | the port's promises over HTTP, with sessions and without |
//! | [`raw`] | what an HTTP server can do wrong |
//! | [`settings`] | what a contract may write |

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod process;
mod raw;
mod settings;
mod web;

use std::{collections::BTreeMap, sync::Arc};

use hook_core::{
    Timestamp,
    catalog::{BuildError, Fault},
    envelope::{Envelope, EventHeader, Meta},
    event::{EventId, TraceId},
    names::{EnvName, EventType, SourceName},
    outcome::{Failure, Outcome},
    payload::Payload,
    ports::egress::{Delivery, EgressDriver},
    secret::{Secret, Secrets},
};
use hook_testkit::egress_conformance::Received;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

fn build(settings: Value) -> Result<Arc<dyn EgressDriver>, Vec<Fault>> {
    let entry = hook_mcp::egress().into_iter().find(|entry| entry.name() == "mcp_tool_output").unwrap();
    match entry.build(settings) {
        Ok(built) => Ok(built.driver),
        Err(BuildError::Faulty(faults)) => Err(faults),
        Err(BuildError::Unreadable { pointer, message }) => panic!("{pointer}: {message}"),
    }
}

fn secrets() -> Secrets {
    let secrets = [("TOKEN", "canary-token"), ("PASSED", "canary-passed"), ("OTHER", "canary-other")];
    let secrets = secrets.map(|(name, value)| (EnvName::new(name).unwrap(), Secret::new(value)));
    Arc::new(BTreeMap::from(secrets))
}

fn event() -> Envelope {
    Envelope {
        header: EventHeader {
            id: EventId::generate(),
            source: SourceName::new("github").unwrap(),
            event_type: EventType::new("issues.opened").unwrap(),
            received_at: Timestamp::UNIX_EPOCH,
            meta: Meta {
                trace_id: TraceId::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                ..Meta::default()
            },
        },
        payload: Payload::parse(r#"{"issue":{"title":"a canary sings","number":7}}"#.into()).unwrap(),
    }
}

async fn deliver(driver: &dyn EgressDriver, envelope: &Envelope) -> Outcome {
    let secrets = secrets();
    driver.deliver(Delivery { envelope, attempt: 1, secrets: &secrets, place: None }).await
}

fn delivered(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => {
            assert!(!failure.error.contains("canary"), "{}", failure.error);
            failure
        }
        Outcome::Delivered { answer } => panic!("delivered: {answer}"),
    }
}

/// A request as a server reads it, its arguments as they came.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: String,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(default, rename = "_meta")]
    meta: Value,
}

impl<'a> Request<'a> {
    fn arguments(&self) -> &'a str {
        self.params.as_ref().and_then(|params| params.arguments).map_or("null", RawValue::get)
    }

    fn meta(&self) -> &Value {
        self.params.as_ref().map_or(&Value::Null, |params| &params.meta)
    }
}

/// A call whose arguments are an envelope.
fn received(arguments: &str, meta: &Value) -> Received {
    Received::from_envelope(arguments.as_bytes()).with_traceparent(meta["traceparent"].as_str())
}

/// Not a test: the server that the tests start, which is this program again.
#[test]
#[ignore = "the tests start it"]
fn server() {
    process::serve();
}
