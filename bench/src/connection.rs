//! A client's connection: HTTP/1.1, kept alive, one request at a time, with as little work of its own as there can be.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Heads of answers have fewer headers than this.
const MOST_HEADERS: usize = 32;
const FIRST_CAPACITY: usize = 32 * 1024;

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, as far as it has been understood.
struct Head {
    status: u16,
    /// Where the body begins, and where it ends.
    body: std::ops::Range<usize>,
    keeps_alive: bool,
    asks_to_wait: bool,
}

/// An answer whose body has been received.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
    /// Whether another request may follow on this connection.
    pub keeps_alive: bool,
    /// Whether it says when to come again: `retry-after`.
    pub asks_to_wait: bool,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(FIRST_CAPACITY) })
    }

    /// Sends a request, and waits for the whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.received.clear();
        let mut known: Option<Head> = None;
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if known.is_none() {
                known = read_head(&self.received)?;
            }
            if known.as_ref().is_some_and(|head| self.received.len() >= head.body.end) {
                break;
            }
        }
        let Head { status, body, keeps_alive, asks_to_wait } = known.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Answer { status, body: &self.received[body], keeps_alive, asks_to_wait })
    }
}

/// Reads the head of an answer; `None` where it has not arrived whole.
fn read_head(received: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let invalid = |message: &'static str| io::Error::new(io::ErrorKind::InvalidData, message);
    let status = answer.parse(received).map_err(|_| invalid("the answer is not HTTP/1.1"))?;
    let httparse::Status::Complete(begin) = status else { return Ok(None) };
    let header = |name: &str| answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let length = header("content-length").and_then(|length| std::str::from_utf8(length.value).ok()?.parse().ok());
    let length: usize = length.ok_or_else(|| invalid("the answer does not say how long it is"))?;
    let keeps_alive = !header("connection").is_some_and(|value| value.value.eq_ignore_ascii_case(b"close"));
    let asks_to_wait = header("retry-after").is_some();
    Ok(Some(Head { status: answer.code.unwrap_or_default(), body: begin..begin + length, keeps_alive, asks_to_wait }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_where_its_body_is() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nconnection: close\r\n\r\n{}";
        for end in 0..whole.len() - 2 {
            assert!(read_head(&whole[..end]).unwrap().is_none(), "{end}");
        }
        let head = read_head(whole).unwrap().unwrap();
        assert_eq!((head.status, &whole[head.body], head.keeps_alive), (202, &b"{}"[..], false));
        assert!(!head.asks_to_wait);
        let later = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\ncontent-length: 0\r\n\r\n";
        assert!(read_head(later).unwrap().unwrap().asks_to_wait);
    }

    #[test]
    fn an_answer_that_is_not_understood_is_an_error() {
        assert!(read_head(b"SSH-2.0-OpenSSH\r\n").is_err());
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
