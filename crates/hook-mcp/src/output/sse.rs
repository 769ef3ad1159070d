//! A bound on the events of a stream of server-sent events, before anybody puts them together.

use std::io;

use bytes::Bytes;

/// Counts the bytes of the event that is on its way.
pub(super) struct EventLimit {
    limit: usize,
    event: usize,
    /// Whether the line that is on its way has nothing in it yet: an empty line ends an event.
    is_line_empty: bool,
}

impl EventLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, event: 0, is_line_empty: true }
    }

    /// Lets a chunk pass, unless an event becomes too large with it.
    pub(super) fn admit(&mut self, chunk: Bytes) -> io::Result<Bytes> {
        for &byte in &chunk {
            match byte {
                b'\n' if self.is_line_empty => self.event = 0,
                b'\n' => self.is_line_empty = true,
                b'\r' => {}
                _ => self.is_line_empty = false,
            }
            self.event += 1;
            if self.event > self.limit {
                return Err(io::Error::other(format!("an event is larger than {} bytes", self.limit)));
            }
        }
        Ok(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_the_limit_for_itself() {
        let mut limit = EventLimit::new(20);
        for _ in 0..10 {
            assert!(limit.admit(Bytes::from_static(b"data: 1234\n\n")).is_ok());
            assert!(limit.admit(Bytes::from_static(b"data: 12")).is_ok());
            assert!(limit.admit(Bytes::from_static(b"34\r\n\r\n")).is_ok());
        }
    }

    #[test]
    fn an_event_that_is_too_large_is_refused_in_whatever_parts_it_comes() {
        let mut limit = EventLimit::new(20);
        assert!(limit.admit(Bytes::from_static(b"data: 12345\n")).is_ok());
        assert!(limit.admit(Bytes::from_static(b"data: 12345\n")).is_err());
        assert!(EventLimit::new(20).admit(Bytes::from_static(&[b'x'; 21])).is_err());
    }
}
