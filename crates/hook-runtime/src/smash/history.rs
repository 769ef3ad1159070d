//! What the destinations of an adapter were given before, read from the log as they get it: routed, changed by plugins.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hook_contract::plan::SmashRoute;
use hook_core::{
    BoxFuture,
    envelope::Envelope,
    names::TopicName,
    ports::{
        history::{Begin, History, HistoryError, Kept, Mark, Past},
        log::{From, Log, LogError, Position, Record, Scan, TopicFilter},
        plugin::Plugin,
    },
};

use super::attempt::prepare;
use crate::travel::blocking;

/// So many records are read at once.
const READ: usize = 64;
/// An event's record may be so much older than its id says, and on Kafka events of other partitions that were delivered before
/// it so much younger.
const SKEW: Duration = Duration::from_secs(60);
/// The oldest event that a destination takes is looked for among so many batches of records.
const BATCHES_TO_OLDEST: usize = 16;

type Partition = (TopicName, u32);

/// The history of one adapter. Clones share it.
#[derive(Clone)]
pub(crate) struct AdapterHistory(Arc<Ours>);

/// What of the log is an adapter's.
struct Ours {
    log: Arc<dyn Log>,
    /// Each destination's name, and the route that it stands in.
    routes: Vec<(Arc<str>, SmashRoute)>,
    plugins: Vec<Arc<dyn Plugin>>,
    topics: TopicFilter,
    /// Whether records are scanned in the order in which they are delivered, over all partitions.
    is_ordered: bool,
}

impl AdapterHistory {
    pub(crate) fn new(
        log: Arc<dyn Log>,
        plugins: Vec<Arc<dyn Plugin>>,
        routes: Vec<(Arc<str>, SmashRoute)>,
        is_ordered: bool,
    ) -> Self {
        let filters = || routes.iter().map(|(_, route)| &route.topics);
        let topics = TopicFilter {
            include: filters().flat_map(|filter| filter.include.clone()).collect(),
            unless_literal: filters().next().map(|filter| filter.unless_literal.clone()).unwrap_or_default(),
        };
        Self(Arc::new(Ours { log, routes, plugins, topics, is_ordered }))
    }
}

impl Ours {
    /// A log may have to ask others where a scan begins.
    async fn scan(&self, from: From) -> Result<Box<dyn Scan>, LogError> {
        let (log, topics) = (Arc::clone(&self.log), self.topics.clone());
        blocking(move || log.scan(topics, from)).await
    }

    fn ends(&self) -> BTreeMap<Partition, u64> {
        let partitions = self.log.state().partitions.into_iter();
        let ours = partitions.filter(|partition| self.topics.matches(&partition.topic));
        ours.map(|partition| ((partition.topic, partition.partition), partition.end)).collect()
    }

    /// What the destinations get of a record.
    fn keep(&self, record: &Record) -> Vec<Kept> {
        let mut routes =
            self.routes.iter().filter(|(_, route)| route.topics.matches(&record.position.topic)).peekable();
        if routes.peek().is_none() {
            return Vec::new();
        }
        let Ok(event) = Envelope::from_record(record) else { return Vec::new() };
        let taking = routes.filter(|(name, route)| match event.header.addressees() {
            Some(to) => to.iter().any(|to| **to == **name),
            None => route.takes(&event),
        });
        let kept = |(destination, _): &(Arc<str>, SmashRoute)| {
            // What a plugin refuses was never delivered.
            let envelope = prepare(&self.plugins, &event).ok()?.unwrap_or_else(|| event.clone());
            Some(Kept { destination: Arc::clone(destination), position: record.position.clone(), envelope })
        };
        taking.filter_map(kept).collect()
    }

    /// Looks for an event; the reading goes on behind it.
    async fn after(self: Arc<Self>, mark: Mark) -> Result<Reading, HistoryError> {
        let ends = self.ends();
        let from = mark.id.made_at().map_or(From::Earliest, |at| From::Time(at - SKEW));
        let mut scan = self.scan(from).await?;
        let mut passed = BTreeMap::new();
        let id = mark.id.to_string();
        loop {
            let mut records = scan.next(READ).await?;
            if records.is_empty() {
                return Err(HistoryError::Unknown { oldest: self.oldest().await? });
            }
            let found = records.iter().position(|record| is(record, &id, &mark));
            let seen = found.map_or(records.len(), |index| index + 1);
            passed.extend(records[..seen].iter().map(|record| behind(&record.position)));
            if let Some(last) = seen.checked_sub(1).filter(|_| found.is_some()) {
                if !self.is_ordered {
                    // Of other partitions nobody knows what was delivered before it.
                    let only = behind(&records[last].position);
                    let (passed, scan) = ([only].into(), Some(self.scan(from).await?));
                    return Ok(Reading { passed, ahead: Vec::new(), ends, scan, history: self });
                }
                let ahead = records.split_off(seen);
                return Ok(Reading { passed, ahead, ends, scan: Some(scan), history: self });
            }
        }
    }

    async fn oldest(&self) -> Result<Option<hook_core::event::EventId>, LogError> {
        let mut scan = self.scan(From::Earliest).await?;
        for _ in 0..BATCHES_TO_OLDEST {
            let records = scan.next(READ).await?;
            let first = records.iter().find_map(|record| self.keep(record).into_iter().next());
            if first.is_some() || records.is_empty() {
                return Ok(first.map(|kept| kept.envelope.header.id));
            }
        }
        Ok(None)
    }
}

impl History for AdapterHistory {
    fn read(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Past>, HistoryError>> {
        let history = Arc::clone(&self.0);
        Box::pin(async move {
            let reading = match begin {
                Begin::After(mark) => history.after(mark).await?,
                Begin::Earliest => {
                    let scan = Some(history.scan(From::Earliest).await?);
                    let (passed, ends) = (BTreeMap::new(), BTreeMap::new());
                    Reading { passed, ahead: Vec::new(), ends, scan, history }
                }
            };
            Ok(Box::new(reading) as Box<dyn Past>)
        })
    }
}

/// A reading under way.
struct Reading {
    history: Arc<Ours>,
    /// `None` at its end: a reading that rests costs nothing.
    scan: Option<Box<dyn Scan>>,
    /// Read already, and not looked at.
    ahead: Vec<Record>,
    /// The next offset in each partition that it has come to.
    passed: BTreeMap<Partition, u64>,
    /// Where each partition ended when the reading began. One that it never comes to has nothing new before that.
    ends: BTreeMap<Partition, u64>,
}

impl Reading {
    fn take(&mut self, record: &Record) -> Vec<Kept> {
        if self.has_passed(&record.position) {
            return Vec::new();
        }
        self.passed.extend([behind(&record.position)]);
        self.history.keep(record)
    }
}

impl Past for Reading {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<Kept>>, LogError>> {
        Box::pin(async move {
            if let Some(scan) = self.scan.as_mut().filter(|_| self.ahead.is_empty()) {
                self.ahead = scan.next(READ).await?;
            }
            let records = std::mem::take(&mut self.ahead);
            if records.is_empty() {
                self.scan = None;
                return Ok(None);
            }
            Ok(Some(records.iter().flat_map(|record| self.take(record)).collect()))
        })
    }

    fn has_passed(&self, position: &Position) -> bool {
        let next = self.passed.get(&(position.topic.clone(), position.partition));
        next.is_some_and(|next| position.offset < *next)
    }

    fn go_on(&mut self) -> BoxFuture<'_, Result<(), LogError>> {
        let (log, topics) = (Arc::clone(&self.history.log), self.history.topics.clone());
        let mut starts = self.ends.clone();
        starts.extend(self.passed.clone());
        let starts = starts.into_iter().map(|((topic, partition), offset)| Position { topic, partition, offset });
        let starts = starts.collect();
        Box::pin(async move {
            self.scan = Some(blocking(move || log.scan_from(topics, starts)).await?);
            Ok(())
        })
    }
}

/// Whether a record is that event. Most are not, which is seen without reading them.
fn is(record: &Record, id: &str, mark: &Mark) -> bool {
    record.header.windows(id.len()).any(|window| window == id.as_bytes())
        && Envelope::from_record(record).is_ok_and(|event| mark.is(&event))
}

fn behind(position: &Position) -> (Partition, u64) {
    ((position.topic.clone(), position.partition), position.offset + 1)
}

#[cfg(test)]
mod tests {
    use hook_contract::plan::EventFilter;
    use hook_core::{
        Timestamp,
        clock::SystemClock,
        envelope::{EventHeader, Meta, Replay},
        event::EventId,
        names::{EventType, Glob, RouteId, SourceName},
        payload::Payload,
        ports::{
            log::Append,
            plugin::{Draft, Verdict},
        },
    };
    use hook_testkit::MemoryLog;
    use uuid::Uuid;

    use super::*;

    /// Refuses what is called `secret`, and marks the rest.
    struct Marks;

    impl Plugin for Marks {
        fn apply(&self, draft: &mut Draft) -> Verdict {
            if draft.event_type.as_str() == "secret" {
                return Verdict::Refuse { reason: "secret".into() };
            }
            draft.meta.flags.push("seen".into());
            Verdict::Keep
        }
    }

    struct Case {
        log: Arc<MemoryLog>,
        history: AdapterHistory,
    }

    impl Case {
        /// One route takes everything but `other` from two topics.
        fn new(is_ordered: bool) -> Self {
            let log = Arc::new(MemoryLog::new(Arc::new(SystemClock)));
            let all_but =
                ["a*", "b*", "secret"].map(|glob| EventFilter::Pattern { source: None, event_type: Glob::new(glob) });
            let route = SmashRoute {
                id: RouteId::new("route").unwrap(),
                topics: TopicFilter { include: vec![Glob::new("webhooks.*")], unless_literal: Vec::new() },
                event_filters: all_but.into(),
                destinations: Vec::new(),
            };
            let routes = vec![("route/out".into(), route)];
            let history = AdapterHistory::new(log.clone(), vec![Arc::new(Marks)], routes, is_ordered);
            Self { log, history }
        }

        async fn store(&self, topic: &str, name: &str) -> EventId {
            self.store_again(topic, name, EventId::generate(), None).await
        }

        async fn store_again(&self, topic: &str, name: &str, id: EventId, replay: Option<Uuid>) -> EventId {
            let at = Timestamp::now();
            let header = EventHeader {
                id,
                source: SourceName::new("github").unwrap(),
                event_type: EventType::new(name).unwrap(),
                received_at: at,
                meta: Meta { replay: replay.map(|id| Replay { id, at, to: Vec::new() }), ..Meta::default() },
            };
            let payload = Payload::parse(bytes::Bytes::from_static(b"{}")).unwrap();
            let record = Envelope { header, payload }.to_record(TopicName::new(topic).unwrap());
            self.log.append(Append::one(record)).await.unwrap();
            id
        }

        async fn after(&self, id: EventId, replay: Option<Uuid>) -> Box<dyn Past> {
            self.history.read(Begin::After(Mark { id, replay })).await.unwrap()
        }
    }

    async fn names(past: &mut dyn Past) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(kept) = past.next().await.unwrap() {
            for Kept { destination, envelope, .. } in kept {
                assert_eq!(&*destination, "route/out");
                assert_eq!(envelope.header.meta.flags, ["seen"]);
                names.push(envelope.header.event_type.to_string());
            }
        }
        names
    }

    #[tokio::test]
    async fn what_follows_an_event_is_what_the_destination_is_given_after_it() {
        let case = Case::new(true);
        case.store("webhooks.one", "a1").await;
        let b1 = case.store("webhooks.two", "b1").await;
        for (topic, name) in [("one", "a2"), ("one", "other"), ("two", "secret"), ("two", "b2")] {
            case.store(&format!("webhooks.{topic}"), name).await;
        }
        case.store("elsewhere", "a3").await;
        let mut past = case.after(b1, None).await;
        assert_eq!(names(&mut *past).await, ["a2", "b2"]);
        let place = |topic: &str, offset| Position { topic: TopicName::new(topic).unwrap(), partition: 0, offset };
        assert!(past.has_passed(&place("webhooks.one", 0)) && past.has_passed(&place("webhooks.two", 2)));
        assert!(!past.has_passed(&place("webhooks.one", 3)) && !past.has_passed(&place("webhooks.new", 0)));
        for (topic, name) in [("one", "a4"), ("new", "a5")] {
            case.store(&format!("webhooks.{topic}"), name).await;
        }
        past.go_on().await.unwrap();
        assert_eq!(names(&mut *past).await, ["a4", "a5"]);
        past.go_on().await.unwrap();
        assert!(names(&mut *past).await.is_empty());
    }

    #[tokio::test]
    async fn everything_that_is_kept_follows_the_beginning() {
        let case = Case::new(true);
        for name in ["a1", "other", "b1"] {
            case.store("webhooks.one", name).await;
        }
        let mut past = case.history.read(Begin::Earliest).await.unwrap();
        assert_eq!(names(&mut *past).await, ["a1", "b1"]);
    }

    #[tokio::test]
    async fn a_replay_is_told_from_what_it_repeats() {
        let case = Case::new(true);
        let (id, replay) = (case.store("webhooks.one", "a1").await, Uuid::now_v7());
        case.store("webhooks.one", "a2").await;
        case.store_again("webhooks.one", "a1", id, Some(replay)).await;
        case.store("webhooks.one", "a3").await;
        assert_eq!(names(&mut *case.after(id, None).await).await, ["a2", "a1", "a3"]);
        assert_eq!(names(&mut *case.after(id, Some(replay)).await).await, ["a3"]);
    }

    #[tokio::test]
    async fn an_event_that_is_not_kept_is_answered_with_the_oldest_that_is() {
        let case = Case::new(true);
        case.store("webhooks.one", "other").await;
        let kept = case.store("webhooks.one", "a1").await;
        let mark = Mark { id: EventId::generate(), replay: None };
        let refused = case.history.read(Begin::After(mark)).await.err();
        assert!(matches!(refused, Some(HistoryError::Unknown { oldest }) if oldest == Some(kept)), "{refused:?}");
    }

    #[tokio::test]
    async fn without_an_order_over_everything_nothing_of_other_partitions_is_left_out() {
        let case = Case::new(false);
        let a1 = case.store("webhooks.one", "a1").await;
        case.store("webhooks.two", "b1").await;
        let a2 = case.store("webhooks.one", "a2").await;
        case.store("webhooks.one", "a3").await;
        assert_eq!(names(&mut *case.after(a2, None).await).await, ["b1", "a3"]);
        let mut past = case.after(a1, None).await;
        assert_eq!(names(&mut *past).await, ["b1", "a2", "a3"]);
        case.store("webhooks.two", "b2").await;
        past.go_on().await.unwrap();
        assert_eq!(names(&mut *past).await, ["b2"]);
    }
}
