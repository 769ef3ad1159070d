//! What can be wrong with a contract: `HOOK01xx`.
//!
//! `wrong` is as short as it can be and provokes the code; whatever else it lacks is other problems' business.

use crate::problem::Code;

/// Two adapters, from HTTP to a file, and a route between each and the core topic.
macro_rules! flow {
    () => {
        r#"
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
"#
    };
}

/// The text is not TOML.
pub static SYNTAX: Code = Code {
    id: "HOOK0100",
    title: "The contract is not valid TOML",
    is_security_critical: true,
    about: "The file cannot be read as [TOML](https://toml.io), so that nothing of it is known. Nothing else is \
            checked until it can be.",
    wrong: "[app\nid = \"my-app\"\n",
    right: "[app]\nid = \"my-app\"\n",
};

/// A key that no section knows.
pub static UNKNOWN_KEY: Code = Code {
    id: "HOOK0101",
    title: "Unknown key",
    is_security_critical: false,
    about: "A contract says only what is used: a key that nothing reads is a mistake, most often of spelling. The keys \
            of an adapter are those of its driver and those of every adapter on its side.",
    wrong: "[app]\nid = \"my-app\"\nnane = \"My app\"\n",
    right: "[app]\nid = \"my-app\"\nname = \"My app\"\n",
};

/// A key that is required is not there.
pub static MISSING_KEY: Code = Code {
    id: "HOOK0102",
    title: "A required key is missing",
    is_security_critical: true,
    about: "The key has no default that would be right for everyone. The help line shows one to add. In debug mode an \
            app may do without its name and its version.",
    wrong: "[app]\nid = \"my-app\"\nname = \"My app\"\n",
    right: "[app]\nid = \"my-app\"\nname = \"My app\"\nversion = \"1.0.0\"\n",
};

/// A value is of another type than its key.
pub static WRONG_TYPE: Code = Code {
    id: "HOOK0103",
    title: "A value has the wrong type",
    is_security_critical: true,
    about: "Texts stand in quotes, numbers and `true` or `false` do not, lists stand in `[ ]`. A duration is a text \
            with its unit, such as `\"30s\"`; a key that ends in `_ms` or `_seconds` is a number.",
    wrong: "[log]\nsegment_bytes = \"67108864\"\n",
    right: "[log]\nsegment_bytes = 67108864\n",
};

/// A value is outside of what its key takes.
pub static WRONG_VALUE: Code = Code {
    id: "HOOK0104",
    title: "A value is not one that its key takes",
    is_security_critical: true,
    about: "The value has the right type, but not the right format, or it is out of range, or none of the words that \
            the key knows. The message says what was expected.",
    wrong: "[log.events]\nmax_age = \"7\"\n",
    right: "[log.events]\nmax_age = \"7d\"\n",
};

/// An active adapter names a driver that does not exist.
pub static UNKNOWN_DRIVER: Code = Code {
    id: "HOOK0105",
    title: "Unknown driver",
    is_security_critical: true,
    about: "An active adapter names a driver that nobody has heard of. Adapters that the profile does not list are not \
            checked. `hook debug capabilities` lists the drivers of this build.",
    wrong: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_ouput\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"To a file\"\nsmash_adapters = [\"file-out\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"To a file\"\nsmash_adapters = [\"file-out\"]\n",
};

/// An active adapter names a driver that this build lacks.
pub static DRIVER_NOT_BUILT: Code = Code {
    id: "HOOK0106",
    title: "This build does not have the driver",
    is_security_critical: true,
    about: "The contract format knows the driver, but this build does not have it. The adapter may stay in the \
            contract as long as the profile does not list it.",
    wrong: "[[smash.egress_adapters]]\nid = \"tool\"\ndriver = \"mcp_tool_output\"\ntool_name = \"events\"\n\n\
            [profiles.default]\nlabel = \"To a tool\"\nsmash_adapters = [\"tool\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"tool\"\ndriver = \"mcp_tool_output\"\ntool_name = \"events\"\n\n\
            [profiles.default]\nlabel = \"Nothing yet\"\nsmash_adapters = []\n",
};

/// A plugin that does not exist.
pub static UNKNOWN_PLUGIN: Code = Code {
    id: "HOOK0107",
    title: "Unknown plugin",
    is_security_critical: true,
    about: "A step of an active adapter's `plugins` names a plugin that this build does not have. Steps fail closed: \
            an event never passes a chain of which a step is missing.",
    wrong: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\
            plugins = [{ driver = \"add_flag\", flag = \"seen\" }]\n\n\
            [profiles.default]\nlabel = \"To a file\"\nsmash_adapters = [\"file-out\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\
            plugins = [{ driver = \"add_meta_flag\", flag = \"seen\" }]\n\n\
            [profiles.default]\nlabel = \"To a file\"\nsmash_adapters = [\"file-out\"]\n",
};

/// A verifier that does not exist.
pub static UNKNOWN_VERIFIER: Code = Code {
    id: "HOOK0108",
    title: "Unknown verifier",
    is_security_critical: true,
    about: "A verifier says how the signature of a source is checked. `hook debug capabilities` lists those of this \
            build; `hmac` can describe most schemes completely.",
    wrong: "[sources.tickets]\nverifier = \"githup\"\n",
    right: "[sources.tickets]\nverifier = \"github\"\n",
};

/// Two things of one kind have one id.
pub static DUPLICATE_ID: Code = Code {
    id: "HOOK0109",
    title: "An id is given or listed twice",
    is_security_critical: false,
    about: "Ids are how routes and profiles name adapters and routes, and how cursors are named: each stands for one \
            thing. In debug mode the first one counts.",
    wrong: "[[serve.routes]]\nid = \"all\"\nsource_match = \"github\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n\n\
            [[serve.routes]]\nid = \"all\"\nsource_match = \"linear\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n",
    right: "[[serve.routes]]\nid = \"github\"\nsource_match = \"github\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n\n\
            [[serve.routes]]\nid = \"linear\"\nsource_match = \"linear\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n",
};

/// An adapter that is named does not exist.
pub static UNKNOWN_ADAPTER: Code = Code {
    id: "HOOK0110",
    title: "There is no such adapter",
    is_security_critical: true,
    about: "A profile or a route names an adapter that the contract does not have. Profiles list ingress adapters in \
            `serve_adapters` and egress adapters in `smash_adapters`. In what the selected profile does not use, it is \
            an error in strict mode only.",
    wrong: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"To a file\"\nsmash_adapters = [\"file-output\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"To a file\"\nsmash_adapters = [\"file-out\"]\n",
};

/// A route that is named does not exist.
pub static UNKNOWN_ROUTE: Code = Code {
    id: "HOOK0111",
    title: "There is no such route",
    is_security_critical: true,
    about: "A profile names a route that the contract does not have. Serve routes stand in `serve_routes`, smash \
            routes in `smash_routes`. In a profile that is not selected, it is an error in strict mode only.",
    wrong: "[profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all-to-core\"]\n",
    right: "[[serve.routes]]\nid = \"all-to-core\"\nsource_match = \"*\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all-to-core\"]\n",
};

/// A transport that is named does not exist.
pub static UNKNOWN_TRANSPORT: Code = Code {
    id: "HOOK0112",
    title: "There is no such transport",
    is_security_critical: true,
    about: "The `transport_ref` of an active adapter names one of the `[transports.NAME]` tables, and there is none of \
            that name.",
    wrong: "[[smash.egress_adapters]]\nid = \"tool\"\ndriver = \"mcp_tool_output\"\ntool_name = \"notify\"\ntransport_ref = \"agent\"\n\n\
            [profiles.default]\nlabel = \"To a tool\"\nsmash_adapters = [\"tool\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"tool\"\ndriver = \"mcp_tool_output\"\ntool_name = \"notify\"\ntransport_ref = \"agent\"\n\n\
            [transports.agent]\ndriver = \"http_sse\"\nurl = \"http://127.0.0.1:9000/mcp\"\nauth_mode = \"none\"\n\n\
            [profiles.default]\nlabel = \"To a tool\"\nsmash_adapters = [\"tool\"]\n",
};

/// An active route has a destination that is not active.
pub static INACTIVE_DESTINATION: Code = Code {
    id: "HOOK0113",
    title: "A destination of an active route is not active",
    is_security_critical: false,
    about: "A profile activates exactly what it lists. It lists the route, but not the adapter that the route delivers \
            to. In debug mode, and where the destination has `required = false`, the route runs without it.",
    wrong: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            serve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
    right: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// There is no profile at all.
pub static NO_PROFILE: Code = Code {
    id: "HOOK0114",
    title: "The contract has no profile",
    is_security_critical: true,
    about: "A profile says what is active; without one, nothing is. The help shows the six lines that make everything \
            active which the contract declares.",
    wrong: "[app]\nid = \"my-app\"\nname = \"My app\"\nversion = \"1.0.0\"\n",
    right: "[app]\nid = \"my-app\"\nname = \"My app\"\nversion = \"1.0.0\"\n\n[profiles.default]\nlabel = \"Everything\"\n",
};

/// The profile that was asked for does not exist.
pub static UNKNOWN_PROFILE: Code = Code {
    id: "HOOK0115",
    title: "There is no such profile",
    is_security_critical: true,
    about: "`--profile` or `RELAY_PROFILE` names a profile that the contract does not have. Without either, the one \
            called `default` is taken, else the one called like the app, else the only one.",
    wrong: "",
    right: "",
};

/// Several profiles, and no rule chooses one.
pub static AMBIGUOUS_PROFILE: Code = Code {
    id: "HOOK0116",
    title: "Several profiles, and none is chosen",
    is_security_critical: true,
    about: "Where no profile is asked for, the one called `default` is taken, else the one called like the app, else \
            the only one. None of that applies here: choose one with `--profile` or `RELAY_PROFILE`.",
    wrong: "[profiles.staging]\nlabel = \"For trying things\"\n\n[profiles.production]\nlabel = \"For real\"\n",
    right: "[profiles.default]\nlabel = \"For trying things\"\n\n[profiles.production]\nlabel = \"For real\"\n",
};

/// The selected profile has no label.
pub static MISSING_LABEL: Code = Code {
    id: "HOOK0117",
    title: "The profile has no label",
    is_security_critical: false,
    about: "The label says in a few words what the profile is for; `/ready` and `hook config show` show it to whoever \
            wonders what is running.",
    wrong: "[profiles.default]\nserve_adapters = []\n",
    right: "[profiles.default]\nlabel = \"For trying things\"\nserve_adapters = []\n",
};

/// Two listeners want one address.
pub static LISTENERS_COLLIDE: Code = Code {
    id: "HOOK0118",
    title: "Two listeners on one address",
    is_security_critical: true,
    about: "Two active adapters, or an adapter and `[admin]`, would listen on the same port of the same address; \
            `0.0.0.0` and `[::]` are every address. Adapters that speak HTTP share an address where both write it in the \
            same way and no path could belong to both; they have one `tls` then, which one of them or all of them name. Port 0 takes a free port and collides with nothing.",
    wrong: concat!(
        flow!(),
        "\n[admin]\nbind = \"127.0.0.1:8080\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n"
    ),
    right: concat!(
        flow!(),
        "\n[admin]\nbind = \"127.0.0.1:9464\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n"
    ),
};

/// A secret stands in the file.
pub static SECRET_IN_FILE: Code = Code {
    id: "HOOK0119",
    title: "A secret stands in the contract",
    is_security_critical: true,
    about: "Contracts are shared, reviewed and kept in repositories; secrets are not. Put the secret into an \
            environment variable (an env file, systemd's credentials, a secret store) and name the variable with a key \
            that ends in `_env`. If the file was ever shared, replace the secret. The value is not shown anywhere.",
    wrong: "[profiles.default]\nlabel = \"Everything\"\nenv = { HMAC_SECRET_GITHUB = \"correct horse\" }\n",
    right: "[sources.github]\nverifier = \"github\"\nsecret_env = \"HMAC_SECRET_GITHUB\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\n",
};

/// Events of a source are not verified, and the contract does not say that this is wanted.
pub static UNVERIFIED_SOURCE: Code = Code {
    id: "HOOK0120",
    title: "A source is not verified",
    is_security_critical: true,
    about: "With this verifier anyone who reaches the address can send events, which then reach agents and services. \
            Where that is wanted, such as behind an address that only you can reach, say so with \
            `allow_unverified = true`.",
    wrong: "[sources.anyone]\nverifier = \"none\"\n",
    right: "[sources.anyone]\nverifier = \"none\"\nallow_unverified = true\n",
};

/// Nothing is delivered, and no policy allows it.
pub static NO_OUTPUT: Code = Code {
    id: "HOOK0121",
    title: "The profile delivers nothing",
    is_security_critical: true,
    about: "No active route has an active destination: events would be taken and go nowhere. List a smash route and \
            its adapter in the profile, or, for a process that only takes events in, allow it in `[policies]`.",
    wrong: "[profiles.default]\nlabel = \"Only in\"\n",
    right: "[policies]\nallow_no_output = true\nno_output_sink = \"discard\"\n\n[profiles.default]\nlabel = \"Only in\"\n",
};

/// No output is allowed, but nothing says what becomes of events.
pub static NO_OUTPUT_SINK: Code = Code {
    id: "HOOK0122",
    title: "What becomes of events without a destination is not said",
    is_security_critical: false,
    about: "`allow_no_output = true` needs `no_output_sink`: with `discard`, events that no route takes are counted \
            and rest in the log until their retention ends; with `dlq` they go to the dead letters.",
    wrong: "[policies]\nallow_no_output = true\n",
    right: "[policies]\nallow_no_output = true\nno_output_sink = \"discard\"\n",
};

/// A topic that is kept for ourselves.
pub static RESERVED_TOPIC: Code = Code {
    id: "HOOK0123",
    title: "Events cannot be written to this topic",
    is_security_critical: true,
    about: "The dead-letter topic (`webhooks.dlq`) and the journal (`hook.journal`) hold records of their own; an \
            event written there would be taken for one of them. Mind sources called `dlq` where the topic is \
            `webhooks.{source}`.",
    wrong: "[[serve.routes]]\nid = \"all\"\nsource_match = \"*\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.dlq\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all\"]\n",
    right: "[[serve.routes]]\nid = \"all\"\nsource_match = \"*\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all\"]\n",
};

/// The relay would read what it writes.
pub static RELAY_LOOP: Code = Code {
    id: "HOOK0124",
    title: "The relay would read what it writes",
    is_security_critical: true,
    about: "A relay whose output is one of its inputs copies every event for ever; one that reads the dead letters \
            brings every failed event back. Leave those topics out of `[relay] topics`.",
    wrong: "[relay]\ntopics = [\"webhooks.github\", \"webhooks.core\"]\n\n[profiles.default]\nlabel = \"Everything\"\n",
    right: "[relay]\ntopics = [\"webhooks.github\", \"webhooks.linear\"]\n\n[profiles.default]\nlabel = \"Everything\"\n",
};

/// A route reads an event before and after the relay.
pub static READ_TWICE: Code = Code {
    id: "HOOK0125",
    title: "A route reads events before and after the relay",
    is_security_critical: false,
    about: "The pattern matches a topic that the relay reads and the topic that it writes, so that every relayed event \
            would be delivered twice. Name one of the two.",
    wrong: "[relay]\ntopics = [\"webhooks.github\"]\n\n[[smash.routes]]\nid = \"out\"\nsource_topic_pattern = \"webhooks.*\"\n\
            destinations = [{ adapter_id = \"file-out\" }]\n\n[profiles.default]\nlabel = \"Everything\"\nsmash_routes = [\"out\"]\n",
    right: "[relay]\ntopics = [\"webhooks.github\"]\n\n[[smash.routes]]\nid = \"out\"\nsource_topic_pattern = \"webhooks.core\"\n\
            destinations = [{ adapter_id = \"file-out\" }]\n\n[profiles.default]\nlabel = \"Everything\"\nsmash_routes = [\"out\"]\n",
};

/// One event reaches the relay's output twice.
pub static RELAYED_TWICE: Code = Code {
    id: "HOOK0126",
    title: "An event can be relayed twice",
    is_security_critical: false,
    about: "Two serve routes can store one event in two topics, and the relay reads both: the event reaches the relay's \
            output once for each. Narrow one of the routes, or let both store in one topic.",
    wrong: "[[serve.routes]]\nid = \"all\"\nsource_match = \"github\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.github\"\n\n\
            [[serve.routes]]\nid = \"issues\"\nsource_match = \"github\"\nevent_type_pattern = \"issues.*\"\ntarget_topic = \"webhooks.issues\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all\", \"issues\"]\n",
    right: "[[serve.routes]]\nid = \"pushes\"\nsource_match = \"github\"\nevent_type_pattern = \"push\"\ntarget_topic = \"webhooks.github\"\n\n\
            [[serve.routes]]\nid = \"issues\"\nsource_match = \"github\"\nevent_type_pattern = \"issues.*\"\ntarget_topic = \"webhooks.issues\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"pushes\", \"issues\"]\n",
};

/// Events are stored that nothing reads.
pub static NEVER_READ: Code = Code {
    id: "HOOK0127",
    title: "Events are stored that nothing reads",
    is_security_critical: false,
    about: "No active smash route reads the topic, or the one into which it is relayed: the events rest in the log \
            until their retention ends. Most often the names of two topics differ by a letter.",
    wrong: "[[serve.routes]]\nid = \"all\"\nsource_match = \"*\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all\"]\n",
    right: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// No event can reach a route.
pub static UNREACHED_ROUTE: Code = Code {
    id: "HOOK0128",
    title: "No event reaches a route",
    is_security_critical: false,
    about: "A serve route whose pattern matches no source that is known, or whose profile has no ingress adapter; a \
            smash route whose pattern matches no topic that is written. Nothing is lost, but nothing happens either.",
    wrong: "[[serve.routes]]\nid = \"all\"\nsource_match = \"gitlub\"\nevent_type_pattern = \"*\"\ntarget_topic = \"webhooks.core\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_routes = [\"all\"]\n",
    right: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// Something is declared and never used.
pub static UNUSED: Code = Code {
    id: "HOOK0129",
    title: "Something is declared, and nothing uses it",
    is_security_critical: false,
    about: "An adapter or a route that no profile lists, an active adapter to which no active route delivers, a source \
            that no route matches, a transport that no adapter names.",
    wrong: "[[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"Everything\"\n",
    right: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// Two routes deliver one event to one destination.
pub static TWO_ROUTES: Code = Code {
    id: "HOOK0130",
    title: "Two routes take one event to one destination",
    is_security_critical: false,
    about: "Every route has cursors of its own, so that the destination gets the event once from each. Narrow the \
            topics or the `event_filters` of one of them, or leave the destination out of one.",
    wrong: concat!(
        flow!(),
        "\n[[smash.routes]]\nid = \"issues-to-file\"\nsource_topic_pattern = \"webhooks.*\"\n\
            event_filters = [\"github:issues.*\"]\ndestinations = [{ adapter_id = \"file-out\" }]\n\n\
            [profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\nsmash_adapters = [\"file-out\"]\n\
            serve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\", \"issues-to-file\"]\n"
    ),
    right: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// One setting is given twice with different values.
pub static RETRY_TWICE: Code = Code {
    id: "HOOK0131",
    title: "`max_retries` is given twice",
    is_security_critical: false,
    about: "`max_retries` of a driver and `retry.max_retries` are one setting. In debug mode the one in `retry` counts.",
    wrong: "[[smash.egress_adapters]]\nid = \"openclaw\"\ndriver = \"openclaw_http_output\"\nurl = \"http://127.0.0.1:18789/hooks/agent\"\n\
            token_env = \"OPENCLAW_WEBHOOK_TOKEN\"\ntimeout_seconds = 30\nmax_retries = 3\nretry = { max_retries = 8 }\n\n\
            [profiles.default]\nlabel = \"To OpenClaw\"\nsmash_adapters = [\"openclaw\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"openclaw\"\ndriver = \"openclaw_http_output\"\nurl = \"http://127.0.0.1:18789/hooks/agent\"\n\
            token_env = \"OPENCLAW_WEBHOOK_TOKEN\"\ntimeout_seconds = 30\nmax_retries = 3\nretry = { base_ms = 1000 }\n\n\
            [profiles.default]\nlabel = \"To OpenClaw\"\nsmash_adapters = [\"openclaw\"]\n",
};

/// The contract asks for a log that this build lacks.
pub static BACKBONE_NOT_BUILT: Code = Code {
    id: "HOOK0132",
    title: "This build lacks what that log needs",
    is_security_critical: true,
    about: "The contract asks for Apache Kafka, and this build was made without the feature `kafka`, or without `kafka-tls` \
            or `kafka-vendored` where the settings need TLS. The embedded log is not taken instead, because events would \
            then not be where you look for them. Install a build that has the feature, as the problem says. `hook config validate` and `hook \
            config show` check such a contract all the same; nothing is started. Write `driver = \"embedded\"` or leave \
            `[backbone]` out to keep events on this machine.",
    // The text is right, the build is not enough for it.
    wrong: "",
    right: "",
};

/// A driver refuses its settings.
pub static SETTINGS_REFUSED: Code = Code {
    id: "HOOK0133",
    title: "A driver refuses its settings",
    is_security_critical: true,
    about: "Each value has the right shape, but the driver of an active adapter, a plugin or a verifier cannot work \
            with it. The message is the driver's own.",
    wrong: "[[smash.egress_adapters]]\nid = \"http-out\"\ndriver = \"http_output\"\nurl = \"example.com/hooks\"\n\n\
            [profiles.default]\nlabel = \"To a service\"\nsmash_adapters = [\"http-out\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"http-out\"\ndriver = \"http_output\"\nurl = \"https://example.com/hooks\"\n\n\
            [profiles.default]\nlabel = \"To a service\"\nsmash_adapters = [\"http-out\"]\n",
};

/// A driver finds its settings unsafe.
pub static UNSAFE_SETTINGS: Code = Code {
    id: "HOOK0134",
    title: "Settings that are not safe",
    is_security_critical: true,
    about: "A driver can work with its settings, but would not be safe: authentication is asked for and no token is \
            named, or an address is named that must never be reached. The message is the driver's own.",
    wrong: "[[smash.egress_adapters]]\nid = \"http-out\"\ndriver = \"http_output\"\nurl = \"http://169.254.169.254/latest\"\n\n\
            [profiles.default]\nlabel = \"To a service\"\nsmash_adapters = [\"http-out\"]\n",
    right: "[[smash.egress_adapters]]\nid = \"http-out\"\ndriver = \"http_output\"\nurl = \"https://example.com/hooks\"\n\n\
            [profiles.default]\nlabel = \"To a service\"\nsmash_adapters = [\"http-out\"]\n",
};

/// A key that changes nothing here.
pub static NO_EFFECT: Code = Code {
    id: "HOOK0135",
    title: "A key has no effect here",
    is_security_critical: false,
    about: "The key exists, but beside the others it changes nothing, so that it says something that is not so: such \
            as `allow_unverified` beside a verifier that verifies every event.",
    wrong: "[sources.github]\nverifier = \"github\"\nallow_unverified = true\n",
    right: "[sources.github]\nverifier = \"github\"\n",
};

/// The admin address is open to others.
pub static ADMIN_OPEN: Code = Code {
    id: "HOOK0136",
    title: "The admin address is open to other machines",
    is_security_critical: false,
    about: "Health, metrics and the admin interface can be reached from other machines without a token. Where a \
            network of your own is the guard, that may be what you want; otherwise name a token or listen on \
            `127.0.0.1`, which is the default.",
    wrong: "[admin]\nbind = \"0.0.0.0:9464\"\n",
    right: "[admin]\nbind = \"0.0.0.0:9464\"\ntoken_env = \"HOOK_ADMIN_TOKEN\"\n",
};

/// Kafka in the clear, which nothing allows.
pub static KAFKA_PLAINTEXT: Code = Code {
    id: "HOOK0137",
    title: "Kafka without encryption",
    is_security_critical: true,
    about: "With `plaintext` and `sasl_plaintext`, whoever is on the network between `hook` and the brokers can read \
            and change events, and with `sasl_plaintext` and `PLAIN` read the password. So it takes two words: \
            `security_protocol` (`KAFKA_SECURITY_PROTOCOL`) asks for it, and `allow_plaintext = true` \
            (`KAFKA_ALLOW_PLAINTEXT=true`) says that it is meant. For a broker on this machine that is fine.",
    wrong: "[backbone]\ndriver = \"kafka\"\nbrokers = \"127.0.0.1:9092\"\nsecurity_protocol = \"plaintext\"\n",
    right: "[backbone]\ndriver = \"kafka\"\nbrokers = \"127.0.0.1:9092\"\nsecurity_protocol = \"plaintext\"\n\
            allow_plaintext = true\n",
};

/// Settings with which Kafka cannot be reached.
pub static KAFKA_SETTINGS: Code = Code {
    id: "HOOK0138",
    title: "Kafka cannot be reached with these settings",
    is_security_critical: true,
    about: "Something is missing that a connection needs: the brokers, the other half of a certificate and its key, the \
            mechanism of SASL or its token. Each key can stand in `[backbone]` of the contract, in the \
            environment (`KAFKA_BROKERS`, `KAFKA_TLS_KEY`, …) or in `[kafka_core]` of `config/kafka-core.toml`; the \
            first of these that has it decides, and `hook config show` says which one did.",
    wrong: "[backbone]\ndriver = \"kafka\"\n",
    right: "[backbone]\ndriver = \"kafka\"\nbrokers = [\"kafka-1.example.com:9093\"]\n",
};

/// A property of librdkafka that is not free.
pub static KAFKA_PROPERTY: Code = Code {
    id: "HOOK0139",
    title: "This property of librdkafka cannot be set",
    is_security_critical: true,
    about: "`producer_defaults` and `consumer_defaults` hand properties on to librdkafka, to tune what may be tuned. \
            Those on which a promise rests cannot be set there (that an acknowledged event is on every replica in sync, \
            that order is kept, that a cursor moves when its events are delivered, how much memory is used), nor those \
            that have a key of their own (`brokers`, `tls`, `sasl`, `fetch_memory`) or hold a secret.",
    wrong: "[backbone]\ndriver = \"kafka\"\nbrokers = \"kafka-1.example.com:9093\"\n\
            producer_defaults = { acks = 1, \"linger.ms\" = 5 }\n",
    right: "[backbone]\ndriver = \"kafka\"\nbrokers = \"kafka-1.example.com:9093\"\n\
            producer_defaults = { \"linger.ms\" = 5 }\n",
};

/// On Kafka, a way on which copies are not removed.
pub static NOT_DEDUPLICATED: Code = Code {
    id: "HOOK0140",
    title: "On Kafka, copies reach this topic's readers",
    is_security_critical: false,
    about: "Senders repeat what they are not sure of. The embedded log knows a copy when it is stored; Kafka stores it, \
            and the relay removes it on the way to the core topic. A topic that a serve route writes and a smash route \
            reads has no relay between the two, so that a repeated delivery is delivered twice. Store events by source \
            and deliver from the core topic, or leave it so where the destination knows copies by their event id.",
    wrong: concat!(
        flow!(),
        "\n[backbone]\ndriver = \"kafka\"\nbrokers = \"kafka-1.example.com:9093\"\n",
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
    right: concat!(
        flow!(),
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// An adapter gives its events a source that nobody declares.
pub static UNKNOWN_SOURCE: Code = Code {
    id: "HOOK0141",
    title: "An adapter names a source that is not declared",
    is_security_critical: false,
    about: "An adapter that fetches events, such as `kafka_ingress`, says itself from which source they are: the one that it \
            names, or the one that is called like its topic. Whoever decides what may come from there is the contract, under \
            `[sources]`. Where whoever keeps the topic decides who may write to it, there is no signature to check: write \
            `verifier = \"none\"` and `allow_unverified = true`. Such a source is then taken from the adapters that name it, \
            and from no address. Another verifier checks the value of each record with its headers, as if it were a request.",
    wrong: "[[serve.ingress_adapters]]\nid = \"orders-in\"\ndriver = \"kafka_ingress\"\ntopics = [\"orders\"]\n\
            group_id = \"hook\"\nbrokers = \"127.0.0.1:9092\"\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true\n\n\
            [profiles.default]\nlabel = \"Orders\"\nserve_adapters = [\"orders-in\"]\n",
    right: "[[serve.ingress_adapters]]\nid = \"orders-in\"\ndriver = \"kafka_ingress\"\ntopics = [\"orders\"]\n\
            group_id = \"hook\"\nbrokers = \"127.0.0.1:9092\"\nsecurity_protocol = \"plaintext\"\nallow_plaintext = true\n\n\
            [sources.orders]\nverifier = \"none\"\nallow_unverified = true\n\n\
            [profiles.default]\nlabel = \"Orders\"\nserve_adapters = [\"orders-in\"]\n",
};

/// An adapter fetches what the log writes, or writes what the log reads.
pub static ADAPTER_LOOP: Code = Code {
    id: "HOOK0142",
    title: "An adapter and the log share a topic",
    is_security_critical: true,
    about: "`kafka_ingress` and `kafka_output` are for topics of others. One that fetches from a topic into which the Kafka log \
            stores events stores each of them again, for ever; one that writes to a topic from which the log reads brings each \
            event back. Name another topic, or give the log a `namespace`.",
    wrong: concat!(
        flow!(),
        "\n[backbone]\ndriver = \"kafka\"\nbrokers = \"kafka-1.example.com:9093\"\n\n\
            [[serve.ingress_adapters]]\nid = \"again-in\"\ndriver = \"kafka_ingress\"\ntopics = [\"webhooks.core\"]\n\
            source = \"again\"\ngroup_id = \"hook\"\n\n[sources.again]\nverifier = \"none\"\nallow_unverified = true\n",
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\", \"again-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
    right: concat!(
        flow!(),
        "\n[backbone]\ndriver = \"kafka\"\nbrokers = \"kafka-1.example.com:9093\"\n\n\
            [[serve.ingress_adapters]]\nid = \"again-in\"\ndriver = \"kafka_ingress\"\ntopics = [\"orders\"]\n\
            source = \"again\"\ngroup_id = \"hook\"\n\n[sources.again]\nverifier = \"none\"\nallow_unverified = true\n",
        "\n[profiles.default]\nlabel = \"Everything\"\nserve_adapters = [\"http-in\", \"again-in\"]\n\
            smash_adapters = [\"file-out\"]\nserve_routes = [\"all-to-core\"]\nsmash_routes = [\"core-to-file\"]\n"
    ),
};

/// An adapter has no address, and there is not one that it could only mean.
pub static NO_ADDRESS: Code = Code {
    id: "HOOK0143",
    title: "An adapter has no address",
    is_security_critical: true,
    about: "`websocket_ingress` may leave `bind` out: it then takes its path on the address of the only other active adapter \
            that listens. Without one there is nothing to listen on, and with several it could mean each of them.",
    wrong: "[[serve.ingress_adapters]]\nid = \"ws-in\"\ndriver = \"websocket_ingress\"\nauth_mode = \"none\"\n\n\
            [profiles.default]\nlabel = \"Sockets\"\nserve_adapters = [\"ws-in\"]\n",
    right: "[[serve.ingress_adapters]]\nid = \"ws-in\"\ndriver = \"websocket_ingress\"\nauth_mode = \"none\"\n\
            bind = \"127.0.0.1:8080\"\n\n\
            [profiles.default]\nlabel = \"Sockets\"\nserve_adapters = [\"ws-in\"]\n",
};

/// An expression of a filter does not compile.
pub static EXPRESSION: Code = Code {
    id: "HOOK0150",
    title: "An expression of a filter cannot be used",
    is_security_critical: true,
    about: "An entry of `event_filters` that begins with `cel:` is an expression in CEL, the Common Expression Language, over \
            `source`, `type`, `payload` and `meta`. It is refused where it cannot be parsed, names a variable or function that \
            there is not, can never be true or false, or is too large. The place is the part of the expression that is wrong. \
            Without the filter its route would take other events than it says: the error stops the start in every mode.",
    wrong: "[[smash.routes]]\nid = \"urgent\"\nsource_topic_pattern = \"webhooks.core\"\n\
            event_filters = [\"cel:payload.priority = 1\"]\ndestinations = [{ adapter_id = \"file-out\" }]\n\n\
            [[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"Urgent\"\nsmash_adapters = [\"file-out\"]\nsmash_routes = [\"urgent\"]\n",
    right: "[[smash.routes]]\nid = \"urgent\"\nsource_topic_pattern = \"webhooks.core\"\n\
            event_filters = [\"cel:payload.priority == 1\"]\ndestinations = [{ adapter_id = \"file-out\" }]\n\n\
            [[smash.egress_adapters]]\nid = \"file-out\"\ndriver = \"file_output\"\npath = \"events.jsonl\"\n\n\
            [profiles.default]\nlabel = \"Urgent\"\nsmash_adapters = [\"file-out\"]\nsmash_routes = [\"urgent\"]\n",
};
