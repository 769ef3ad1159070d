//! What a provider insists on being answered where an event was taken.

use bytes::Bytes;
use hook_core::{payload::Payload, ports::verifier::Reply};

use super::{format, shape};

/// The reply to an event with this body. `None` where any success will do.
pub(super) fn to(pack: &'static format::Pack, body: &Bytes) -> Option<Reply> {
    let depends = pack.reply.iter().any(|reply| !reply.when.is_empty());
    // An event was taken, so that its body can be read.
    let payload = depends.then(|| shape::payload(&pack.body.shapes, body).ok()).flatten();
    let reply = pack.reply.iter().find(|reply| holds(reply, payload.as_ref().map(|shaped| &shaped.payload)))?;
    Some(Reply {
        status: reply.status,
        content_type: reply.content_type.clone(),
        body: Bytes::from_static(reply.body.as_bytes()),
    })
}

fn holds(reply: &format::Reply, payload: Option<&Payload>) -> bool {
    let says = |pointer: &str| payload.and_then(|payload| payload.scalar(pointer));
    reply.when.iter().all(|(pointer, value)| says(pointer).as_deref() == Some(value))
}
