//! What a check finds, where, and how bad it is.

mod support;

use std::collections::BTreeSet;

use hook_contract::{
    Options, Origin, check,
    plan::{Plan, ValidationMode},
};
use hook_core::{
    names::{SourceName, TopicName},
    problem::codes,
};
use support::{FILE, catalog, checked, lines, of};

/// The smallest contract without any problem.
const VALID: &str = r#"
[app]
id = "my-app"
name = "My app"
version = "1.0.0"

[[serve.ingress_adapters]]
id = "http-in"
driver = "http_webhook_ingress"
bind = "127.0.0.1:8080"

[[serve.routes]]
id = "all-to-core"
source_match = "*"
event_type_pattern = "*"
target_topic = "webhooks.core"

[[smash.egress_adapters]]
id = "file-out"
driver = "file_output"
path = "events.jsonl"

[[smash.routes]]
id = "core-to-file"
source_topic_pattern = "webhooks.core"
destinations = [{ adapter_id = "file-out" }]

[profiles.default]
label = "Everything"
serve_adapters = ["http-in"]
smash_adapters = ["file-out"]
serve_routes = ["all-to-core"]
smash_routes = ["core-to-file"]
"#;

/// The problems of the valid contract with one part replaced.
fn problems_with(from: &str, to: &str) -> String {
    assert!(VALID.contains(from), "{from} is not there to be replaced");
    lines(&checked(&VALID.replace(from, to)).problems)
}

/// The problems of the valid contract with something added.
fn problems_adding(text: &str) -> String {
    lines(&checked(&format!("{VALID}\n{text}")).problems)
}

fn with_options(text: &str, options: &Options) -> hook_contract::Checked {
    check(FILE, text, &catalog(), options)
}

#[test]
fn all_problems_are_found_at_once_in_the_order_of_the_text() {
    let text = r#"
[app]
id = "My App"
nane = "My app"
version = "1"

[[serve.ingress_adapters]]
id = "http-in"
driver = "http_webhook_ingres"

[[serve.routes]]
id = "all-to-core"
source_match = 7
event_type_pattern = "*"
target_topic = "webhooks.{event}"

[[smash.egress_adapters]]
id = "file-out"
driver = "file_output"
pth = "events.jsonl"
retry = { max_age = "30" }

[[smash.routes]]
id = "core-to-file"
source_topic_pattern = "webhooks.core"
event_filters = ["GitHub:*"]
destinations = [{ adapter_id = "file-output", from = "yesterday" }]

[profiles.default]
serve_adapters = ["http-in"]
smash_adapters = ["file-out"]
serve_routes = ["all-to-cor"]
smash_routes = ["core-to-file"]
"#;
    let expected = r#"
2:1 HOOK0102 error `name` is missing in [app] | add `name = "…"`: The name, for people
3:6 HOOK0104 error `id`: expected a kebab-case id such as `github-to-agent`, found `My App` | write it like `id = "github-to-agent"`
4:1 HOOK0101 error unknown key `nane` in [app] | did you mean `name`? the keys here: `id`, `name`, `version`, `description`
5:11 HOOK0104 error `version`: expected a semantic version such as `1.0.0`, found `1` | write it like `version = "1.0.0"`
9:10 HOOK0105 error there is no driver `http_webhook_ingres` | did you mean `http_webhook_ingress`? the drivers here: `http_webhook_ingress`, `kafka_ingress`, `websocket_ingress`, `mcp_ingest_exposed` (not in this build)
12:6 HOOK0129 warning no profile lists serve route `all-to-core` | add it to `serve_routes` of a profile, or leave it out
13:16 HOOK0103 error `source_match` is a number, expected a text | write it like `source_match = "*"`
15:16 HOOK0104 error `target_topic`: expected `{source}` as the only placeholder of a topic, such as `webhooks.{source}`, found `webhooks.{event}` | write it like `target_topic = "webhooks.core"`
17:1 HOOK0102 error `path` is missing in [[smash.egress_adapters]] | add `path = "…"`
20:1 HOOK0101 error unknown key `pth` in [[smash.egress_adapters]] | did you mean `path`? the keys here: `id`, `driver`, `plugins`, `retry`, `on_give_up`, `concurrency`, `max_ahead`, `path`
21:21 HOOK0104 error `max_age`: expected a duration such as `30s`, `10m` or `7d`, found `30` | write it like `max_age = "30s"`
26:18 HOOK0104 error an item of `event_filters`: expected a lower-case source before the colon, such as `github:issues.*`, found `GitHub:*` | write it like `"github:issues.*"`
27:32 HOOK0110 error there is no egress adapter `file-output` | did you mean `file-out`? the egress adapters of this contract: `file-out`
27:54 HOOK0104 error `from`: expected `now`, `earliest` or a time such as `2026-01-31T08:00:00Z`, found `yesterday` | write it like `from = "earliest"`
29:1 HOOK0117 error profile `default` has no label | add `label = "…"`: what it is for, in a few words
32:17 HOOK0111 error there is no serve route `all-to-cor` | did you mean `all-to-core`? the serve routes of this contract: `all-to-core`
"#;
    let found = checked(text);
    pretty(&lines(&found.problems), expected.trim());
    assert!(found.plan.is_none());
}

/// Compares line by line, so that a failure shows the line.
fn pretty(found: &str, expected: &str) {
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.lines().collect(), expected.lines().collect());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len(), "found:\n{}", found.join("\n"));
}

#[test]
fn the_smallest_contract_has_a_plan_and_no_problem() {
    let checked = checked(VALID);
    assert_eq!(lines(&checked.problems), "");
    let plan = checked.plan.unwrap();
    assert_eq!(plan.app.id.as_str(), "my-app");
    assert_eq!(plan.profile.name, "default");
    assert_eq!((plan.serve.adapters.len(), plan.smash.adapters.len()), (1, 1));
    assert_eq!(plan.admin.bind.to_string(), "127.0.0.1:0");
    assert!(plan.relay.is_none());
    assert_eq!(plan.environment, []);
}

#[test]
fn syntax_problems_say_where_and_stop_everything_else() {
    let checked = checked("[app]\nid = \"a\nname = \"b\"\n[app]\nid = 1\n");
    assert!(checked.problems.iter().all(|problem| problem.code == &codes::SYNTAX), "{}", lines(&checked.problems));
    let first = checked.problems[0].place.as_ref().unwrap();
    assert_eq!(first.line, 2);
}

#[test]
fn a_profile_is_chosen_by_the_rule() {
    let chosen = |profiles: &[&str], options: &Options| {
        let blocks: String = profiles.iter().map(|name| format!("[profiles.{name}]\nlabel = \"x\"\n")).collect();
        let head = "[app]\nid = \"my-app\"\nname = \"n\"\nversion = \"1.0.0\"\n[policies]\nallow_no_output = true\n\
                    no_output_sink = \"dlq\"\n";
        let checked = with_options(&format!("{head}{blocks}"), options);
        checked.plan.map(|plan| plan.profile.name).ok_or_else(|| checked.problems[0].code.id)
    };
    let default = Options::default();
    let asked = |name: &str| Options { profile: Some(name.into()), ..Options::default() };
    assert_eq!(chosen(&["a", "default", "my-app"], &default), Ok("default".into()));
    assert_eq!(chosen(&["a", "my-app"], &default), Ok("my-app".into()));
    assert_eq!(chosen(&["a"], &default), Ok("a".into()));
    assert_eq!(chosen(&["a", "b"], &default), Err(codes::AMBIGUOUS_PROFILE.id));
    assert_eq!(chosen(&["a", "b"], &asked("b")), Ok("b".into()));
    assert_eq!(chosen(&["default"], &asked("b")), Err(codes::UNKNOWN_PROFILE.id));
    assert_eq!(chosen(&[], &default), Err(codes::NO_PROFILE.id));
}

#[test]
fn an_unknown_profile_names_the_nearest_and_all() {
    let options = Options { profile: Some("defalt".into()), ..Options::default() };
    let checked = with_options(VALID, &options);
    let [problem] = checked.problems.as_slice() else { panic!("{}", lines(&checked.problems)) };
    assert_eq!(problem.code, &codes::UNKNOWN_PROFILE);
    assert_eq!(problem.help, "did you mean `default`? the profiles of this contract: `default`");
}

#[test]
fn without_a_profile_the_six_lines_to_add_are_shown() {
    let text = VALID.split("[profiles.default]").next().unwrap();
    let checked = checked(text);
    let [problem] = checked.problems.as_slice() else { panic!("{}", lines(&checked.problems)) };
    let (_, added) = problem.help.split_once("\n\n").unwrap();
    assert_eq!(added.lines().count(), 6);
    assert_eq!(lines(&support::checked(&format!("{text}\n{added}\n")).problems), "", "the lines mend the contract");
}

#[test]
fn debug_mode_and_force_let_ordinary_problems_pass_and_no_others() {
    let odd = VALID.replace("label = \"Everything\"", "lable = \"Everything\"");
    let strict = checked(&odd);
    assert!(strict.plan.is_none() && strict.problems.iter().all(hook_core::problem::Problem::is_error));
    let debug = Options { mode: Some(ValidationMode::Debug), ..Options::default() };
    let force = Options { force: true, ..Options::default() };
    for options in [&debug, &force] {
        let lenient = with_options(&odd, options);
        assert!(lenient.plan.is_some());
        assert_eq!(lines(&lenient.problems).matches(" warning ").count(), strict.problems.len());
        for unsafe_text in [
            VALID.replace("file_output", "file_ouput"),
            VALID.replace("path = \"events.jsonl\"", "pth = \"events.jsonl\""),
            format!("{VALID}\n[sources.anyone]\nverifier = \"none\"\n"),
            VALID.replace("smash_routes = [\"core-to-file\"]", ""),
        ] {
            assert!(with_options(&unsafe_text, options).plan.is_none());
        }
    }
    let in_file = checked(&format!("[policies]\nvalidation_mode = \"debug\"\n{odd}"));
    assert_eq!(in_file.plan.unwrap().mode, ValidationMode::Debug);
    let strict = Options { mode: Some(ValidationMode::Strict), ..Options::default() };
    assert!(with_options(&format!("[policies]\nvalidation_mode = \"debug\"\n{odd}"), &strict).plan.is_none());
}

#[test]
fn an_app_without_name_or_version_runs_in_debug_mode() {
    let text = VALID.replace("name = \"My app\"\nversion = \"1.0.0\"\n", "version = \"one\"\n");
    let options = Options { mode: Some(ValidationMode::Debug), ..Options::default() };
    let plan = with_options(&text, &options).plan.unwrap();
    assert_eq!((plan.app.name.as_str(), plan.app.version.to_string().as_str()), ("my-app", "0.0.0"));
}

#[test]
fn nothing_else_stands_in_for_what_cannot_be_read() {
    let options = Options { mode: Some(ValidationMode::Debug), ..Options::default() };
    for (from, to) in [
        ("label = \"Everything\"", "label = \"\""),
        ("smash_routes = [\"core-to-file\"]", "smash_routes = [\"core-to-files\"]"),
        ("adapter_id = \"file-out\"", "adapter_id = \"file-output\""),
        ("smash_adapters = [\"file-out\"]", "smash_adapters = []"),
    ] {
        let checked = with_options(&VALID.replace(from, to), &options);
        let errors = checked.problems.iter().filter(|problem| problem.is_error()).count();
        assert_eq!(errors, 1, "{to}: {}", lines(&checked.problems));
        assert!(checked.plan.is_none());
    }
}

#[test]
fn an_inactive_adapter_is_not_checked_beyond_its_head() {
    let others = |body: &str| {
        format!(
            "[[smash.egress_adapters]]\nid = \"other\"\n{body}\n[profiles.other]\nlabel = \"x\"\nsmash_adapters = [\"other\"]\n"
        )
    };
    for body in
        ["driver = \"kafka_output\"\ntopic = 1", "driver = \"nonsense\"", "driver = \"file_output\"\npath = 7\nfoo = 1"]
    {
        assert_eq!(problems_adding(&others(body)), "", "{body}");
    }
    let missing = problems_adding(&others("path = \"x\""));
    assert!(missing.contains("HOOK0102") && missing.contains("`driver`"), "{missing}");
}

#[test]
fn a_driver_of_the_other_side_is_told_apart_from_one_that_does_not_exist() {
    let found = problems_with("driver = \"file_output\"", "driver = \"http_webhook_ingress\"");
    assert!(found.contains("`http_webhook_ingress` belongs under [[serve.ingress_adapters]]"), "{found}");
}

#[test]
fn faults_of_drivers_and_plugins_stand_at_their_keys() {
    let found = problems_with(
        "bind = \"127.0.0.1:8080\"",
        "bind = \"127.0.0.1:8080\"\npath_template = \"/in\"\nplugins = [{ driver = \"require_payload_field\", pointer = \"a.b\" }, { driver = \"add_flag\" }]",
    );
    pretty(
        &found,
        "11:17 HOOK0133 error the path has no `{source}` | write `/webhook/{source}`\n\
         12:58 HOOK0133 error no JSON pointer | write `/repository`\n\
         12:78 HOOK0107 error there is no plugin `add_flag` | did you mean `add_meta_flag`? the plugins: `event_type_alias`, `require_payload_field`, `add_meta_flag`",
    );
}

#[test]
fn an_address_is_explained_in_our_words() {
    let found = problems_with("127.0.0.1:8080", "localhost:8080");
    assert_eq!(found, "10:8 HOOK0104 error `bind`: expected an address and a port | write it like `127.0.0.1:8080`");
}

#[test]
fn wrong_types_say_what_to_write() {
    let found = problems_adding(
        "[log]\nsegment_bytes = \"67108864\"\nevents = { max_age = 30, max_bytes = 0 }\nwhen_pinned = \"drop\"\nmax_pinned = 99999999999999999999\n",
    );
    pretty(
        &found,
        "36:17 HOOK0103 error `segment_bytes` is a text, expected a whole number | write it without quotes: `segment_bytes = 67108864`\n\
         37:22 HOOK0103 error `max_age`: expected a duration such as `30s`, `10m` or `7d`, found `30` | write it like `max_age = \"30s\"`\n\
         37:38 HOOK0104 error `max_bytes` is 0, which is out of its range | write a number from 1\n\
         38:15 HOOK0104 error `when_pinned` cannot be `drop` | did you mean `drop_oldest`? it can be: `block`, `drop_oldest`\n\
         39:14 HOOK0104 error `max_pinned` is too large | write a smaller number",
    );
}

#[test]
fn tables_and_lists_are_not_mistaken_for_each_other() {
    assert!(problems_with("[[serve.routes]]", "[serve.routes]").contains("`routes` is a table, expected a list"));
    let source = "[sources.github]\nverifier = \"github\"\n";
    assert!(problems_adding(&format!("{source}secret_env = 5\n")).contains("expected a text or a list"));
    assert!(problems_adding(&format!("{source}secret_env = []\n")).contains("needs at least 1"));
    assert!(problems_adding("[transports.t]\ndriver = \"http\"\n").contains("it can be: `stdio_jsonrpc`, `http_sse`"));
    assert!(problems_adding("[transports.t]\ndriver = \"http_sse\"\n").contains("`url` is missing"));
}

#[test]
fn a_source_has_a_name_that_can_stand_in_a_url() {
    let found = problems_adding("[sources.GitHub]\nverifier = \"github\"\n");
    assert!(found.contains("35:10 HOOK0104 error the key `GitHub` is no name"), "{found}");
}

#[test]
fn the_keys_of_a_source_are_its_verifiers_too() {
    let found =
        problems_adding("[sources.tickets]\nverifier = \"hmac\"\nheader = \"X-Signature\"\nencodng = \"hex\"\n");
    assert!(found.contains("did you mean `encoding`?"), "{found}");
    assert_eq!(
        problems_adding("[sources.tickets]\nverifier = \"linear\"\ntolerance = \"30s\"\nordering_key = \"/data/id\"\n"),
        ""
    );
    assert!(problems_adding("[sources.tickets]\nverifier = \"github\"\ntolerance = \"30s\"\n").contains("HOOK0101"));
    assert!(
        problems_adding("[sources.t]\nverifier = \"linear\"\nordering_key = \"data.id\"\n")
            .contains("expected `header:NAME`")
    );
    let token = "[sources.tickets]\nverifier = \"github\"\nverify_token_env = \"TOKEN\"\n";
    assert!(problems_adding(token).contains("knows no such token"), "{}", problems_adding(token));
}

#[test]
fn two_values_for_one_setting_are_a_problem_unless_they_are_equal() {
    let openclaw = |own: &str, retry: &str| {
        let driver = format!(
            "driver = \"openclaw_http_output\"\nurl = \"http://127.0.0.1:18789/hooks/agent\"\ntoken_env = \"T\"\ntimeout_seconds = 9\n{own}\n{retry}"
        );
        checked(&VALID.replace("driver = \"file_output\"\npath = \"events.jsonl\"", &driver))
    };
    let max_retries = |own: &str, retry: &str| {
        let checked = openclaw(own, retry);
        let plan = checked.plan.unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
        (plan.smash.adapters[0].retry.max_retries, plan.smash.adapters[0].settings["max_retries"].as_u64().unwrap())
    };
    assert_eq!(max_retries("max_retries = 3", ""), (3, 3));
    assert_eq!(max_retries("max_retries = 3", "retry = { max_retries = 3 }"), (3, 3));
    assert_eq!(max_retries("", "retry = { max_retries = 4 }"), (4, 4));
    let twice = openclaw("max_retries = 3", "retry = { max_retries = 4 }");
    assert_eq!(of(&codes::RETRY_TWICE, &twice.problems).len(), 1);
    let neither = openclaw("", "retry = { base_ms = 10 }");
    assert!(lines(&neither.problems).contains("`max_retries` is missing"));
    let reversed = openclaw("max_retries = 3", "retry = { base_ms = 10, cap_ms = 5 }");
    assert!(lines(&reversed.problems).contains("make `base_ms` the smaller"));
}

#[test]
fn the_body_limit_of_the_options_applies_where_the_contract_is_silent() {
    let options = Options { max_body_bytes: Some(2048), ..Options::default() };
    let limit = |text: &str| {
        let checked = with_options(text, &options);
        let plan = checked.plan.unwrap();
        let resolved = checked.resolved.into_iter().find(|value| value.key.ends_with(".max_body_bytes")).unwrap();
        assert_eq!(plan.serve.adapters[0].settings["max_body_bytes"], resolved.value);
        (resolved.value.as_u64().unwrap(), matches!(resolved.origin, Origin::Option("max_body_bytes")))
    };
    assert_eq!(limit(VALID), (2048, true));
    assert_eq!(limit(&VALID.replace("bind =", "max_body_bytes = 4096\nbind =")), (4096, false));
}

#[test]
fn built_in_sources_are_those_that_are_enabled_and_not_declared() {
    let options = Options {
        enabled_sources: Some(BTreeSet::from([SourceName::new("github").unwrap(), SourceName::new("stripe").unwrap()])),
        ..Options::default()
    };
    let text = format!("{VALID}\n[sources.github]\nverifier = \"github\"\nsecret_env = [\"NEW\", \"OLD\"]\n");
    let plan = with_options(&text, &options).plan.unwrap();
    let sources: Vec<_> = plan
        .sources
        .values()
        .map(|source| {
            (
                source.name.as_str(),
                source.is_declared,
                source.secret_env.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            )
        })
        .collect();
    assert_eq!(sources, [("github", true, vec!["NEW", "OLD"]), ("stripe", false, vec!["HMAC_SECRET_STRIPE"])]);
}

#[test]
fn a_secret_is_named_by_convention_where_the_contract_is_silent() {
    let text = format!(
        "{VALID}\n[sources.github]\nverifier = \"github\"\n[sources.my-crm_2]\nverifier = \"bearer\"\n[sources.open]\nverifier = \"none\"\nallow_unverified = true\n"
    );
    let plan = checked(&text).plan.unwrap();
    let first = |source: &str| plan.sources[source].secret_env.first().map(|name| name.as_str().to_owned());
    assert_eq!(first("github").as_deref(), Some("HMAC_SECRET_GITHUB"));
    assert_eq!(first("my-crm_2").as_deref(), Some("HMAC_SECRET_MY_CRM_2"));
    assert_eq!(first("open"), None);
}

#[test]
fn the_environment_needs_what_active_parts_name() {
    let text = VALID.replace("source_match = \"*\"", "source_match = \"g*\"").replace(
        "driver = \"file_output\"\npath = \"events.jsonl\"",
        "driver = \"http_output\"\nurl = \"https://example.com\"\ntoken_env = \"SERVICE_TOKEN\"",
    );
    let text = format!(
        "{text}\n[admin]\ntoken_env = \"ADMIN_TOKEN\"\n[sources.github]\nverifier = \"github\"\nsecret_env = [\"NEW\", \"OLD\"]\n\
         [sources.linear]\nverifier = \"linear\"\n[[serve.routes]]\nid = \"later\"\nsource_match = \"linear\"\nevent_type_pattern = \"*\"\n\
         target_topic = \"webhooks.core\"\n[profiles.later]\nlabel = \"x\"\nserve_routes = [\"later\"]\n"
    );
    let checked = checked(&text);
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", lines(&checked.problems)));
    let needed: Vec<String> = plan
        .environment
        .iter()
        .map(|needed| {
            format!(
                "{} {:?} {} {}",
                needed.name,
                needed.role,
                needed.needed_by,
                needed.place.as_ref().map_or(0, |place| place.line)
            )
        })
        .collect();
    assert_eq!(
        needed,
        [
            "SERVICE_TOKEN Smash egress adapter file-out 22",
            "NEW Serve source github 40",
            "ADMIN_TOKEN Serve the admin address 37",
            "ADMIN_TOKEN Smash the admin address 37",
        ]
    );
}

#[test]
fn an_unreadable_route_is_no_reason_for_more_problems() {
    let found = problems_with("event_type_pattern = \"*\"\n", "");
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.contains("`event_type_pattern` is missing in [[serve.routes]]"));
}

#[test]
fn a_second_destination_of_one_name_is_refused() {
    let found = problems_with(
        "[{ adapter_id = \"file-out\" }]",
        "[{ adapter_id = \"file-out\" }, { adapter_id = \"file-out\" }]",
    );
    assert!(found.contains("names destination `file-out` twice"), "{found}");
}

#[test]
fn an_inactive_destination_is_an_error_where_it_is_required() {
    let other = "[[smash.egress_adapters]]\nid = \"other\"\ndriver = \"kafka_output\"\n\n[profiles.other]\nlabel = \"x\"\nsmash_adapters = [\"other\"]\n";
    let with = |destination: &str| {
        let text =
            VALID.replace("{ adapter_id = \"file-out\" }", &format!("{{ adapter_id = \"file-out\" }}, {destination}"));
        checked(&format!("{text}\n{other}"))
    };
    let required = with("{ adapter_id = \"other\" }");
    assert!(required.plan.is_none() && of(&codes::INACTIVE_DESTINATION, &required.problems).len() == 1);
    let optional = with("{ adapter_id = \"other\", required = false }");
    assert_eq!(of(&codes::INACTIVE_DESTINATION, &optional.problems).len(), 1);
    assert_eq!(optional.plan.unwrap().smash.routes[0].destinations.len(), 1);
}

#[test]
fn the_embedded_log_has_no_keys() {
    assert!(
        problems_adding("[backbone]\ndriver = \"embedded\"\nbrokers = \"b:9092\"\n").contains("unknown key `brokers`")
    );
    assert!(checked(&format!("{VALID}\n[backbone]\ndriver = \"embedded\"\n")).plan.unwrap().backbone.is_declared);
}

#[test]
fn every_value_says_where_it_came_from() {
    let resolved = checked(VALID).resolved;
    let origin = |key: &str| {
        let value = resolved.iter().find(|value| value.key == key).unwrap_or_else(|| panic!("{key}"));
        match &value.origin {
            Origin::Contract(place) => format!("{} {}:{}", value.value, place.line, place.column),
            origin => format!("{} {origin:?}", value.value),
        }
    };
    assert_eq!(origin("smash.egress_adapters.file-out.path"), "\"events.jsonl\" 21:8");
    assert_eq!(origin("smash.egress_adapters.file-out.concurrency"), "16 Default");
    assert_eq!(origin("smash.egress_adapters.file-out.retry.max_retries"), "5 Default");
    assert_eq!(origin("smash.routes.core-to-file.destinations.0.required"), "true Default");
    assert_eq!(origin("policies.validation_mode"), "\"strict\" Default");
    assert_eq!(origin("sources.github.secret_env"), "[\"HMAC_SECRET_GITHUB\"] Default");
    let keys: Vec<&String> = resolved.iter().map(|value| &value.key).collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "no key is listed twice");
}

#[test]
fn another_dead_letter_topic_is_kept_free_too() {
    let options = Options { dead_letters: Some(TopicName::new("webhooks.core").unwrap()), ..Options::default() };
    let found = with_options(VALID, &options);
    assert_eq!(of(&codes::RESERVED_TOPIC, &found.problems).len(), 1, "{}", lines(&found.problems));
    assert!(found.plan.is_none());
}

#[test]
fn what_changes_nothing_beside_the_rest_is_told() {
    let relay = problems_adding("[relay]\noutput_topic = \"webhooks.other\"\n");
    assert!(relay.contains("HOOK0135") && relay.contains("no topic needs the relay"), "{relay}");
    let held = |required: &str| {
        let text = VALID
            .replace("path = \"events.jsonl\"", "path = \"events.jsonl\"\non_give_up = \"hold\"")
            .replace("adapter_id = \"file-out\" }", &format!("adapter_id = \"file-out\", required = {required} }}"));
        lines(&checked(&text).problems)
    };
    assert!(held("false").contains("HOOK0135"), "{}", held("false"));
    assert_eq!(held("true"), "");
}

/// The problems of a contract with two adapters, and whose address each of them shares.
fn listening(first: &str, second: &str) -> (String, Vec<Option<String>>) {
    let (found, plan) = checked_listening(first, second);
    let adapters = plan.iter().flat_map(|plan| &plan.serve.adapters);
    (found, adapters.map(|adapter| adapter.beside.as_ref().map(ToString::to_string)).collect())
}

/// The problems of a contract with two adapters, and its plan.
fn checked_listening(first: &str, second: &str) -> (String, Option<Plan>) {
    let socket = format!("driver = \"websocket_ingress\"\nauth_mode = \"none\"\n{second}");
    let text = VALID
        .replace("bind = \"127.0.0.1:8080\"", first)
        .replace(
            "[[serve.routes]]",
            &format!("[[serve.ingress_adapters]]\nid = \"ws-in\"\n{socket}\n\n[[serve.routes]]"),
        )
        .replace("[\"http-in\"]", "[\"http-in\", \"ws-in\"]");
    let checked = checked(&text);
    (lines(&checked.problems), checked.plan)
}

#[test]
fn adapters_share_an_address_where_no_path_belongs_to_both() {
    let shared = (String::new(), vec![None, Some("http-in".to_owned())]);
    let alone = (String::new(), vec![None, None]);
    let bind = |port: u16| format!("bind = \"127.0.0.1:{port}\"");
    assert_eq!(listening(&bind(8080), &bind(8080)), shared);
    assert_eq!(listening(&bind(8080), ""), shared, "there is only one address that it could mean");
    assert_eq!(listening(&bind(0), ""), shared);
    assert_eq!(listening(&bind(8080), &bind(8081)), alone);
    assert_eq!(listening(&bind(0), &bind(0)), alone, "each gets a free port");
}

#[test]
fn adapters_that_share_an_address_share_its_tls() {
    let bind = "bind = \"127.0.0.1:8080\"";
    let tls = |name: &str| format!("tls = {{ cert_path = \"{name}.pem\", key_path = \"{name}.key\" }}");
    let of = |first: &str, second: &str| {
        let (found, plan) = checked_listening(&format!("{bind}\n{first}"), &format!("{bind}\n{second}"));
        let adapters = plan.iter().flat_map(|plan| &plan.serve.adapters);
        let certificate = |tls: &hook_core::tls::TlsFiles| tls.cert_path.display().to_string();
        let certificates: Vec<_> = adapters.map(|adapter| adapter.tls.as_ref().map(certificate)).collect();
        (found, certificates)
    };
    let (clear, both) = (vec![None, None], vec![Some("one.pem".to_owned()), Some("one.pem".to_owned())]);
    assert_eq!(of("", ""), (String::new(), clear));
    for (first, second) in [(tls("one"), tls("one")), (tls("one"), String::new()), (String::new(), tls("one"))] {
        assert_eq!(of(&first, &second), (String::new(), both.clone()), "{first} {second}");
    }
    assert_eq!(
        of(&tls("one"), &tls("two")).0,
        "18:7 HOOK0118 error ingress adapters `http-in` and `ws-in` share an address, and their `tls` differs | write the same in both, or leave `tls` out of `ws-in`: it has that of `http-in` then"
    );
}

#[test]
fn an_address_to_which_destinations_connect_is_shared_with_nobody() {
    let found = |bind: &str| {
        let stream = format!("driver = \"websocket_server_output\"\nbind = \"{bind}\"");
        lines(&checked(&VALID.replace("driver = \"file_output\"\npath = \"events.jsonl\"", &stream)).problems)
    };
    assert_eq!(found("127.0.0.1:8090"), "");
    assert_eq!(
        found("127.0.0.1:8080"),
        "21:8 HOOK0118 error ingress adapter `http-in` and egress adapter `file-out` both listen on 127.0.0.1:8080 | an address to which destinations connect is shared with nobody: give one of them another port"
    );
}

#[test]
fn addresses_that_cannot_be_shared_are_problems() {
    let found = |first: &str, second: &str| listening(first, second).0;
    let bind = "bind = \"127.0.0.1:8080\"";
    let overlapping = format!("{bind}\npath_template = \"/webhook/{{source}}\"");
    assert_eq!(
        found(bind, &overlapping),
        "16:8 HOOK0118 error ingress adapter `http-in` and ingress adapter `ws-in` both listen on 127.0.0.1:8080 | give one of them another path, such as one that begins in another way, or another port"
    );
    assert_eq!(
        found(bind, "bind = \"0.0.0.0:8080\""),
        "16:8 HOOK0118 error ingress adapter `http-in` and ingress adapter `ws-in` both listen on 0.0.0.0:8080 | give one of them another port; port 0 takes a free one"
    );
    let without_address =
        VALID.replace("http_webhook_ingress\"\nbind = \"127.0.0.1:8080\"", "websocket_ingress\"\nauth_mode = \"none\"");
    assert_eq!(
        lines(&checked(&without_address).problems),
        "9:10 HOOK0143 error ingress adapter `http-in` has no `bind`, and no other adapter listens | write the address to listen on, such as `bind = \"127.0.0.1:8080\"`"
    );
}
