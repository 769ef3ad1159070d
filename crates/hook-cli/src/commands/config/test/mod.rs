//! `hook config test`: cases that a contract has to meet.

mod cases;
mod compare;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use hook_contract::plan::{Plan, SourcePlan};
use hook_core::{
    Timestamp,
    clock::{SharedClock, SystemClock},
    event::{RawEvent, RequestId},
    names::{AdapterId, EnvName},
    ports::verifier::{Address, Signed, SigningRequest},
    problem::{Problem, codes},
    secret::{Secret, SecretStore, Secrets},
};
use hook_runtime::rehearsal::{Rehearsed, Stage, Trust};
use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use serde::Serialize;
use serde_json::Value;

use crate::{
    commands::posting::stated,
    context::Context,
    exit::Exit,
    globals::Globals,
    load::{self, Examined},
};

pub use cases::TestFile;
use cases::{Case, Event, Signature};
use compare::{Difference, compare};

/// What every secret is in a test. It has the form that Standard Webhooks asks for, and is any text for the others.
const SECRET: &str = "whsec_b25seSB0aGUgdGVzdHMga25vdyB0aGlzIHNlY3JldA==";

/// Run the tests of a contract: events, and what has to become of them
///
/// The cases stand in `contract.test.toml` beside the contract, or where --file says. Each event goes the way that it would
/// go in `hook up`, from its signature over plugins and routes to the bodies that destinations would be sent; nothing is
/// started, stored or sent, and no secret of the environment is used. The exit code is 1 where a case fails.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file with the cases [default: beside the contract, `contract.test.toml` for `contract.toml`]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Run only cases whose name has this in it
    #[arg(long, value_name = "NAME")]
    filter: Option<String>,
}

/// What became of a case.
#[derive(Debug, Serialize)]
struct Outcome<'c> {
    name: &'c str,
    is_ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Answer<'a> {
    passed: usize,
    failed: usize,
    cases: &'a [Outcome<'a>],
}

/// Runs the cases and shows what differs.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let examined = load::examine(context);
    let Some(path) = file_of(arguments, &examined) else {
        let help = "write the contract to a file, its tests beside it, and name it with --contract or --app";
        let problem = Problem::error(&codes::TEST_FILE, "this contract is no file that tests could stand beside", help);
        return Err(context.refuse(&[problem], None));
    };
    let tests = read(&path).map_err(|problem| context.refuse(&[*problem], None))?;
    let examined = match &tests.profile {
        Some(profile) if context.globals.profile.is_none() => {
            let globals = Globals { profile: Some(profile.clone()), ..context.globals.clone() };
            let context = Context { catalog: Arc::clone(&context.catalog), globals, output: context.output.clone() };
            load::examine(&context)
        }
        _ => examined,
    };
    let loaded = examined.into_loaded(context)?;
    let bench =
        Bench { plan: &loaded.plan, folder: path.parent().unwrap_or(Path::new("")), secrets: Arc::new(OneSecret) };
    let is_wanted = |case: &&Case| arguments.filter.as_ref().is_none_or(|filter| case.name.contains(filter.as_str()));
    let outcomes: Vec<Outcome<'_>> = tests.cases.iter().filter(is_wanted).map(|case| bench.run(case)).collect();
    show(context, &outcomes)?;
    if outcomes.is_empty() {
        let message = match &arguments.filter {
            Some(filter) => format!("no case of {} has `{filter}` in its name", path.display()),
            None => format!("{} has no cases", path.display()),
        };
        context.output.error(&message);
    }
    // A filter that matches nothing, or a file without cases, has shown nothing.
    let is_shown = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.is_ok);
    if is_shown { Ok(()) } else { Err(Exit::Failure) }
}

fn file_of(arguments: &Arguments, examined: &Examined) -> Option<PathBuf> {
    if let Some(file) = &arguments.file {
        return Some(file.clone());
    }
    let contract = PathBuf::from(&examined.contract.as_ref()?.file);
    contract.is_file().then(|| contract.with_extension("test.toml"))
}

fn read(path: &Path) -> Result<TestFile, Box<Problem>> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("could not read the tests {file}: {error}");
        let help = "write the cases there, or name another file with --file";
        Box::new(Problem::error(&codes::TEST_FILE, message, help))
    })?;
    cases::read(&file, &text)
}

fn show(context: &Context, outcomes: &[Outcome<'_>]) -> Result<(), Exit> {
    let failed = outcomes.iter().filter(|outcome| !outcome.is_ok).count();
    let passed = outcomes.len() - failed;
    if context.output.is_json() {
        return context.output.json(&Answer { passed, failed, cases: outcomes });
    }
    for Outcome { name, is_ok, error, differences } in outcomes {
        context.output.line(&format!("{name} ... {}", if *is_ok { "ok" } else { "FAILED" }))?;
        if let Some(error) = error {
            context.output.line(&format!("    {error}"))?;
        }
        for Difference { what, expected, found } in differences {
            context.output.line(&format!("    {what}\n      - expected: {expected}\n      + found:    {found}"))?;
        }
    }
    context.output.line(&format!("{passed} passed, {failed} failed"))
}

/// What the cases of a file run against.
struct Bench<'b> {
    plan: &'b Plan,
    folder: &'b Path,
    secrets: Secrets,
}

impl Bench<'_> {
    fn run<'c>(&self, case: &'c Case) -> Outcome<'c> {
        let (error, differences) = match self.take(case) {
            Err(error) => (Some(error), Vec::new()),
            Ok(found) => (None, compare(&case.expect, &found)),
        };
        Outcome { name: &case.name, is_ok: error.is_none() && differences.is_empty(), error, differences }
    }

    /// What becomes of the event of a case, after those before it.
    fn take(&self, case: &Case) -> Result<Rehearsed, String> {
        let clock: SharedClock = Arc::new(SystemClock);
        let mut stage = Stage::new(self.plan, &self.secrets, clock);
        for (index, event) in case.before.iter().enumerate() {
            // Who expects a refusal because of it wants it to have passed.
            if let Rehearsed::Refused(refused) = stage.take(self.request(event)?, trust(event)) {
                return Err(format!(
                    "event {} of `before` is refused: {}: {}",
                    index + 1,
                    refused.code,
                    refused.message
                ));
            }
        }
        for _ in 0..case.again {
            stage.take(self.request(&case.event)?, trust(&case.event));
        }
        Ok(stage.take(self.request(&case.event)?, trust(&case.event)))
    }

    /// The request as its adapter would hand it on.
    fn request(&self, event: &Event) -> Result<RawEvent, String> {
        let body = self.body(event)?;
        let now = Timestamp::now();
        let source = self.plan.sources.get(&event.source);
        let mut url = format!("/webhook/{}", event.source);
        let signed = match (event.signature, source) {
            (Signature::Valid, Some(source)) => signed(source, event, (&url, &body), now)?,
            _ => Signed::default(),
        };
        let mut headers = match source {
            Some(source) => stated(source, event.r#type.as_deref().unwrap_or_default(), event.delivery_id()),
            None => HeaderMap::new(),
        };
        headers.extend(signed.headers);
        let body = signed.body.unwrap_or(body);
        headers.entry(HOST).or_insert(HeaderValue::from_static(HOST_NAME));
        if let Some((name, value)) = signed.parameter {
            url = format!("{url}?{name}={value}");
        }
        for (name, value) in &event.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no name of a header"))?;
            let value: HeaderValue = value.parse().map_err(|_| format!("the value of header `{name}` is none"))?;
            headers.insert(name, value);
        }
        Ok(RawEvent {
            request_id: RequestId::generate(),
            adapter: self.adapter(event)?,
            source: event.source.clone(),
            url,
            headers,
            body: body.into(),
            received_at: now,
            peer: None,
            stated: None,
        })
    }

    fn adapter(&self, event: &Event) -> Result<AdapterId, String> {
        let ids: Vec<&AdapterId> = self.plan.serve.adapters.iter().map(|adapter| &adapter.id).collect();
        match &event.adapter {
            Some(id) if ids.contains(&id) => Ok(id.clone()),
            Some(id) => Err(format!("there is no ingress adapter `{id}` in profile `{}`", self.plan.profile.name)),
            None => ids.first().map(|id| (*id).clone()).ok_or_else(|| {
                format!("profile `{}` has no ingress adapter that the event could come through", self.plan.profile.name)
            }),
        }
    }

    fn body(&self, event: &Event) -> Result<Vec<u8>, String> {
        match (&event.body, &event.body_file) {
            (Some(Value::String(text)), _) => Ok(text.clone().into_bytes()),
            (Some(body), _) => Ok(body.to_string().into_bytes()),
            (None, Some(file)) => {
                let path = self.folder.join(file);
                fs::read(&path).map_err(|error| format!("could not read {}: {error}", path.display()))
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

fn trust(event: &Event) -> Trust {
    if event.signature == Signature::Assumed { Trust::Assume } else { Trust::Verify }
}

/// Where the requests of tests go, for providers that sign that too.
const HOST_NAME: &str = "localhost";

fn signed(source: &SourcePlan, event: &Event, (url, body): (&str, &[u8]), now: Timestamp) -> Result<Signed, String> {
    let signing = SigningRequest {
        event_type: event.r#type.as_deref().unwrap_or("test"),
        delivery_id: event.delivery_id(),
        address: Address { host: HOST_NAME, url },
        body,
        secret: &Secret::new(SECRET),
        now,
    };
    match source.verifier.sign(&signing) {
        Some(signed) => Ok(signed),
        None if source.verifier.needs_secret() => {
            Err(format!("requests of `{}` cannot be signed here: write `signature = \"assumed\"`", source.name))
        }
        None => Ok(Signed::default()),
    }
}

/// Every secret that a contract names is the one of the tests.
struct OneSecret;

impl SecretStore for OneSecret {
    fn get(&self, _: &EnvName) -> Option<Secret> {
        Some(Secret::new(SECRET))
    }
}
