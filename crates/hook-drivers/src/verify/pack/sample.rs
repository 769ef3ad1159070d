//! A body to try things out with.

use hook_core::ports::verifier::{Sample, SampleRequest};
use url::form_urlencoded;

use super::format;

/// The sample of a pack. `parts` is how many values make an event's type.
pub(super) fn of(sample: &format::Sample, request: &SampleRequest<'_>, parts: usize) -> Sample {
    let (object, action) = request.event_type.split_once('.').unwrap_or((request.event_type, ""));
    let event_name = if parts > 1 { object } else { request.event_type };
    let values = [
        ("<event>", request.event_type.to_owned()),
        ("<object>", object.to_owned()),
        ("<action>", action.to_owned()),
        ("<id>", request.id.to_owned()),
        ("<time>", request.now.as_second().to_string()),
        ("<time_ms>", request.now.as_millisecond().to_string()),
        ("<time_rfc3339>", request.now.to_string()),
    ];
    let fill = |text: &str, write: fn(&str) -> String| {
        values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, &write(value)))
    };
    let (content_type, body) = match &sample.form {
        None => ("application/json", fill(sample.body.as_deref().unwrap_or("{}").trim(), in_json)),
        Some(fields) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields {
                form.append_pair(name, &fill(value, |text| text.to_owned()));
            }
            ("application/x-www-form-urlencoded", form.finish())
        }
    };
    Sample { event_name: event_name.to_owned(), content_type, body: body.into_bytes() }
}

/// Text as it stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
