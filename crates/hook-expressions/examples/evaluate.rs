//! Evaluates expressions that come as lines of JSON, and answers each with one: for suites and tools that compare.
//!
//! ```sh
//! echo '{"language": "jq", "text": ".a + 1", "input": {"a": 1}}' | cargo run -p hook-expressions --example evaluate
//! ```
//!
//! For `jq` and `schema` the input is any value, for `cel` it is the payload. The answer has `steps`, and one of `results` (jq),
//! `answer` (CEL, JSON Schema), `refused` (the text is no program) and `error` (there is no answer).

use std::io::{self, BufRead as _, Write as _};

use bytes::Bytes;
use hook_core::{envelope::Meta, payload::Payload};
use hook_expressions::{Budget, cel, jq, schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Request {
    language: Language,
    text: String,
    input: Box<RawValue>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Cel,
    Jq,
    Schema,
}

#[derive(Serialize)]
struct Response {
    steps: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Results(Box<RawValue>),
    Answer(bool),
    Refused(String),
    Error(String),
}

/// The result of a program, which is one object there.
#[derive(Deserialize)]
struct Wrapped {
    results: Box<RawValue>,
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let budget = Budget::default();
        let outcome = match request.language {
            Language::Cel => cel(&request, &budget),
            Language::Jq => jq(&request, &budget)?,
            Language::Schema => schema(&request, &budget),
        };
        serde_json::to_writer(&mut out, &Response { steps: budget.used(), outcome })?;
        writeln!(out)?;
    }
    Ok(())
}

fn payload(text: String) -> Result<Payload, Outcome> {
    Payload::parse(Bytes::from(text)).map_err(|error| Outcome::Error(error.to_string()))
}

fn cel(request: &Request, budget: &Budget) -> Outcome {
    let expression = match cel::Expression::compile(&request.text) {
        Ok(expression) => expression,
        Err(error) => return Outcome::Refused(format!("{error}: {}", error.help)),
    };
    let payload = match payload(request.input.get().to_owned()) {
        Ok(payload) => payload,
        Err(outcome) => return outcome,
    };
    let view = cel::EventView { source: "source", event_type: "type", payload: &payload, meta: &Meta::default() };
    match expression.matches_within(view, budget) {
        Ok(answer) => Outcome::Answer(answer),
        Err(error) => Outcome::Error(error.to_string()),
    }
}

fn jq(request: &Request, budget: &Budget) -> io::Result<Outcome> {
    // A program of ours gives one object: all results go into it.
    let text = format!("{{results: [.input | ({}\n)]}}", request.text);
    let program = match jq::Program::compile(&text) {
        Ok(program) => program,
        Err(error) => return Ok(Outcome::Refused(format!("{error}: {}", error.help))),
    };
    let payload = match payload(format!("{{\"input\":{}}}", request.input.get())) {
        Ok(payload) => payload,
        Err(outcome) => return Ok(outcome),
    };
    Ok(match program.run_within(&payload, budget) {
        Ok(made) => Outcome::Results(serde_json::from_slice::<Wrapped>(made.bytes())?.results),
        Err(error) => Outcome::Error(error.to_string()),
    })
}

fn schema(request: &Request, budget: &Budget) -> Outcome {
    let schema = serde_json::from_str(&request.text).map_err(|error| error.to_string());
    let schema = schema.and_then(|schema| {
        schema::Schema::compile(&schema).map_err(|error| format!("{} {error}: {}", error.pointer, error.help))
    });
    let schema = match schema {
        Ok(schema) => schema,
        Err(error) => return Outcome::Refused(error),
    };
    let payload = match payload(request.input.get().to_owned()) {
        Ok(payload) => payload,
        Err(outcome) => return outcome,
    };
    match schema.check_within(&payload, budget) {
        Ok(()) => Outcome::Answer(true),
        Err(schema::Invalid::Unmet { .. }) => Outcome::Answer(false),
        Err(error) => Outcome::Error(error.to_string()),
    }
}
