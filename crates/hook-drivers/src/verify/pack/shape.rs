//! Bodies that are no JSON object, as one.

use std::collections::HashSet;

use bytes::Bytes;
use hook_core::{
    payload::{Payload, PayloadError},
    ports::verifier::Shaped,
};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::format::Shape;

/// A body in the shapes that its provider sends.
pub(super) fn payload(shapes: &[Shape], body: &Bytes) -> Result<Shaped, PayloadError> {
    let whole = |payload| Shaped { payload, received: None };
    match Payload::parse(body.clone()) {
        Ok(payload) => Ok(whole(payload)),
        // It is one JSON value, so that nothing of it can stand beside `items`.
        Err(PayloadError::NotAnObject) if shapes.contains(&Shape::Array) && starts_with(body, b'[') => {
            Payload::parse([&b"{\"items\":"[..], &body[..], &b"}"[..]].concat().into()).map(whole)
        }
        // What begins as an object is none that is broken, rather than a form.
        Err(error) if shapes.contains(&Shape::Form) && !starts_with(body, b'{') => of_form(body).ok_or(error)?,
        Err(error) => Err(error),
    }
}

fn starts_with(body: &[u8], byte: u8) -> bool {
    body.trim_ascii_start().first() == Some(&byte)
}

/// A form as an object of strings; `None` where it has no field.
fn of_form(body: &[u8]) -> Option<Result<Shaped, PayloadError>> {
    let received = std::str::from_utf8(body).ok().filter(|text| text.contains('='))?;
    let (mut fields, mut seen) = (Map::new(), HashSet::new());
    for (name, value) in form_urlencoded::parse(body) {
        if !seen.insert(name.clone()) {
            return Some(Err(PayloadError::DuplicateKey));
        }
        fields.insert(name.into_owned(), value.into_owned().into());
    }
    let object = Bytes::from(Value::Object(fields).to_string());
    let shaped = |payload| Shaped { payload, received: Some(received.to_owned()) };
    Some(Payload::parse(object).map(shaped))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Shape] = &[Shape::Object, Shape::Array, Shape::Form];

    fn shaped(shapes: &[Shape], body: &str) -> Result<(String, Option<String>), PayloadError> {
        let shaped = payload(shapes, &Bytes::copy_from_slice(body.as_bytes()))?;
        Ok((String::from_utf8(shaped.payload.bytes().to_vec()).unwrap(), shaped.received))
    }

    #[test]
    fn a_form_becomes_an_object_of_strings_and_keeps_what_was_received() {
        let body = "From=%2B1415&Body=a+b%22%00&Empty=";
        let object = r#"{"From":"+1415","Body":"a b\"\u0000","Empty":""}"#;
        assert_eq!(shaped(ALL, body), Ok((object.to_owned(), Some(body.to_owned()))));
        assert_eq!(shaped(&[Shape::Object], body), Err(PayloadError::FormEncoded));
        assert_eq!(shaped(ALL, "a=1&a=2"), Err(PayloadError::DuplicateKey));
        assert_eq!(shaped(ALL, "a=1&%61=2"), Err(PayloadError::DuplicateKey));
        assert_eq!(shaped(ALL, ""), Err(PayloadError::Empty));
    }

    #[test]
    fn an_array_becomes_the_items_of_an_object_and_nothing_stands_beside_it() {
        assert_eq!(shaped(ALL, " [1, {\"a\":2}]\r\n"), Ok(("{\"items\": [1, {\"a\":2}]\r\n}".to_owned(), None)));
        assert_eq!(shaped(&[Shape::Object], "[1]"), Err(PayloadError::NotAnObject));
        assert!(shaped(&[Shape::Object, Shape::Array], r#"[1],"id":"forged""#).is_err());
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(shaped(ALL, &deep(127)).is_ok());
        assert_eq!(shaped(&[Shape::Array], &deep(128)), Err(PayloadError::TooDeep));
    }

    #[test]
    fn a_broken_object_is_no_form() {
        assert!(matches!(shaped(ALL, "{\"a\"=1}"), Err(PayloadError::NotJson { .. })));
        assert!(matches!(shaped(ALL, "7"), Err(PayloadError::NotAnObject)));
    }
}
