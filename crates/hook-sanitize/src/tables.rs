//! Which fields of a provider's events an agent is shown, and which of them users write: a table for each type of event.

mod packs;

use std::{collections::HashMap, sync::LazyLock};

/// What a field holds, and with that how much of it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name, a number, a state: given by the provider, or chosen within narrow rules.
    Fact,
    /// A line that a user wrote.
    Title,
    /// The name of a branch or a tag.
    Branch,
    /// A comment.
    Comment,
    /// A description.
    Body,
}

impl Kind {
    /// The most characters that are shown.
    pub const fn limit(self) -> usize {
        match self {
            Self::Fact | Self::Title => 500,
            Self::Branch => 200,
            Self::Comment => 20_000,
            Self::Body => 50_000,
        }
    }

    /// Whether users write it freely.
    pub const fn is_user_text(self) -> bool {
        !matches!(self, Self::Fact)
    }
}

/// A field: its name in what an agent is shown, and where it stands. `*` is every element or member.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// An RFC 6901 pointer, with `*`.
    pub pointer: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// A place in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node(u16);

impl Node {
    pub(crate) const ROOT: Self = Self(0);
}

/// The fields of one type of event.
#[derive(Debug)]
pub struct Table {
    fields: Vec<Field>,
    children: Vec<Vec<(&'static str, Node)>>,
    leaves: Vec<Option<usize>>,
}

impl Table {
    fn new(fields: Vec<Field>) -> Self {
        let mut table = Self { fields: Vec::new(), children: vec![Vec::new()], leaves: vec![None] };
        for (index, field) in fields.iter().enumerate() {
            let mut node = Node::ROOT;
            for step in field.pointer.split('/').skip(1) {
                node = table.child_or_new(node, step);
            }
            table.leaves[usize::from(node.0)] = Some(index);
        }
        Self { fields, ..table }
    }

    fn child_or_new(&mut self, node: Node, step: &'static str) -> Node {
        let known = self.children[usize::from(node.0)].iter().find(|(key, _)| *key == step);
        if let Some((_, child)) = known {
            return *child;
        }
        let child = Node(u16::try_from(self.children.len()).expect("tables are short"));
        self.children[usize::from(node.0)].push((step, child));
        self.children.push(Vec::new());
        self.leaves.push(None);
        child
    }

    pub(crate) fn child(&self, node: Node, key: &str) -> Option<Node> {
        let children = &self.children[usize::from(node.0)];
        children.iter().find(|(known, _)| *known == key || *known == "*").map(|(_, child)| *child)
    }

    pub(crate) fn field(&self, node: Node) -> Option<usize> {
        self.leaves[usize::from(node.0)]
    }

    /// Its fields, in the order in which they are shown.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// Makes what is made at first use.
pub(crate) fn prepare() {
    LazyLock::force(&TABLES);
}

static TABLES: LazyLock<HashMap<&str, HashMap<&str, Table>>> = LazyLock::new(all);

/// The table of a provider's type of event, such as `github` and `issues.opened`; `None` where there is none: then all of a
/// payload counts as written by users.
pub fn table(provider: &str, event_type: &str) -> Option<&'static Table> {
    let families = TABLES.get(provider)?;
    families.get(family(event_type)).or_else(|| families.get(ANY))
}

/// What a type begins with: `issues` of `issues.opened`, `pullrequest` of `pullrequest:created`.
fn family(event_type: &str) -> &str {
    event_type.split(['.', ':', '/']).next().unwrap_or_default()
}

/// The providers that have tables, and the families of events of each.
pub fn providers() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    written().map(|(name, families)| (name, families.iter().map(|(family, _)| *family).collect()))
}

type Written = &'static [(&'static str, &'static str, Kind)];
type Family = (&'static str, &'static [Written]);

/// The family of every event that has no table of its own.
const ANY: &str = "*";

fn written() -> impl Iterator<Item = (&'static str, &'static [Family])> {
    PROVIDERS.iter().chain(packs::PROVIDERS).copied()
}

fn all() -> HashMap<&'static str, HashMap<&'static str, Table>> {
    let table = |groups: &[Written]| {
        let fields = groups.iter().flat_map(|group| group.iter());
        Table::new(fields.map(|(name, pointer, kind)| Field { name, pointer, kind: *kind }).collect())
    };
    let tables =
        |families: &'static [Family]| families.iter().map(|(family, groups)| (*family, table(groups))).collect();
    written().map(|(provider, families)| (provider, tables(families))).collect()
}

use Kind::{Body, Branch, Comment, Fact, Title};

const GITHUB: Written = &[
    ("action", "/action", Fact),
    ("repository", "/repository/full_name", Fact),
    ("sender", "/sender/login", Fact),
    ("label", "/label/name", Title),
];
const ISSUE: Written = &[
    ("number", "/issue/number", Fact),
    ("url", "/issue/html_url", Fact),
    ("state", "/issue/state", Fact),
    ("author", "/issue/user/login", Fact),
    ("labels", "/issue/labels/*/name", Title),
    ("title", "/issue/title", Title),
    ("body", "/issue/body", Body),
];
const PULL: Written = &[
    ("number", "/pull_request/number", Fact),
    ("url", "/pull_request/html_url", Fact),
    ("state", "/pull_request/state", Fact),
    ("merged", "/pull_request/merged", Fact),
    ("draft", "/pull_request/draft", Fact),
    ("author", "/pull_request/user/login", Fact),
    ("from branch", "/pull_request/head/ref", Branch),
    ("into branch", "/pull_request/base/ref", Branch),
    ("labels", "/pull_request/labels/*/name", Title),
    ("title", "/pull_request/title", Title),
    ("body", "/pull_request/body", Body),
];
const COMMENT: Written = &[
    ("comment url", "/comment/html_url", Fact),
    ("comment author", "/comment/user/login", Fact),
    ("file", "/comment/path", Title),
    ("comment", "/comment/body", Comment),
];
const REVIEW: Written = &[
    ("review", "/review/state", Fact),
    ("reviewer", "/review/user/login", Fact),
    ("review text", "/review/body", Comment),
];
const THREAD: Written = &[("comment", "/thread/comments/*/body", Comment)];
const PUSH: Written = &[
    ("ref", "/ref", Branch),
    ("compare", "/compare", Fact),
    ("pusher", "/pusher/name", Fact),
    ("commit", "/commits/*/id", Fact),
    ("message", "/commits/*/message", Comment),
    ("author", "/commits/*/author/name", Title),
    ("head message", "/head_commit/message", Comment),
];
const DISCUSSION: Written = &[
    ("number", "/discussion/number", Fact),
    ("url", "/discussion/html_url", Fact),
    ("author", "/discussion/user/login", Fact),
    ("title", "/discussion/title", Title),
    ("body", "/discussion/body", Body),
];
const RELEASE: Written = &[
    ("url", "/release/html_url", Fact),
    ("author", "/release/author/login", Fact),
    ("tag", "/release/tag_name", Branch),
    ("name", "/release/name", Title),
    ("body", "/release/body", Body),
];
const REF: Written =
    &[("ref", "/ref", Branch), ("ref type", "/ref_type", Fact), ("description", "/description", Title)];
const RUN: Written = &[
    ("workflow", "/workflow_run/name", Title),
    ("status", "/workflow_run/status", Fact),
    ("conclusion", "/workflow_run/conclusion", Fact),
    ("url", "/workflow_run/html_url", Fact),
    ("branch", "/workflow_run/head_branch", Branch),
    ("title", "/workflow_run/display_title", Title),
    ("message", "/workflow_run/head_commit/message", Comment),
];
const JOB: Written = &[
    ("job", "/workflow_job/name", Title),
    ("status", "/workflow_job/status", Fact),
    ("conclusion", "/workflow_job/conclusion", Fact),
    ("url", "/workflow_job/html_url", Fact),
    ("branch", "/workflow_job/head_branch", Branch),
];
const CHECK: Written = &[
    ("check", "/check_run/name", Title),
    ("conclusion", "/check_run/conclusion", Fact),
    ("url", "/check_run/html_url", Fact),
    ("title", "/check_run/output/title", Title),
    ("summary", "/check_run/output/summary", Comment),
    ("text", "/check_run/output/text", Comment),
];
const SUITE: Written = &[
    ("conclusion", "/check_suite/conclusion", Fact),
    ("branch", "/check_suite/head_branch", Branch),
    ("message", "/check_suite/head_commit/message", Comment),
];
const STATUS: Written = &[
    ("state", "/state", Fact),
    ("context", "/context", Title),
    ("description", "/description", Title),
    ("message", "/commit/commit/message", Comment),
];
const MILESTONE: Written = &[
    ("url", "/milestone/html_url", Fact),
    ("title", "/milestone/title", Title),
    ("description", "/milestone/description", Comment),
];
const WIKI: Written = &[
    ("page", "/pages/*/html_url", Fact),
    ("title", "/pages/*/title", Title),
    ("summary", "/pages/*/summary", Comment),
];

const LINEAR: Written =
    &[("action", "/action", Fact), ("type", "/type", Fact), ("url", "/url", Fact), ("actor", "/actor/name", Title)];
const LINEAR_ISSUE: Written = &[
    ("identifier", "/data/identifier", Fact),
    ("state", "/data/state/name", Title),
    ("team", "/data/team/key", Fact),
    ("priority", "/data/priorityLabel", Fact),
    ("assignee", "/data/assignee/name", Title),
    ("labels", "/data/labels/*/name", Title),
    ("branch", "/data/branchName", Branch),
    ("title", "/data/title", Title),
    ("description", "/data/description", Body),
];
const LINEAR_COMMENT: Written = &[
    ("author", "/data/user/name", Title),
    ("issue", "/data/issue/identifier", Fact),
    ("issue title", "/data/issue/title", Title),
    ("comment", "/data/body", Comment),
];
const LINEAR_PAGE: Written = &[
    ("name", "/data/name", Title),
    ("title", "/data/title", Title),
    ("subtitle", "/data/subtitle", Title),
    ("description", "/data/description", Body),
    ("content", "/data/content", Body),
    ("body", "/data/body", Comment),
];

const STRIPE: Written = &[
    ("type", "/type", Fact),
    ("live", "/livemode", Fact),
    ("id", "/data/object/id", Fact),
    ("object", "/data/object/object", Fact),
    ("status", "/data/object/status", Fact),
    ("amount", "/data/object/amount", Fact),
    ("amount total", "/data/object/amount_total", Fact),
    ("amount due", "/data/object/amount_due", Fact),
    ("amount paid", "/data/object/amount_paid", Fact),
    ("currency", "/data/object/currency", Fact),
    ("customer", "/data/object/customer", Fact),
    ("reason", "/data/object/reason", Fact),
    ("failure", "/data/object/failure_message", Title),
    ("name", "/data/object/name", Title),
    ("email", "/data/object/email", Title),
    ("receipt email", "/data/object/receipt_email", Title),
    ("customer name", "/data/object/customer_name", Title),
    ("customer email", "/data/object/customer_email", Title),
    ("customer name", "/data/object/customer_details/name", Title),
    ("customer email", "/data/object/customer_details/email", Title),
    ("billing name", "/data/object/billing_details/name", Title),
    ("statement", "/data/object/statement_descriptor", Title),
    ("metadata", "/data/object/metadata/*", Title),
    ("custom field", "/data/object/custom_fields/*/value", Title),
    ("custom field", "/data/object/custom_fields/*/text/value", Title),
    ("line", "/data/object/lines/data/*/description", Title),
    ("cancellation comment", "/data/object/cancellation_details/comment", Comment),
    ("evidence", "/data/object/evidence/uncategorized_text", Comment),
    ("footer", "/data/object/footer", Comment),
    ("description", "/data/object/description", Comment),
];

const PROVIDERS: &[(&str, &[Family])] = &[
    (
        "github",
        &[
            ("issues", &[GITHUB, ISSUE]),
            ("issue_comment", &[GITHUB, ISSUE, COMMENT]),
            ("pull_request", &[GITHUB, PULL]),
            ("pull_request_review", &[GITHUB, PULL, REVIEW]),
            ("pull_request_review_comment", &[GITHUB, PULL, COMMENT]),
            ("pull_request_review_thread", &[GITHUB, PULL, THREAD]),
            ("push", &[GITHUB, PUSH]),
            ("commit_comment", &[GITHUB, COMMENT]),
            ("discussion", &[GITHUB, DISCUSSION]),
            ("discussion_comment", &[GITHUB, DISCUSSION, COMMENT]),
            ("release", &[GITHUB, RELEASE]),
            ("create", &[GITHUB, REF]),
            ("delete", &[GITHUB, REF]),
            ("workflow_run", &[GITHUB, RUN]),
            ("workflow_job", &[GITHUB, JOB]),
            ("check_run", &[GITHUB, CHECK]),
            ("check_suite", &[GITHUB, SUITE]),
            ("status", &[GITHUB, STATUS]),
            ("milestone", &[GITHUB, MILESTONE]),
            ("gollum", &[GITHUB, WIKI]),
        ],
    ),
    (
        "linear",
        &[
            ("Issue", &[LINEAR, LINEAR_ISSUE]),
            ("Comment", &[LINEAR, LINEAR_COMMENT]),
            ("Project", &[LINEAR, LINEAR_PAGE]),
            ("ProjectUpdate", &[LINEAR, LINEAR_PAGE]),
            ("Document", &[LINEAR, LINEAR_PAGE]),
            ("Cycle", &[LINEAR, LINEAR_PAGE]),
            ("Attachment", &[LINEAR, LINEAR_PAGE]),
            ("IssueLabel", &[LINEAR, LINEAR_PAGE]),
        ],
    ),
    (
        "stripe",
        &[
            ("charge", &[STRIPE]),
            ("payment_intent", &[STRIPE]),
            ("invoice", &[STRIPE]),
            ("customer", &[STRIPE]),
            ("checkout", &[STRIPE]),
            ("payout", &[STRIPE]),
            ("refund", &[STRIPE]),
            ("subscription_schedule", &[STRIPE]),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_by_the_family_of_an_event() {
        assert!(table("github", "issues.opened").is_some());
        assert!(table("stripe", "payment_intent.succeeded").is_some());
        assert!(table("linear", "Issue.create").is_some());
        assert!(table("bitbucket", "pullrequest:created").is_some());
        assert!(table("slack", "/deploy").is_some());
        assert!(table("hubspot", "contact.creation").is_some());
        assert!(table("github", "sponsorship.created").is_none());
        assert!(table("own", "issues.opened").is_none());
    }

    #[test]
    fn users_text_of_a_pack_is_named_and_facts_are_not() {
        let check = |provider: &str, event_type: &str, json: &str, expected: &[&str]| {
            let table = table(provider, event_type).unwrap_or_else(|| panic!("{provider} {event_type}"));
            assert_eq!(crate::inspect(json, Some(table)).user_text, expected, "{provider} {event_type}");
        };
        let gitlab = r#"{"object_kind":"note","project":{"path_with_namespace":"a/b"},"object_attributes":{"note":"Hi","url":"u"}}"#;
        check("gitlab", "note", gitlab, &["/object_attributes/note"]);
        let pull = r#"{"repository":{"full_name":"a/b"},"pullrequest":{"id":7,"title":"T","description":"D"}}"#;
        check("bitbucket", "pullrequest:created", pull, &["/pullrequest/title", "/pullrequest/description"]);
        let mention = r#"{"team_id":"T","event":{"channel":"C","text":"Hi","blocks":[{"elements":[{"elements":[{"type":"text","text":"Hi"}]}]}]}}"#;
        check("slack", "app_mention", mention, &["/event/text", "/event/blocks/0/elements/0/elements/0/text"]);
        check("slack", "/deploy", r#"{"command":"/deploy","text":"now"}"#, &["/text"]);
        let issue = r#"{"issue":{"key":"A-1","fields":{"summary":"S","labels":["x"]}},"changelog":{"items":[{"field":"f","toString":"t"}]}}"#;
        let expected = ["/issue/fields/summary", "/issue/fields/labels/0", "/changelog/items/0/toString"];
        check("jira", "jira:issue_updated", issue, &expected);
        let whatsapp = r#"{"entry":[{"changes":[{"field":"messages","value":{"messages":[{"from":"1","text":{"body":"Hi"}}]}}]}]}"#;
        let body = ["/entry/0/changes/0/value/messages/0/text/body"];
        check("meta", "whatsapp_business_account.messages", whatsapp, &body);
        let batch = r#"{"items":[{"subscriptionType":"contact.propertyChange","propertyValue":"Ada"}]}"#;
        check("hubspot", "contact.propertyChange", batch, &["/items/0/propertyValue"]);
        // Nothing that it knows: then all of the payload counts.
        check("hubspot", "contact.creation", r#"{"items":[{"objectId":1}]}"#, &[""]);
    }

    #[test]
    fn limits_are_those_that_are_promised() {
        assert_eq!([Title, Branch, Comment, Body].map(Kind::limit), [500, 200, 20_000, 50_000]);
    }

    #[test]
    fn no_field_of_a_table_hides_another() {
        for (provider, families) in all() {
            for (family, table) in families {
                let leaves = table.leaves.iter().flatten().count();
                assert_eq!(leaves, table.fields.len(), "{provider} {family}");
            }
        }
    }
}
