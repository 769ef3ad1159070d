//! Where an event says what it is: templates of headers and fields.

use hook_core::payload::Payload;
use http::{HeaderMap, HeaderName};

use crate::verify::{
    header,
    template::{self, Piece},
};

/// Templates, of which the first counts whose every part is there.
pub(super) struct Selectors(Vec<Selector>);

/// One template.
pub(super) struct Selector(Vec<Step>);

/// A part of a template.
pub(super) enum Step {
    /// This text.
    Text(&'static str),
    /// The value of a header.
    Header(HeaderName),
    /// The string, number or boolean at a JSON pointer.
    Pointer(&'static str),
}

impl Selectors {
    pub(super) fn parse(texts: &'static [String]) -> Result<Self, String> {
        texts.iter().map(|text| Selector::parse(text)).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Selector> {
        self.0.iter()
    }

    /// The first text that is complete, and the template that it was made by.
    pub(super) fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<(String, &Selector)> {
        self.0.iter().find_map(|selector| Some((selector.select(headers, payload)?, selector)))
    }

    /// The header that the first template reads.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        self.0.first()?.0.iter().find_map(|step| match step {
            Step::Header(name) => Some(name),
            Step::Text(_) | Step::Pointer(_) => None,
        })
    }

    /// How many values make the first template's text.
    pub(super) fn parts_of_first(&self) -> usize {
        let is_value = |step: &&Step| !matches!(step, Step::Text(_));
        self.0.first().map_or(0, |selector| selector.0.iter().filter(is_value).count())
    }
}

impl Selector {
    fn parse(text: &'static str) -> Result<Self, String> {
        let pieces = template::pieces(text).map_err(|_| format!("a brace of `{text}` is not closed"))?;
        let step = |piece| match piece {
            Piece::Text(text) => Ok(Step::Text(text)),
            Piece::Name(name) => Step::parse(name).ok_or_else(|| format!("`{{{name}}}` stands for nothing")),
        };
        pieces.into_iter().map(step).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<String> {
        self.0.iter().map(|step| step.select(headers, payload)).collect()
    }
}

impl Step {
    pub(super) fn parse(name: &'static str) -> Option<Self> {
        match name.strip_prefix("header:") {
            Some(name) => name.parse().map(Self::Header).ok(),
            None => name.starts_with('/').then_some(Self::Pointer(name)),
        }
    }

    pub(super) fn select(&self, headers: &HeaderMap, payload: &Payload) -> Option<String> {
        let value = match self {
            Self::Text(text) => return Some((*text).to_owned()),
            Self::Header(name) => header::described(headers, name),
            Self::Pointer(pointer) => payload.scalar(pointer),
        };
        value.filter(|value| !value.is_empty())
    }
}
