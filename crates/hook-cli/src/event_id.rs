//! An event id on the command line.

use hook_core::event::EventId;

/// Reads an event id, or says what one looks like and where it stands.
pub fn parse(text: &str) -> Result<EventId, String> {
    text.parse().map_err(|_| {
        "expected an event id such as 01a1fc2d-87b0-7c41-9d5e-2f60c8a7b934, as `hook send` prints it".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_the_help_is_an_id_and_other_text_is_not() {
        let help = parse("x").unwrap_err();
        let example = help.split_whitespace().find(|word| word.contains('-')).unwrap();
        assert!(parse(example.trim_end_matches(',')).is_ok());
    }
}
