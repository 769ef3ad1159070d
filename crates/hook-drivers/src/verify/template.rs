//! Text with names in braces, such as `v0:{timestamp}:{body}` or `{header:X-Event}.{/action}`.

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// This text.
    Text(&'t str),
    /// What stands for this name.
    Name(&'t str),
}

/// A brace that is not closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unclosed;

/// The pieces of a template, in their order.
pub(crate) fn pieces(template: &str) -> Result<Vec<Piece<'_>>, Unclosed> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or(Unclosed)?;
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces.push(Piece::Name(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::{Piece::*, *};

    #[test]
    fn a_template_is_text_and_names_in_their_order() {
        assert_eq!(pieces("v0:{time}{body}."), Ok(vec![Text("v0:"), Name("time"), Name("body"), Text(".")]));
        assert_eq!(pieces(""), Ok(vec![]));
        assert_eq!(pieces("{}"), Ok(vec![Name("")]));
        assert_eq!(pieces("{body"), Err(Unclosed));
    }
}
