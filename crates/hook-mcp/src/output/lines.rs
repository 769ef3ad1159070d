//! Lines of a stream that may send anything: none is kept beyond a limit.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads a stream line by line.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    /// What came of a line so far.
    line: Vec<u8>,
    /// Whether the rest of a line that is too long is passed over.
    is_passing: bool,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Its beginning; the rest is passed over.
    TooLong(Vec<u8>),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: R, limit: usize) -> Self {
        Self { reader: BufReader::new(stream), limit, line: Vec::new(), is_passing: false }
    }

    /// The next line; `None` at the end. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                let rest = std::mem::take(&mut self.line);
                return Ok(Some(rest).filter(|rest| !rest.is_empty()).map(Line::Whole));
            }
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = self.limit.saturating_sub(self.line.len());
            let is_too_long = part.len() > room;
            if !self.is_passing {
                self.line.extend_from_slice(&part[..part.len().min(room)]);
            }
            let consumed = end.map_or(available.len(), |end| end + 1);
            self.reader.consume(consumed);
            let was_passing = self.is_passing;
            self.is_passing = end.is_none() && (was_passing || is_too_long);
            if was_passing {
                continue;
            }
            if is_too_long {
                return Ok(Some(Line::TooLong(std::mem::take(&mut self.line))));
            }
            if end.is_some() {
                let mut line = std::mem::take(&mut self.line);
                line.truncate(line.strip_suffix(b"\r").unwrap_or(&line).len());
                return Ok(Some(Line::Whole(line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, limit);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.into())
    }

    #[tokio::test]
    async fn lines_are_told_apart_and_the_last_needs_no_end() {
        assert_eq!(lines(b"a\nbc\r\n\nd", 10).await, [whole("a"), whole("bc"), whole(""), whole("d")]);
        assert_eq!(lines(b"", 10).await, []);
    }

    #[tokio::test]
    async fn of_a_line_that_is_too_long_only_the_beginning_is_kept() {
        let too_long = |text: &str| Line::TooLong(text.into());
        assert_eq!(lines(b"12345\n123456\nx\n", 5).await, [whole("12345"), too_long("12345"), whole("x")]);
        let huge = [vec![b'z'; 100_000], b"\nx\n".to_vec()].concat();
        assert_eq!(lines(&huge, 3).await, [too_long("zzz"), whole("x")]);
        assert_eq!(lines(&huge[..100_000], 3).await, [too_long("zzz")]);
    }
}
