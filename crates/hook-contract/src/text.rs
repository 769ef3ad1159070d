//! The contract's text, with an index of its lines, so that thousands of places cost one pass.

use std::ops::Range;

use hook_core::problem::Place;

/// A text that knows its file's name.
pub(crate) struct Text<'t> {
    file: &'t str,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> Text<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { file, text, line_starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// What stands at a span; nothing where there is none.
    pub(crate) fn at(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    /// The name of the file.
    pub(crate) fn file(&self) -> &'t str {
        self.file
    }

    /// The place of a span; one past the end stands at the end.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.floor_char_boundary(span.end).max(start);
        let line = self.line_starts.partition_point(|&line_start| line_start <= start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text[line_start..start].chars().count() + 1;
        Place { file: self.file.to_owned(), span: start..end, line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_agree_with_those_of_a_plain_count() {
        let text = "a = 1\nä = 2\n\nc";
        for at in 0..text.len() + 2 {
            let place = Text::new("c.toml", text).place(at..at + 1);
            let plain = Place::in_text("c.toml", text, at..at + 1);
            assert_eq!((place.line, place.column), (plain.line, plain.column), "{at}");
        }
    }
}
