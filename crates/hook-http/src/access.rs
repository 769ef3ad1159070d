//! Who may use an address: the token of a client, and the origin of a browser's page.

pub use hook_core::transport::AuthMode;
use hook_core::{
    catalog::Fault,
    names::EnvName,
    ports::ingress::{ListenError, RejectionKind},
    secret::Secrets,
};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, ORIGIN},
};
use url::Url;

use crate::server::token;

/// Who is let in.
#[derive(Debug, Clone)]
pub struct Access {
    token_env: Option<EnvName>,
    allowed_origins: Vec<String>,
}

/// A request that is not let in: how it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The class of the refusal.
    pub kind: RejectionKind,
    /// The stable code of the answer.
    pub code: &'static str,
    /// One sentence for whoever runs the client.
    pub message: &'static str,
    /// The `WWW-Authenticate` header that a 401 needs.
    pub challenge: Option<HeaderValue>,
}

impl Access {
    /// Checks the settings of an adapter: `auth_mode`, `token_env` and `allowed_origins`.
    pub fn new(mode: AuthMode, token_env: Option<EnvName>, allowed_origins: Vec<String>) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::from_iter(mode.fault(token_env.as_ref()));
        let origins = allowed_origins.iter().enumerate();
        faults.extend(origins.filter(|(_, origin)| !is_origin(origin)).map(|(index, _)| {
            let help = "write scheme and host, such as `https://app.example.com`";
            Fault::at(&format!("/allowed_origins/{index}"), "this is not an origin", help)
        }));
        if faults.is_empty() { Ok(Self { token_env, allowed_origins }) } else { Err(faults) }
    }

    /// Whether a client has to prove who it is.
    pub fn is_proven(&self) -> bool {
        self.token_env.is_some()
    }

    /// Fails where the token is not set: nobody could be let in.
    pub fn ready(&self, secrets: &Secrets) -> Result<(), ListenError> {
        match self.token_env.as_ref().filter(|name| secrets.get(name).is_none()) {
            Some(name) => Err(ListenError::MissingSecret(name.clone())),
            None => Ok(()),
        }
    }

    /// Whether a request with these headers is let in.
    pub fn check(&self, headers: &HeaderMap, secrets: &Secrets) -> Result<(), Denied> {
        if !self.has_token(headers, secrets) {
            return Err(Denied {
                kind: RejectionKind::Unauthorized,
                code: "unauthorized",
                message: "a client needs the token: Authorization: Bearer TOKEN",
                challenge: Some(challenge(headers)),
            });
        }
        self.check_origin(headers)
    }

    /// The same without the token, which a browser does not show when it asks what its page may do.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Denied> {
        if self.has_origin(headers) {
            return Ok(());
        }
        Err(Denied {
            kind: RejectionKind::Forbidden,
            code: "origin_not_allowed",
            message: "pages of this origin may not connect; allowed_origins names those that may",
            challenge: None,
        })
    }

    fn has_token(&self, headers: &HeaderMap, secrets: &Secrets) -> bool {
        let Some(name) = &self.token_env else { return true };
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        secrets.get(name).zip(given).is_some_and(|(token, given)| token::matches(&token, given))
    }

    /// A browser says whose page it runs, and anybody's page can make it connect to this machine (RFC 6455, section 10.2).
    /// Other clients say nothing, and are not asked.
    fn has_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        self.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }
}

/// RFC 6750, section 3: a request without credentials is told of no error.
fn challenge(headers: &HeaderMap) -> HeaderValue {
    match headers.contains_key(AUTHORIZATION) {
        true => HeaderValue::from_static("Bearer realm=\"hook\", error=\"invalid_token\""),
        false => HeaderValue::from_static("Bearer realm=\"hook\""),
    }
}

/// RFC 6454, section 6.2: scheme, host and port, and nothing behind.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use hook_core::secret::Secret;
    use http::HeaderName;

    use super::*;

    fn access(token_env: Option<&str>) -> Access {
        let token_env = token_env.map(|name| EnvName::new(name).unwrap());
        let mode = if token_env.is_some() { AuthMode::Bearer } else { AuthMode::None };
        Access::new(mode, token_env, vec!["https://app.example.com".to_owned()]).unwrap()
    }

    fn check(access: &Access, headers: &[(HeaderName, &str)]) -> Result<(), Denied> {
        let secrets: Secrets = Arc::new(BTreeMap::from([(EnvName::new("TOKEN").unwrap(), Secret::new("right"))]));
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        access.check(&headers.collect(), &secrets)
    }

    #[test]
    fn only_the_token_lets_a_client_in_and_the_challenge_tells_a_wrong_one_from_none() {
        let access = access(Some("TOKEN"));
        assert_eq!(check(&access, &[(AUTHORIZATION, "Bearer right")]), Ok(()));
        let challenge = |headers: &[(HeaderName, &str)]| check(&access, headers).unwrap_err().challenge.unwrap();
        assert_eq!(challenge(&[]), "Bearer realm=\"hook\"");
        assert_eq!(challenge(&[(AUTHORIZATION, "Bearer wrong")]), "Bearer realm=\"hook\", error=\"invalid_token\"");
    }

    #[test]
    fn a_page_needs_an_origin_that_is_named_and_other_clients_none() {
        let access = access(None);
        assert_eq!(check(&access, &[]), Ok(()));
        assert_eq!(check(&access, &[(ORIGIN, "https://app.example.com")]), Ok(()));
        for origin in ["https://evil.example.com", "http://app.example.com", "https://app.example.com:8443", "null"] {
            assert_eq!(check(&access, &[(ORIGIN, origin)]).unwrap_err().kind, RejectionKind::Forbidden, "{origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_a_fault_at_its_place() {
        let origins = ["https://a.example.com", "a.example.com", "https://a.example.com/", "null", "file:///x"];
        let faults = Access::new(AuthMode::None, None, origins.map(str::to_owned).to_vec()).unwrap_err();
        let pointers: Vec<_> = faults.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(pointers, (1..5).map(|index| format!("/allowed_origins/{index}")).collect::<Vec<_>>());
    }
}
