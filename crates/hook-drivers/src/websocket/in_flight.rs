//! The frames of one client that are on their way into the log, and their answers, in the order of the frames.

use std::collections::VecDeque;

use futures_util::{FutureExt, StreamExt, stream::FuturesOrdered};
use hook_core::BoxFuture;
use tokio_tungstenite::tungstenite::Message;

/// So many frames may be on their way.
const MOST_FRAMES: usize = 64;
/// Another is read while those that are have fewer bytes.
const MOST_BYTES: usize = 1 << 20;

/// What has begun and is not answered.
#[derive(Default)]
pub(super) struct InFlight {
    answers: FuturesOrdered<BoxFuture<'static, Message>>,
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl InFlight {
    /// Whether another frame may be read.
    pub(super) fn has_room(&self) -> bool {
        self.sizes.len() < MOST_FRAMES && self.bytes < MOST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// A frame of so many bytes, and what will answer it.
    pub(super) fn push(&mut self, size: usize, answer: BoxFuture<'static, Message>) {
        self.answers.push_back(answer);
        self.sizes.push_back(size);
        self.bytes += size;
    }

    /// The next answer; `None` where nothing is on its way. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let answer = self.answers.next().await?;
        self.bytes -= self.sizes.pop_front().unwrap_or_default();
        Some(answer)
    }

    /// The next answer, where it is there already.
    pub(super) fn next_now(&mut self) -> Option<Message> {
        self.next().now_or_never().flatten()
    }
}
