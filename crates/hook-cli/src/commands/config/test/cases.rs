//! The file `contract.test.toml`: events, and what is expected to become of them.

use std::collections::BTreeMap;

use hook_core::{
    names::{AdapterId, EventType, SourceName, TopicName},
    problem::{Place, Problem, codes},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Tests of a contract: events that come in, and what has to become of each.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// The profile that is tested; without it the one that would be started.
    pub profile: Option<String>,
    /// The cases, each by itself.
    #[serde(default)]
    pub cases: Vec<Case>,
}

/// One event and what has to become of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows, as a sentence.
    pub name: String,
    /// What came in before, all of it just now: for copies, rates and cooldowns.
    #[serde(default)]
    pub before: Vec<Event>,
    /// How often `event` itself came in before.
    #[serde(default)]
    #[schemars(range(max = 10_000))]
    pub again: u32,
    /// What comes in.
    pub event: Event,
    /// What has to become of it. What is left out may be as it is.
    pub expect: Expected,
}

/// A request of a sender.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The ingress adapter that it comes through; without it the first of the profile.
    pub adapter: Option<AdapterId>,
    /// The source that it addresses.
    pub source: SourceName,
    /// Its type as the provider names it beside the body, such as `issues`, for the headers that are signed.
    pub r#type: Option<String>,
    /// The sender's id of the delivery, for the same headers.
    pub delivery_id: Option<String>,
    /// Headers of the request, beside those of the signature.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a table, or a string that is sent as it stands.
    pub body: Option<Value>,
    /// A file with the body, its path from the folder of the test file.
    pub body_file: Option<String>,
    /// How the request proves who sent it.
    #[serde(default)]
    pub signature: Signature,
}

impl Event {
    /// The sender's id of the delivery.
    pub(super) fn delivery_id(&self) -> &str {
        self.delivery_id.as_deref().unwrap_or("test-delivery")
    }
}

/// How a request proves who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// It is signed as the provider would, with a secret that only the test knows.
    #[default]
    Valid,
    /// It is not signed.
    None,
    /// It counts as verified: nothing of a signature is looked at.
    Assumed,
}

/// What has to become of an event.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The topics that it is stored in, the relay's included; none where no route takes it.
    pub topics: Option<Vec<TopicName>>,
    /// Its type as it is stored.
    pub r#type: Option<EventType>,
    /// `meta.flags` as they are stored.
    pub flags: Option<Vec<String>>,
    /// The payload as it is stored, whole.
    pub payload: Option<Value>,
    /// The destinations that get it, as `route/adapter`.
    pub destinations: Option<Vec<String>>,
    /// It is refused at ingress.
    pub refused: Option<Refusal>,
    /// It is answered as a copy of an event that came before.
    pub duplicate: Option<bool>,
    /// A plugin of the ingress adapter leaves it out, and its reason has this in it.
    pub dropped: Option<String>,
    /// What single destinations do with it, by `route/adapter`.
    #[serde(default)]
    pub at: BTreeMap<String, AtDestination>,
}

/// A refusal at ingress.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The code of the answer, such as `refused_by_plugin` or `signature_mismatch`.
    pub code: Option<String>,
    /// A part of the message.
    pub reason: Option<String>,
}

/// What a destination does with an event.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtDestination {
    /// The body that it gets, whole: a table, or JSON or text in a string.
    pub body: Option<Value>,
    /// What is in that body, among other things.
    pub body_contains: Option<Value>,
    /// The payload as this destination's plugins leave it, whole.
    pub payload: Option<Value>,
    /// The flags as they leave them.
    pub flags: Option<Vec<String>>,
    /// A plugin refuses it here, and its reason has this in it.
    pub refused: Option<String>,
    /// A plugin leaves it out here, and its reason has this in it.
    pub dropped: Option<String>,
}

/// A test that takes longer is none of a contract.
const MOST_AGAIN: u32 = 10_000;

/// Reads a test file; what is wrong with it has its place.
pub(super) fn read(file: &str, text: &str) -> Result<TestFile, Box<Problem>> {
    let problem = |message: String, place: Option<Place>| {
        let problem = Problem::error(
            &codes::TEST_FILE,
            message,
            "correct it as schemas/contract-test.schema.json says; the guide on filters and transforms has an example",
        );
        match place {
            Some(place) => Box::new(problem.at(place)),
            None => Box::new(problem),
        }
    };
    let tests: TestFile = toml::from_str(text).map_err(|error| {
        let place = error.span().map(|span| Place::in_text(file, text, span));
        problem(error.message().to_owned(), place)
    })?;
    for (index, case) in tests.cases.iter().enumerate() {
        if tests.cases[..index].iter().any(|earlier| earlier.name == case.name) {
            return Err(problem(format!("two cases are called `{}`", case.name), None));
        }
        if case.before.iter().chain([&case.event]).any(|event| event.body.is_some() == event.body_file.is_some()) {
            return Err(problem(format!("case `{}` needs either `body` or `body_file`", case.name), None));
        }
        if case.again > MOST_AGAIN {
            return Err(problem(format!("case `{}` comes again more than {MOST_AGAIN} times", case.name), None));
        }
    }
    Ok(tests)
}
