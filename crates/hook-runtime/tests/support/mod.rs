//! What the tests of this crate share.

use std::{collections::BTreeMap, time::Duration};

use hook_contract::plan::{
    AdminPlan, App, Backbone, BackboneDriver, LogPlan, Plan, Profile, Retention, ServePlan, SmashPlan, ValidationMode,
    WhenPinned,
};
use hook_core::names::{AppId, TopicName};

/// A plan of nothing: what a test is about it says itself.
pub(crate) fn plan() -> Plan {
    let retention = Retention { max_age: Duration::from_secs(86_400), max_bytes: None };
    Plan {
        app: App {
            id: AppId::new("app").unwrap(),
            name: "App".into(),
            version: semver::Version::new(1, 0, 0),
            description: None,
        },
        profile: Profile { name: "default".into(), label: None, env: BTreeMap::new() },
        mode: ValidationMode::Strict,
        sources: BTreeMap::new(),
        serve: ServePlan::default(),
        relay: None,
        smash: SmashPlan::default(),
        backbone: Backbone { driver: BackboneDriver::Embedded, is_declared: false },
        kafka_of_adapters: serde_json::Map::new(),
        log: LogPlan {
            segment_bytes: 1 << 20,
            events: retention,
            dead_letters: retention,
            journal: retention,
            max_pinned: None,
            when_pinned: WhenPinned::Block,
        },
        admin: AdminPlan { bind: ([127, 0, 0, 1], 0).into(), token_env: None },
        dead_letters: TopicName::new("webhooks.dlq").unwrap(),
        journal: TopicName::new("hook.journal").unwrap(),
        environment: Vec::new(),
    }
}
