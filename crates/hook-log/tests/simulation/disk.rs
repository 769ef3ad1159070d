//! The simulated disk: the log's disk port over a [`Machine`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hook_log::disk::{Disk, DiskFile};

use crate::{
    file::Flip,
    machine::{Fate, Kind, Machine, failure},
};

/// A disk in memory that loses power, fails and fills up as its seed says. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Machine>>);

impl SimulatedDisk {
    pub(crate) fn new(machine: Machine) -> Self {
        Self(Arc::new(Mutex::new(machine)))
    }

    pub(crate) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the machine, and starts one with what the disk has. Whoever has this one open reaches nothing any more.
    pub(crate) fn lose_power(&self) -> Self {
        Self::new(self.machine().after_power_loss())
    }

    /// Flips a bit of what was written.
    pub(crate) fn flip(&self) -> Option<(PathBuf, usize, Flip)> {
        self.machine().flip()
    }

    /// Flips it back.
    pub(crate) fn flip_back(&self, file: usize, flip: Flip) {
        let mut machine = self.machine();
        machine.note(|| "the bit is flipped back".to_owned());
        machine.files[file].apply(flip);
    }

    fn file(&self, number: usize, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile { disk: self.clone(), number, path: path.to_owned() })
    }
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.machine().make_directory(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.machine().list(dir)
    }

    fn create(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.machine().create(file)?;
        Ok(self.file(number, file))
    }

    fn open(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.machine().find(file)?;
        Ok(self.file(number, file))
    }

    fn open_read_only(&self, file: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine().rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.machine().remove(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.machine().sync_directory(dir)
    }

    fn capacity(&self, _dir: &Path) -> io::Result<u64> {
        let machine = self.machine();
        machine.check_power()?;
        Ok(machine.capacity)
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    number: usize,
    path: PathBuf,
}

impl DiskFile for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let machine = self.disk.machine();
        machine.check_power()?;
        Ok(machine.files[self.number].seen.read(buffer, position))
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let fate = machine.decide(Kind::Write)?;
        let length = machine.files[self.number].seen.length;
        let grows = (position + bytes.len() as u64).saturating_sub(length);
        let fits = machine.room(grows);
        let taken = match fate {
            Fate::Failed => machine.rng.usize(..=bytes.len()).min(bytes.len().saturating_sub((grows - fits) as usize)),
            _ => bytes.len().saturating_sub((grows - fits) as usize),
        };
        machine.note(|| format!("    write {} {position} +{taken} of {}", self.path.display(), bytes.len()));
        machine.files[self.number].write(&bytes[..taken], position);
        if fits < grows && fate != Fate::DoneThenDown {
            return Err(io::ErrorKind::StorageFull.into());
        }
        fate.answer()
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        let mut machine = self.disk.machine();
        if !machine.can_allocate {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let fate = machine.decide(Kind::Allocate)?;
        let end = position + length;
        let grows = end.saturating_sub(machine.files[self.number].seen.length);
        if machine.room(grows) < grows {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if fate == Fate::Failed && machine.rng.bool() {
            return Err(failure());
        }
        machine.note(|| format!("    allocate {} {end}", self.path.display()));
        if grows > 0 {
            machine.files[self.number].set_length(end);
        }
        fate.answer()
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let fate = machine.decide(Kind::Sync)?;
        machine
            .note(|| format!("    sync {}{}", self.path.display(), if fate == Fate::Failed { " fails" } else { "" }));
        let Machine { files, rng, .. } = &mut *machine;
        match fate {
            Fate::Failed => files[self.number].fail_sync(rng),
            _ => files[self.number].sync(),
        }
        fate.answer()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut machine = self.disk.machine();
        let fate = machine.decide(Kind::Write)?;
        let file = &mut machine.files[self.number];
        if fate == Fate::Failed || file.seen.length == length {
            return fate.answer();
        }
        file.set_length(length);
        machine.note(|| format!("    cut {} {length}", self.path.display()));
        fate.answer()
    }

    fn len(&self) -> io::Result<u64> {
        let machine = self.disk.machine();
        machine.check_power()?;
        Ok(machine.files[self.number].seen.length)
    }
}

/// The disk does to files what disks do: without this, the runs above would show nothing.
mod tests {
    use super::*;
    use crate::machine::Weather;

    const FILE: &str = "/data/file";

    fn disk(seed: u64) -> SimulatedDisk {
        let disk = SimulatedDisk::new(Machine::new(seed));
        disk.create_dir(Path::new("/data")).unwrap();
        disk
    }

    fn content(disk: &SimulatedDisk) -> Option<Vec<u8>> {
        let file = disk.open(Path::new(FILE)).ok()?;
        let mut bytes = vec![0; 4096];
        let read = file.read_at(&mut bytes, 0).unwrap();
        bytes.truncate(read);
        Some(bytes)
    }

    /// What seeds leave of a file after a loss of power.
    fn left(write: impl Fn(&SimulatedDisk)) -> Vec<Option<Vec<u8>>> {
        let mut left: Vec<_> = (0..300)
            .map(|seed| {
                let disk = disk(seed);
                write(&disk);
                content(&disk.lose_power())
            })
            .collect();
        left.sort();
        left.dedup();
        left
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be_lost_torn_or_out_of_order() {
        let (first, second) = (vec![1; 600], vec![2; 1000]);
        let left = left(|disk| {
            let file = disk.create(Path::new(FILE)).unwrap();
            file.write_at(&first, 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/data")).unwrap();
            file.write_at(&second, 600).unwrap();
        });
        assert!(
            left.iter().flatten().count() == left.len() && left.iter().flatten().all(|bytes| bytes[..600] == first)
        );
        let any = |holds: &dyn Fn(&[u8]) -> bool| left.iter().flatten().any(|bytes| holds(&bytes[600..]));
        assert!(any(&|rest| rest.is_empty()), "never lost");
        assert!(any(&|rest| rest == second), "never kept");
        assert!(any(&|rest| rest.len() == 1000 && rest[..424] == [0; 424] && rest[424..900].contains(&2)), "in order");
        assert!(any(&|rest| rest.len() == 1000 && rest[500] == 2 && rest[900] == 0), "never cut");
    }

    #[test]
    fn a_name_that_was_not_synced_may_be_lost() {
        let left = left(|disk| {
            let unfinished = Path::new("/data/file.new");
            let file = disk.create(unfinished).unwrap();
            file.write_at(b"whole", 0).unwrap();
            file.sync_data().unwrap();
            disk.rename(unfinished, Path::new(FILE)).unwrap();
        });
        assert_eq!(left, [None, Some(b"whole".to_vec())]);
    }

    #[test]
    fn a_later_sync_does_not_bring_what_a_failed_one_has_forgotten() {
        let left = left(|disk| {
            let file = disk.create(Path::new(FILE)).unwrap();
            disk.sync_dir(Path::new("/data")).unwrap();
            file.write_at(b"forgotten", 0).unwrap();
            disk.machine().weather = Weather { sync: 255, ..Weather::default() };
            while file.sync_data().is_ok() {}
            assert_eq!(content(disk).unwrap(), b"forgotten", "it is still shown");
            disk.machine().weather = Weather::default();
            file.sync_data().unwrap();
        });
        assert!(left.len() > 1 && left.contains(&Some(b"forgotten".to_vec())));
        assert!(left.iter().flatten().any(|bytes| bytes.iter().all(|byte| *byte == 0)), "{left:?}");
    }

    #[test]
    fn a_full_disk_takes_a_part_and_has_room_again_when_files_go() {
        let disk = disk(0);
        let file = disk.create(Path::new(FILE)).unwrap();
        disk.machine().capacity = 100;
        let full = file.write_at(&[1; 150], 0).unwrap_err();
        assert_eq!((full.kind(), file.len().unwrap()), (io::ErrorKind::StorageFull, 100));
        assert!(disk.create(Path::new("/data/other")).is_err());
        disk.remove(Path::new(FILE)).unwrap();
        assert!(disk.create(Path::new("/data/other")).is_ok());
    }
}
