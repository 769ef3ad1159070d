//! Checks one chain: every byte of every segment, and on behind a damage where the next batch can be found.

use std::{io, ops::Range, path::Path};

use hook_core::names::{CursorName, TopicName};

use super::{
    fold::{Contradiction, Fold, Snapshot},
    head::{self, Head},
    report::{ChainReport, Finding, Lost, TornTail},
    walk::{Bad, Content, Fact, Hole, Piece, Place, Walk},
    window::Window,
};
use crate::{
    disk::Disk,
    error::OpenError,
    format::{ChainKind, HEADER_BYTES, Header, checksum_seed, segment_name, segment_number},
    salt::Salts,
};

/// More segments than this in a row are not missing: a file has a wrong name.
const MOST_MISSING: u64 = 10_000;

/// Says how far a check has come: bytes that were read, and all that there are.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, u64);

/// A chain that was checked.
pub(super) struct Checked {
    pub(super) report: ChainReport,
    /// What a repair has to write, segment by segment.
    pub(super) plans: Vec<SegmentPlan>,
}

/// How a segment is written anew.
pub(super) struct SegmentPlan {
    pub(super) header: Header,
    /// Whether there is a file from which the good parts are taken.
    pub(super) has_file: bool,
    /// Where the file ends; `None` where it is as long as it gets.
    pub(super) end: Option<u64>,
    pub(super) regions: Vec<RegionPlan>,
    /// Offsets that nobody may be given again, said at the end of the newest segment.
    pub(super) tail: Vec<(Place, Range<u64>)>,
}

/// What takes the place of a damaged region.
pub(super) struct RegionPlan {
    pub(super) start: u64,
    /// `None` where it takes what it needs.
    pub(super) end: Option<u64>,
    pub(super) kept: Vec<Fact>,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) lost: Vec<(Place, Range<u64>)>,
}

/// A damage before it is known what it has cost.
struct Open {
    finding: Finding,
    repair: Option<Repair>,
}

/// What a repair does about a damage.
struct Repair {
    /// The damage in the fold.
    wound: usize,
    /// The plan of its segment.
    plan: usize,
    region: RegionPlan,
}

/// Checks a chain.
pub(super) fn check(
    disk: &dyn Disk,
    dir: &Path,
    kind: ChainKind,
    read: &mut dyn FnMut(u64),
) -> Result<Checked, OpenError> {
    let numbers = numbers(disk, dir)?;
    let mut check = Check {
        disk,
        dir,
        kind,
        fold: Fold::default(),
        report: ChainReport {
            chain: kind.folder(),
            segments: 0,
            bytes: 0,
            records: 0,
            keys: 0,
            damages: Vec::new(),
            torn_tail: None,
        },
        open: Vec::new(),
        plans: Vec::new(),
        previous_end: 0,
        has_begun: false,
        made_at_us: 0,
    };
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else { return Ok(check.finish()) };
    if last - first >= numbers.len() as u64 + MOST_MISSING {
        let source = io::Error::other(format!("its number follows {first}, with too many between"));
        return Err(OpenError::io("take for a segment", dir.join(segment_name(last)))(source));
    }
    let mut next = Some(head::read(disk, dir, kind, first)?);
    for number in first..=last {
        let head = next.take().unwrap_or(Head::Lost("the segment is missing"));
        if number < last {
            next = Some(head::read(disk, dir, kind, number + 1)?);
        }
        if matches!(head, Head::Lost(_)) && is_retained_away(disk, dir, number)? {
            check.fold = Fold::default();
            continue;
        }
        let valid = next.as_ref().and_then(Head::previous_end);
        check.segment(number, &head, valid, read)?;
    }
    Ok(check.finish())
}

/// The numbers of the segments of a chain, in order. A chain that was never written has none.
pub(super) fn numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(OpenError::io("list", dir)(error)),
    };
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether the owner has removed a segment since the chain was listed: then all before it are gone too.
fn is_retained_away(disk: &dyn Disk, dir: &Path, number: u64) -> Result<bool, OpenError> {
    Ok(numbers(disk, dir)?.first().is_some_and(|&oldest| oldest > number))
}

struct Check<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    kind: ChainKind,
    fold: Fold,
    report: ChainReport,
    open: Vec<Open>,
    plans: Vec<SegmentPlan>,
    /// Where the valid part of the segment before ends.
    previous_end: u64,
    /// Whether a segment was read, or known to be lost, before this one.
    has_begun: bool,
    /// When the segment before was made.
    made_at_us: i64,
}

impl Check<'_> {
    fn segment(
        &mut self,
        number: u64,
        head: &Head,
        valid: Option<u64>,
        read: &mut dyn FnMut(u64),
    ) -> Result<(), OpenError> {
        let path = self.dir.join(segment_name(number));
        let (salt, made_at_us, previous_end) = match *head {
            Head::Good(header) => (header.salt, header.made_at_us, header.previous_end),
            Head::Hurt { salt, made_at_us, .. } => (salt, made_at_us, self.previous_end),
            Head::Lost(what) => {
                self.lost_segment(number, what, valid);
                return Ok(());
            }
        };
        let before = self.open.len();
        if let Head::Hurt { what, .. } = *head {
            self.open.push(Open { finding: finding(&path, 0..HEADER_BYTES, what, true), repair: None });
        }
        let header = Header { chain: self.kind, number, previous_end, made_at_us, salt };
        self.plans.push(SegmentPlan { header, has_file: true, end: valid, regions: Vec::new(), tail: Vec::new() });
        let file = self.disk.open_read_only(&path).map_err(OpenError::io("open", &path))?;
        let walked = Window::new(&*file)
            .and_then(|window| self.walk(&mut Walk::new(window, checksum_seed(salt), valid), &path, read));
        let end = walked.map_err(OpenError::io("read", &path))?;
        self.report.segments += 1;
        self.report.bytes += end;
        self.previous_end = valid.unwrap_or(end);
        if self.open[before..].iter().all(|open| !open.finding.can_be_repaired) {
            // There is nothing to write.
            self.plans.pop();
        } else if let Some(plan) = self.plans.last_mut() {
            plan.end = Some(self.previous_end);
        }
        (self.has_begun, self.made_at_us) = (true, made_at_us);
        Ok(())
    }

    /// Walks over a segment. Returns where the part of it ends that can be trusted.
    fn walk(&mut self, walk: &mut Walk<'_>, path: &Path, read: &mut dyn FnMut(u64)) -> io::Result<u64> {
        let mut end = walk.at();
        while let Some(piece) = walk.next()? {
            match piece {
                Piece::Batch(batch) => {
                    let contradictions = self.fold.apply(&batch.facts);
                    self.contradicted(path, contradictions);
                }
                Piece::Bad(bad) => {
                    let is_beginning = bad.start == HEADER_BYTES;
                    if walk.valid().is_none() && !is_beginning && !(bad.is_followed && walk.is_proven(bad.position)?) {
                        let bytes = walk.length() - bad.start;
                        self.report.torn_tail = Some(TornTail { file: path.to_owned(), position: bad.start, bytes });
                        return Ok(bad.start);
                    }
                    self.bad(path, bad);
                }
            }
            read(walk.at() - end);
            end = walk.at();
        }
        Ok(end)
    }

    fn bad(&mut self, path: &Path, bad: Bad) {
        let is_beginning = bad.start == HEADER_BYTES;
        let mut finding = finding(path, bad.position..bad.end, bad.what, true);
        let sizes = |facts: &[Fact]| facts.iter().map(|fact| fact.size).sum::<u64>();
        let room = bad.holes.iter().map(|hole| hole.end - hole.start).sum::<u64>() + sizes(&bad.dropped);
        finding.kept_records =
            bad.kept.iter().filter(|fact| matches!(fact.content, Content::Record { .. })).count() as u64;
        let wound = self.fold.hurt(bad.holes, Some(room), is_beginning && !self.has_begun);
        finding.other_lost = self.fold.wounds[wound].may_have_held_others();
        for fact in &bad.dropped {
            match &fact.content {
                Content::Seen { keys } => finding.dropped_keys += keys,
                Content::Done { cursor, .. } => {
                    let is_new = |name: &CursorName| !finding.dropped_progress.contains(name);
                    finding.dropped_progress.extend(CursorName::new(&**cursor).ok().filter(is_new));
                }
                _ => {}
            }
        }
        let contradictions = self.fold.apply_kept(&bad.kept, wound, is_beginning);
        let region =
            RegionPlan { start: bad.start, end: Some(bad.end), kept: bad.kept, snapshot: None, lost: Vec::new() };
        self.open.push(Open { finding, repair: Some(Repair { wound, plan: self.plans.len() - 1, region }) });
        self.contradicted(path, contradictions);
    }

    /// A segment of which nothing can be read.
    fn lost_segment(&mut self, number: u64, what: &'static str, valid: Option<u64>) {
        let path = self.dir.join(segment_name(number));
        let file = self.disk.open_read_only(&path).ok();
        let has_file = file.is_some();
        let length = file.and_then(|file| file.len().ok()).unwrap_or(0);
        let salt = Salts::Random.next();
        let header =
            Header { chain: self.kind, number, previous_end: self.previous_end, made_at_us: self.made_at_us, salt };
        let end = valid.unwrap_or(HEADER_BYTES);
        let hole_end = valid.unwrap_or(length).max(HEADER_BYTES);
        let holes = vec![Hole { start: HEADER_BYTES, end: hole_end, guess: None }];
        let wound = self.fold.hurt(holes, None, !self.has_begun);
        self.fold.apply_kept(&[], wound, true);
        let mut finding = finding(&path, 0..hole_end, what, true);
        finding.other_lost = true;
        let region = RegionPlan { start: HEADER_BYTES, end: valid, kept: Vec::new(), snapshot: None, lost: Vec::new() };
        self.plans.push(SegmentPlan { header, has_file, end: valid, regions: Vec::new(), tail: Vec::new() });
        self.open.push(Open { finding, repair: Some(Repair { wound, plan: self.plans.len() - 1, region }) });
        self.previous_end = end;
        self.has_begun = true;
    }

    fn contradicted(&mut self, path: &Path, contradictions: Vec<(u64, Contradiction)>) {
        let open =
            |(at, Contradiction(what)): (u64, _)| Open { finding: finding(path, at..at, what, false), repair: None };
        self.open.extend(contradictions.into_iter().map(open));
    }

    /// Nothing more comes: every damage gets what it has cost.
    fn finish(mut self) -> Checked {
        self.fold.finish();
        let newest = self.plans.len().checked_sub(1);
        for Open { mut finding, repair } in self.open {
            if let Some(Repair { wound, plan, mut region }) = repair {
                let wound = &mut self.fold.wounds[wound];
                let exact = wound.lost.iter().filter_map(|lost| lost_of(lost, true));
                finding.lost = exact.chain(wound.at_most.iter().filter_map(|lost| lost_of(lost, false))).collect();
                region.snapshot = wound.snapshot.take();
                region.lost = std::mem::take(&mut wound.lost);
                self.plans[plan].regions.push(region);
                if let Some(newest) = newest {
                    self.plans[newest].tail.append(&mut wound.at_most);
                }
            }
            self.report.damages.push(finding);
        }
        (self.report.records, self.report.keys) = (self.fold.records, self.fold.keys);
        Checked { report: self.report, plans: self.plans }
    }
}

fn finding(file: &Path, place: Range<u64>, what: &'static str, can_be_repaired: bool) -> Finding {
    Finding {
        file: file.to_owned(),
        position: place.start,
        end: place.end,
        what,
        lost: Vec::new(),
        kept_records: 0,
        dropped_keys: 0,
        dropped_progress: Vec::new(),
        other_lost: false,
        can_be_repaired,
    }
}

fn lost_of((place, offsets): &(Place, Range<u64>), is_exact: bool) -> Option<Lost> {
    let topic = TopicName::new(&*place.0).ok()?;
    Some(Lost { topic, partition: place.1, first: offsets.start, end: offsets.end, is_exact })
}
