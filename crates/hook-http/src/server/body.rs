//! Reading a body: never more than the limit, never longer than the time-out.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

/// No client makes us set more than this aside before it has sent something.
const FIRST_CAPACITY: usize = 16 * 1024;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is over the limit, or says that it will be.
    TooLarge,
    /// It did not arrive in time.
    TimedOut,
    /// The sender stopped before its end, or its framing is wrong.
    Incomplete,
}

/// Reads the whole body. One whose announced length is over the limit is refused before anything of it is read.
pub async fn read(body: Incoming, limit: u64, patience: Duration) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > limit {
        return Err(BodyError::TooLarge);
    }
    timeout(patience, gather(body, limit)).await.unwrap_or(Err(BodyError::TimedOut))
}

async fn gather(mut body: Incoming, limit: u64) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(FIRST_CAPACITY);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(BodyError::TooLarge);
        }
        // A small body comes with its head, in one piece that needs no copy.
        if bytes.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        if bytes.is_empty() {
            bytes.reserve_exact(announced.clamp(piece.len(), FIRST_CAPACITY.max(piece.len())));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}
