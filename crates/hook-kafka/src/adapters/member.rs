//! What a member of the group is called back with: partitions that come and go, offsets that are committed, and errors.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hook_core::{names::AdapterId, ports::ingress::Trouble};
use rdkafka::{
    ClientContext, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tracing::{debug, warn};

use super::{
    classify::{self, Trouble as Met},
    fetch::commit,
    intake::{Intake, Partition},
    settle::Job,
};
use crate::client::Context;

/// Work in flight may take so long when its partition goes, or the process ends.
pub(super) const RELEASE: Duration = Duration::from_secs(5);

pub(super) type MemberConsumer = BaseConsumer<Member>;

/// What a member of the group is called back with.
pub(super) struct Member {
    pub(super) context: Context,
    pub(super) adapter: AdapterId,
    pub(super) intake: Arc<Intake<Job>>,
    pub(super) trouble: Trouble,
    /// Whether what is said of the trouble is its cause, as far as it is known.
    pub(super) is_cause_said: AtomicBool,
}

/// What can be said of trouble.
pub(super) enum Said {
    /// Something that somebody has to mend.
    Cause(String),
    /// That nobody answers, whatever the cause.
    Effect(String),
}

impl Member {
    /// Says what keeps records away, once until it is over: clients try again and again, and meet the same each time. A cause
    /// that becomes known is said in the place of its effect.
    pub(super) fn say(&self, said: &Said) {
        let (trouble, is_cause) = match said {
            Said::Cause(trouble) => (trouble, true),
            Said::Effect(trouble) => (trouble, false),
        };
        let is_new = self.trouble.get().is_none() || (is_cause && !self.is_cause_said.load(Ordering::Relaxed));
        if is_new {
            self.is_cause_said.store(is_cause, Ordering::Relaxed);
            self.trouble.set(Some(trouble.clone()));
            warn!(ingress_adapter = %self.adapter, trouble, "nothing is fetched");
        }
    }
}

impl ConsumerContext for Member {
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                let all = offsets.elements();
                let taken = all.iter().filter(|element| element.error().is_ok());
                self.intake.committed(taken.filter_map(|element| {
                    let offset = element.offset().to_raw()?;
                    (offset >= 0).then(|| ((element.topic().to_owned(), element.partition()), offset))
                }));
            }
            Err(error) => debug!(ingress_adapter = %self.adapter, %error, "offsets not committed yet"),
        }
    }

    fn rebalance(&self, consumer: &MemberConsumer, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let (partitions, adapter) = (unlist(list), &self.adapter);
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                debug!(ingress_adapter = %adapter, partitions = partitions.len(), "partitions assigned");
                self.intake.assign(partitions);
                consumer.incremental_assign(list)
            }
            _ => {
                if consumer.assignment_lost() {
                    warn!(ingress_adapter = %adapter, partitions = partitions.len(), "partitions lost");
                } else {
                    self.intake.give_up(&partitions, RELEASE);
                    commit(consumer, &self.intake, CommitMode::Sync);
                }
                self.intake.forget(&partitions);
                consumer.incremental_unassign(list)
            }
        };
        if let Err(error) = result {
            // The group expects an answer; without one, the membership is begun anew.
            self.intake.fail(&format!("partitions could not be taken over or given up: {error}"));
        }
    }
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match classify::trouble(&error, reason) {
            Some(trouble @ Met::Down(_)) => self.say(&Said::Effect(trouble.to_string())),
            Some(trouble @ Met::Refused(_)) => self.say(&Said::Cause(trouble.to_string())),
            None => {}
        }
        self.context.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        self.context.generate_oauth_token(config)
    }
}

fn unlist(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

#[cfg(test)]
mod tests {
    use hook_core::clock::SystemClock;
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;
    use crate::client::{Clients, Health};

    #[test]
    fn a_cause_is_said_in_the_place_of_its_effect_and_not_the_other_way_round() {
        let settings = crate::Settings::new(["127.0.0.1:9092"]);
        let clients = Clients::new(Arc::new(settings), Health::default(), Arc::new(SystemClock));
        let member = Member {
            context: clients.context(),
            adapter: AdapterId::new("orders-in").unwrap(),
            intake: Arc::new(Intake::new(1)),
            trouble: Trouble::default(),
            is_cause_said: AtomicBool::new(false),
        };
        let meets = |code, reason: &str| {
            member.error(KafkaError::Global(code), reason);
            member.trouble.get().unwrap()
        };
        assert!(meets(Code::AllBrokersDown, "1/1 brokers are down").contains("no broker answers"));
        assert!(meets(Code::Authentication, "wrong password").contains("wrong password"));
        assert!(meets(Code::AllBrokersDown, "1/1 brokers are down").contains("wrong password"));
        member.trouble.set(None);
        assert!(meets(Code::AllBrokersDown, "1/1 brokers are down").contains("no broker answers"));
    }
}
