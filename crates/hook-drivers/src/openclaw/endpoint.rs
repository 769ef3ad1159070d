//! Which of the gateway's endpoints a URL names, and the body that it takes.

use bytes::Bytes;
use hook_core::{
    catalog::Fault,
    envelope::{Envelope, Layout},
    secret::Secret,
};
use serde_json::{json, to_vec};
use url::Url;

use super::message;

/// An endpoint of the gateway's hooks. Their base path is the gateway's own setting, so that the last segment decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/hooks/agent` runs an isolated turn of an agent.
    Agent,
    /// `/hooks/wake` puts a line before the main session and wakes it.
    Wake,
    /// `/hooks/NAME` goes through a mapping of the gateway's configuration, which reads any field it likes.
    Mapped,
}

impl Endpoint {
    /// The endpoint that a URL names.
    pub(super) fn of(url: &Url) -> Result<Self, Fault> {
        match url.path().trim_end_matches('/').rsplit('/').next() {
            Some("agent") => Ok(Self::Agent),
            Some("wake") => Ok(Self::Wake),
            Some(name) if !name.is_empty() && name != "hooks" => Ok(Self::Mapped),
            _ => Err(Fault::at(
                "/url",
                "the URL names no hook of the gateway",
                "write a URL such as `http://127.0.0.1:18789/hooks/agent`, `/hooks/wake` or `/hooks/NAME`",
            )),
        }
    }

    /// The body of a request.
    pub(super) fn render(self, envelope: &Envelope, token: &Secret) -> Bytes {
        match self {
            Self::Agent => to_json(&json!({
                "message": message::render(envelope, token),
                "name": format!("hook: {}", message::title(envelope)),
            })),
            Self::Wake => to_json(&json!({ "text": message::one_line(envelope), "mode": "now" })),
            Self::Mapped => with_text(envelope, &message::render(envelope, token)),
        }
    }
}

/// The envelope, the payload verbatim, and `text` for templates that show the event to an agent.
fn with_text(envelope: &Envelope, text: &str) -> Bytes {
    let mut body = vec![b'{'];
    envelope.write_fields(Layout::Verbatim, &mut body);
    body.extend_from_slice(b",\"text\":");
    body.extend_from_slice(&to_json(&json!(text)));
    body.push(b'}');
    body.into()
}

fn to_json(value: &serde_json::Value) -> Bytes {
    to_vec(value).expect("a JSON value serialises").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_of_the_path_names_the_endpoint() {
        let of = |url: &str| Endpoint::of(&Url::parse(url).unwrap()).ok();
        assert_eq!(of("http://a/hooks/agent"), Some(Endpoint::Agent));
        assert_eq!(of("http://a/my/base/agent/"), Some(Endpoint::Agent));
        assert_eq!(of("http://a/hooks/wake?x"), Some(Endpoint::Wake));
        assert_eq!(of("http://a/hooks/github"), Some(Endpoint::Mapped));
        for none in ["http://a", "http://a/", "http://a/hooks", "http://a/hooks/"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
