//! What a dry run finds in the way of a migration: topics that are not there and not made, or not as they must be.

use hook_contract::plan::{Kafka, Plan};
use hook_core::secret::Secrets;
use hook_kafka::operate::{Verdict, topics::Topic};

use crate::{context::Context, exit::Exit, kafka, owner::fail};

/// Fails where a topic could not be made or written to. Makes none.
pub(super) async fn may_take(context: &Context, of: (&Kafka, &Plan), secrets: &Secrets) -> Result<(), Exit> {
    let cluster = kafka::cluster(of, secrets).map_err(|problem| context.refuse(&[*problem], None))?;
    let topics = cluster.topics().await.map_err(|error| fail(context, &error.to_string()))?;
    let is_made = of.0.topics.auto_create;
    let in_the_way: Vec<_> = topics.iter().flat_map(|topic| in_the_way(topic, is_made)).collect();
    in_the_way.iter().for_each(|what| context.output.error(what));
    if in_the_way.is_empty() { Ok(()) } else { Err(Exit::Failure) }
}

fn in_the_way(topic: &Topic, is_made: bool) -> Vec<String> {
    let name = &topic.topic;
    if topic.found.is_none() && !is_made {
        return vec![format!("topic {name} does not exist and is not made: make it, or allow auto_create_topics")];
    }
    let failed = topic.differences.iter().filter(|difference| difference.verdict == Verdict::Failed);
    let said = failed.map(|difference| {
        let (what, found, wanted) = (difference.what, &difference.found, &difference.wanted);
        format!("topic {name}: {what}: {found} where {wanted} is wanted; {}", difference.remedy)
    });
    said.collect()
}
