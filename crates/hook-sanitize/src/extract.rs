//! What an agent is shown of an event: the fields that its table allows, each within its limit.

use crate::{
    json::{self, Walk},
    tables::{Kind, Table},
};

/// What is shown of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extract {
    /// A line for each field, `name: value`; a long text begins on a line of its own. Further lines of a value are indented, so
    /// that none of them is taken for another field.
    pub text: String,
    /// The names of the fields that were cut.
    pub cut: Vec<&'static str>,
}

/// The fields of a payload that its table allows. `None` where nothing that users write is among them: then the table does not
/// fit the payload.
pub fn extract(json: &str, table: &Table) -> Option<Extract> {
    let mut values: Vec<(usize, String)> = Vec::new();
    for part in Walk::new(json, Some(table)) {
        let Some(field) = part.field.filter(|_| !part.raw.is_empty()) else { continue };
        let mut value = String::new();
        json::unescape(part.raw, &mut value);
        values.push((field, value));
    }
    if !values.iter().any(|(field, _)| table.fields()[*field].kind.is_user_text()) {
        return None;
    }
    let mut extract = Extract { text: String::new(), cut: Vec::new() };
    for (index, field) in table.fields().iter().enumerate() {
        for (_, value) in values.iter().filter(|(of, _)| *of == index) {
            let (shown, all) = cut(value, field.kind.limit());
            let gap = if matches!(field.kind, Kind::Body | Kind::Comment) { "\n" } else { " " };
            extract.text.push_str(field.name);
            extract.text.push(':');
            indent(&format!("{gap}{shown}"), &mut extract.text);
            extract.text.push('\n');
            if let Some(all) = all {
                extract.text.push_str(&format!("[{} is cut here: it has {all} characters]\n", field.name));
                extract.cut.push(field.name);
            }
        }
    }
    extract.text.pop();
    Some(extract)
}

/// Appends a text, its lines after the first set in. Whatever a reader may take for the end of a line is one.
fn indent(text: &str, out: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        out.push(char);
        let is_within_end = char == '\r' && chars.peek() == Some(&'\n');
        if matches!(char, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}') && !is_within_end {
            out.push_str("  ");
        }
    }
}

/// The first characters of a text, and where that is not all of it how many it has.
pub fn cut(text: &str, limit: usize) -> (&str, Option<usize>) {
    match text.char_indices().nth(limit) {
        None => (text, None),
        Some((end, _)) => (&text[..end], Some(text.chars().count())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::table;

    #[test]
    fn only_what_the_table_allows_is_shown_and_in_its_order() {
        let json = r#"{"action":"opened","issue":{"id":1,"body":"Line\n\"two\"","title":"A title","number":7,
            "secret":"x","user":{"login":"octo","email":"x"}},"sender":{"login":"octo"}}"#;
        let extract = extract(json, table("github", "issues.opened").unwrap()).unwrap();
        let expected =
            "action: opened\nsender: octo\nnumber: 7\nauthor: octo\ntitle: A title\nbody:\n  Line\n  \"two\"";
        assert_eq!((extract.text.as_str(), extract.cut.as_slice()), (expected, &[][..]));
    }

    #[test]
    fn no_line_of_a_value_looks_like_a_field() {
        let json = r#"{"issue":{"title":"A\r\nsender: admin","body":"x\u2028sender: admin"}}"#;
        let extract = extract(json, table("github", "issues.opened").unwrap()).unwrap();
        assert_eq!(extract.text, "title: A\r\n  sender: admin\nbody:\n  x\u{2028}  sender: admin");
    }

    #[test]
    fn a_field_is_cut_at_its_limit_and_says_so() {
        let json = format!(r#"{{"issue":{{"title":"{}"}}}}"#, "ä".repeat(501));
        let extract = extract(&json, table("github", "issues.opened").unwrap()).unwrap();
        assert_eq!(extract.text, format!("title: {}\n[title is cut here: it has 501 characters]", "ä".repeat(500)));
        assert_eq!(extract.cut, ["title"]);
    }

    #[test]
    fn a_payload_that_does_not_fit_gives_nothing() {
        assert_eq!(extract(r#"{"action":"opened","x":"y"}"#, table("github", "issues.opened").unwrap()), None);
    }
}
