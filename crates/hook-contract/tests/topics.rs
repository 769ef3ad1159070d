//! The ways of events: what the relay reads, and where an event would get lost or come twice.

mod support;

use hook_contract::{Checked, Options, RelayOptions, plan::Unrouted};
use hook_core::{
    names::{CursorName, SourceName, TopicName},
    problem::codes,
};
use support::{checked, lines, of};

/// A contract with these serve routes (`source type topic`), smash routes (`pattern adapter filters…`) and more.
fn flow(serve: &[&str], smash: &[&str], more: &str) -> Checked {
    let mut text = String::from(
        "[app]\nid = \"a\"\nname = \"a\"\nversion = \"1.0.0\"\n\
         [[serve.ingress_adapters]]\nid = \"in\"\ndriver = \"http_webhook_ingress\"\nbind = \"127.0.0.1:0\"\n\
         [[smash.egress_adapters]]\nid = \"out\"\ndriver = \"file_output\"\npath = \"f\"\n",
    );
    for (index, route) in serve.iter().enumerate() {
        let [source, event_type, topic] = route.split(' ').collect::<Vec<_>>().try_into().expect("three words");
        text += &format!(
            "[[serve.routes]]\nid = \"serve{index}\"\nsource_match = \"{source}\"\nevent_type_pattern = \"{event_type}\"\n\
             target_topic = \"{topic}\"\n"
        );
    }
    for (index, route) in smash.iter().enumerate() {
        let mut words = route.split(' ');
        let (pattern, filters) = (words.next().expect("a pattern"), words.collect::<Vec<_>>());
        text += &format!(
            "[[smash.routes]]\nid = \"smash{index}\"\nsource_topic_pattern = \"{pattern}\"\nevent_filters = {filters:?}\n\
             destinations = [{{ adapter_id = \"out\" }}]\n"
        );
    }
    let ids = |role: &str, count: usize| (0..count).map(|index| format!("{role}{index}")).collect::<Vec<_>>();
    text += &format!(
        "[profiles.default]\nlabel = \"x\"\nserve_adapters = [\"in\"]\nsmash_adapters = [\"out\"]\n\
         serve_routes = {:?}\nsmash_routes = {:?}\n{more}",
        ids("serve", serve.len()),
        ids("smash", smash.len())
    );
    checked(&text)
}

fn relay(checked: &Checked) -> Option<(Vec<&str>, &str)> {
    let plan = checked.plan.as_ref().unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let relay = plan.relay.as_ref()?;
    Some((relay.inputs.iter().map(TopicName::as_str).collect(), relay.output.as_str()))
}

#[test]
fn what_smash_reads_itself_needs_no_relay() {
    let direct = flow(&["* * webhooks.core"], &["webhooks.core"], "");
    assert_eq!((relay(&direct), lines(&direct.problems)), (None, String::new()));
    let by_pattern = flow(&["* * webhooks.{source}"], &["webhooks.*"], "");
    assert_eq!((relay(&by_pattern), lines(&by_pattern.problems)), (None, String::new()));
}

#[test]
fn the_relay_reads_what_serve_writes_and_smash_does_not_read() {
    let expanded = flow(&["* * webhooks.{source}"], &["webhooks.core"], "");
    let inputs = vec!["webhooks.github", "webhooks.linear", "webhooks.stripe"];
    assert_eq!(relay(&expanded), Some((inputs, "webhooks.core")));
    assert_eq!(lines(&expanded.problems), "");

    let declared = flow(
        &["crm* * in.{source}", "github * in.gh"],
        &["core", "in.gh"],
        "[relay]\noutput_topic = \"core\"\n[sources.crm-2]\nverifier = \"bearer\"\n",
    );
    assert_eq!(relay(&declared), Some((vec!["in.crm-2"], "core")), "{}", lines(&declared.problems));
}

#[test]
fn the_relay_reads_what_it_is_told() {
    let told = flow(
        &["git* * webhooks.{source}"],
        &["webhooks.core"],
        "[relay]\ntopics = [\"webhooks.{source}\", \"other\"]\n",
    );
    assert_eq!(relay(&told), Some((vec!["other", "webhooks.github"], "webhooks.core")));
    let nothing = flow(&["* * a"], &["a"], "[relay]\ntopics = []\n");
    assert_eq!(relay(&nothing), None);
}

#[test]
fn the_relay_never_reads_its_output_or_the_dead_letters() {
    for topic in ["webhooks.core", "webhooks.dlq", "hook.journal"] {
        let checked = flow(&["* * a"], &["a"], &format!("[relay]\ntopics = [\"b\", \"{topic}\"]\n"));
        assert_eq!(of(&codes::RELAY_LOOP, &checked.problems).len(), 1, "{topic}: {}", lines(&checked.problems));
    }
}

#[test]
fn a_pattern_never_takes_dead_letters_or_the_journal_unless_it_names_them() {
    let checked = flow(&["* * webhooks.core"], &["*", "webhooks.dlq"], "");
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let matches = |route: usize, topic: &str| plan.smash.routes[route].topics.matches(&TopicName::new(topic).unwrap());
    assert!(matches(0, "webhooks.core"));
    assert!(!matches(0, "webhooks.dlq") && !matches(0, "hook.journal"));
    assert!(matches(1, "webhooks.dlq") && !matches(1, "webhooks.core"));
}

#[test]
fn a_source_called_like_the_dead_letters_is_refused() {
    let checked = flow(&["* * webhooks.{source}"], &["webhooks.core"], "[sources.dlq]\nverifier = \"bearer\"\n");
    assert_eq!(of(&codes::RESERVED_TOPIC, &checked.problems).len(), 1, "{}", lines(&checked.problems));
}

#[test]
fn reading_before_and_after_the_relay_is_refused() {
    let checked = flow(&["github * webhooks.github"], &["webhooks.*"], "[relay]\ntopics = [\"webhooks.github\"]\n");
    assert_eq!(of(&codes::READ_TWICE, &checked.problems).len(), 1);
    assert!(checked.plan.is_none());
}

#[test]
fn an_event_in_two_inputs_is_a_warning() {
    let warned = |serve: &[&str]| {
        let checked = flow(serve, &["webhooks.core"], "");
        assert!(checked.plan.is_some(), "{}", lines(&checked.problems));
        of(&codes::RELAYED_TWICE, &checked.problems).len()
    };
    assert_eq!(warned(&["github * a", "github issues.* b"]), 1);
    assert_eq!(warned(&["github * a", "* push b"]), 1);
    assert_eq!(warned(&["github push a", "github issues.* b"]), 0);
    assert_eq!(warned(&["github * a", "linear * b"]), 0);
    assert_eq!(warned(&["github * a", "github push a"]), 0, "one topic holds an event once");
}

#[test]
fn what_nothing_reads_is_a_warning_unless_no_output_is_wanted() {
    let unread = flow(&["github * a", "linear * b"], &["b"], "[relay]\ntopics = []\n");
    assert!(unread.plan.is_some());
    let problems = of(&codes::NEVER_READ, &unread.problems);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("`a`"));
    let relayed = flow(&["github * a", "linear * b"], &["b"], "");
    assert!(of(&codes::NEVER_READ, &relayed.problems)[0].message.contains("relayed into `webhooks.core`"));
    let wanted =
        flow(&["github * a", "linear * b"], &["b"], "[policies]\nallow_no_output = true\nno_output_sink = \"dlq\"\n");
    assert_eq!(lines(&wanted.problems), "");
    assert_eq!(wanted.plan.unwrap().smash.unrouted, Unrouted::DeadLetter);
}

#[test]
fn routes_that_nothing_reaches_are_warnings() {
    let checked = flow(&["gitlub * a", "github * b"], &["b", "c", "webhooks.dlq"], "");
    let messages: Vec<&str> =
        of(&codes::UNREACHED_ROUTE, &checked.problems).iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "no event reaches route `serve0`: no source is called like `gitlub`",
            "no event reaches route `smash1`: nothing writes a topic `c`",
        ]
    );
}

#[test]
fn two_routes_to_one_destination_are_a_warning_where_they_can_take_one_event() {
    let warned = |smash: &[&str]| {
        let checked = flow(&["github * a", "linear * b"], smash, "[relay]\ntopics = []\n");
        of(&codes::TWO_ROUTES, &checked.problems).len()
    };
    assert_eq!(warned(&["a", "*"]), 1);
    assert_eq!(warned(&["a", "b"]), 0, "no topic in common");
    assert_eq!(warned(&["* github:*", "* linear:*"]), 0, "no source in common");
    assert_eq!(warned(&["* issues.*", "* push"]), 0, "no type in common");
    assert_eq!(warned(&["* issues.*", "* *.opened"]), 1);
    let around_the_relay = flow(&["github * a"], &["a", "webhooks.core"], "[relay]\ntopics = [\"a\"]\n");
    assert_eq!(of(&codes::TWO_ROUTES, &around_the_relay.problems).len(), 1, "before and after the relay");
}

#[test]
fn a_target_is_one_topic_per_source() {
    let plan = flow(&["* * webhooks.{source}"], &["webhooks.core"], "").plan.unwrap();
    let topic = plan.serve.routes[0].target.topic_for(&SourceName::new("github").unwrap());
    assert_eq!(topic, TopicName::new("webhooks.github").ok());
}

/// The contract of a relay with these options beside it.
fn told(relay: RelayOptions, more: &str) -> Checked {
    let text = format!(
        "[app]\nid = \"a\"\nname = \"a\"\nversion = \"1.0.0\"\n[policies]\nallow_no_output = true\nno_output_sink = \"discard\"\n\
         [profiles.default]\nlabel = \"x\"\n{more}"
    );
    support::checked_with(&text, &Options { relay, ..Options::default() })
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a topic")
}

#[test]
fn what_an_option_says_of_the_relay_comes_before_the_contract() {
    let said = RelayOptions {
        topics: vec![topic("b"), topic("a"), topic("b")],
        output_topic: Some(topic("out")),
        group: CursorName::new("mine").ok(),
        ..RelayOptions::default()
    };
    let written = "[relay]\ntopics = [\"in\"]\noutput_topic = \"core\"\n";
    let overridden = told(said.clone(), written);
    assert_eq!(relay(&overridden), Some((vec!["a", "b"], "out")), "{}", lines(&overridden.problems));
    let plan = overridden.plan.expect("a plan");
    assert_eq!((plan.relay_cursor().as_str(), plan.has_ends()), ("mine", false));
    let alone = told(said, "");
    assert_eq!(relay(&alone), Some((vec!["a", "b"], "out")));
    let written = told(RelayOptions::default(), written);
    assert_eq!(relay(&written), Some((vec!["in"], "core")));
    assert_eq!(written.plan.expect("a plan").relay_cursor().as_str(), "a.relay");
}

#[test]
fn an_option_makes_no_loop_and_takes_no_cursor_of_another() {
    let said = |names: &[&str], output: &str, group: &str| RelayOptions {
        topics: names.iter().map(|name| topic(name)).collect(),
        output_topic: Some(topic(output)),
        group: CursorName::new(group).ok(),
        ..RelayOptions::default()
    };
    for (topics, output) in [(["out", "in"], "out"), (["webhooks.dlq", "in"], "out")] {
        let loops = told(said(&topics, output, "mine"), "");
        assert_eq!(loops.problems.iter().map(|problem| problem.code.id).collect::<Vec<_>>(), [codes::RELAY_LOOP.id]);
    }
    let reserved = told(said(&["in"], "webhooks.dlq", "mine"), "");
    assert_eq!(reserved.problems[0].code.id, codes::RESERVED_TOPIC.id);
    let routed = "[[smash.egress_adapters]]\nid = \"out\"\ndriver = \"file_output\"\npath = \"f\"\n\
                  [[smash.routes]]\nid = \"r\"\nsource_topic_pattern = \"core\"\ndestinations = [{ adapter_id = \"out\" }]\n\
                  [profiles.other]\nlabel = \"y\"\nsmash_adapters = [\"out\"]\nsmash_routes = [\"r\"]\n";
    let options =
        Options { relay: said(&["in"], "core", "a.r.out"), profile: Some("other".to_owned()), ..Options::default() };
    let taken =
        support::checked_with(&format!("[app]\nid = \"a\"\nname = \"a\"\nversion = \"1.0.0\"\n{routed}"), &options);
    assert_eq!(taken.problems[0].code.id, codes::DUPLICATE_ID.id, "{}", lines(&taken.problems));
}
