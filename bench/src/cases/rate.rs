//! A rate to measure latencies at: a part of what this machine delivers, so that queues are short unless something is wrong.

use std::time::Duration;

use hook_bench::{error::Error, sink::Sink};

use super::{Scale, end_to_end};
use crate::table::note;

/// The part of the rate that was delivered as fast as possible.
const PART: f64 = 0.4;
const MEASURED: Duration = Duration::from_secs(3);

/// The rate that was asked for, or a part of what `hook` delivers to so many destinations here and now.
pub(crate) async fn choose(scale: &Scale, asked: Option<f64>, destinations: usize) -> Result<f64, Error> {
    if let Some(rate) = asked {
        return Ok(rate.clamp(1.0, 1e6));
    }
    note("a rate for this machine");
    let scale = Scale { measured: MEASURED, ..scale.clone() };
    let sinks: Vec<Sink> = (0..destinations).map(|_| Sink::open(0)).collect::<Result<_, _>>()?;
    let delivered = end_to_end::loaded_to(&scale, &sinks).await?;
    Ok((delivered.per_second * PART).floor().max(1.0))
}
