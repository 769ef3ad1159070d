//! Walks over the frames of a chain: from memory at the tail, elsewhere in chunks from disk whose checksums are checked.

use std::{collections::HashMap, io, ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use hook_core::{
    Timestamp,
    names::TopicName,
    ports::log::{LogError, Position, Record, TopicFilter},
};

use crate::{
    chain::Chain,
    disk::{Disk, DiskFile},
    error::Damage,
    format::{Data, Frame, HEADER_BYTES, Place, check, parse, split},
    state::Chunk,
};

/// So many bytes are read from disk at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// A place in a chain that moves forward.
pub(crate) struct Reader {
    chain: Arc<Chain>,
    at: Place,
    chunk: Chunk,
    file: Option<(u64, Arc<dyn DiskFile>)>,
    /// Offsets that it has passed and that a repair says were lost.
    lost: Vec<(TopicName, u32, Range<u64>)>,
}

/// What stands between a reader and the next frame.
enum Step {
    /// Nothing: whole frames are in memory.
    Ready,
    /// The end.
    CaughtUp,
    /// A read from disk.
    Disk(Extent),
}

/// A part of a segment file.
struct Extent {
    path: PathBuf,
    segment: u64,
    start: u64,
    end: u64,
    seed: u32,
}

impl Reader {
    pub(crate) fn new(chain: Arc<Chain>, at: Place) -> Self {
        Self { chain, at, chunk: Chunk::default(), file: None, lost: Vec::new() }
    }

    pub(crate) fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }

    /// Takes the offsets that it has passed and that a repair says were lost: nobody will ever have done them otherwise.
    pub(crate) fn take_lost(&mut self) -> Vec<(TopicName, u32, Range<u64>)> {
        std::mem::take(&mut self.lost)
    }

    /// Goes to another place.
    pub(crate) fn seek(&mut self, at: Place) {
        self.at = at;
    }

    /// Reads records before `limit` until `wanted` has taken `max` of them, or memory holds no more. It waits for the disk
    /// only while it has none, so that dropping the future loses none. Returns none only at `limit`.
    pub(crate) async fn gather(
        &mut self,
        limit: Place,
        max: usize,
        topics: &mut Topics,
        mut wanted: impl FnMut(&TopicName, &Data<'_>) -> bool,
    ) -> Result<Vec<Record>, LogError> {
        let mut records = Vec::new();
        while records.len() < max {
            match self.step(limit) {
                Step::CaughtUp => break,
                Step::Ready => self.decode(limit, max, topics, &mut wanted, &mut records)?,
                Step::Disk(_) if !records.is_empty() => break,
                Step::Disk(extent) => self.load(extent).await?,
            }
        }
        Ok(records)
    }

    fn step(&mut self, limit: Place) -> Step {
        loop {
            if self.at >= limit {
                return Step::CaughtUp;
            }
            if self.chunk.from(self.at).is_some() {
                return Step::Ready;
            }
            let state = self.chain.state();
            let Some(oldest) = state.segments.front() else { return Step::CaughtUp };
            // Retention may have overtaken the reader.
            if self.at.segment < oldest.number {
                self.at = Place { segment: oldest.number, position: HEADER_BYTES };
                continue;
            }
            let Some(segment) = state.segment(self.at.segment) else { return Step::CaughtUp };
            if self.at.position >= segment.end {
                self.at = Place { segment: segment.number + 1, position: HEADER_BYTES };
                continue;
            }
            if let Some(chunk) = state.tail.find(self.at) {
                self.chunk = chunk.clone();
                return Step::Ready;
            }
            return Step::Disk(Extent {
                path: self.chain.path(segment.number),
                segment: segment.number,
                start: self.at.position,
                end: segment.end,
                seed: segment.seed,
            });
        }
    }

    /// Takes the frames that are in memory.
    fn decode(
        &mut self,
        limit: Place,
        max: usize,
        topics: &mut Topics,
        wanted: &mut impl FnMut(&TopicName, &Data<'_>) -> bool,
        records: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        while records.len() < max && self.at < limit {
            let Some(rest) = self.chunk.from(self.at) else { break };
            let damage = || Damage {
                file: self.chain.path(self.at.segment),
                position: self.at.position,
                what: "a record that cannot be read",
            };
            let frame = split(rest).ok_or_else(damage)?;
            let (_, content) = parse(frame.payload).ok_or_else(damage)?;
            match content {
                Frame::Data(data) => {
                    if let Some(topic) = topics.find(data.topic)
                        && wanted(topic, &data)
                    {
                        records.push(record(&self.chunk.bytes, topic.clone(), &data));
                    }
                }
                Frame::Lost { topic, partition, first, end } => {
                    if let Some(topic) = topics.find(topic) {
                        self.lost.push((topic.clone(), partition, first..end));
                    }
                }
                _ => {}
            }
            self.at.position += frame.size as u64;
        }
        Ok(())
    }

    async fn load(&mut self, extent: Extent) -> Result<(), LogError> {
        let disk = Arc::clone(&self.chain.shared.disk);
        let open = self.file.take().filter(|(segment, _)| *segment == extent.segment).map(|(_, file)| file);
        let start = Place { segment: extent.segment, position: extent.start };
        let loaded = tokio::task::spawn_blocking(move || read_frames(&*disk, open, &extent)).await;
        match loaded {
            Ok(Ok(Loaded::Frames { file, bytes })) => {
                self.file = Some((start.segment, file));
                self.chunk = Chunk { start, bytes };
                Ok(())
            }
            Ok(Ok(Loaded::Damaged(damage))) => {
                self.chain.found(&damage);
                Err(damage.into())
            }
            // Retention was faster; the next step goes on behind it.
            Ok(Ok(Loaded::Gone)) if self.chain.state().segment(start.segment).is_none() => Ok(()),
            Ok(Ok(Loaded::Gone)) => {
                Err(LogError::Damaged(format!("{} is missing", self.chain.path(start.segment).display())))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(LogError::Unavailable("the read was given up: the process ends".to_owned())),
        }
    }
}

enum Loaded {
    Frames { file: Arc<dyn DiskFile>, bytes: Bytes },
    Damaged(Damage),
    Gone,
}

/// Reads whole frames and checks them.
fn read_frames(disk: &dyn Disk, open: Option<Arc<dyn DiskFile>>, extent: &Extent) -> Result<Loaded, LogError> {
    let unavailable =
        |error: io::Error| LogError::Unavailable(format!("could not read {}: {error}", extent.path.display()));
    let file = match open.map_or_else(|| disk.open_read_only(&extent.path), Ok) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Gone),
        Err(error) => return Err(unavailable(error)),
    };
    let left = extent.end - extent.start;
    let mut length = left.min(CHUNK_BYTES);
    loop {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, extent.start).map_err(unavailable)?;
        bytes.truncate(read);
        let mut whole = 0;
        while let Some(frame) = check(&bytes[whole..], extent.seed) {
            whole += frame.size;
        }
        // What is cut short at the end of the chunk is read with the next one.
        let rest = &bytes[whole..];
        let is_whole = split(rest).is_some();
        if whole > 0 && (rest.is_empty() || !is_whole) {
            bytes.truncate(whole);
            return Ok(Loaded::Frames { file, bytes: bytes.into() });
        }
        if is_whole || length == left {
            let (file, position) = (extent.path.clone(), extent.start + whole as u64);
            return Ok(Loaded::Damaged(Damage { file, position, what: "no record with a right checksum" }));
        }
        let frame = rest.first_chunk().map_or(CHUNK_BYTES, |bytes| u64::from(u32::from_le_bytes(*bytes)) + 64);
        length = left.min(frame.max(length + 1));
    }
}

/// The record, its parts being slices of `bytes`.
fn record(bytes: &Bytes, topic: TopicName, data: &Data<'_>) -> Record {
    Record {
        position: Position { topic, partition: data.partition, offset: data.offset },
        key: data.key.map(|key| bytes.slice_ref(key)),
        time: Timestamp::from_microsecond(data.time_us).unwrap_or(Timestamp::UNIX_EPOCH),
        header: bytes.slice_ref(data.header),
        body: bytes.slice_ref(data.body),
    }
}

/// The topics that somebody wants, each parsed and matched once.
pub(crate) struct Topics {
    filter: TopicFilter,
    known: HashMap<TopicName, bool>,
}

impl Topics {
    pub(crate) fn new(filter: TopicFilter) -> Self {
        Self { filter, known: HashMap::new() }
    }

    /// The topic, where it is wanted.
    fn find(&mut self, topic: &str) -> Option<&TopicName> {
        if !self.known.contains_key(topic) {
            let name = TopicName::new(topic).ok()?;
            let is_wanted = self.filter.matches(&name);
            self.known.insert(name, is_wanted);
        }
        self.known.get_key_value(topic).filter(|(_, is_wanted)| **is_wanted).map(|(name, _)| name)
    }
}
