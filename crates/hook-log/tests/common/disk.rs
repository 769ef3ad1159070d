//! The real disk, with syncs that can be held back and operations that can be made to fail.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hook_log::disk::{Disk, DiskFile, RealDisk};

#[derive(Clone, Default)]
pub(crate) struct TestDisk {
    controls: Arc<Controls>,
}

#[derive(Default)]
struct Controls {
    is_held: Mutex<bool>,
    released: Condvar,
    fails_sync: AtomicBool,
    fails_write: AtomicBool,
    is_full: AtomicBool,
    syncs: AtomicU64,
    waiting: AtomicU64,
}

impl TestDisk {
    /// Syncs wait until they are released.
    pub(crate) fn hold_syncs(&self) {
        *self.controls.is_held.lock().unwrap() = true;
    }

    pub(crate) fn release_syncs(&self) {
        *self.controls.is_held.lock().unwrap() = false;
        self.controls.released.notify_all();
    }

    /// How many syncs are held back now.
    pub(crate) fn held(&self) -> u64 {
        self.controls.waiting.load(Ordering::SeqCst)
    }

    pub(crate) fn fail_syncs(&self, fails: bool) {
        self.controls.fails_sync.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn fail_writes(&self, fails: bool) {
        self.controls.fails_write.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn fill(&self, is_full: bool) {
        self.controls.is_full.store(is_full, Ordering::SeqCst);
    }

    /// How many syncs of files have succeeded.
    pub(crate) fn syncs(&self) -> u64 {
        self.controls.syncs.load(Ordering::SeqCst)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(TestFile { file, controls: Arc::clone(&self.controls) })
    }
}

impl Controls {
    fn check_room(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for TestDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.controls.check_room()?;
        RealDisk.create(file).map(|file| self.file(file))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open(file).map(|file| self.file(file))
    }

    fn open_read_only(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        RealDisk.open_read_only(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        RealDisk.remove(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.capacity(dir)
    }
}

struct TestFile {
    file: Arc<dyn DiskFile>,
    controls: Arc<Controls>,
}

impl DiskFile for TestFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }

    /// A write that fails has written half.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        if self.controls.fails_write.load(Ordering::SeqCst) {
            self.file.write_at(&bytes[..bytes.len() / 2], position)?;
            return Err(io::Error::other("a write that was made to fail"));
        }
        self.file.write_at(bytes, position)
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        self.controls.check_room()?;
        self.file.allocate(position, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut is_held = self.controls.is_held.lock().unwrap();
        self.controls.waiting.fetch_add(1, Ordering::SeqCst);
        while *is_held {
            is_held = self.controls.released.wait(is_held).unwrap();
        }
        self.controls.waiting.fetch_sub(1, Ordering::SeqCst);
        drop(is_held);
        if self.controls.fails_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("a sync that was made to fail"));
        }
        self.file.sync_data()?;
        self.controls.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
