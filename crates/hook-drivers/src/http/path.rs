//! The path template: where the name of the source stands in the path.

use hook_core::catalog::Fault;

const SOURCE: &str = "{source}";

/// A path in which one whole segment is the name of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathTemplate {
    before: String,
    after: String,
}

impl PathTemplate {
    /// Parses a template such as `/webhook/{source}`.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |message: &str| Fault::at("/path_template", message, "write a path such as `/webhook/{source}`");
        if !text.starts_with('/') {
            return Err(fault("a path starts with `/`"));
        }
        let Some((before, after)) = text.split_once(SOURCE) else {
            return Err(fault("the path has no `{source}`, so that no request could say where it comes from"));
        };
        if after.contains(SOURCE) {
            return Err(fault("the path has more than one `{source}`"));
        }
        if !before.ends_with('/') || !(after.is_empty() || after.starts_with('/')) {
            return Err(fault("`{source}` must be a whole segment of the path"));
        }
        if !before.bytes().chain(after.bytes()).all(is_path_byte) {
            return Err(fault("the path may hold only the characters of a URL path, and no other placeholder"));
        }
        Ok(Self { before: before.into(), after: after.into() })
    }

    /// The segment that names the source; `None` where the path is another one.
    pub(crate) fn source<'path>(&self, path: &'path str) -> Option<&'path str> {
        let segment = path.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        (!segment.is_empty() && !segment.contains('/')).then_some(segment)
    }
}

/// Whether a text is the path of a URL.
pub(crate) fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(is_path_byte)
}

/// RFC 3986, section 3.3: `pchar` and `/`.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_one_whole_segment() {
        let template = PathTemplate::parse("/webhook/{source}").unwrap();
        assert_eq!(template.source("/webhook/github"), Some("github"));
        for other in ["/webhook/", "/webhook", "/webhook/a/b", "/webhook/a/", "/", "//webhook/a", "/WEBHOOK/a"] {
            assert_eq!(template.source(other), None, "{other}");
        }
        let template = PathTemplate::parse("/in/{source}/events").unwrap();
        assert_eq!(template.source("/in/stripe/events"), Some("stripe"));
        for other in ["/in/events", "/in//events", "/in/stripe", "/in/a/b/events"] {
            assert_eq!(template.source(other), None, "{other}");
        }
    }

    #[test]
    fn a_template_without_exactly_one_whole_source_segment_is_refused() {
        for wrong in [
            "",
            "webhook/{source}",
            "/webhook",
            "/{source}/{source}",
            "/x-{source}",
            "/{source}-x",
            "/{source}?a",
            "/{other}/{source}",
            "/a b/{source}",
        ] {
            assert!(PathTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
