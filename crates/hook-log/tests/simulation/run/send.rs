//! Makes up events, and sends them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hook_core::{
    clock::Clock,
    ports::log::{Append, Commit, DedupKey, Log, NewRecord, Position},
};

use super::{
    World,
    answer::{Answer, Asked, Open},
};
use crate::model::{Checked, TOPICS, chain_of, cursor, cursors, name_of, topic_index};

/// How long a key counts that is sent again.
const KEY_LIFE: Duration = Duration::from_secs(600);

impl World {
    pub(super) fn append(&mut self, open: &mut Open) -> Checked {
        let again = self.model.requests.iter().filter(|request| request.wants_retry()).map(|it| it.append.clone());
        let again: Vec<_> = if self.rng.u8(..4) == 0 { again.collect() } else { Vec::new() };
        let append = match self.rng.choice(&again).cloned() {
            Some(append) => self.again(append),
            None => self.new_append(open),
        };
        let event = event_of(&append);
        let number = self.model.send(append.clone(), event, false);
        self.note(|| format!("append {number}: {}", describe(&append)));
        let log = Arc::clone(&open.log);
        open.ask(Asked::Append(number), async move { Answer::Append(log.append(append).await) });
        self.poll(open)
    }

    /// The same event, sent once more as another request.
    pub(super) fn again(&mut self, mut append: Append) -> Append {
        let number = self.model.requests.len() as u32;
        for (index, record) in append.records.iter_mut().enumerate() {
            record.header = format!("{number}.{index}").into();
        }
        // What is sent again counts as a copy for as long as it would have then.
        append.dedup.iter_mut().for_each(|key| key.expires_at = self.clock.now() + KEY_LIFE);
        append.id = id(number);
        append.commit = None;
        append
    }

    pub(super) fn new_append(&mut self, open: &Open) -> Append {
        let number = self.model.requests.len() as u32;
        self.events += 1;
        let first = if self.rng.u8(..3) > 0 { self.rng.usize(..2) } else { self.rng.usize(..TOPICS.len()) };
        let spans = self.rng.u8(..8) == 0;
        let count = if self.rng.u8(..3) == 0 { self.rng.u32(1..5) } else { 1 };
        let records = (0..count).map(|index| {
            let to = if spans { self.rng.usize(..TOPICS.len()) } else { first };
            self.record(to, &format!("{number}.{index}"), index)
        });
        let records = records.collect();
        let mut append = Append { records, id: id(number), ..Append::default() };
        if !spans && first < 2 && self.rng.u8(..3) == 0 {
            append.dedup = (0..self.rng.u8(1..3)).map(|_| self.key()).collect();
            append.dedup.dedup_by_key(|key| key.digest);
        } else if self.rng.u8(..4) == 0 {
            append.commit = self.commit_of(open);
        }
        append
    }

    pub(super) fn record(&mut self, to: usize, header: &str, index: u32) -> NewRecord {
        let filler = if self.rng.u8(..16) == 0 { self.rng.usize(..3000) } else { self.rng.usize(..40) };
        let event = self.events;
        NewRecord {
            topic: name_of(to),
            key: (self.rng.u8(..4) > 0).then(|| format!("key {}", self.rng.u8(..4)).into()),
            time: self.clock.now(),
            header: header.to_owned().into(),
            body: format!("{event}.{index} {}", "x".repeat(filler)).into(),
        }
    }

    pub(super) fn key(&mut self) -> DedupKey {
        let life = *self.rng.choice(&[1, 60, 5 * 3600]).expect("there are some");
        DedupKey { digest: [self.rng.u8(1..9); 16], expires_at: self.clock.now() + Duration::from_secs(life) }
    }

    /// A commit of some records that a cursor reads, as a relay makes it.
    pub(super) fn commit_of(&mut self, open: &Open) -> Option<Commit> {
        let index = self.rng.usize(cursors());
        let cursor = cursor(index);
        let state = open.log.state();
        let mut done = Vec::new();
        for partition in state.partitions.iter().filter(|known| cursor.topics.matches(&known.topic)) {
            for offset in partition.start..partition.end {
                if self.rng.u8(..3) == 0 {
                    let topic = partition.topic.clone();
                    done.push(Position { topic, partition: 0, offset });
                }
            }
        }
        done.truncate(8);
        Some(Commit { cursor: cursor.name, done })
    }
}

pub(super) fn chains_of(append: &Append) -> usize {
    let chains: BTreeSet<_> =
        append.records.iter().map(|record| chain_of(topic_index(record.topic.as_str()))).collect();
    chains.len()
}

pub(super) fn id(number: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    id
}

/// The event that a request stands for, as its first body says.
pub(super) fn event_of(append: &Append) -> u32 {
    let body = append.records.first().map(|record| String::from_utf8_lossy(&record.body).into_owned());
    body.and_then(|body| body.split('.').next()?.parse().ok()).unwrap_or_default()
}

pub(super) fn describe(append: &Append) -> String {
    let records = append.records.iter().map(|record| format!("{} {} bytes", record.topic, record.body.len()));
    let keys: Vec<_> = append.dedup.iter().map(|key| format!("{} until {}", key.digest[0], key.expires_at)).collect();
    let records: Vec<_> = records.collect();
    format!("{records:?}, keys {keys:?}, {:?}", append.commit)
}
