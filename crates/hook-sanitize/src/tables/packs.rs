//! Tables of providers that are described by data. One that has none here has its whole payload counted as written by users.

use super::{
    ANY, Family,
    Kind::{Body, Branch, Comment, Fact, Title},
    Written,
};

const GITLAB: Written = &[
    ("kind", "/object_kind", Fact),
    ("project", "/project/path_with_namespace", Fact),
    ("user", "/user/username", Fact),
    ("user name", "/user/name", Title),
];
const GITLAB_ATTRIBUTES: Written = &[
    ("number", "/object_attributes/iid", Fact),
    ("url", "/object_attributes/url", Fact),
    ("state", "/object_attributes/state", Fact),
    ("action", "/object_attributes/action", Fact),
    ("from branch", "/object_attributes/source_branch", Branch),
    ("into branch", "/object_attributes/target_branch", Branch),
    ("labels", "/labels/*/title", Title),
    ("last commit", "/object_attributes/last_commit/message", Comment),
    ("last commit title", "/object_attributes/last_commit/title", Title),
    ("last author", "/object_attributes/last_commit/author/name", Title),
    ("title", "/object_attributes/title", Title),
    ("description", "/object_attributes/description", Body),
];
const GITLAB_NOTE: Written = &[
    ("url", "/object_attributes/url", Fact),
    ("on", "/object_attributes/noteable_type", Fact),
    ("merge request", "/merge_request/title", Title),
    ("from branch", "/merge_request/source_branch", Branch),
    ("issue", "/issue/title", Title),
    ("commit", "/commit/message", Comment),
    ("snippet", "/snippet/title", Title),
    ("merge request description", "/merge_request/description", Body),
    ("last commit", "/merge_request/last_commit/message", Comment),
    ("issue description", "/issue/description", Body),
    ("snippet text", "/snippet/content", Body),
    ("file", "/object_attributes/position/new_path", Title),
    ("comment", "/object_attributes/note", Comment),
];
const GITLAB_PUSH: Written = &[
    ("ref", "/ref", Branch),
    ("pusher", "/user_username", Fact),
    ("pusher name", "/user_name", Title),
    ("tag message", "/message", Comment),
    ("commit", "/commits/*/id", Fact),
    ("author", "/commits/*/author/name", Title),
    ("commit title", "/commits/*/title", Title),
    ("commit message", "/commits/*/message", Comment),
];
const GITLAB_PIPELINE: Written = &[
    ("number", "/object_attributes/iid", Fact),
    ("url", "/object_attributes/url", Fact),
    ("status", "/object_attributes/status", Fact),
    ("ref", "/object_attributes/ref", Branch),
    ("name", "/object_attributes/name", Title),
    ("merge request", "/merge_request/title", Title),
    ("from branch", "/merge_request/source_branch", Branch),
    ("job", "/builds/*/name", Title),
    ("author", "/commit/author/name", Title),
    ("commit title", "/commit/title", Title),
    ("commit message", "/commit/message", Comment),
];
const GITLAB_WIKI: Written = &[
    ("url", "/object_attributes/url", Fact),
    ("action", "/object_attributes/action", Fact),
    ("title", "/object_attributes/title", Title),
    ("message", "/object_attributes/message", Comment),
    ("content", "/object_attributes/content", Body),
];
const GITLAB_RELEASE: Written = &[
    ("url", "/url", Fact),
    ("action", "/action", Fact),
    ("tag", "/tag", Branch),
    ("name", "/name", Title),
    ("commit title", "/commit/title", Title),
    ("commit message", "/commit/message", Comment),
    ("description", "/description", Body),
];

const BITBUCKET: Written = &[
    ("repository", "/repository/full_name", Fact),
    ("actor", "/actor/nickname", Fact),
    ("actor name", "/actor/display_name", Title),
    ("comment url", "/comment/links/html/href", Fact),
    ("file", "/comment/inline/path", Title),
    ("comment author", "/comment/user/display_name", Title),
    ("comment", "/comment/content/raw", Comment),
];
const BITBUCKET_PULL: Written = &[
    ("number", "/pullrequest/id", Fact),
    ("url", "/pullrequest/links/html/href", Fact),
    ("state", "/pullrequest/state", Fact),
    ("author", "/pullrequest/author/display_name", Title),
    ("from branch", "/pullrequest/source/branch/name", Branch),
    ("into branch", "/pullrequest/destination/branch/name", Branch),
    ("reason", "/pullrequest/reason", Comment),
    ("title", "/pullrequest/title", Title),
    ("description", "/pullrequest/description", Body),
    ("summary", "/pullrequest/summary/raw", Body),
];
const BITBUCKET_ISSUE: Written = &[
    ("number", "/issue/id", Fact),
    ("url", "/issue/links/html/href", Fact),
    ("state", "/issue/state", Fact),
    ("priority", "/issue/priority", Fact),
    ("title", "/issue/title", Title),
    ("description", "/issue/content/raw", Body),
];
const BITBUCKET_REPOSITORY: Written = &[
    ("branch", "/push/changes/*/new/name", Branch),
    ("old branch", "/push/changes/*/old/name", Branch),
    ("commit", "/push/changes/*/commits/*/hash", Fact),
    ("author", "/push/changes/*/commits/*/author/raw", Title),
    ("message", "/push/changes/*/commits/*/message", Comment),
    ("check", "/commit_status/name", Title),
    ("check state", "/commit_status/state", Fact),
    ("check text", "/commit_status/description", Title),
];

const JIRA: Written = &[
    ("event", "/webhookEvent", Fact),
    ("issue", "/issue/key", Fact),
    ("type", "/issue/fields/issuetype/name", Title),
    ("status", "/issue/fields/status/name", Title),
    ("priority", "/issue/fields/priority/name", Title),
    ("reporter", "/issue/fields/reporter/displayName", Title),
    ("assignee", "/issue/fields/assignee/displayName", Title),
    ("labels", "/issue/fields/labels/*", Title),
    ("summary", "/issue/fields/summary", Title),
    ("user", "/user/displayName", Title),
    ("changed", "/changelog/items/*/field", Fact),
    ("from", "/changelog/items/*/fromString", Comment),
    ("to", "/changelog/items/*/toString", Comment),
    ("comment author", "/comment/author/displayName", Title),
    ("comment", "/comment/body", Comment),
    ("worklog", "/worklog/comment", Comment),
    ("environment", "/issue/fields/environment", Comment),
    ("description", "/issue/fields/description", Body),
];

const SLACK: Written = &[
    ("team", "/team_id", Fact),
    ("channel", "/event/channel", Fact),
    ("user", "/event/user", Fact),
    ("time", "/event/ts", Fact),
    ("thread", "/event/thread_ts", Fact),
    ("bot name", "/event/username", Title),
    ("text", "/event/text", Comment),
    ("blocks", "/event/blocks/*/text/text", Comment),
    ("blocks", "/event/blocks/*/elements/*/text", Comment),
    ("blocks", "/event/blocks/*/elements/*/elements/*/text", Comment),
    ("blocks", "/event/blocks/*/elements/*/elements/*/elements/*/text", Comment),
    ("attachment title", "/event/attachments/*/title", Title),
    ("attachment author", "/event/attachments/*/author_name", Title),
    ("attachment", "/event/attachments/*/text", Comment),
    ("attachment", "/event/attachments/*/pretext", Comment),
    ("attachment", "/event/attachments/*/fallback", Comment),
    ("attachment field", "/event/attachments/*/fields/*/title", Title),
    ("attachment field", "/event/attachments/*/fields/*/value", Comment),
    ("file", "/event/files/*/name", Title),
    ("file title", "/event/files/*/title", Title),
    ("edited text", "/event/message/text", Comment),
    ("earlier text", "/event/previous_message/text", Comment),
];
const SLACK_COMMAND: Written = &[
    ("command", "/command", Fact),
    ("user", "/user_id", Fact),
    ("user name", "/user_name", Title),
    ("channel", "/channel_id", Fact),
    ("channel name", "/channel_name", Title),
    ("text", "/text", Comment),
];

const SENTRY_ISSUE: Written = &[
    ("action", "/action", Fact),
    ("issue", "/data/issue/shortId", Fact),
    ("url", "/data/issue/web_url", Fact),
    ("project", "/data/issue/project/slug", Fact),
    ("level", "/data/issue/level", Fact),
    ("status", "/data/issue/status", Fact),
    ("culprit", "/data/issue/culprit", Title),
    ("type", "/data/issue/metadata/type", Title),
    ("file", "/data/issue/metadata/filename", Title),
    ("function", "/data/issue/metadata/function", Title),
    ("title", "/data/issue/title", Title),
    ("issue title", "/data/issue/metadata/title", Title),
    ("message", "/data/issue/metadata/value", Comment),
];
const SENTRY_COMMENT: Written = &[
    ("action", "/action", Fact),
    ("project", "/data/project_slug", Fact),
    ("issue", "/data/issue_id", Fact),
    ("author", "/actor/name", Title),
    ("comment", "/data/comment", Comment),
];

const PAGERDUTY: Written = &[
    ("event", "/event/event_type", Fact),
    ("by", "/event/agent/summary", Title),
    ("id", "/event/data/id", Fact),
    ("number", "/event/data/number", Fact),
    ("url", "/event/data/html_url", Fact),
    ("status", "/event/data/status", Fact),
    ("urgency", "/event/data/urgency", Fact),
    ("service", "/event/data/service/summary", Title),
    ("priority", "/event/data/priority/summary", Title),
    ("assignee", "/event/data/assignees/*/summary", Title),
    ("team", "/event/data/teams/*/summary", Title),
    ("incident", "/event/data/incident/summary", Title),
    ("resolution", "/event/data/resolve_reason/incident/summary", Title),
    ("title", "/event/data/title", Title),
    ("message", "/event/data/message", Comment),
    ("note", "/event/data/content", Comment),
];

const INTERCOM_CONVERSATION: Written = &[
    ("topic", "/topic", Fact),
    ("conversation", "/data/item/id", Fact),
    ("state", "/data/item/state", Fact),
    ("author", "/data/item/source/author/name", Title),
    ("email", "/data/item/source/author/email", Title),
    ("tag", "/data/item/tags/tags/*/name", Title),
    ("title", "/data/item/title", Title),
    ("subject", "/data/item/source/subject", Title),
    ("page", "/data/item/source/url", Title),
    ("message", "/data/item/source/body", Body),
    ("answer of", "/data/item/conversation_parts/conversation_parts/*/author/name", Title),
    ("answer", "/data/item/conversation_parts/conversation_parts/*/body", Comment),
    ("rating", "/data/item/conversation_rating/remark", Comment),
];

const TYPEFORM: Written = &[
    ("form", "/form_response/form_id", Fact),
    ("form title", "/form_response/definition/title", Title),
    ("question", "/form_response/definition/fields/*/title", Title),
    ("given with the address", "/form_response/hidden/*", Title),
    ("variable", "/form_response/variables/*/text", Comment),
    ("answer", "/form_response/answers/*/text", Comment),
    ("answer", "/form_response/answers/*/email", Title),
    ("answer", "/form_response/answers/*/phone_number", Title),
    ("answer", "/form_response/answers/*/url", Title),
    ("answer", "/form_response/answers/*/file_url", Title),
    ("answer", "/form_response/answers/*/choice/label", Title),
    ("answer", "/form_response/answers/*/choice/other", Comment),
    ("answer", "/form_response/answers/*/choices/labels/*", Title),
    ("answer", "/form_response/answers/*/choices/other", Comment),
];

const TWILIO_MESSAGE: Written = &[
    ("from", "/From", Fact),
    ("to", "/To", Fact),
    ("status", "/MessageStatus", Fact),
    ("media", "/NumMedia", Fact),
    ("name", "/ProfileName", Title),
    ("button", "/ButtonText", Title),
    ("label", "/Label", Title),
    ("place", "/Address", Title),
    ("text", "/Body", Comment),
];

const CALENDLY: Written = &[
    ("event", "/event", Fact),
    ("status", "/payload/status", Fact),
    ("meeting", "/payload/scheduled_event/name", Title),
    ("start", "/payload/scheduled_event/start_time", Fact),
    ("place", "/payload/scheduled_event/location/location", Title),
    ("name", "/payload/name", Title),
    ("first name", "/payload/first_name", Title),
    ("last name", "/payload/last_name", Title),
    ("email", "/payload/email", Title),
    ("came from", "/payload/tracking/*", Title),
    ("question", "/payload/questions_and_answers/*/question", Title),
    ("answer", "/payload/questions_and_answers/*/answer", Comment),
    ("cancelled by", "/payload/cancellation/canceled_by", Title),
    ("reason", "/payload/cancellation/reason", Comment),
];

const META: Written = &[
    ("object", "/object", Fact),
    ("field", "/entry/*/changes/*/field", Fact),
    ("item", "/entry/*/changes/*/value/item", Fact),
    ("number", "/entry/*/changes/*/value/metadata/display_phone_number", Fact),
    ("from", "/entry/*/changes/*/value/messages/*/from", Fact),
    ("name", "/entry/*/changes/*/value/contacts/*/profile/name", Title),
    ("text", "/entry/*/changes/*/value/messages/*/text/body", Comment),
    ("button", "/entry/*/changes/*/value/messages/*/button/text", Title),
    ("choice", "/entry/*/changes/*/value/messages/*/interactive/*/title", Title),
    ("choice text", "/entry/*/changes/*/value/messages/*/interactive/*/description", Comment),
    ("form", "/entry/*/changes/*/value/messages/*/interactive/*/response_json", Comment),
    ("caption", "/entry/*/changes/*/value/messages/*/image/caption", Comment),
    ("caption", "/entry/*/changes/*/value/messages/*/video/caption", Comment),
    ("caption", "/entry/*/changes/*/value/messages/*/document/caption", Comment),
    ("file", "/entry/*/changes/*/value/messages/*/document/filename", Title),
    ("author", "/entry/*/changes/*/value/from/name", Title),
    ("author", "/entry/*/changes/*/value/from/username", Title),
    ("post", "/entry/*/changes/*/value/message", Comment),
    ("comment", "/entry/*/changes/*/value/text", Comment),
    ("sender", "/entry/*/messaging/*/sender/id", Fact),
    ("message", "/entry/*/messaging/*/message/text", Comment),
    ("title", "/entry/*/messaging/*/postback/title", Title),
];

const BUILDKITE: Written = &[
    ("event", "/event", Fact),
    ("pipeline", "/pipeline/slug", Fact),
    ("number", "/build/number", Fact),
    ("url", "/build/web_url", Fact),
    ("state", "/build/state", Fact),
    ("commit", "/build/commit", Fact),
    ("branch", "/build/branch", Branch),
    ("tag", "/build/tag", Branch),
    ("creator", "/build/creator/name", Title),
    ("author", "/build/author/name", Title),
    ("given", "/build/env/*", Comment),
    ("data", "/build/meta_data/*", Comment),
    ("job", "/job/name", Title),
    ("job state", "/job/state", Fact),
    ("message", "/build/message", Comment),
];

const FIGMA: Written = &[
    ("event", "/event_type", Fact),
    ("by", "/triggered_by/handle", Title),
    ("file", "/file_name", Title),
    ("version", "/label", Title),
    ("description", "/description", Comment),
    ("comment", "/comment/*/text", Comment),
];

const GRAFANA: Written = &[
    ("status", "/status", Fact),
    ("receiver", "/receiver", Fact),
    ("alert status", "/alerts/*/status", Fact),
    ("label", "/alerts/*/labels/*", Title),
    ("annotation", "/alerts/*/annotations/*", Comment),
    ("value", "/alerts/*/valueString", Comment),
    ("group", "/groupLabels/*", Title),
    ("common label", "/commonLabels/*", Title),
    ("common annotation", "/commonAnnotations/*", Comment),
    ("title", "/title", Title),
    ("message", "/message", Body),
];

const HUBSPOT: Written = &[
    ("event", "/items/*/subscriptionType", Fact),
    ("object", "/items/*/objectId", Fact),
    ("property", "/items/*/propertyName", Fact),
    ("value", "/items/*/propertyValue", Comment),
];

const NETLIFY_DEPLOY: Written = &[
    ("site", "/name", Fact),
    ("state", "/state", Fact),
    ("url", "/deploy_ssl_url", Fact),
    ("context", "/context", Fact),
    ("commit", "/commit_ref", Fact),
    ("branch", "/branch", Branch),
    ("committer", "/committer", Title),
    ("error", "/error_message", Comment),
    ("title", "/title", Comment),
];

/// The providers of packs, and the families of events of each.
pub(super) const PROVIDERS: &[(&str, &[Family])] = &[
    (
        "bitbucket",
        &[
            ("pullrequest", &[BITBUCKET, BITBUCKET_PULL]),
            ("issue", &[BITBUCKET, BITBUCKET_ISSUE]),
            ("repo", &[BITBUCKET, BITBUCKET_REPOSITORY]),
        ],
    ),
    ("buildkite", &[("build", &[BUILDKITE]), ("job", &[BUILDKITE])]),
    ("calendly", &[("invitee", &[CALENDLY]), ("invitee_no_show", &[CALENDLY])]),
    (
        "figma",
        &[
            ("FILE_COMMENT", &[FIGMA]),
            ("FILE_UPDATE", &[FIGMA]),
            ("FILE_DELETE", &[FIGMA]),
            ("FILE_VERSION_UPDATE", &[FIGMA]),
        ],
    ),
    (
        "gitlab",
        &[
            ("merge_request", &[GITLAB, GITLAB_ATTRIBUTES]),
            ("issue", &[GITLAB, GITLAB_ATTRIBUTES]),
            ("work_item", &[GITLAB, GITLAB_ATTRIBUTES]),
            ("note", &[GITLAB, GITLAB_NOTE]),
            ("push", &[GITLAB, GITLAB_PUSH]),
            ("tag_push", &[GITLAB, GITLAB_PUSH]),
            ("pipeline", &[GITLAB, GITLAB_PIPELINE]),
            ("wiki_page", &[GITLAB, GITLAB_WIKI]),
            ("release", &[GITLAB, GITLAB_RELEASE]),
        ],
    ),
    ("grafana", &[("firing", &[GRAFANA]), ("resolved", &[GRAFANA])]),
    ("hubspot", &[(ANY, &[HUBSPOT])]),
    ("intercom", &[("conversation", &[INTERCOM_CONVERSATION])]),
    (
        "jira",
        &[
            ("jira", &[JIRA]),
            ("comment_created", &[JIRA]),
            ("comment_updated", &[JIRA]),
            ("comment_deleted", &[JIRA]),
            ("worklog_created", &[JIRA]),
            ("worklog_updated", &[JIRA]),
        ],
    ),
    ("meta", &[("whatsapp_business_account", &[META]), ("page", &[META]), ("instagram", &[META])]),
    (
        "netlify",
        &[
            ("deploy_created", &[NETLIFY_DEPLOY]),
            ("deploy_building", &[NETLIFY_DEPLOY]),
            ("deploy_failed", &[NETLIFY_DEPLOY]),
        ],
    ),
    ("pagerduty", &[("incident", &[PAGERDUTY])]),
    ("sentry", &[("issue", &[SENTRY_ISSUE]), ("comment", &[SENTRY_COMMENT])]),
    ("slack", &[("app_mention", &[SLACK]), ("message", &[SLACK]), ("", &[SLACK_COMMAND])]),
    ("twilio", &[("message", &[TWILIO_MESSAGE])]),
    ("typeform", &[("form_response", &[TYPEFORM])]),
];
