//! The headers that a contract sets.

use std::collections::BTreeMap;

use hook_core::catalog::Fault;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers that the contract sets, or everything that is wrong with them.
pub(super) fn of_contract(table: &BTreeMap<String, String>) -> Result<HeaderMap, Vec<Fault>> {
    let mut headers = HeaderMap::new();
    let mut faults = Vec::new();
    for (key, value) in table {
        match header_of(key, value) {
            Ok((name, value)) => drop(headers.insert(name, value)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(headers) } else { Err(faults) }
}

fn header_of(key: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let pointer = format!("/headers/{}", key.replace('~', "~0").replace('/', "~1"));
    let fault = |message: &str, help: &str| Fault::at(&pointer, message, help);
    let name = HeaderName::try_from(key)
        .map_err(|_| fault("this is not a header name", "write a name such as `X-Environment`"))?;
    if holds_secret(name.as_str()) {
        let help = "a contract holds no secrets: name an environment variable in `token_env` or `signing_secret_env`";
        return Err(fault("a header of this name holds a secret", help).security_critical());
    }
    if is_ours(name.as_str()) {
        return Err(fault("`hook` or HTTP itself sets this header", "leave it out"));
    }
    let value = HeaderValue::try_from(value)
        .map_err(|_| fault("a header cannot carry this value", "write printable characters on one line"))?;
    Ok((name, value))
}

/// Hop-by-hop headers (RFC 9110, section 7.6.1), those that describe the body, and those of the event.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 17] = [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "proxy-authenticate",
    ];
    OURS.contains(&name) || name.starts_with("webhook-")
}

fn holds_secret(name: &str) -> bool {
    const WORDS: [&str; 8] =
        ["authorization", "cookie", "token", "secret", "password", "apikey", "credential", "credentials"];
    name.contains("api-key") || name.split(['-', '_']).any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_sets_neither_secrets_nor_headers_of_ours() {
        let table = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        for name in ["X-Environment", "X-Team", "User-Agent", "Accept"] {
            assert!(of_contract(&table(name, "a")).is_ok(), "{name}");
        }
        for name in
            ["Host", "Connection", "Content-Length", "webhook-id", "Webhook-Signature", "traceparent", "a b", ""]
        {
            let faults = of_contract(&table(name, "a")).unwrap_err();
            assert!(!faults[0].is_security_critical, "{name}");
        }
        for name in ["Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "x-auth-token", "X_SECRET"] {
            let faults = of_contract(&table(name, "canary")).unwrap_err();
            assert!(faults[0].is_security_critical, "{name}");
            assert!(!format!("{faults:?}").contains("canary"), "{name}");
        }
        assert!(of_contract(&table("X-Team", "a\nb")).is_err());
    }
}
