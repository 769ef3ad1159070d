//! `redact`: puts a mark in the place of values. Every other byte of the payload stays as it came.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use hook_core::{
    catalog::{Fault, Kind},
    payload::Payload,
    ports::plugin::{Draft, Plugin, Verdict},
};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::pointer;

/// Looking into a value costs its length; one payload is looked at so often at most.
const MAX_POINTERS: usize = 100;

/// The settings of `redact`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// JSON pointers to the values, such as `/user/email`. A step `*` stands for every element or member:
    /// `/commits/*/author/email`. What is not there is passed over.
    #[schemars(length(min = 1, max = 100))]
    pub pointers: Vec<String>,
    /// What stands in their place.
    #[serde(default = "mark")]
    pub mark: String,
}

fn mark() -> String {
    "[redacted]".to_owned()
}

/// The plugin `redact`.
pub struct Redact {
    pointers: Vec<Vec<Step>>,
    /// As JSON.
    mark: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Any,
    Name(String),
}

impl Kind for Redact {
    const NAME: &'static str = "redact";
    const ABOUT: &'static str = "Puts a mark in the place of values; the rest of the payload stays as it came.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { pointers, mark }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let fault = |(at, text): (usize, &String)| {
            let place = format!("/pointers/{at}");
            match text.as_str() {
                "" => Some(Fault::at(
                    &place,
                    "an empty pointer is the whole payload, which stays an object",
                    pointer::HELP,
                )),
                text => pointer::check(text).map(|message| Fault::at(&place, message, pointer::HELP)),
            }
        };
        let mut faults: Vec<Fault> = pointers.iter().enumerate().filter_map(fault).collect();
        if pointers.is_empty() || pointers.len() > MAX_POINTERS {
            let help = format!("write from 1 to {MAX_POINTERS} pointers");
            faults.push(Fault::at("/pointers", "this is another number of pointers than there can be", help));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let step = |step: &str| if step == "*" { Step::Any } else { Step::Name(pointer::unescaped(step)) };
        let pointers = pointers.iter().map(|text| text.split('/').skip(1).map(step).collect()).collect();
        let mark = serde_json::Value::String(mark).to_string();
        Ok(Arc::new(Self { pointers, mark }))
    }
}

impl Plugin for Redact {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        let refuse = |what: &str| Verdict::Refuse { reason: format!("redact: {what}") };
        let Ok(text) = std::str::from_utf8(draft.payload.bytes()) else { return refuse("the payload is not UTF-8") };
        let mut places = Vec::new();
        for steps in &self.pointers {
            if find(text, text, steps, &mut places).is_none() {
                // Nobody knows what stands in what cannot be read: it does not go on.
                return refuse("the payload cannot be read");
            }
        }
        if places.is_empty() {
            return Verdict::Keep;
        }
        match Payload::parse(replaced(text, places, &self.mark).into()) {
            Ok(payload) => {
                draft.payload = payload;
                Verdict::Keep
            }
            Err(_) => refuse("the result is no payload"),
        }
    }

    fn keeps_places(&self) -> bool {
        true
    }
}

/// The text with a mark in every place. A place within another goes with it.
fn replaced(text: &str, mut places: Vec<Range<usize>>, mark: &str) -> String {
    places.sort_by_key(|place| (place.start, usize::MAX - place.end));
    let (mut out, mut behind) = (String::with_capacity(text.len()), 0);
    for place in places {
        if place.start >= behind {
            out.push_str(&text[behind..place.start]);
            out.push_str(mark);
            behind = place.end;
        }
    }
    out.push_str(&text[behind..]);
    out
}

/// Finds the places of values within `value`, which is a part of `whole`. `None` where it cannot be read.
fn find(whole: &str, value: &str, steps: &[Step], places: &mut Vec<Range<usize>>) -> Option<()> {
    let value = value.trim_ascii();
    let Some((step, rest)) = steps.split_first() else {
        let start = value.as_ptr().addr() - whole.as_ptr().addr();
        places.push(start..start + value.len());
        return Some(());
    };
    match value.as_bytes().first()? {
        b'{' => {
            let Members(members) = serde_json::from_str(value).ok()?;
            // Of equal names each may be what a reader sees: all of them go.
            let is_meant = |name: &str| match step {
                Step::Any => true,
                Step::Name(wanted) => wanted == name,
            };
            let meant = members.into_iter().filter(|(Name(name), _)| is_meant(name));
            meant.into_iter().try_for_each(|(_, member)| find(whole, member.get(), rest, places))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(value).ok()?;
            match step {
                Step::Any => items.into_iter().try_for_each(|item| find(whole, item.get(), rest, places)),
                Step::Name(index) => {
                    let is_index = !index.starts_with('+') && (index == "0" || !index.starts_with('0'));
                    let item = index.parse().ok().filter(|_| is_index).and_then(|index: usize| items.get(index));
                    item.map_or(Some(()), |item| find(whole, item.get(), rest, places))
                }
            }
        }
        _ => Some(()),
    }
}

/// The members of an object as they stand in the text, equal names included.
struct Members<'t>(Vec<(Name<'t>, &'t RawValue)>);

#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Members<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Vec<(Name<'de>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(All).map(Self)
    }
}
