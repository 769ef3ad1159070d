//! Secrets that stand in the text of a contract, where only the names of variables belong.
//!
//! What is found is never shown: neither here nor in any other message, resolved value or source line.

use std::ops::Range;

use hook_core::problem::codes;

use crate::{
    findings::Findings,
    tree::{Content, Node},
};

/// How tokens of well-known services begin.
const PREFIXES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk_live_",
    "rk_live_",
    "sk_test_",
    "rk_test_",
    "sk-ant-",
    "sk-proj-",
    "whsec_",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xapp-",
    "lin_api_",
    "lin_wh_",
    "lin_oauth_",
    "npm_",
    "AIza",
    "AKIA",
    "ASIA",
];
/// A prefix alone, as in a sentence about tokens, is no token.
const MIN_TOKEN_TAIL: usize = 12;
/// Keys, headers and variables whose value is a secret.
const SECRET_ENDINGS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "secret_key",
    "private_key",
    "credentials",
];
const SECRET_HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie", "x-api-key"];

/// Finds every secret in the tree, and tokens of well-known services in the rest of the text, comments included.
pub(crate) fn find(text: &str, root: &Node, findings: &mut Findings<'_>) {
    visit(root, &mut Vec::new(), findings);
    for token in tokens(text) {
        if !findings.covers(&codes::SECRET_IN_FILE, &token) {
            findings.hide(&text[token.clone()]);
            let help = "take it out, of comments too; if this file was shared, replace the secret";
            findings.error(&codes::SECRET_IN_FILE, token, "this looks like a secret", help);
        }
    }
}

fn visit<'t>(node: &'t Node, path: &mut Vec<&'t str>, findings: &mut Findings<'_>) {
    match &node.content {
        Content::Table(entries) => {
            for entry in entries {
                path.push(&entry.key);
                visit(&entry.node, path, findings);
                path.pop();
            }
        }
        Content::List(items) => items.iter().for_each(|item| visit(item, path, findings)),
        Content::Text(text) => {
            if let Some(kind) = kind(path, text) {
                found(node.span.clone(), path, text, kind, findings);
            }
        }
        _ => {}
    }
}

#[derive(Clone, Copy)]
enum Kind {
    /// The text is what tokens or keys look like.
    Shape,
    /// The key says that its value is a secret.
    Key,
    /// A user or password in a URL.
    Url,
    /// A profile's variable.
    Variable,
    /// A variable of a transport's process.
    Passed,
    /// It stands where a variable's name belongs.
    InsteadOfName,
}

fn found(span: Range<usize>, path: &[&str], text: &str, kind: Kind, findings: &mut Findings<'_>) {
    let key = path.last().copied().unwrap_or("the value");
    let message = match kind {
        Kind::Shape => format!("`{key}` holds what looks like a secret"),
        Kind::Key => format!("`{key}` holds a secret"),
        Kind::Url => format!("`{key}` holds a URL with credentials in it"),
        Kind::Variable => format!("the profile sets `{key}`, which is a secret"),
        Kind::Passed => format!("the transport sets `{key}`, which is a secret"),
        Kind::InsteadOfName => format!("`{key}` holds what looks like a secret, not the name of a variable"),
    };
    let help = match kind {
        Kind::Variable => "leave it out here and set it in an env file or in the environment; if this file was shared, replace the secret".into(),
        Kind::Passed => format!("set it in the environment and name it: `pass_env = [\"{key}\"]`; if this file was shared, replace the secret"),
        Kind::Url => "take it out of the URL and name a variable for it, with a key such as `token_env`; if this file was shared, replace the secret".into(),
        _ => format!(
            "put it into an environment variable and name that: `{}_env = \"NAME\"`; if this file was shared, replace the secret",
            key.trim_end_matches("_env")
        ),
    };
    findings.hide(text);
    for token in tokens(text) {
        findings.hide(&text[token]);
    }
    if let Some(userinfo) = userinfo(text) {
        findings.hide(userinfo);
    }
    findings.error(&codes::SECRET_IN_FILE, span, message, help);
}

fn kind(path: &[&str], text: &str) -> Option<Kind> {
    let key = path.last()?.to_lowercase();
    let parent = path.len().checked_sub(2).and_then(|at| path.get(at)).map(|parent| parent.to_lowercase());
    let is_below = |name: &str| parent.as_deref() == Some(name);
    let names_secret = SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending));
    if text.trim().is_empty() {
        return None;
    }
    if key.ends_with("_env") {
        return (!tokens(text).is_empty() || has_random_part(text)).then_some(Kind::InsteadOfName);
    }
    if is_below("env") && (names_secret || key.starts_with("hmac_secret")) {
        return Some(if path.first() == Some(&"transports") { Kind::Passed } else { Kind::Variable });
    }
    if is_placeholder(text) {
        return None;
    }
    if names_secret || is_below("headers") && SECRET_HEADERS.contains(&key.as_str()) {
        return Some(Kind::Key);
    }
    if userinfo(text).is_some() || has_secret_parameter(text) {
        return Some(Kind::Url);
    }
    let is_token = !tokens(text).is_empty() || text.contains("PRIVATE KEY-----");
    let is_random = (is_below("headers") || is_below("env") || key == "args") && has_random_part(text);
    (is_token || is_random).then_some(Kind::Shape)
}

/// `{{payload.token}}` in the arguments of a tool: where a value stands, not the value.
fn is_placeholder(text: &str) -> bool {
    let inner = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|path| !path.contains(['{', '}']) && tokens(path).is_empty())
}

/// The spans of tokens of well-known services in a text.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let is_part =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'+' || byte == b'/';
    let mut spans = Vec::new();
    for prefix in PREFIXES {
        for (start, _) in text.match_indices(prefix) {
            let is_inside_word = text[..start].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric());
            let tail = text[start + prefix.len()..].bytes().take_while(|byte| is_part(*byte)).count();
            if !is_inside_word && tail >= MIN_TOKEN_TAIL {
                spans.push(start..start + prefix.len() + tail);
            }
        }
    }
    spans
}

/// The part of a URL before `@`.
fn userinfo(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', ' ']).next()?;
    authority.rsplit_once('@').map(|(userinfo, _)| userinfo).filter(|userinfo| !userinfo.is_empty())
}

/// `?token=…` in a URL.
fn has_secret_parameter(text: &str) -> bool {
    let Some((_, query)) = text.split_once("://").and_then(|(_, rest)| rest.split_once('?')) else { return false };
    query.split(['&', ';']).filter_map(|pair| pair.split_once('=')).any(|(name, value)| {
        value.len() >= 8 && SECRET_ENDINGS.iter().any(|ending| name.to_lowercase().ends_with(ending))
    })
}

/// A long run of letters and digits as machines make them: no word has three digits and changes its case all the time.
fn has_random_part(text: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|run| run.len() >= 20).any(|run| {
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let letters = run.len() - digits;
        digits >= 3 && letters >= 3
    })
}

/// The spans of a raw text that no source line may show, the ones that the tree did not reach included.
pub(crate) fn spans_to_mask(text: &str) -> Vec<Range<usize>> {
    let mut spans = tokens(text);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let assignments = line.match_indices('=').map(|(at, _)| at).filter(|at| {
            let key = line[..*at].trim_end().trim_end_matches(['"', '\'']).to_lowercase();
            SECRET_ENDINGS.iter().chain(SECRET_HEADERS).any(|ending| key.ends_with(ending))
        });
        if let Some(at) = assignments.min() {
            spans.push(start + at + 1..start + line.trim_end().len());
        }
        start += line.len();
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(path: &[&str], text: &str) -> bool {
        kind(path, text).is_some()
    }

    #[test]
    fn secrets_are_told_from_other_texts() {
        let secrets: &[(&[&str], &str)] = &[
            (&["app", "description"], "our token is ghp_0123456789abcdefABCDEF0123456789abcd"),
            (&["x", "url"], "https://user:hunter2@example.com/hooks"),
            (&["x", "url"], "https://example.com/hooks?token=abcdefgh12"),
            (&["x", "headers", "Authorization"], "Bearer x"),
            (&["x", "headers", "X-Custom"], "4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"),
            (&["x", "token"], "opensesame"),
            (&["profiles", "p", "env", "HMAC_SECRET_GITHUB"], "x"),
            (&["profiles", "p", "env", "DB_PASSWORD"], "x"),
            (&["x", "token_env"], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            (&["x", "secret_env"], "a4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"),
            (&["transports", "t", "env", "API_TOKEN"], "x"),
            (&["x", "token"], "{{whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}"),
            (&["x", "pem"], "-----BEGIN RSA PRIVATE KEY-----\nMII"),
        ];
        for (path, text) in secrets {
            assert!(is_found(path, text), "{path:?} {text}");
        }
        let others: &[(&[&str], &str)] = &[
            (&["app", "description"], "tokens such as ghp_… or whsec_ are secrets"),
            (&["x", "url"], "https://example.com/hooks?user=a@b.c"),
            (&["x", "url"], "http://127.0.0.1:18789/hooks/agent"),
            (&["x", "token_env"], "OPENCLAW_WEBHOOK_TOKEN"),
            (&["x", "token_env"], "MY_VERY_LONG_SERVICE_NAME_TOKEN_2"),
            (&["x", "headers", "X-Tenant"], "acme"),
            (&["x", "ordering_key"], "/repository/id"),
            (&["profiles", "p", "env", "KAFKA_TLS_KEY"], "/etc/ssl/key.pem"),
            (&["profiles", "p", "env", "RUST_LOG"], "info"),
            (&["x", "token"], ""),
            (&["x", "arguments", "reset_token"], "{{payload.reset_token}}"),
        ];
        for (path, text) in others {
            assert!(!is_found(path, text), "{path:?} {text}");
        }
    }

    #[test]
    fn a_broken_line_is_masked_by_its_key() {
        let text = "[a]\ntoken = hunter2\nurl = 1\n";
        let spans = spans_to_mask(text);
        assert_eq!(spans.iter().map(|span| &text[span.clone()]).collect::<Vec<_>>(), [" hunter2"]);
    }
}
