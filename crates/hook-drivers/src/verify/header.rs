//! Headers that may stand in a request once.

use http::{HeaderMap, header::AsHeaderName};

/// A header that is there, and yet has no value to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unclear {
    /// It stands there more than once, so that two readers could go by two values.
    Repeated,
    /// It holds more than visible ASCII.
    NotText,
}

/// The bytes of a header; `None` where it is absent.
pub(crate) fn only_bytes(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&[u8]>, Unclear> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        Some(_) => Err(Unclear::Repeated),
        None => Ok(first.map(|value| value.as_bytes().trim_ascii())),
    }
}

/// The text of a header, without whitespace around it; `None` where it is absent.
pub(crate) fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, Unclear> {
    let Some(bytes) = only_bytes(headers, name)? else { return Ok(None) };
    match bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        true => std::str::from_utf8(bytes).map(Some).map_err(|_| Unclear::NotText),
        false => Err(Unclear::NotText),
    }
}

/// The text of a header that only describes; `None` where it is absent, empty or unclear.
pub(crate) fn described(headers: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    let text = only(headers, name).ok().flatten()?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_header_is_read_whatever_the_case_of_its_name_and_only_where_it_is_clear() {
        let mut headers = HeaderMap::new();
        assert_eq!(only(&headers, "X-Name"), Ok(None));
        headers.append("x-name", HeaderValue::from_static(" value "));
        assert_eq!(only(&headers, "X-Name"), Ok(Some("value")));
        headers.append("x-name", HeaderValue::from_static("value"));
        assert_eq!(only(&headers, "X-Name"), Err(Unclear::Repeated));
        assert_eq!(described(&headers, "X-Name"), None);
        headers.insert("x-name", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(only(&headers, "X-Name"), Err(Unclear::NotText));
        assert_eq!(only_bytes(&headers, "X-Name"), Ok(Some(b"\xff".as_slice())));
    }
}
