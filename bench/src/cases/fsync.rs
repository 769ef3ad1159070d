//! (g) What the disk takes: writes of 4 KiB, each synced, one after the other, where the data directory is.

use std::{fs::File, os::unix::fs::FileExt, path::Path, time::Instant};

use hook_bench::{error::Error, latency::Latencies};

const BLOCK: usize = 4096;

/// Writes so many blocks into a file whose space has been set aside, as the log does.
pub(crate) fn measure(below: &Path, writes: u32) -> Result<Latencies, Error> {
    let file = tempfile::tempfile_in(below).map_err(Error::io("make a file"))?;
    set_aside(&file, u64::from(writes) * BLOCK as u64)?;
    let block = [0x5a; BLOCK];
    let mut latencies = Latencies::default();
    for number in 0..writes {
        let begin = Instant::now();
        file.write_all_at(&block, u64::from(number) * BLOCK as u64).map_err(Error::io("write to the disk"))?;
        file.sync_data().map_err(Error::io("sync to the disk"))?;
        latencies.record(begin.elapsed());
    }
    Ok(latencies)
}

fn set_aside(file: &File, bytes: u64) -> Result<(), Error> {
    let done = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    done.map_err(|error| Error::io("set space aside")(error.into()))
}
