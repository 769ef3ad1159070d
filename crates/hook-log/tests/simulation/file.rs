//! One file: what the process sees, what the disk has, and what lies between the two.

use std::collections::BTreeMap;

use fastrand::Rng;

/// What a disk writes whole or not at all, but for a tear.
pub(crate) const SECTOR: usize = 512;

/// The bytes of a sector; those behind the end of the vector are zeros.
pub(crate) type Sector = Vec<u8>;

/// Bytes with a length that may lie behind them: the rest are zeros.
#[derive(Clone, Default)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    pub(crate) length: u64,
}

/// A file.
#[derive(Clone, Default)]
pub(crate) struct File {
    /// What the process sees.
    pub(crate) seen: Content,
    /// What the disk has for certain.
    disk: Content,
    /// Every state that a sector had since the last sync, oldest first. The disk may have any of them.
    sectors: Vec<(usize, Sector)>,
    /// Every length since the last sync.
    lengths: Vec<u64>,
}

/// What of the unsynced sectors reaches the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Survival {
    Nothing,
    Everything,
    /// All that was written before some moment.
    Prefix,
    /// Each sector as it was at a moment of its own.
    Any,
    /// The same, and some sectors are half of one moment and half of another.
    Torn,
}

impl Content {
    pub(crate) fn read(&self, buffer: &mut [u8], position: u64) -> usize {
        let count = self.length.saturating_sub(position).min(buffer.len() as u64) as usize;
        let known = self.bytes.get(position as usize..).unwrap_or_default();
        let copied = known.len().min(count);
        buffer[..copied].copy_from_slice(&known[..copied]);
        buffer[copied..count].fill(0);
        count
    }

    fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[position..end].copy_from_slice(bytes);
    }

    fn set_length(&mut self, length: u64) {
        self.length = length;
        self.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    }

    fn sector(&self, number: usize) -> Sector {
        let rest = self.bytes.get(number * SECTOR..).unwrap_or_default();
        rest[..rest.len().min(SECTOR)].to_vec()
    }

    /// Puts a sector in. What it has behind the length of the file is not seen before the length is.
    fn set_sector(&mut self, number: usize, sector: &[u8]) {
        let mut whole = [0; SECTOR];
        whole[..sector.len()].copy_from_slice(sector);
        let known = self.bytes.len().max(number * SECTOR + sector.len());
        self.write(&whole, number * SECTOR);
        self.bytes.truncate(known);
    }

    /// The positions that are not zero.
    fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        self.bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(position, _)| position)
    }
}

impl File {
    pub(crate) fn write(&mut self, bytes: &[u8], position: u64) {
        if bytes.is_empty() {
            return;
        }
        let position = position as usize;
        let end = position + bytes.len();
        self.seen.write(bytes, position);
        if end as u64 > self.seen.length {
            self.seen.length = end as u64;
            self.lengths.push(end as u64);
        }
        self.dirty(position / SECTOR, end.div_ceil(SECTOR));
    }

    pub(crate) fn set_length(&mut self, length: u64) {
        let cut = (length as usize / SECTOR, self.seen.bytes.len().div_ceil(SECTOR));
        self.seen.set_length(length);
        self.lengths.push(length);
        self.dirty(cut.0, cut.1);
    }

    fn dirty(&mut self, first: usize, behind: usize) {
        for number in first..behind {
            self.sectors.push((number, self.seen.sector(number)));
        }
    }

    pub(crate) fn sync(&mut self) {
        for (number, sector) in std::mem::take(&mut self.sectors) {
            self.disk.set_sector(number, &sector);
        }
        self.lengths.clear();
        self.disk.set_length(self.seen.length);
    }

    /// A sync that fails: some of it has reached the disk. Where the system forgets what it could not write, a later sync
    /// does not bring the rest, and reads show it all the same.
    pub(crate) fn fail_sync(&mut self, rng: &mut Rng) {
        let forgets = rng.u8(..4) > 0;
        let disk = self.settled(rng, Survival::Any);
        if forgets {
            self.disk = disk;
            self.sectors.clear();
            self.lengths.clear();
        }
    }

    /// What a loss of power leaves. Where a file system extends a file before its data is there, `old` bytes of other
    /// files come to light.
    pub(crate) fn after_power_loss(&self, rng: &mut Rng, survival: Survival, old: &[Sector]) -> Self {
        let mut disk = self.settled(rng, survival);
        let first = disk.bytes.len().max(self.disk.bytes.len()).div_ceil(SECTOR);
        for number in first..self.seen.bytes.len().div_ceil(SECTOR) {
            if let Some(sector) = rng.choice(old).filter(|_| (number * SECTOR) < disk.length as usize) {
                disk.set_sector(number, sector);
            }
        }
        let length = disk.length;
        disk.set_length(length);
        Self { seen: disk.clone(), disk, ..Self::default() }
    }

    fn settled(&self, rng: &mut Rng, survival: Survival) -> Content {
        let mut content = self.disk.clone();
        let (sectors, lengths) = match survival {
            Survival::Nothing => (0, 0),
            Survival::Everything => (self.sectors.len(), self.lengths.len()),
            Survival::Prefix => {
                let share = rng.f64();
                let part = |count: usize| (count as f64 * share).round() as usize;
                (part(self.sectors.len()), part(self.lengths.len()))
            }
            Survival::Any | Survival::Torn => (0, rng.usize(..=self.lengths.len())),
        };
        if matches!(survival, Survival::Any | Survival::Torn) {
            self.settle_each(&mut content, rng, survival);
        } else {
            self.sectors[..sectors].iter().for_each(|(number, sector)| content.set_sector(*number, sector));
        }
        let length = if lengths == 0 { self.disk.length } else { self.lengths[lengths - 1] };
        content.set_length(length);
        content
    }

    fn settle_each(&self, content: &mut Content, rng: &mut Rng, survival: Survival) {
        let mut moments: BTreeMap<usize, Vec<&Sector>> = BTreeMap::new();
        self.sectors.iter().for_each(|(number, sector)| moments.entry(*number).or_default().push(sector));
        for (number, moments) in moments {
            let Some(moment) = rng.usize(..=moments.len()).checked_sub(1) else { continue };
            let mut sector = moments[moment].clone();
            if matches!(survival, Survival::Torn) && rng.bool() {
                let mut before = content.sector(number);
                before.resize(SECTOR, 0);
                let torn_at = rng.usize(..=sector.len());
                before[..torn_at].copy_from_slice(&sector[..torn_at]);
                sector = before;
            }
            content.set_sector(number, &sector);
        }
    }

    /// The sectors that the disk has.
    pub(crate) fn sectors(&self) -> impl Iterator<Item = Sector> + '_ {
        (0..self.disk.bytes.len().div_ceil(SECTOR)).map(|number| self.disk.sector(number))
    }

    /// Flips a bit of what was written, on the disk and in what is seen of it.
    pub(crate) fn flip(&mut self, rng: &mut Rng) -> Option<Flip> {
        let written: Vec<usize> = self.seen.positions().collect();
        let position = *rng.choice(&written)?;
        let flip = Flip { position, bit: 1 << rng.u8(..8) };
        self.apply(flip);
        Some(flip)
    }

    /// Flips a bit; the second time it is as it was.
    pub(crate) fn apply(&mut self, flip: Flip) {
        for content in [&mut self.seen, &mut self.disk] {
            if let Some(byte) = content.bytes.get_mut(flip.position) {
                *byte ^= flip.bit;
            }
        }
    }
}

/// A bit of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flip {
    pub(crate) position: usize,
    bit: u8,
}
