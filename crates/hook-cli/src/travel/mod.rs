//! What `hook replay` and `hook dlq redrive` have in common: which events, how, who does it, and what is said of it.
//!
//! | module | holds |
//! |---|---|
//! | [`flags`] | the flags of both |
//! | [`desk`] | reaches the process that owns the log, or the log itself |
//! | [`url`] | what posts to a URL that is no part of the contract |
//! | `work` | counts, asks, sends, and shows how far it is |
//! | `who` | who is at the terminal |

pub mod desk;
pub mod flags;
pub mod url;
mod who;
mod work;

pub use who::operator;
pub use work::{Asked, carry_out, resume, say_done};

use hook_core::job::Target;
use hook_runtime::travel::JobState;

/// A job as it may be shown: its URL without what may be secret in it.
pub fn shown(state: &JobState) -> JobState {
    let mut state = state.clone();
    if let Target::Url(url) = &mut state.job.target {
        url.url = url.shown();
    }
    // Where it goes on concerns nobody else.
    (state.reached.next, state.reached.tails) = (Vec::new(), Vec::new());
    state
}
