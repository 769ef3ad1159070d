//! A connection until TLS is agreed on.

use std::{io, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Tls;
use crate::server::{close, connection::LINGER};

/// How the first record of TLS begins (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What a client hears that speaks HTTP without TLS.
const USE_TLS: &str = "this address speaks TLS: use https\n";

impl Tls {
    /// Agrees on TLS within `patience`. Whoever speaks HTTP in the clear is told so.
    pub(in crate::server) async fn agree(
        &self,
        stream: TcpStream,
        patience: Duration,
    ) -> io::Result<Box<TlsStream<TcpStream>>> {
        let agreed = timeout(patience, Box::pin(self.handshake(stream))).await;
        let agreed = agreed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if agreed.is_err() {
            self.certificate.change(|status| status.failed_handshakes += 1);
        }
        agreed
    }

    async fn handshake(&self, stream: TcpStream) -> io::Result<Box<TlsStream<TcpStream>>> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if first[0] == HANDSHAKE => {}
            _ => return Err(turn_away(stream, first[0]).await),
        }
        let acceptor = TlsAcceptor::from(self.current().config);
        acceptor.accept(stream).await.map(Box::new)
    }
}

async fn turn_away(mut stream: TcpStream, first: u8) -> io::Error {
    if first.is_ascii_alphabetic() {
        let length = USE_TLS.len();
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length:";
        if stream.write_all(format!("{head} {length}\r\n\r\n{USE_TLS}").as_bytes()).await.is_ok() {
            let _ = timeout(LINGER, close(stream)).await;
        }
    }
    io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS")
}
