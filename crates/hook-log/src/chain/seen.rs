//! Answers appends whose keys were seen before.

use hook_core::ports::log::{Append, Appended};

use super::{Chain, Request};
use crate::digests::{Keys, Live, RunError};

/// What was seen before this batch.
pub(super) struct Seen<'a> {
    pub(super) chain: &'a Chain,
    pub(super) active: &'a Keys,
    pub(super) sealed: &'a Live,
    pub(super) now_us: i64,
}

impl Seen<'_> {
    /// Answers a copy, and gives back what is none. Where that cannot be told, the append is refused: stored twice would be
    /// wrong, and lost too.
    pub(super) fn answer(&self, request: Request) -> Option<Request> {
        let Request::Append(append) = request else { return Some(request) };
        match self.first(&append.append) {
            Ok(None) => return Some(Request::Append(append)),
            Ok(Some(first)) => drop(append.answer.send(Ok(Appended::DuplicateOf(first)))),
            Err(error) => {
                if let RunError::Damaged(damage) = &error {
                    self.chain.found(damage);
                }
                let _ = append.answer.send(Err(error.into()));
            }
        }
        None
    }

    fn first(&self, append: &Append) -> Result<Option<[u8; 16]>, RunError> {
        for key in &append.dedup {
            let first = match self.active.get(&key.digest) {
                Some(first) => Some(first),
                None => self.sealed.first(&key.digest)?,
            };
            if let Some(id) = first.and_then(|first| first.unexpired(self.now_us)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}
