//! What commands share that post webhooks: the file, the key, whom to trust, and what is said of an answer.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use hook_contract::plan::SourcePlan;
use hook_core::{
    names::EnvName,
    secret::{Secret, SecretStore},
    selector::Selector,
};
use http::{HeaderMap, HeaderValue};
use reqwest::Client;

use crate::{
    context::Context,
    environment::Environment,
    exit::Exit,
    lab::sender::{self, Answer},
    owner::fail,
};

/// The largest file that is read.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// How webhooks are signed and posted, whatever they carry.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Posting {
    /// Trust this authority (PEM), and no other, where the URL is one of TLS
    #[arg(long, value_name = "PATH")]
    ca: Option<PathBuf>,

    /// Sign with the key of this variable [default: the secret of the source]
    ///
    /// Where the secret of the source is a public key, this is the private one of the pair: as PKCS#8 in PEM, hex or base64.
    #[arg(long, value_name = "VARIABLE")]
    pub key_env: Option<EnvName>,
}

impl Posting {
    /// What posts.
    pub fn client(&self, context: &Context) -> Result<Client, Exit> {
        sender::client(self.ca.as_deref()).map_err(|error| fail(context, &error))
    }

    /// What a source's webhooks are signed with.
    pub fn key(&self, context: &Context, source: &SourcePlan, environment: &Environment) -> Result<Secret, Exit> {
        match &self.key_env {
            Some(name) => environment.get(name).ok_or_else(|| fail(context, &format!("{name} is not set"))),
            None => secret(source, environment).map_err(|error| fail(context, &error)),
        }
    }
}

/// The headers from which the contract reads type and delivery id of a source: the provider's scheme need not have them.
pub fn stated(source: &SourcePlan, event_type: &str, delivery_id: &str) -> HeaderMap {
    let pairs = [(&source.event_type, event_type), (&source.delivery_id, delivery_id)];
    let header = |(selector, value): (&Option<Selector>, &str)| match selector {
        Some(Selector::Header(name)) if !value.is_empty() => Some((name.clone(), HeaderValue::from_str(value).ok()?)),
        _ => None,
    };
    pairs.into_iter().filter_map(header).collect()
}

/// The first secret of the source that is set.
fn secret(source: &SourcePlan, environment: &Environment) -> Result<Secret, String> {
    if source.verifier.checks().is_some_and(|checks| checks.is_key_pair) {
        return Err(format!(
            "the secret of {} is a public key, which signs nothing: name the variable of the private key with --key-env",
            source.name
        ));
    }
    if let Some(secret) = source.secret_env.iter().find_map(|name| environment.get(name)) {
        return Ok(secret);
    }
    if !source.verifier.needs_secret() {
        return Ok(Secret::new(""));
    }
    let names: Vec<&str> = source.secret_env.iter().map(AsRef::as_ref).collect();
    Err(format!("no secret to sign with: set {} as the pipeline has it", names.join(" or ")))
}

/// A file, or stdin for `-`. One that is too large is refused, and never cut.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match path == Path::new("-") {
        true => io::stdin().lock().take(LARGEST_FILE + 1).read_to_end(&mut bytes)?,
        false => std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?,
    };
    match bytes.len() as u64 > LARGEST_FILE {
        true => Err(io::Error::other(format!("it has more than {LARGEST_FILE} bytes: split it"))),
        false => Ok(bytes),
    }
}

/// What the pipeline says, in one line; of an answer that is not a pipeline's, the body.
pub fn said(answer: &Answer) -> String {
    match (answer.text("code"), answer.text("event_id"), answer.text("message")) {
        ("", ..) => answer.body.to_string(),
        (code, "", "") => code.to_owned(),
        (code, "", message) => format!("{code}: {message}"),
        (code, id, _) => format!("{code} {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_refused_and_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(LARGEST_FILE).unwrap();
        assert_eq!(read_file(&path).unwrap().len() as u64, LARGEST_FILE);
        file.set_len(LARGEST_FILE + 1).unwrap();
        assert!(read_file(&path).unwrap_err().to_string().contains("split it"));
    }
}
