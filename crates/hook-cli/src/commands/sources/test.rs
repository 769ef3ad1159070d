//! `hook sources test`: a request that was captured, judged rule by rule.

use std::{cmp::Ordering, path::PathBuf};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    ports::verifier::{Refusal, SignedRequest},
    secret::{Secret, SecretStore},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use super::{Known, find};
use crate::{commands::posting::read_file, context::Context, environment::Environment, exit::Exit, owner::fail};

/// Judge a request that was captured: which rule of a source it passes, and which it fails
///
/// Nothing is sent or stored. The secret is taken from the environment, as the pipeline would, and never shown.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A source of the contract, or a verifier, such as `gitlab`
    name: String,

    /// The body as it was received; `-` reads stdin
    #[arg(long, value_name = "PATH")]
    file: PathBuf,

    /// A header as it was received, such as 'X-Gitlab-Event: Push Hook'. Repeatable
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// Path and query as they were received [default: /webhook/NAME]
    #[arg(long, value_name = "PATH")]
    url: Option<String>,

    /// Judge freshness as of then (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// The rules, in the order in which they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    SecretIsSet,
    ProofIsThere,
    ProofIsWellFormed,
    TimeIsThere,
    SecretIsUsable,
    ProofMatches,
    TimeIsFresh,
    BodyHasItsShape,
}

/// A rule and how it went.
#[derive(Debug, Serialize)]
struct Judged {
    rule: String,
    /// `None` where an earlier rule failed.
    passed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// Everything that there is to say.
#[derive(Debug, Serialize)]
struct Judgement {
    source: String,
    passed: bool,
    rules: Vec<Judged>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id_is_signed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering_key: Option<String>,
}

/// What was captured.
struct Captured {
    headers: HeaderMap,
    url: String,
    body: Bytes,
    secrets: Vec<(usize, Secret)>,
    now: Timestamp,
}

/// Judges, and fails where the pipeline would refuse.
pub(super) fn run(context: &Context, arguments: &Arguments) -> Result<(), Exit> {
    let (known, environment) = find(context, &arguments.name)?;
    let captured = capture(context, arguments, &known, &environment)?;
    let judgement = judge(&known, &captured);
    show(context, &judgement)?;
    if judgement.passed { Ok(()) } else { Err(Exit::Failure) }
}

fn capture(
    context: &Context,
    arguments: &Arguments,
    known: &Known,
    environment: &Environment,
) -> Result<Captured, Exit> {
    let body =
        read_file(&arguments.file).map_err(|error| fail(context, &format!("{}: {error}", arguments.file.display())))?;
    let mut headers = HeaderMap::new();
    for text in &arguments.header {
        // The value may be a secret: only the name is repeated.
        let (name, value) = header(text).ok_or_else(|| {
            let name = text.split(':').next().unwrap_or_default();
            fail(context, &format!("--header `{name}`: expected a header such as 'X-Event: push'"))
        })?;
        headers.append(name, value);
    }
    let slots = known.secret_env.iter().enumerate();
    Ok(Captured {
        headers,
        url: arguments.url.clone().unwrap_or_else(|| format!("/webhook/{}", known.name)),
        body: body.into(),
        secrets: slots.filter_map(|(slot, name)| Some((slot, environment.get(name)?))).collect(),
        now: arguments.at.unwrap_or_else(Timestamp::now),
    })
}

fn header(text: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':')?;
    Some((name.trim().parse().ok()?, value.trim().parse().ok()?))
}

fn judge(known: &Known, captured: &Captured) -> Judgement {
    let Captured { headers, url, body, secrets, now } = captured;
    let request = SignedRequest { headers, url, body, secrets, now: *now };
    let verified = match secrets.is_empty() && known.verifier.needs_secret() {
        true => Err(Refusal::NoSecret),
        false => known.verifier.verify(&request),
    };
    let payload = verified.map(|_| known.verifier.payload(headers, body));
    let broken = match &payload {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some((Rule::BodyHasItsShape, error.to_string())),
        Err(refusal) => Some((rule_of(*refusal), cause(known, *refusal, headers))),
    };
    let mut judgement = Judgement {
        source: known.name.clone(),
        passed: broken.is_none(),
        rules: judged(known, broken),
        secret_env: None,
        challenge: None,
        event_type: None,
        delivery_id: None,
        delivery_id_is_signed: None,
        ordering_key: None,
    };
    if let Ok(verified) = verified {
        let slot = verified.slot.and_then(|slot| known.secret_env.get(slot));
        judgement.secret_env = slot.map(ToString::to_string);
        let reply = known.verifier.challenge(&request, verified);
        judgement.challenge = reply.map(|reply| String::from_utf8_lossy(&reply.body).into_owned());
    }
    if let (Ok(Ok(shaped)), None) = (payload, &judgement.challenge) {
        let claim = known.verifier.describe(headers, &shaped.payload);
        judgement.event_type = claim.event_type.map(|name| name.to_string());
        judgement.delivery_id_is_signed = claim.delivery_id.as_ref().map(|id| id.is_signed);
        judgement.delivery_id = claim.delivery_id.map(|id| id.value);
        judgement.ordering_key = claim.ordering_key;
    }
    judgement
}

fn rule_of(refusal: Refusal) -> Rule {
    match refusal {
        Refusal::NoSecret => Rule::SecretIsSet,
        Refusal::UnusableSecret => Rule::SecretIsUsable,
        Refusal::MissingSignature { .. } => Rule::ProofIsThere,
        Refusal::MalformedSignature => Rule::ProofIsWellFormed,
        Refusal::SignatureMismatch => Rule::ProofMatches,
        Refusal::MissingTimestamp => Rule::TimeIsThere,
        Refusal::StaleTimestamp => Rule::TimeIsFresh,
    }
}

/// Why, as exactly as it may be said.
fn cause(known: &Known, refusal: Refusal, headers: &HeaderMap) -> String {
    let signed = known.verifier.checks().map(|checks| checks.signed_headers).unwrap_or_default();
    let is_once = |name: &str| headers.get_all(name).iter().count() == 1;
    match signed.iter().find(|name| !is_once(name)) {
        Some(name) if refusal == Refusal::MalformedSignature => {
            format!("header {name} is signed too, and is not there, or not once")
        }
        _ => refusal.to_string(),
    }
}

/// What to do about it.
fn help(rule: Rule, known: &Known) -> String {
    let show = format!("`hook sources show {}`", known.name);
    let signs_address = known.verifier.checks().is_some_and(|checks| checks.signed_content.contains("{url}"));
    match rule {
        Rule::SecretIsSet => {
            format!("set it in the environment or the env file; {show} says which of the provider's secrets it is")
        }
        Rule::ProofIsThere => "give every header of the request with --header, and its path with --url; a provider that was given no \
                               secret sends no proof"
            .to_owned(),
        Rule::ProofIsWellFormed => {
            format!("give what the request has, each once and whole; {show} says how it is written and what else is signed")
        }
        Rule::TimeIsThere => "give it as the request has it, once: its digits, and nothing around them".to_owned(),
        Rule::SecretIsUsable => format!("copy the secret again, whole; {show} says how it is written"),
        Rule::ProofMatches if signs_address => "the secret of another app; a body that was rewritten on its way (keep its bytes); or another \
                                                address than the provider has: give --url and the header Host, or set `public_url`"
            .to_owned(),
        Rule::ProofMatches => {
            "the secret of another app, or a body that was rewritten on its way: keep its bytes, not the JSON".to_owned()
        }
        Rule::TimeIsFresh => "judge an old request with --at TIME; where new ones fail, set this machine's clock, or raise `tolerance`".to_owned(),
        Rule::BodyHasItsShape => format!("{show} says which bodies are taken"),
    }
}

/// The rules of a source up to the one that is broken, and those after it that nobody has looked at.
fn judged(known: &Known, broken: Option<(Rule, String)>) -> Vec<Judged> {
    let rules = rules(known);
    let place = broken.as_ref().and_then(|(rule, _)| rules.iter().position(|(known, _)| known == rule));
    let place = place.unwrap_or(if broken.is_some() { 0 } else { rules.len() });
    let mut because = broken.map(|(_, because)| because);
    rules
        .into_iter()
        .enumerate()
        .map(|(at, (of, rule))| match at.cmp(&place) {
            Ordering::Less => Judged { rule, passed: Some(true), because: None, help: None },
            Ordering::Equal => {
                Judged { rule, passed: Some(false), because: because.take(), help: Some(help(of, known)) }
            }
            Ordering::Greater => Judged { rule, passed: None, because: None, help: None },
        })
        .collect()
}

fn rules(known: &Known) -> Vec<(Rule, String)> {
    let checks = known.verifier.checks();
    let place = checks.as_ref().and_then(|checks| checks.place);
    let time = checks.as_ref().and_then(|checks| checks.time.as_ref());
    let is_in_body = time.is_some_and(|time| time.is_in_body);
    let mut rules = Vec::new();
    if known.verifier.needs_secret() {
        let variables = known.secret_env.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        rules.push((Rule::SecretIsSet, format!("a secret is set: {variables}")));
        let place = place.map_or("the signature".to_owned(), |place| place.to_string());
        rules.push((Rule::ProofIsThere, format!("{place} is there, once")));
        rules.push((Rule::ProofIsWellFormed, "it is well formed".to_owned()));
    }
    let time_is_there = time.map(|time| (Rule::TimeIsThere, format!("the signed time is there: {}", time.place)));
    if let (false, Some(rule)) = (is_in_body, &time_is_there) {
        rules.push(rule.clone());
    }
    if known.verifier.needs_secret() {
        rules.push((Rule::SecretIsUsable, "the secret is written as the verifier needs it".to_owned()));
        rules.push((Rule::ProofMatches, "it matches the secret".to_owned()));
    }
    if let (true, Some(rule)) = (is_in_body, time_is_there) {
        rules.push(rule);
    }
    if let Some(time) = time {
        let seconds = time.tolerance.as_secs();
        rules.push((Rule::TimeIsFresh, format!("the signed time is within {seconds} s of now")));
    }
    let bodies = checks.map_or("JSON object".to_owned(), |checks| checks.bodies.join("; "));
    rules.push((Rule::BodyHasItsShape, format!("the body is one that is taken: {bodies}")));
    rules
}

fn show(context: &Context, judgement: &Judgement) -> Result<(), Exit> {
    if context.output.is_json() {
        return context.output.json(judgement);
    }
    for judged in &judgement.rules {
        let mark = match judged.passed {
            Some(true) => "passed      ",
            Some(false) => "FAILED      ",
            None => "not checked ",
        };
        let because = judged.because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default();
        context.output.line(&format!("{mark}{}{because}", judged.rule))?;
        if let Some(help) = &judged.help {
            context.output.line(&format!("            help: {help}"))?;
        }
    }
    let signed = judgement.delivery_id_is_signed.map(|is_signed| if is_signed { " (signed)" } else { " (not signed)" });
    let rows: Vec<[String; 2]> = [
        ("secret that matched", &judgement.secret_env, ""),
        ("challenge, answered with", &judgement.challenge, ""),
        ("event type", &judgement.event_type, ""),
        ("delivery id", &judgement.delivery_id, signed.unwrap_or_default()),
        ("ordering key", &judgement.ordering_key, ""),
    ]
    .into_iter()
    .filter_map(|(name, value, after)| Some([name.to_owned(), format!("{}{after}", value.as_ref()?)]))
    .collect();
    if !rows.is_empty() {
        context.output.line("")?;
    }
    context.output.table(&rows)
}
