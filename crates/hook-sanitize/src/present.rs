//! An event's payload as text for an agent: the fields that its table allows, or all of it where there is no table.

use crate::{
    extract::{cut, extract},
    tables::table,
};

/// So many characters are shown. With every one escaped, a request with them stays within 256 KiB.
const MOST_CHARACTERS: usize = 50_000;

/// Text that somebody else wrote: it belongs behind a [`Fence`](crate::Fence).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The text.
    pub text: String,
    /// Whether the event has more than is shown.
    pub is_partial: bool,
    /// The characters that the text had, where it was cut.
    pub cut_from: Option<usize>,
}

/// What an agent is shown of a payload. `providers` are names by which its table may be known; the first that has one counts.
pub fn present(providers: &[&str], event_type: &str, json: &str) -> Presented {
    let table = providers.iter().find_map(|provider| table(provider, event_type));
    let (text, is_partial) = match table.and_then(|table| extract(json, table)) {
        Some(extract) => (extract.text, true),
        None => (json.trim().to_owned(), false),
    };
    match cut(&text, MOST_CHARACTERS) {
        (shown, Some(all)) => Presented { text: shown.to_owned(), is_partial: true, cut_from: Some(all) },
        (_, None) => Presented { text, is_partial, cut_from: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_allows_is_shown_and_everything_where_there_is_none() {
        let json = r#" {"issue":{"title":"A","node_id":"x"}} "#;
        let shown = present(&["own", "github"], "issues.opened", json);
        assert_eq!(shown, Presented { text: "title: A".into(), is_partial: true, cut_from: None });
        let shown = present(&["own"], "issues.opened", json);
        assert_eq!(shown, Presented { text: json.trim().into(), is_partial: false, cut_from: None });
    }

    #[test]
    fn a_long_payload_is_cut_between_characters() {
        let shown = present(&[], "", &"ä".repeat(60_000));
        assert_eq!((shown.text.chars().count(), shown.cut_from), (MOST_CHARACTERS, Some(60_000)));
    }
}
