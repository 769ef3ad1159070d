//! What Linux says of a process: its memory, its processor time.

use std::{fs, time::Duration};

use serde::Serialize;

use crate::error::Error;

/// Ticks of `/proc/PID/stat` in a second. Linux has promised 100 to programs since 2.6 (`USER_HZ`).
const TICKS: u64 = 100;

/// A process, to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process(u32);

/// The resident memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Now, in KiB (`VmRSS`).
    pub resident_kib: u64,
    /// The most there has been since the start, or since [`Process::forget_peak`] (`VmHWM`).
    pub peak_kib: u64,
    /// What of it is not pages of files (`RssAnon`).
    pub anonymous_kib: u64,
}

impl Process {
    /// A process by its id.
    pub fn new(id: u32) -> Self {
        Self(id)
    }

    /// This process.
    pub fn this() -> Self {
        Self(std::process::id())
    }

    /// Its id.
    pub fn id(self) -> u32 {
        self.0
    }

    /// The processor time that it has used, in user mode and in the kernel.
    pub fn cpu(self) -> Result<Duration, Error> {
        let stat = self.read("stat")?;
        ticks(&stat).ok_or_else(|| unreadable("stat")).map(|ticks| Duration::from_millis(ticks * 1000 / TICKS))
    }

    /// Its memory.
    pub fn memory(self) -> Result<Memory, Error> {
        let status = self.read("status")?;
        let kib = |name| kib(&status, name).ok_or_else(|| unreadable("status"));
        Ok(Memory { resident_kib: kib("VmRSS")?, peak_kib: kib("VmHWM")?, anonymous_kib: kib("RssAnon")? })
    }

    /// Lets the peak count from now on.
    pub fn forget_peak(self) -> Result<(), Error> {
        fs::write(self.path("clear_refs"), "5").map_err(Error::io("reset the peak of a process's memory"))
    }

    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }

    fn read(self, name: &str) -> Result<String, Error> {
        fs::read_to_string(self.path(name)).map_err(Error::io("read what /proc says of a process"))
    }
}

/// The processor time that everything on this machine has used.
pub fn machine_cpu() -> Result<Duration, Error> {
    let stat = fs::read_to_string("/proc/stat").map_err(Error::io("read what /proc says of the machine"))?;
    let ticks =
        busy_ticks(&stat).ok_or_else(|| Error::Unexpected("/proc/stat is not as proc(5) describes it".to_owned()))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Everything of the first line but `idle` and `iowait`, the 4th and 5th; `guest` times, from the 9th, are in `user` already.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let busy = |at: &usize| fields.get(*at).copied();
    [0, 1, 2, 5, 6, 7].iter().map(busy).sum()
}

fn unreadable(name: &str) -> Error {
    Error::Unexpected(format!("/proc/PID/{name} is not as proc(5) describes it"))
}

/// `utime` and `stime`, the 14th and 15th field; the second, a name, may have spaces and brackets in it.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_that_has_brackets() {
        assert_eq!(ticks("12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20"), Some(300));
        assert_eq!(ticks("12 (a"), None);
    }

    #[test]
    fn waiting_is_not_work() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 32 64 128\ncpu0 1"), Some(63));
        assert_eq!(busy_ticks("cpu 1"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let memory = Process::this().memory().unwrap();
        assert!(memory.resident_kib > 0 && memory.peak_kib >= memory.resident_kib);
        assert!(memory.anonymous_kib <= memory.resident_kib);
    }
}
