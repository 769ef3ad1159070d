//! A WebSocket client without a library: it sends any bytes at all, and reads frames as they come (RFC 6455, section 5.2).

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::websocket_in::PATIENCE;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client sends it: its first byte, and a payload that is masked.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = announced(first, payload.len() as u64);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The head of a frame whose payload is not there.
pub(crate) fn announced(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => bytes.push(FIN | length),
        (_, Ok(length)) => {
            bytes.push(FIN | 126);
            bytes.extend(length.to_be_bytes());
        }
        _ => {
            bytes.push(FIN | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes
}

/// A close frame with a code and a reason.
pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// The opening request to a path.
pub(crate) fn opening(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// One connection.
pub(crate) struct RawSocket<S = TcpStream> {
    pub(crate) stream: S,
}

impl RawSocket {
    /// Connects, and says nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Connects, and speaks WebSocket from here on.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let mut socket = Self::connect(address).await;
        socket.send(opening(path)).await;
        let head = socket.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        // The accept key of RFC 6455, section 1.3.
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        socket
    }

    /// Sends bytes. A server that has had enough need not take them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }
}

impl<S: AsyncRead + Unpin> RawSocket<S> {
    /// The status line and the headers of an answer, in lower case.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.stream.read_u8()).await.unwrap();
            head.push(byte.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head))));
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    /// The next frame: its first byte and its payload. `None` where the server has closed the connection in good order.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let reading = async {
            let first = match self.stream.read_u8().await {
                Ok(first) => first,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return None,
                Err(error) => panic!("the connection was cut: {error}"),
            };
            let length = match self.stream.read_u8().await.unwrap() {
                126 => usize::from(self.stream.read_u16().await.unwrap()),
                127 => usize::try_from(self.stream.read_u64().await.unwrap()).unwrap(),
                // With the bit that says that it is masked it would be longer.
                length @ 0..=125 => usize::from(length),
                masked => panic!("a server masks nothing: {masked:x}"),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.unwrap();
            Some((first, payload))
        };
        timeout(PATIENCE, reading).await.unwrap()
    }

    /// The payload of the close frame that comes, whatever comes before it; then nothing may come but the end.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        loop {
            match self.frame().await {
                Some((first, payload)) if first == FIN | CLOSE => {
                    assert_eq!(self.frame().await, None, "a frame behind the close frame");
                    return payload;
                }
                Some(_) => {}
                None => panic!("closed without a word"),
            }
        }
    }

    /// The code with which the connection is closed.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let payload = self.closed().await;
        assert!(std::str::from_utf8(&payload[2..]).is_ok(), "{payload:x?}");
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// The next text, whatever comes before it.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.frame().await {
                Some((first, payload)) if first == FIN | TEXT => return String::from_utf8(payload).unwrap(),
                Some((first, payload)) if first & 0x0f == CLOSE => panic!("closed: {payload:x?}"),
                Some(_) => {}
                None => panic!("closed without a word"),
            }
        }
    }
}
