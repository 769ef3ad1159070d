//! File access as a port. The real disk is here; tests wrap it to hold, fail and fill one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::{fs::FallocateFlags, io::Errno};

use crate::format::unfinished_name;

/// Where segments are kept.
///
/// Implementors block; the log calls them from its own threads only. An error means that the effect may have happened or
/// not: the log then trusts nothing that it has not synced before.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory with its parents, for its owner only, and durable when this returns. One that exists is left as it
    /// is, and durable too.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes an empty file for reading and writing, for its owner only. One that exists is emptied.
    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading.
    fn open_read_only(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file within its directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Whoever has it open can go on reading.
    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes what was created, renamed and removed in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The bytes that the file system of a directory has, used ones included.
    fn capacity(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Reads into `buffer`, from `position` on; fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `position`.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Takes space for `length` bytes from `position` on, read as zeros, so that writing them later cannot find the disk
    /// full. [`io::ErrorKind::Unsupported`] where the file system has no such thing.
    fn allocate(&self, position: u64, length: u64) -> io::Result<()>;

    /// Makes all that was written durable, the length of the file included.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// The length of the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|length| length == 0)
    }
}

/// The machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        // What is synced in a directory is lost with the directory, where that is not durable in its parent.
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if dir.is_dir() {
            // Whoever made it may have ended before that was durable. Where the parent is none of ours, it is not our care.
            let _ = self.sync_dir(parent);
            return Ok(());
        }
        self.create_dir(parent)?;
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync_dir(parent),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        // A name that is not text is none of ours.
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default())).collect()
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(file)?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(file)?)))
    }

    fn open_read_only(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(File::open(file)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        let system = rustix::fs::statvfs(dir)?;
        Ok(system.f_blocks.saturating_mul(system.f_frsize))
    }
}

/// Writes a file that is there as a whole or not at all, whatever happens meanwhile, and returns it.
pub(crate) fn write_whole(disk: &dyn Disk, dir: &Path, name: &str, parts: &[&[u8]]) -> io::Result<Arc<dyn DiskFile>> {
    let unfinished = dir.join(unfinished_name(name));
    let file = disk.create(&unfinished)?;
    let written = || {
        let mut position = 0;
        for part in parts {
            file.write_at(part, position)?;
            position += part.len() as u64;
        }
        file.sync_data()?;
        disk.rename(&unfinished, &dir.join(name))?;
        disk.sync_dir(dir)
    };
    let written = written();
    if written.is_err() {
        // What is left would be removed when the log opens; a full disk is better served now.
        let _ = disk.remove(&unfinished);
    }
    written.map(|()| file)
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], position + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        rustix::fs::fallocate(&self.0, FallocateFlags::empty(), position, length).map_err(|error| match error {
            Errno::OPNOTSUPP | Errno::NOSYS => io::Error::from(io::ErrorKind::Unsupported),
            error => error.into(),
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
}
