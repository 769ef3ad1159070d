//! What a server writes to its error stream, in our log: line by line, cut, and not more than a log can take.

use std::time::Duration;

use hook_core::secret::Secret;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{lines::Line, scrub::Hidden};

/// So many lines are logged
const MOST: u32 = 100;
/// in so long a time.
const WINDOW: Duration = Duration::from_secs(10);

/// Logs the lines of one server.
pub(super) struct Chatter {
    name: String,
    hidden: Hidden,
    window: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Chatter {
    /// `secrets` are what the server was given, and may say.
    pub(super) fn new(name: String, secrets: &[Secret]) -> Self {
        Self { name, hidden: Hidden::of(None, secrets.iter()), window: None, lines: 0, left_out: 0 }
    }

    /// Whose lines they are.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Logs a line, unless there were too many.
    pub(super) fn say(&mut self, line: &Line) {
        if let Some(text) = self.admit(line) {
            info!(command = self.name, line = text, "the server says");
        }
    }

    fn admit(&mut self, line: &Line) -> Option<String> {
        let (Line::Whole(bytes) | Line::TooLong(bytes)) = line;
        let text = self.hidden.clean(&String::from_utf8_lossy(bytes));
        if text.is_empty() {
            return None;
        }
        if self.window.is_none_or(|began| began.elapsed() >= WINDOW) {
            if self.left_out > 0 {
                warn!(command = self.name, lines = self.left_out, "the server said more than is logged");
            }
            (self.window, self.lines, self.left_out) = (Some(Instant::now()), 0, 0);
        }
        self.lines += 1;
        if self.lines > MOST {
            self.left_out += 1;
            return None;
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_and_what_comes_later_is_not() {
        let mut chatter = Chatter::new("agent".to_owned(), &[]);
        let line = Line::Whole(b"again".to_vec());
        assert_eq!((0..1000).filter(|_| chatter.admit(&line).is_some()).count(), MOST as usize);
        tokio::time::advance(WINDOW).await;
        assert!(chatter.admit(&line).is_some());
        assert_eq!(chatter.left_out, 0);
    }

    #[tokio::test]
    async fn a_line_shows_no_secret_and_no_control_characters() {
        let mut chatter = Chatter::new("agent".to_owned(), &[Secret::new("canary-secret")]);
        let line = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(chatter.admit(&line("key\tcanary-secret \u{1b}[0m")).unwrap(), "key … [0m");
        assert_eq!(chatter.admit(&line(" \r")), None);
    }
}
