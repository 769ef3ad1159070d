//! The one place that writes to stdout and stderr, or collects what would stand there. A reader that goes away is no panic
//! and no failure.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anstyle::Style;
use clap::ColorChoice;
use serde::Serialize;

use crate::exit::Exit;

/// Headings.
const HEADING: Style = Style::new().bold();

/// Where a command writes: answers to stdout, everything else to stderr.
#[derive(Debug, Clone)]
pub struct Output {
    is_json: bool,
    stdout_has_color: bool,
    stderr_has_color: bool,
    stderr_is_terminal: bool,
    /// Whether the last line on stderr is one of [`Output::progress`], which the next one takes the place of.
    has_progress: Arc<AtomicBool>,
    collected: Option<Collected>,
}

/// What a command has written to nobody's terminal.
#[derive(Debug, Clone, Default)]
pub struct Collected(Arc<Mutex<Written>>);

/// What a command has written.
#[derive(Debug, Default)]
pub struct Written {
    /// To stdout.
    pub answers: String,
    /// To stderr.
    pub notes: String,
}

impl Collected {
    /// Takes what was written so far.
    pub fn take(&self) -> Written {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output {
    /// Output as the flags and the terminal want it.
    pub fn new(color: ColorChoice, is_json: bool) -> Self {
        Self {
            is_json,
            stdout_has_color: has_color(color, io::stdout().is_terminal()),
            stderr_has_color: has_color(color, io::stderr().is_terminal()),
            stderr_is_terminal: io::stderr().is_terminal(),
            has_progress: Arc::default(),
            collected: None,
        }
    }

    /// Output for a program in this process, which gets it as it would have been written with `--json`.
    pub fn collecting() -> (Self, Collected) {
        let collected = Collected::default();
        let output = Self {
            is_json: true,
            stdout_has_color: false,
            stderr_has_color: false,
            stderr_is_terminal: false,
            has_progress: Arc::default(),
            collected: Some(collected.clone()),
        };
        (output, collected)
    }

    /// Whether the answer is for a program.
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether stdout takes colours.
    pub fn stdout_has_color(&self) -> bool {
        self.stdout_has_color
    }

    /// Whether stderr takes colours.
    pub fn stderr_has_color(&self) -> bool {
        self.stderr_has_color
    }

    /// Whether somebody watches stderr as it is written.
    pub fn stderr_is_terminal(&self) -> bool {
        self.stderr_is_terminal
    }

    /// Writes text to stdout as it is.
    pub fn text(&self, text: &str) -> Result<(), Exit> {
        if let Some(collected) = &self.collected {
            collected.0.lock().unwrap_or_else(PoisonError::into_inner).answers.push_str(text);
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| self.lost(&error))
    }

    /// Writes one line to stdout.
    pub fn line(&self, line: &str) -> Result<(), Exit> {
        self.text(&format!("{line}\n"))
    }

    /// Writes one JSON value as one line to stdout: one answer, or one of many.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Exit> {
        match serde_json::to_string(value) {
            Ok(line) => self.line(&line),
            Err(error) => {
                self.error(&format!("could not write the answer as JSON: {error}"));
                Err(Exit::Failure)
            }
        }
    }

    /// Writes a heading to stdout, after an empty line.
    pub fn heading(&self, heading: &str) -> Result<(), Exit> {
        self.line(&format!("\n{}", paint(heading, HEADING, self.stdout_has_color)))
    }

    /// Writes rows to stdout with their columns aligned.
    pub fn table<const N: usize>(&self, rows: &[[String; N]]) -> Result<(), Exit> {
        self.text(&aligned(rows))
    }

    /// The same, under a line that says what the columns are.
    pub fn titled_table<const N: usize>(&self, titles: [&str; N], rows: &[[String; N]]) -> Result<(), Exit> {
        let all: Vec<_> = std::iter::once(titles.map(str::to_owned)).chain(rows.iter().cloned()).collect();
        let text = aligned(&all);
        let (titles, rows) = text.split_once('\n').unwrap_or((&text, ""));
        self.text(&format!("{}\n{rows}", paint(titles, HEADING, self.stdout_has_color)))
    }

    /// Writes a line for people to stderr. Nothing can be done where that fails.
    pub fn note(&self, line: &str) {
        if let Some(collected) = &self.collected {
            let mut written = collected.0.lock().unwrap_or_else(PoisonError::into_inner);
            written.notes.push_str(line);
            written.notes.push('\n');
            return;
        }
        self.progress("");
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Asks something on stderr; the answer comes on the same line.
    pub fn ask(&self, question: &str) {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    }

    /// Shows on stderr, where that is a terminal, how far something has come; in place of what was shown before. An empty
    /// line takes it away.
    pub fn progress(&self, line: &str) {
        let is_shown = !line.is_empty();
        let was_shown = self.has_progress.swap(is_shown, Ordering::Relaxed);
        if self.stderr_is_terminal && (is_shown || was_shown) {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush());
        }
    }

    /// Writes what went wrong to stderr.
    pub fn error(&self, message: &str) {
        const ERROR: Style = anstyle::AnsiColor::Red.on_default().bold();
        self.note(&format!("{} {message}", paint("error:", ERROR, self.stderr_has_color)));
    }

    fn lost(&self, error: &io::Error) -> Exit {
        if error.kind() == ErrorKind::BrokenPipe {
            return Exit::OutputClosed;
        }
        self.error(&format!("could not write to stdout: {error}"));
        Exit::Failure
    }
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Milliseconds, to the microsecond: more digits only make an answer harder to read.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn has_color(choice: ColorChoice, is_terminal: bool) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            is_terminal && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

fn paint(text: &str, style: Style, has_color: bool) -> String {
    if has_color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Two spaces before a row and between its columns; the last column keeps its own width.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    rows.iter().map(|row| aligned_row(row, &widths)).collect()
}

/// A cell is what senders and destinations have said, too: none of it may steer a terminal, or begin a line.
fn plain(cell: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    cell.chars().map(escaped).collect()
}

fn aligned_row(row: &[String], widths: &[usize]) -> String {
    let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("  {cell:<width$}")).collect();
    format!("{}\n", cells.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["a".to_owned(), "ü".to_owned(), "x".to_owned()], ["bcd".to_owned(), String::new(), "y".to_owned()]];
        assert_eq!(aligned(&rows), "  a    ü  x\n  bcd     y\n");
    }

    #[test]
    fn what_would_steer_a_terminal_is_shown_and_not_sent() {
        let rows = [["a\x1b[2J\n\u{9b}b".to_owned(), "x".to_owned()]];
        assert_eq!(aligned(&rows), "  a\\u{1b}[2J\\n\\u{9b}b  x\n");
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        assert_eq!([1_234_567, 500_000, 12_499].map(|nanos| millis(Duration::from_nanos(nanos))), [1.235, 0.5, 0.012]);
    }

    #[test]
    fn sizes_have_a_unit_that_fits() {
        assert_eq!([0, 1023, 1536, 64 << 20, 3 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "64.0 MiB", "3.0 GiB"]);
    }

    #[test]
    fn colours_need_a_terminal_unless_they_are_asked_for() {
        assert!(!has_color(ColorChoice::Auto, false));
        assert!(has_color(ColorChoice::Always, false));
        assert!(!has_color(ColorChoice::Never, true));
    }
}
