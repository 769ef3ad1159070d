//! What our topics and cursors are called on the cluster.

use hook_core::names::{CursorName, TopicName};

/// Keeps a record of every cursor that exists: a position in it is committed for each. Never seen through the port.
const CURSORS: &str = "hook.cursors";

/// How topics begin that hold what tells copies, one for each cursor that removes them.
const DEDUP: &str = "hook.dedup.";

/// Puts the namespace before names, and takes it away.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    namespace: String,
}

impl Names {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// The topic whose committed position says that a cursor exists.
    pub(crate) fn cursors(&self) -> String {
        format!("{}{CURSORS}", self.namespace)
    }

    /// The topic of what tells copies to a cursor.
    pub(crate) fn dedup(cursor: &CursorName) -> Option<TopicName> {
        TopicName::new(format!("{DEDUP}{cursor}")).ok()
    }

    pub(crate) fn topic(&self, topic: &TopicName) -> String {
        format!("{}{topic}", self.namespace)
    }

    /// The topic of that name on the cluster; `None` where it is not one of those that are seen.
    pub(crate) fn topic_of(&self, name: &str) -> Option<TopicName> {
        let is_internal = |name: &str| name == CURSORS || name.starts_with(DEDUP) || name.starts_with("__");
        self.any_topic_of(name).filter(|topic| !is_internal(topic.as_str()))
    }

    /// The same, also of those that are not seen; `None` where it is not in the namespace.
    pub(crate) fn any_topic_of(&self, name: &str) -> Option<TopicName> {
        TopicName::new(name.strip_prefix(&self.namespace)?).ok()
    }

    pub(crate) fn group(&self, cursor: &CursorName) -> String {
        format!("{}{cursor}", self.namespace)
    }

    pub(crate) fn cursor_of(&self, group: &str) -> Option<CursorName> {
        CursorName::new(group.strip_prefix(&self.namespace)?).ok()
    }

    /// The group of consumers that never join one.
    pub(crate) fn reader(&self) -> String {
        format!("{}hook.reader", self.namespace)
    }

    /// Whoever makes a cursor holds this transaction.
    pub(crate) fn making(&self, cursor: &CursorName) -> String {
        format!("{}hook.create.{cursor}", self.namespace)
    }

    /// Whoever carries records over from another log holds this transaction.
    pub(crate) fn carrying(&self) -> String {
        format!("{}hook.migrate", self.namespace)
    }

    /// The transactions of one cursor in one process.
    pub(crate) fn transactions(&self, instance: &str, cursor: &CursorName) -> String {
        format!("{}{instance}.{cursor}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_topics_of_the_namespace_are_seen_and_none_that_is_internal() {
        let names = Names::new("a.");
        let topic = TopicName::new("webhooks.core").unwrap();
        assert_eq!(names.topic_of(&names.topic(&topic)), Some(topic));
        assert_eq!(names.topic_of("webhooks.core"), None);
        assert_eq!(names.topic_of(&names.cursors()), None);
        let dedup = Names::dedup(&CursorName::new("app.relay").unwrap()).unwrap();
        assert_eq!(names.topic_of(&names.topic(&dedup)), None);
        assert_eq!(names.any_topic_of(&names.topic(&dedup)), Some(dedup));
        assert_eq!(Names::new("").topic_of("__consumer_offsets"), None);
    }
}
