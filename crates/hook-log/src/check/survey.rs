//! What a log consists of, read from as little of it as possible: the beginnings of its segments, and the newest one whole.

use std::{io, path::Path, sync::Arc};

use hook_core::{
    Timestamp,
    names::TopicName,
    ports::log::{Cursor, PartitionState},
};
use serde::Serialize;

use super::{
    chain::numbers,
    fold::Fold,
    walk::{Batch, Content, Piece, Place, Walk},
    window::Window,
};
use crate::{
    disk::{Disk, RealDisk},
    error::{Damage, OpenError},
    format::{ChainKind, HEADER_BYTES, Header, HeaderError, VERSION, checksum_seed, segment_name},
};

/// A log that is read while its owner writes may look as if something were missing for a moment.
const TRIES: u32 = 4;

/// What a chain consists of.
#[derive(Debug, Clone, Serialize)]
pub struct ChainSurvey {
    /// The name of the chain's folder.
    pub chain: &'static str,
    /// How many segments it has.
    pub segments: u64,
    /// The number of the oldest and of the newest one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<(u64, u64)>,
    /// Bytes that were written.
    pub written: u64,
    /// Bytes that its files have, with what is allocated ahead of use.
    pub allocated: u64,
    /// The time of the oldest record that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// The time of the newest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<Timestamp>,
    /// Every partition with its bounds.
    pub partitions: Vec<PartitionState>,
    /// Its segments, oldest first.
    #[serde(skip)]
    parts: Vec<Part>,
    /// What is known at its end.
    #[serde(skip)]
    fold: Arc<Fold>,
    #[serde(skip)]
    kind: ChainKind,
}

/// A segment, and where the partitions stood when it began.
#[derive(Debug, Clone)]
struct Part {
    bytes: u64,
    begins: Vec<(Place, u64)>,
}

impl Part {
    fn begin(&self, place: &Place) -> u64 {
        self.begins.iter().find(|(known, _)| known == place).map_or(0, |(_, end)| *end)
    }
}

/// Looks at every chain of the log in a data directory. Takes no lock and writes nothing; an owner may be at work.
pub fn survey(dir: &Path) -> Result<Vec<ChainSurvey>, OpenError> {
    let of_chain = |kind: ChainKind| {
        let dir = dir.join(kind.folder());
        let mut tries = 1;
        loop {
            // The owner may remove a segment, or make one, between two looks.
            match chain(&RealDisk, &dir, kind) {
                Err(OpenError::Io { .. } | OpenError::Damaged(_)) if tries < TRIES => tries += 1,
                surveyed => return surveyed,
            }
        }
    };
    ChainKind::ALL.into_iter().map(of_chain).collect()
}

impl ChainSurvey {
    /// The bytes that are kept, whatever their age, because one of these cursors has not done all that is in them.
    pub fn pinned_bytes(&self, pinning: &[Cursor]) -> u64 {
        let needed = pinning.iter().filter_map(|cursor| self.first_needed(cursor)).min();
        needed.map_or(0, |needed| self.parts[needed..].iter().map(|part| part.bytes).sum())
    }

    /// The oldest segment, counted from the first one, that a cursor needs.
    fn first_needed(&self, cursor: &Cursor) -> Option<usize> {
        let progress = self.fold.cursors().get(cursor.name.as_str());
        if progress.is_none() && self.kind == ChainKind::Events {
            // The chain of events says which cursors exist.
            return None;
        }
        let open = self.partitions.iter().filter(|partition| cursor.topics.matches(&partition.topic));
        let segment = |partition: &PartitionState| {
            let place: Place = (Arc::from(partition.topic.as_str()), partition.partition);
            let progress = progress.and_then(|progress| progress.get(&place));
            let first = progress.map_or(partition.start, |progress| progress.first_open(partition.start));
            let behind = self.parts.partition_point(|part| part.begin(&place) <= first);
            (first < partition.end).then(|| behind.saturating_sub(1))
        };
        open.filter_map(segment).min()
    }
}

fn chain(disk: &dyn Disk, dir: &Path, kind: ChainKind) -> Result<ChainSurvey, OpenError> {
    let numbers = numbers(disk, dir)?;
    let mut survey = ChainSurvey {
        chain: kind.folder(),
        segments: numbers.len() as u64,
        numbers: numbers.first().copied().zip(numbers.last().copied()),
        written: 0,
        allocated: 0,
        oldest: None,
        newest: None,
        partitions: Vec::new(),
        parts: Vec::new(),
        fold: Arc::default(),
        kind,
    };
    let mut fold = Fold::default();
    let mut newest = None;
    let headers = numbers.iter().map(|&number| header(disk, dir, kind, number)).collect::<Result<Vec<_>, _>>()?;
    for (index, header) in headers.iter().enumerate() {
        let valid = headers.get(index + 1).map(|next| next.previous_end);
        let path = dir.join(segment_name(header.number));
        let file = disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
        let read = || -> io::Result<Result<(), Damage>> {
            let window = Window::new(&*file)?;
            survey.allocated += window.length();
            let mut walk = Walk::new(window, checksum_seed(header.salt), valid);
            let Some(Piece::Batch(snapshot)) = walk.next()? else {
                let what = "no snapshot with right checksums";
                return Ok(Err(Damage { file: path.clone(), position: walk.at(), what }));
            };
            survey.parts.push(Part { bytes: valid.unwrap_or(0), begins: begins(&snapshot) });
            if valid.is_some() && survey.oldest.is_none() {
                survey.oldest = first_time(&mut walk)?;
            }
            if valid.is_none() {
                fold.apply(&snapshot.facts);
                let end = newest_segment(&mut walk, &mut fold, &mut survey.oldest, &mut newest)?;
                survey.parts[index].bytes = end;
            }
            Ok(Ok(()))
        };
        let mut read = read;
        read().map_err(OpenError::io("read", &path))??;
    }
    if newest.is_none() && headers.len() > 1 {
        newest = last_time(disk, dir, &headers[headers.len() - 2..])?;
    }
    survey.written = survey.parts.iter().map(|part| part.bytes).sum();
    survey.newest = newest;
    survey.partitions = partitions(&fold, survey.parts.first());
    survey.fold = Arc::new(fold);
    Ok(survey)
}

fn header(disk: &dyn Disk, dir: &Path, kind: ChainKind, number: u64) -> Result<Header, OpenError> {
    let path = dir.join(segment_name(number));
    let file = match disk.open_read_only(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Damage { file: path, position: 0, what: "the segment is missing" }.into());
        }
        Err(error) => return Err(OpenError::io("open", &path)(error)),
    };
    let mut window = Window::new(&*file).map_err(OpenError::io("read", &path))?;
    let bytes = window.bytes(0, HEADER_BYTES as usize).map_err(OpenError::io("read", &path))?;
    Header::decode(bytes, kind, number).map_err(|error| match error {
        HeaderError::Damaged(what) => Damage { file: path, position: 0, what }.into(),
        HeaderError::Version(found) => OpenError::Version { file: path, found, known: VERSION },
    })
}

fn begins(snapshot: &Batch) -> Vec<(Place, u64)> {
    let end = |content: &Content| match content {
        Content::End { place, end } => Some((place.clone(), *end)),
        _ => None,
    };
    snapshot.facts.iter().filter_map(|fact| end(&fact.content)).collect()
}

fn times(batch: &Batch) -> impl Iterator<Item = Timestamp> {
    batch.facts.iter().filter_map(|fact| match fact.content {
        Content::Record { time_us, .. } => Timestamp::from_microsecond(time_us).ok(),
        _ => None,
    })
}

/// The time of the first record from here on.
fn first_time(walk: &mut Walk<'_>) -> io::Result<Option<Timestamp>> {
    while let Some(piece) = walk.next()? {
        if let Piece::Batch(batch) = piece
            && let Some(time) = times(&batch).next()
        {
            return Ok(Some(time));
        }
    }
    Ok(None)
}

/// Reads the newest segment whole. Returns where its last whole batch ends.
fn newest_segment(
    walk: &mut Walk<'_>,
    fold: &mut Fold,
    oldest: &mut Option<Timestamp>,
    newest: &mut Option<Timestamp>,
) -> io::Result<u64> {
    let mut end = walk.at();
    while let Some(Piece::Batch(batch)) = walk.next()? {
        fold.apply(&batch.facts);
        *oldest = oldest.or_else(|| times(&batch).next());
        *newest = times(&batch).last().or(*newest);
        end = batch.end;
    }
    Ok(end)
}

/// The time of the last record of the segment before the newest.
fn last_time(disk: &dyn Disk, dir: &Path, headers: &[Header]) -> Result<Option<Timestamp>, OpenError> {
    let [header, next] = headers else { return Ok(None) };
    let path = dir.join(segment_name(header.number));
    let file = disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
    let read = || -> io::Result<Option<Timestamp>> {
        let mut walk = Walk::new(Window::new(&*file)?, checksum_seed(header.salt), Some(next.previous_end));
        let mut last = None;
        while let Some(piece) = walk.next()? {
            if let Piece::Batch(batch) = piece {
                last = times(&batch).last().or(last);
            }
        }
        Ok(last)
    };
    read().map_err(OpenError::io("read", &path))
}

fn partitions(fold: &Fold, oldest: Option<&Part>) -> Vec<PartitionState> {
    let state = |(place, bounds): (&Place, std::ops::Range<u64>)| {
        let start = oldest.map_or(0, |part| part.begin(place)).min(bounds.end);
        let topic = TopicName::new(&*place.0).ok()?;
        Some(PartitionState { topic, partition: place.1, start, end: bounds.end })
    };
    fold.bounds().filter_map(state).collect()
}
