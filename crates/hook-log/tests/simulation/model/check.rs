//! Compares what the log shows with what must and must not be there.

use std::collections::{BTreeMap, BTreeSet};

use hook_core::{
    Timestamp,
    ports::log::{CursorState, LogState, NewRecord, Record},
};
use hook_log::WhenPinned;

use super::{Checked, Fate, Model, TOPICS, When, chain_of, cursor, cursors, must, name_of, topic_index};
use crate::scenario::Scenario;

impl Model {
    /// Checks every record that the log shows.
    pub(crate) fn check_records(
        &mut self,
        records: &[Record],
        state: &LogState,
        when: When,
        scenario: &Scenario,
        now: Timestamp,
    ) -> Checked {
        self.watch(state);
        let mut next = [0; 4];
        for partition in &state.partitions {
            next[topic_index(partition.topic.as_str())] = partition.start;
        }
        let starts = next;
        let mut found: BTreeMap<u32, Vec<Option<u64>>> = BTreeMap::new();
        for record in records {
            let of_record = topic_index(record.position.topic.as_str());
            let (place, offset) = (&record.position, record.position.offset);
            must!(offset == next[of_record], "{place:?} comes where {} is next", next[of_record]);
            next[of_record] += 1;
            let (number, index) = self.recognise(record)?;
            let request = &self.requests[number as usize];
            let places = found.entry(number).or_insert_with(|| vec![None; request.append.records.len()]);
            let first = places[index as usize].replace(offset);
            must!(first.is_none(), "record {number}.{index} stands at {first:?} and at {offset} of {of_record}");
            match &request.fate {
                Fate::CopyOf(_) | Fate::Never => return Err(format!("{place:?} holds {number}: {:?}", request.fate)),
                Fate::Refused(generation) if when == When::Running && *generation == self.generation => {
                    return Err(format!("{place:?} shows request {number}, which was refused"));
                }
                _ => {}
            }
            let before = self.slots[of_record].insert(offset, (number, index));
            let same = before.is_none_or(|before| before == (number, index));
            must!(same, "{place:?} held {before:?} and holds {number}.{index}");
            let before = self.placed.insert((number, index), offset);
            must!(before.is_none_or(|before| before == offset), "{number}.{index} moved from {before:?} to {place:?}");
        }
        for partition in &state.partitions {
            let (name, end) = (&partition.topic, next[topic_index(partition.topic.as_str())]);
            must!(partition.end == end, "{name} ends at {}, and its last record is before {end}", partition.end);
        }
        self.check_whole(&found)?;
        self.check_present(&next, when)?;
        self.check_removed(&starts, scenario, now)?;
        if starts == [0; 4] && !matches!(when, When::Damaged { .. }) {
            let lost =
                self.requests.iter().position(|request| request.must_exist && !found.contains_key(&request.number()));
            must!(lost.is_none(), "request {lost:?} was said to be stored, and is not there");
        }
        Ok(())
    }

    /// The request that a record comes from, after a look at every byte of it.
    fn recognise(&self, record: &Record) -> Result<(u32, u32), String> {
        let place = &record.position;
        let text = str::from_utf8(&record.header).map_err(|_| format!("{place:?} has another header"))?;
        let parts = text.split_once('.').and_then(|(number, index)| Some((number.parse().ok()?, index.parse().ok()?)));
        let (number, index): (u32, u32) = parts.ok_or_else(|| format!("{place:?} has another header"))?;
        let request = self.requests.get(number as usize).ok_or_else(|| format!("{place:?}: nobody sent {number}"))?;
        let sent =
            request.append.records.get(index as usize).ok_or_else(|| format!("{place:?}: nobody sent {text}"))?;
        let is_same = |sent: &NewRecord| {
            sent.topic == record.position.topic
                && sent.key == record.key
                && sent.time == record.time
                && sent.header == record.header
                && sent.body == record.body
        };
        must!(is_same(sent), "{place:?} is not what was sent as {text}: {record:?}");
        Ok((number, index))
    }

    /// Of the records of a request that go to one chain, there are all or none, and those of a topic are neighbours.
    fn check_whole(&self, found: &BTreeMap<u32, Vec<Option<u64>>>) -> Checked {
        for (number, places) in found {
            let records = &self.requests[*number as usize].append.records;
            let topics: Vec<_> = records.iter().map(|record| topic_index(record.topic.as_str())).collect();
            for chain in 0..3 {
                let here = topics.iter().zip(places).filter(|(topic, _)| chain_of(**topic) == chain);
                let (there, all) =
                    here.fold((0, 0), |(there, all), (_, place)| (there + u32::from(place.is_some()), all + 1));
                must!(there == 0 || there == all, "{there} of {all} records of request {number} are in chain {chain}");
            }
            for topic in 0..TOPICS.len() {
                let here: Vec<_> =
                    topics.iter().zip(places).filter(|(of, _)| **of == topic).filter_map(|(_, place)| *place).collect();
                let are_neighbours = here.windows(2).all(|pair| pair[1] == pair[0] + 1);
                must!(are_neighbours, "the records of request {number} stand at {here:?}");
            }
        }
        Ok(())
    }

    /// What must be there is. Records were already compared with what is known of their places.
    fn check_present(&mut self, ends: &[u64; 4], when: When) -> Checked {
        for (topic, &end) in ends.iter().enumerate() {
            let missing: Vec<_> =
                self.slots[topic].range(end..).map(|(offset, (number, _))| (*offset, *number)).collect();
            for (offset, number) in missing {
                let request = &self.requests[number as usize];
                let is_last = request.acked_at == 0 || request.acked_at >= self.last_acked[chain_of(topic)];
                let is_excused = when == When::Damaged { is_closed: false } && is_last;
                must!(is_excused, "{} ends at {end}: {offset} is lost, {number} is {:?}", TOPICS[topic], request.fate);
            }
        }
        Ok(())
    }

    /// What is gone may be gone.
    fn check_removed(&self, starts: &[u64; 4], scenario: &Scenario, now: Timestamp) -> Checked {
        for (topic, &start) in starts.iter().enumerate() {
            if !self.retains {
                for (offset, (number, index)) in self.slots[topic].range(..start) {
                    let time = self.requests[*number as usize].append.records[*index as usize].time;
                    let age = now.duration_since(time).unsigned_abs();
                    must!(
                        age > scenario.retention.max_age,
                        "{offset} of {} is gone at the age of {age:?}",
                        TOPICS[topic]
                    );
                }
            }
            let drops = scenario.max_pinned.is_some() && scenario.when_pinned == WhenPinned::DropOldest;
            if !scenario.pins || drops {
                continue;
            }
            for (index, model) in self.cursors.iter().enumerate().filter(|(_, model)| model.exists == Some(true)) {
                if cursor(index).topics.matches(&name_of(topic)) {
                    let open = (0..start).find(|offset| !model.may[topic].contains(offset));
                    must!(open.is_none(), "{open:?} of {} is gone, and cursor {index} has not done it", TOPICS[topic]);
                }
            }
        }
        Ok(())
    }

    /// Checks cursors after a start, and learns which exist.
    pub(crate) fn check_cursors(&mut self, state: &LogState) -> Checked {
        for index in cursors() {
            let name = cursor(index).name;
            let found = state.cursors.iter().find(|cursor| cursor.name == name);
            let expected = self.cursors[index].exists;
            must!(expected.is_none_or(|exists| exists == found.is_some()), "cursor {name} exists: {}", found.is_some());
            if expected.is_none() {
                self.cursors[index].exists = Some(found.is_some());
                self.found_cursor(index, state);
            }
            if let Some(found) = found {
                self.check_progress(index, found)?;
            }
        }
        Ok(())
    }

    fn check_progress(&self, index: usize, found: &CursorState) -> Checked {
        let model = &self.cursors[index];
        for progress in &found.partitions {
            let topic = topic_index(progress.topic.as_str());
            let start = self.starts[topic];
            let ahead = (start..progress.watermark).find(|offset| !model.may[topic].contains(offset));
            must!(ahead.is_none(), "cursor {index} is ahead: {ahead:?} of {} was not delivered", TOPICS[topic]);
            let above = model.may[topic].range(progress.watermark..).count() as u64;
            must!(progress.done_above <= above, "cursor {index} is ahead in {}: {progress:?}", TOPICS[topic]);
        }
        Ok(())
    }

    /// Checks what a cursor still delivers.
    pub(crate) fn check_delivered(&self, index: usize, delivered: &[Record], state: &LogState) -> Checked {
        let model = &self.cursors[index];
        let mut seen: [BTreeSet<u64>; 4] = Default::default();
        for record in delivered {
            let topic = topic_index(record.position.topic.as_str());
            let offset = record.position.offset;
            self.recognise(record)?;
            let is_next = seen[topic].last().is_none_or(|last| *last < offset);
            must!(is_next, "cursor {index} delivers {:?} out of order", record.position);
            seen[topic].insert(offset);
            let is_done = model.exists == Some(true) && model.must[topic].contains(&offset);
            must!(!is_done, "cursor {index} has done {:?} durably, and delivers it again", record.position);
        }
        for partition in state.partitions.iter().filter(|known| cursor(index).topics.matches(&known.topic)) {
            let topic = topic_index(partition.topic.as_str());
            let from = partition.start.max(self.starts[topic]);
            let open = (from..partition.end)
                .find(|offset| !model.may[topic].contains(offset) && !seen[topic].contains(offset));
            must!(open.is_none(), "cursor {index} skips {open:?} of {}", TOPICS[topic]);
        }
        Ok(())
    }
}
