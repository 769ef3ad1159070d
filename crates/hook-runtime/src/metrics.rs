//! The metrics of a process, as functions. Labels come from the contract or from an enum, never from a sender.

use std::{sync::atomic::Ordering, time::Duration};

use hook_core::{
    names::{AdapterId, SourceName, TopicName},
    outcome::FailureClass,
    ports::{egress::Attendance, log::LogState},
    tls::CertificateStatus,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::lag::Lag;

/// Seconds; fine where a local delivery lies, coarse where a time-out does.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

macro_rules! labels {
    ($($type:ident { $($field:ident),+ })+) => {
        $(
            #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
            struct $type { $($field: String),+ }
        )+
    };
}

labels! {
    AdapterSource { adapter, source }
    SourceSlot { source, slot }
    AdapterReason { adapter, reason }
    TopicReason { topic, reason }
    Topic { topic }
    Adapter { adapter }
    Destination { destination }
    CursorDestination { cursor, destination }
}

/// Every metric of the pipeline, registered once for a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    ingress_events: Family<AdapterSource, Counter>,
    ingress_refused: Family<AdapterReason, Counter>,
    secret_used: Family<SourceSlot, Counter>,
    publish_success: Family<Topic, Counter>,
    publish_failure: Family<TopicReason, Counter>,
    duplicates: Family<AdapterSource, Counter>,
    not_routed: Family<AdapterSource, Counter>,
    ingress_filtered: Family<AdapterSource, Counter>,
    ack_seconds: Family<Adapter, Histogram, fn() -> Histogram>,
    relayed: Family<Topic, Counter>,
    consumed: Family<Topic, Counter>,
    unrouted: Family<Topic, Counter>,
    egress_success: Family<Adapter, Counter>,
    egress_failure: Family<AdapterReason, Counter>,
    egress_dropped: Family<Destination, Counter>,
    egress_filtered: Family<Destination, Counter>,
    filter_unanswered: Family<Destination, Counter>,
    delivery_seconds: Family<Adapter, Histogram, fn() -> Histogram>,
    commits: Family<Topic, Counter>,
    dead_letters: Family<Topic, Counter>,
    breaker_open: Family<Destination, Gauge>,
    lanes_waiting: Family<Destination, Gauge>,
    pending_events: Family<Destination, Gauge>,
    read_paused: Family<Destination, Counter>,
    clients: Family<Adapter, Gauge>,
    clients_closed_slow: Family<Adapter, Counter>,
    journal_dropped: Gauge,
    log_dropped: Gauge,
    log_damaged: Gauge,
    deduplication_keys: Gauge,
    deduplication_since: Gauge,
    log_bytes: Gauge,
    cursor_lag: Family<CursorDestination, Gauge>,
    upstream_lag: Family<Adapter, Gauge>,
    certificate_expires: Family<Adapter, Gauge>,
    certificate_reloads: Family<Adapter, Counter>,
    certificate_refused: Family<Adapter, Counter>,
    failed_handshakes: Family<Adapter, Counter>,
}

fn latency() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            ingress_events: Family::default(),
            ingress_refused: Family::default(),
            secret_used: Family::default(),
            publish_success: Family::default(),
            publish_failure: Family::default(),
            duplicates: Family::default(),
            not_routed: Family::default(),
            ingress_filtered: Family::default(),
            ack_seconds: Family::new_with_constructor(latency),
            relayed: Family::default(),
            consumed: Family::default(),
            unrouted: Family::default(),
            egress_success: Family::default(),
            egress_failure: Family::default(),
            egress_dropped: Family::default(),
            egress_filtered: Family::default(),
            filter_unanswered: Family::default(),
            delivery_seconds: Family::new_with_constructor(latency),
            commits: Family::default(),
            dead_letters: Family::default(),
            breaker_open: Family::default(),
            lanes_waiting: Family::default(),
            pending_events: Family::default(),
            read_paused: Family::default(),
            clients: Family::default(),
            clients_closed_slow: Family::default(),
            journal_dropped: Gauge::default(),
            log_dropped: Gauge::default(),
            log_damaged: Gauge::default(),
            deduplication_keys: Gauge::default(),
            deduplication_since: Gauge::default(),
            log_bytes: Gauge::default(),
            cursor_lag: Family::default(),
            upstream_lag: Family::default(),
            certificate_expires: Family::default(),
            certificate_reloads: Family::default(),
            certificate_refused: Family::default(),
            failed_handshakes: Family::default(),
        };
        metrics.register();
        metrics
    }

    /// The format adds `_total` to counters by itself.
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("serve_ingress_events", "Requests from known sources", self.ingress_events.clone());
        to.register("serve_refused", "Requests refused, by the code of the answer", self.ingress_refused.clone());
        to.register("serve_secret_used", "Events verified, by the slot of the secret", self.secret_used.clone());
        to.register("serve_publish_success", "Events made durable", self.publish_success.clone());
        to.register("serve_publish_failure", "Events that the log did not take", self.publish_failure.clone());
        to.register("serve_duplicates", "Copies of events that are stored already", self.duplicates.clone());
        to.register("serve_not_routed", "Verified events that no route takes", self.not_routed.clone());
        to.register(
            "serve_filtered",
            "Verified events that a plugin left out on purpose",
            self.ingress_filtered.clone(),
        );
        to.register(
            "serve_ack_seconds",
            "From the last byte of a request to its durable answer",
            self.ack_seconds.clone(),
        );
        to.register("relay_events", "Events bridged, by the topic read", self.relayed.clone());
        to.register("smash_consume_events", "Events read for delivery", self.consumed.clone());
        to.register("smash_unrouted", "Stored events that no smash route takes", self.unrouted.clone());
        to.register("smash_egress_success", "Events delivered", self.egress_success.clone());
        to.register("smash_egress_failure", "Attempts that failed, by class", self.egress_failure.clone());
        to.register(
            "smash_egress_dropped",
            "Events given up for a destination that is not required",
            self.egress_dropped.clone(),
        );
        to.register("smash_filtered", "Events that a plugin left out on purpose", self.egress_filtered.clone());
        to.register(
            "smash_filter_unanswered",
            "Events that a route left because an expression of its filters has no answer for them",
            self.filter_unanswered.clone(),
        );
        to.register("smash_delivery_seconds", "How long an attempt that delivered took", self.delivery_seconds.clone());
        to.register("smash_commit", "Events done at a destination", self.commits.clone());
        to.register("smash_dlq", "Events written to the dead letters", self.dead_letters.clone());
        to.register("smash_breaker_open", "1 while the destination's breaker is open", self.breaker_open.clone());
        to.register("smash_lanes_waiting", "Keys that wait for a retry", self.lanes_waiting.clone());
        to.register("smash_pending_events", "Events read and not yet done", self.pending_events.clone());
        to.register("smash_read_paused", "Times that reading waited for max_ahead", self.read_paused.clone());
        to.register("smash_clients", "Clients that are connected to a destination that listens", self.clients.clone());
        to.register(
            "smash_clients_closed_slow",
            "Clients that were closed because they took events too slowly",
            self.clients_closed_slow.clone(),
        );
        to.register(
            "journal_dropped",
            "Journal entries dropped because the queue was full",
            self.journal_dropped.clone(),
        );
        to.register(
            "log_dropped_records",
            "Undelivered records that went because too many were pinned",
            self.log_dropped.clone(),
        );
        to.register(
            "log_damaged",
            "Damaged places that were found in the log since it was opened",
            self.log_damaged.clone(),
        );
        to.register(
            "log_deduplication_keys",
            "Deduplication keys that the log remembers",
            self.deduplication_keys.clone(),
        );
        to.register(
            "log_deduplication_complete_since_seconds",
            "Since when every deduplication key is remembered until it expires, in seconds since 1970; 0 where there is none",
            self.deduplication_since.clone(),
        );
        to.register("log_bytes", "Bytes of the log on disk", self.log_bytes.clone());
        to.register(
            "cursor_lag",
            "Records that a cursor of the contract has not done, whoever reads with it",
            self.cursor_lag.clone(),
        );
        to.register(
            "serve_upstream_lag",
            "Messages that wait where an adapter fetches events from, whoever fetches them",
            self.upstream_lag.clone(),
        );
        to.register(
            "tls_certificate_expires_seconds",
            "When the certificate of an address expires, in seconds since 1970",
            self.certificate_expires.clone(),
        );
        to.register("tls_certificate_reloads", "New certificates taken", self.certificate_reloads.clone());
        to.register(
            "tls_certificate_reload_failures",
            "Changed files of a certificate that could not be used: those before are",
            self.certificate_refused.clone(),
        );
        to.register(
            "tls_handshake_failures",
            "Connections that ended before TLS was agreed on",
            self.failed_handshakes.clone(),
        );
    }

    /// The exposition text, in the OpenMetrics format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn ingress_event(&self, adapter: &AdapterId, source: &SourceName) {
        self.ingress_events.get_or_create(&adapter_source(adapter, source)).inc();
    }

    pub(crate) fn refused(&self, adapter: &AdapterId, code: &'static str) {
        let labels = AdapterReason { adapter: adapter.to_string(), reason: code.to_owned() };
        self.ingress_refused.get_or_create(&labels).inc();
    }

    pub(crate) fn secret_used(&self, source: &SourceName, slot: usize) {
        self.secret_used.get_or_create(&SourceSlot { source: source.to_string(), slot: slot.to_string() }).inc();
    }

    pub(crate) fn published(&self, topic: &TopicName) {
        self.publish_success.get_or_create(&Topic { topic: topic.to_string() }).inc();
    }

    pub(crate) fn publish_failed(&self, topic: &TopicName, reason: &'static str) {
        let labels = TopicReason { topic: topic.to_string(), reason: reason.to_owned() };
        self.publish_failure.get_or_create(&labels).inc();
    }

    pub(crate) fn duplicate(&self, adapter: &AdapterId, source: &SourceName) {
        self.duplicates.get_or_create(&adapter_source(adapter, source)).inc();
    }

    pub(crate) fn not_routed(&self, adapter: &AdapterId, source: &SourceName) {
        self.not_routed.get_or_create(&adapter_source(adapter, source)).inc();
    }

    pub(crate) fn ingress_filtered(&self, adapter: &AdapterId, source: &SourceName) {
        self.ingress_filtered.get_or_create(&adapter_source(adapter, source)).inc();
    }

    pub(crate) fn acknowledged(&self, adapter: &AdapterId, took: Duration) {
        self.ack_seconds.get_or_create(&Adapter { adapter: adapter.to_string() }).observe(took.as_secs_f64());
    }

    pub(crate) fn relayed(&self, topic: &TopicName) {
        self.relayed.get_or_create(&Topic { topic: topic.to_string() }).inc();
    }

    pub(crate) fn consumed(&self, topic: &TopicName) {
        self.consumed.get_or_create(&Topic { topic: topic.to_string() }).inc();
    }

    pub(crate) fn unrouted(&self, topic: &TopicName) {
        self.unrouted.get_or_create(&Topic { topic: topic.to_string() }).inc();
    }

    pub(crate) fn delivered(&self, adapter: &AdapterId, took: Duration) {
        let labels = Adapter { adapter: adapter.to_string() };
        self.egress_success.get_or_create(&labels).inc();
        self.delivery_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn attempt_failed(&self, adapter: &AdapterId, class: FailureClass) {
        let labels = AdapterReason { adapter: adapter.to_string(), reason: class.as_str().to_owned() };
        self.egress_failure.get_or_create(&labels).inc();
    }

    pub(crate) fn dropped(&self, destination: &str) {
        self.egress_dropped.get_or_create(&Destination { destination: destination.to_owned() }).inc();
    }

    pub(crate) fn filtered(&self, destination: &str) {
        self.egress_filtered.get_or_create(&Destination { destination: destination.to_owned() }).inc();
    }

    pub(crate) fn filter_unanswered(&self, destination: &str) {
        self.filter_unanswered.get_or_create(&Destination { destination: destination.to_owned() }).inc();
    }

    pub(crate) fn committed(&self, topic: &TopicName) {
        self.commits.get_or_create(&Topic { topic: topic.to_string() }).inc();
    }

    pub(crate) fn dead_lettered(&self, topic: &TopicName) {
        self.dead_letters.get_or_create(&Topic { topic: topic.to_string() }).inc();
    }

    pub(crate) fn destination_state(&self, destination: &str, is_open: bool, waiting: usize, pending: usize) {
        let labels = Destination { destination: destination.to_owned() };
        self.breaker_open.get_or_create(&labels).set(i64::from(is_open));
        self.lanes_waiting.get_or_create(&labels).set(gauge(waiting as u64));
        self.pending_events.get_or_create(&labels).set(gauge(pending as u64));
    }

    pub(crate) fn read_paused(&self, destination: &str) {
        self.read_paused.get_or_create(&Destination { destination: destination.to_owned() }).inc();
    }

    /// Takes over what a destination that listens counts by itself.
    pub(crate) fn audience(&self, adapter: &AdapterId, attendance: Attendance) {
        let labels = Adapter { adapter: adapter.to_string() };
        self.clients.get_or_create(&labels).set(gauge(attendance.connected));
        let closed = self.clients_closed_slow.get_or_create(&labels);
        closed.inner().store(attendance.closed_as_slow, Ordering::Relaxed);
    }

    pub(crate) fn lag(&self, lag: &Lag) {
        let labels = CursorDestination { cursor: lag.cursor.to_string(), destination: lag.destination.clone() };
        self.cursor_lag.get_or_create(&labels).set(gauge(lag.behind));
    }

    pub(crate) fn upstream_lag(&self, adapter: &AdapterId, behind: u64) {
        self.upstream_lag.get_or_create(&Adapter { adapter: adapter.to_string() }).set(gauge(behind));
    }

    /// Takes over what a listener with TLS knows by itself.
    pub(crate) fn certificate(&self, adapter: &AdapterId, status: &CertificateStatus) {
        let labels = Adapter { adapter: adapter.to_string() };
        if let Some(expires) = status.expires {
            self.certificate_expires.get_or_create(&labels).set(expires.as_second());
        }
        for (counter, value) in [
            (&self.certificate_reloads, status.reloads),
            (&self.certificate_refused, status.refused_reloads),
            (&self.failed_handshakes, status.failed_handshakes),
        ] {
            counter.get_or_create(&labels).inner().store(value, Ordering::Relaxed);
        }
    }

    /// Takes over what the log counts by itself.
    pub fn log_state(&self, state: &LogState) {
        self.log_bytes.set(gauge(state.bytes));
        self.journal_dropped.set(gauge(state.dropped_notes));
        self.log_dropped.set(gauge(state.dropped_records));
        self.log_damaged.set(gauge(state.damage.len() as u64));
        if let Some(known) = state.deduplication {
            self.deduplication_keys.set(gauge(known.keys));
            self.deduplication_since.set(known.complete_since.map_or(0, |since| since.as_second()));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn adapter_source(adapter: &AdapterId, source: &SourceName) -> AdapterSource {
    AdapterSource { adapter: adapter.to_string(), source: source.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_that_operators_know() {
        let metrics = Metrics::new();
        let (adapter, source) = (AdapterId::new("http").unwrap(), SourceName::new("github").unwrap());
        metrics.ingress_event(&adapter, &source);
        metrics.secret_used(&source, 1);
        let text = metrics.render();
        assert!(text.contains("serve_ingress_events_total{adapter=\"http\",source=\"github\"} 1"), "{text}");
        assert!(text.contains("serve_secret_used_total{source=\"github\",slot=\"1\"} 1"), "{text}");
    }
}
