//! Every problem code there is. The pages in `docs/errors/` are generated from this list.

mod contract;

pub use contract::*;

use super::Code;

/// All codes, in order.
pub static ALL: &[&Code] = &[
    &SYNTAX,
    &UNKNOWN_KEY,
    &MISSING_KEY,
    &WRONG_TYPE,
    &WRONG_VALUE,
    &UNKNOWN_DRIVER,
    &DRIVER_NOT_BUILT,
    &UNKNOWN_PLUGIN,
    &UNKNOWN_VERIFIER,
    &DUPLICATE_ID,
    &UNKNOWN_ADAPTER,
    &UNKNOWN_ROUTE,
    &UNKNOWN_TRANSPORT,
    &INACTIVE_DESTINATION,
    &NO_PROFILE,
    &UNKNOWN_PROFILE,
    &AMBIGUOUS_PROFILE,
    &MISSING_LABEL,
    &LISTENERS_COLLIDE,
    &SECRET_IN_FILE,
    &UNVERIFIED_SOURCE,
    &NO_OUTPUT,
    &NO_OUTPUT_SINK,
    &RESERVED_TOPIC,
    &RELAY_LOOP,
    &READ_TWICE,
    &RELAYED_TWICE,
    &NEVER_READ,
    &UNREACHED_ROUTE,
    &UNUSED,
    &TWO_ROUTES,
    &RETRY_TWICE,
    &BACKBONE_NOT_BUILT,
    &SETTINGS_REFUSED,
    &UNSAFE_SETTINGS,
    &NO_EFFECT,
    &ADMIN_OPEN,
    &KAFKA_PLAINTEXT,
    &KAFKA_SETTINGS,
    &KAFKA_PROPERTY,
    &NOT_DEDUPLICATED,
    &UNKNOWN_SOURCE,
    &ADAPTER_LOOP,
    &NO_ADDRESS,
    &EXPRESSION,
    &CONTRACT_UNREADABLE,
    &ENVIRONMENT_MISSING,
    &ENVIRONMENT_VALUE,
    &ENV_FILE,
    &KAFKA_NOT_BUILT,
    &FLAG_UNUSED,
    &LOG_LOCKED,
    &LOG_NOT_OPENED,
    &ADDRESS_NOT_OPENED,
    &CONFIG_UNREADABLE,
    &KAFKA_FILE,
    &KAFKA_UNREACHABLE,
    &KAFKA_TOPICS,
    &OTHER_LOG,
    &UPSTREAM_NOT_OPENED,
    &TLS_FILE,
    &TEST_FILE,
];

/// The contract cannot be read.
pub static CONTRACT_UNREADABLE: Code = Code {
    id: "HOOK0201",
    title: "The contract cannot be read",
    is_security_critical: true,
    about: "A contract is a text file in UTF-8 of at most 1 MiB. It is looked for in this order: `--contract PATH`; \
            `--app ID`, which is `apps/ID/contract.toml`; `RELAY_CONTRACT_PATH`; `./contract.toml`; the contract \
            `default-openclaw` that is part of the program. Where a place is named, no other is tried.",
    wrong: "",
    right: "",
};

/// A variable that something needs is not set.
pub static ENVIRONMENT_MISSING: Code = Code {
    id: "HOOK0202",
    title: "An environment variable is not set",
    is_security_critical: true,
    about: "What an active adapter names, and the first secret of every source that an active route can match, must \
            be set when the role that uses it starts. A variable that is set to nothing counts as not set. Values \
            come from the profile's `env`, from `--env-file` (`./.env` where none is given) and from the process \
            environment, in that order; `hook debug env` shows which are set, and where.",
    wrong: "",
    right: "",
};

/// A variable's value cannot be used.
pub static ENVIRONMENT_VALUE: Code = Code {
    id: "HOOK0203",
    title: "An environment variable has a value that cannot be used",
    is_security_critical: true,
    about: "The variable is one that `hook` reads itself; `hook debug env` lists those and says what each of them does.",
    wrong: "",
    right: "",
};

/// An env file cannot be used.
pub static ENV_FILE: Code = Code {
    id: "HOOK0204",
    title: "An env file cannot be read as it is written",
    is_security_critical: true,
    about: "An env file has one `NAME=value` a line; `export` before the name, empty lines and lines that begin with \
            `#` are allowed. A value may stand in single quotes, where nothing is special, or in double quotes, where \
            `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\` and `\\$` are; both may span lines. Nothing is substituted: a secret \
            that holds a `$` stays as it is, and `${NAME}` outside single quotes is refused, because other tools \
            would replace it.",
    wrong: "",
    right: "",
};

/// The environment chooses Kafka, which this build lacks.
pub static KAFKA_NOT_BUILT: Code = Code {
    id: "HOOK0205",
    title: "The environment chooses Kafka, and this build lacks what that needs",
    is_security_critical: true,
    about: "`KAFKA_BROKERS` chooses Kafka where the contract names no log. This build was made without the \
            feature `kafka`, or without `kafka-tls` or `kafka-vendored` where the settings need TLS. The embedded log is not \
            taken instead, because events would then not be where you look for them. Install a build that has the feature, \
            as the problem says; or unset the variable, or write `driver = \"embedded\"` under `[backbone]` in the contract, \
            which then decides.",
    wrong: "",
    right: "",
};

/// A flag has no effect here.
pub static FLAG_UNUSED: Code = Code {
    id: "HOOK0206",
    title: "A flag has no effect here",
    is_security_critical: false,
    about: "Another flag, given as well, comes first: `--contract` before `--app`. Or what it is for does not happen: \
            `--config` says how Kafka is reached, and the log is another.",
    wrong: "",
    right: "",
};

/// Another process owns the log.
pub static LOG_LOCKED: Code = Code {
    id: "HOOK0207",
    title: "Another process owns the log",
    is_security_critical: true,
    about: "The embedded log lives in one process. Run every role of the contract in one process with `hook up`, stop the \
            other process, or give this one a data directory of its own with `--data-dir`. Commands that ask about \
            events reach the owner by themselves.",
    wrong: "",
    right: "",
};

/// The log cannot be opened.
pub static LOG_NOT_OPENED: Code = Code {
    id: "HOOK0208",
    title: "The log cannot be opened",
    is_security_critical: true,
    about: "The data directory cannot be written, or what is stored in it is damaged. The message names the file and, for \
            damage, the position. Nothing is changed: what is there can be copied away before anything else is tried. \
            `hook log verify` finds all that is damaged; `hook log repair` says which records are lost and makes the log \
            open again with all the others.",
    wrong: "",
    right: "",
};

/// An address cannot be opened.
pub static ADDRESS_NOT_OPENED: Code = Code {
    id: "HOOK0209",
    title: "An address cannot be opened",
    is_security_critical: true,
    about: "Something else listens on the address, or the user may not listen there. Stop it, or choose another `bind` in \
            the contract; port 0 takes a free port, which the ready line names.",
    wrong: "",
    right: "",
};

/// The file of Kafka's settings cannot be read.
pub static CONFIG_UNREADABLE: Code = Code {
    id: "HOOK0210",
    title: "The file of Kafka's settings cannot be read",
    is_security_critical: true,
    about: "Where the log is Kafka, `--config PATH` is read, or `config/kafka-core.toml` in the working directory where \
            that exists: a text file in UTF-8 of at most 1 MiB with one table, `[kafka_core]`. What the contract or the \
            environment says comes before what stands there.",
    wrong: "",
    right: "",
};

/// A file that Kafka's settings name cannot be read.
pub static KAFKA_FILE: Code = Code {
    id: "HOOK0211",
    title: "A file of the connection to Kafka cannot be read",
    is_security_critical: true,
    about: "`tls.cert_path`, `tls.key_path` and `tls.ca_path` of the Kafka log (`KAFKA_TLS_CERT`, `KAFKA_TLS_KEY`, \
            `KAFKA_TLS_CA`) name files in PEM, `sasl.token_file` the file of a token. The user who runs `hook` must be \
            allowed to read them. A relative path begins at the working directory.",
    wrong: "",
    right: "",
};

/// No broker answers.
pub static KAFKA_UNREACHABLE: Code = Code {
    id: "HOOK0212",
    title: "No Kafka broker answers",
    is_security_critical: true,
    about: "The log is Kafka, and none of its brokers could be spoken with. `hook config show` names the brokers and who \
            said so. Often it is the port of another listener, a protocol that the listener does not speak, a certificate \
            that another authority signed, or a user that the brokers do not know. Brokers announce addresses of their own: \
            those must be reachable from here too.",
    wrong: "",
    right: "",
};

/// Topics on Kafka are not as they must be.
pub static KAFKA_TOPICS: Code = Code {
    id: "HOOK0213",
    title: "Topics on Kafka are not as they must be",
    is_security_critical: true,
    about: "Every topic of the contract is looked at before anything starts: those that are missing are made where \
            `auto_create_topics` allows it, and those that are there must have at least the partitions and the copies that \
            are set. The message names each topic and what to do about it. The order of a key holds within its partition: \
            partitions are added while nothing is ingested.",
    wrong: "",
    right: "",
};

/// The data directory holds undelivered events of another log than the chosen one.
pub static OTHER_LOG: Code = Code {
    id: "HOOK0214",
    title: "Undelivered events are in another log than the chosen one",
    is_security_critical: false,
    about: "The log is Kafka, and the data directory holds an embedded log with events that its destinations do not have \
            yet. They would stay there. `hook log migrate --to kafka` carries them over, and goes on where it was interrupted. \
            Or run `hook up` once more with `driver = \"embedded\"` under `[backbone]` until `hook cursors list` shows that \
            nothing is behind, and change the log then; or give another `--data-dir`. `--force` goes on and leaves them where \
            they are. The other way round: the log is the embedded one, and its events were carried over to Kafka. Choose \
            Kafka again, or another `--data-dir`; `--force` runs on the embedded log, which delivers once more what it had \
            not delivered when it was left.",
    wrong: "",
    right: "",
};

/// The client of an adapter that fetches events cannot be made.
pub static UPSTREAM_NOT_OPENED: Code = Code {
    id: "HOOK0215",
    title: "What events are fetched with cannot be made",
    is_security_critical: true,
    about: "An ingress adapter that fetches events, such as `kafka_ingress`, could not make its client: a file that it names \
            cannot be read, or this build cannot do what its brokers ask for. Brokers that are away are no such problem: the \
            adapter waits for them, and `/ready` says so.",
    wrong: "",
    right: "",
};

/// A file of TLS cannot be used.
pub static TLS_FILE: Code = Code {
    id: "HOOK0216",
    title: "A file of TLS cannot be used",
    is_security_critical: true,
    about: "An adapter that listens names its certificate, its key and perhaps the authorities of its clients under `tls`, and a \
            destination perhaps its authority as `ca_path`: files in PEM that the user who runs `hook` must be allowed to \
            read. The key must be that of the first certificate in its file. A relative path begins at the working directory. \
            Files that change later are taken when they are right; until then those before stay in use, and `/ready` says why. \
            `hook infra certs gen` makes certificates for tests.",
    wrong: "",
    right: "",
};

/// The tests of a contract cannot be read.
pub static TEST_FILE: Code = Code {
    id: "HOOK0230",
    title: "The tests of a contract cannot be read",
    is_security_critical: false,
    about: "`hook config test` reads its cases from `contract.test.toml` beside the contract, or from the file that `--file` \
            names. It is not there, or it is not as `schemas/contract-test.schema.json` says: a key that nobody knows would be \
            an expectation that nobody checks.",
    wrong: "",
    right: "",
};
