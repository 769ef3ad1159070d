#!/usr/bin/env python3
"""Writes the vectors of packs: one file beside this one for each provider.

What a provider has published stands here as published. Everything else is computed as the provider's documentation says, with
Python's `hmac` and `hashlib` and with `cryptography` (Ed25519), so that it owes nothing to the implementation that it checks.

    python3 vectors/verify/packs.py
"""

import base64
import hashlib
import hmac
import json
import pathlib
import urllib.parse
from datetime import datetime, timezone

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = pathlib.Path(__file__).parent
PUBLISHED = " (published values)"
COMPUTED = " (computed with Python)"
NOW = 1_700_000_000


def mac(secret, *parts, algorithm="sha256"):
    key = secret if isinstance(secret, bytes) else secret.encode()
    content = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return hmac.new(key, content, algorithm).digest()


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def rfc3339(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def claim(event_type=None, delivery_id=None, signed=None, key=None):
    return {
        "event_type": event_type,
        "delivery_id": delivery_id,
        "delivery_id_is_signed": None if delivery_id is None else bool(signed),
        "ordering_key": key,
    }


def taken(name, source, secret, headers, body, signature, claim=None, now=NOW, fresh=None, **more):
    vector = {"name": name, "source": source, "secrets": [secret], "headers": [list(header) for header in headers], "body": body}
    vector |= {"now": rfc3339(now), "signature": signature, "expected": {"slot": 0}}
    if fresh is not None:
        vector["fresh_for_seconds"] = fresh
    if claim is not None:
        vector["claim"] = claim
    return vector | more


def refused(code, vector, name, **changes):
    kept = {key: vector[key] for key in ("source", "secrets", "headers", "body", "now", "url") if key in vector}
    return {"name": name} | kept | changes | {"expected": {"refusal": code}}


def reply(body, content_type, status=200):
    return {"status": status, "content_type": content_type, "body": body}


TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
FILES = {}


def write(verifier, *vectors, gets=()):
    content = {"about": "See README.md for what the fields mean. Written by packs.py.", "verifier": verifier, "vectors": list(vectors)}
    if gets:
        content["gets"] = list(gets)
    FILES[verifier] = content


def simple(verifier, title, docs, secret, header, body, claim, prefix="", algorithm="sha256", encode=bytes.hex, headers=()):
    """An HMAC of the body alone in a header."""
    body = compact(body)
    signature = encode(mac(secret, body, algorithm=algorithm))
    return taken(
        f"{title}, an HMAC of the body", docs + COMPUTED, secret, [(header, prefix + signature), *headers], body, signature, claim
    )


# --- basic ---------------------------------------------------------------------------------------------------------------

RFC7617 = "https://www.rfc-editor.org/rfc/rfc7617#section-2"
BASIC = taken(
    "the example of RFC 7617",
    RFC7617 + PUBLISHED,
    "Aladdin:open sesame",
    [("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")],
    '{"a":1}',
    "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    claim(),
    signs_body=False,
)
write(
    "basic",
    BASIC,
    refused("malformed_signature", BASIC, "a bearer token is no user and password", headers=[["Authorization", "Bearer QWxhZGRpbg=="]]),
    refused("unusable_secret", BASIC, "a secret without a colon is no user and password", secrets=["Aladdin"]),
)

# --- adyen ---------------------------------------------------------------------------------------------------------------

ADYEN = "https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures/"
ADYEN_ITEM = {
    "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
    "amount": {"value": 1130, "currency": "EUR"},
    "pspReference": "7914073381342284",
    "eventCode": "AUTHORISATION",
    "eventDate": "2019-05-06T17:15:34.121+02:00",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "paymentMethod": "visa",
    "success": "true",
}


def adyen_body(*items):
    return compact({"live": "false", "notificationItems": [{"NotificationRequestItem": item} for item in items]})


ADYEN_VECTOR = taken(
    "Adyen's example",
    ADYEN + PUBLISHED,
    "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    [],
    adyen_body(ADYEN_ITEM),
    "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0=",
    claim("AUTHORISATION", "7914073381342284:AUTHORISATION:true", True, "7914073381342284"),
    signs_body=False,
)
write(
    "adyen",
    ADYEN_VECTOR,
    refused("signature_mismatch", ADYEN_VECTOR, "another amount", body=adyen_body(ADYEN_ITEM | {"amount": {"value": 9, "currency": "EUR"}})),
    refused("signature_mismatch", ADYEN_VECTOR, "another outcome", body=adyen_body(ADYEN_ITEM | {"success": "false"})),
    refused("malformed_signature", ADYEN_VECTOR, "a second item that nothing signs", body=adyen_body(ADYEN_ITEM, ADYEN_ITEM)),
    refused("missing_signature", ADYEN_VECTOR, "no signature", body=adyen_body({"pspReference": "1"})),
    refused("malformed_signature", ADYEN_VECTOR, "a body that cannot be read", body="{"),
)

# --- providers that sign the body alone ----------------------------------------------------------------------------------

DOCS = {
    "bitbucket": "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
    "dropbox": "https://www.dropbox.com/developers/reference/webhooks",
    "grafana": "https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/#hmac-signature",
    "intercom": "https://developers.intercom.com/docs/webhooks/setting-up-webhooks",
    "jira": "https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-webhooks",
    "meta": "https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
    "pagerduty": "https://developer.pagerduty.com/docs/verifying-webhook-signatures",
    "sentry": "https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
    "shopify": "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
    "typeform": "https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
    "vercel": "https://vercel.com/docs/webhooks/webhooks-api#securing-webhooks",
}

write(
    "bitbucket",
    simple(
        "bitbucket", "Bitbucket", DOCS["bitbucket"], "It's a Secret to Everybody", "X-Hub-Signature",
        {"repository": {"full_name": "team/hello"}, "pullrequest": {"id": 7}},
        claim("pullrequest:created", "d-1", False, "team/hello#7"), prefix="sha256=",
        headers=[("X-Event-Key", "pullrequest:created"), ("X-Request-UUID", "d-1")],
    ),
    taken(
        "Atlassian's example, of Jira, which signs as Bitbucket does", DOCS["jira"] + PUBLISHED, "It's a Secret to Everybody",
        [("X-Hub-Signature", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9")],
        "Hello World!", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
    ),
)
write(
    "dropbox",
    simple(
        "dropbox", "Dropbox", DOCS["dropbox"], "app-secret", "X-Dropbox-Signature",
        {"list_folder": {"accounts": ["dbid:AAH4f99T0taONIb"]}, "delta": {"users": [12345678]}}, claim(),
    ),
    gets=[
        {"name": "the challenge is repeated", "source": DOCS["dropbox"], "url": "/webhook/dropbox?challenge=a%20b%3Cc", "reply": reply("a b<c", TEXT)},
        {"name": "a GET without a challenge is none", "source": DOCS["dropbox"], "url": "/webhook/dropbox"},
        {"name": "a challenge that is no text is none", "source": DOCS["dropbox"], "url": "/webhook/dropbox?challenge=%0d%0aX"},
        {"name": "a challenge that stands there twice is none", "source": DOCS["dropbox"], "url": "/webhook/dropbox?challenge=a&challenge=b"},
        {"name": "a huge challenge is none", "source": DOCS["dropbox"], "url": "/webhook/dropbox?challenge=" + "a" * 1025},
    ],
)
write(
    "grafana",
    simple(
        "grafana", "Grafana", DOCS["grafana"], "test-secret-key", "X-Grafana-Alerting-Signature",
        {"status": "firing", "groupKey": "{}:{alertname=\"HighLoad\"}", "alerts": []},
        claim("firing", None, None, '{}:{alertname="HighLoad"}'),
    ),
)
write(
    "intercom",
    simple(
        "intercom", "Intercom", DOCS["intercom"], "client-secret", "X-Hub-Signature",
        {"topic": "conversation.user.created", "id": "notif_1", "data": {"item": {"id": "7"}}},
        claim("conversation.user.created", "notif_1", True, "7"), prefix="sha1=", algorithm="sha1",
    ),
    gets=[
        {"name": "whether there is anything at the address", "source": "https://github.com/zulip/zulip/pull/24001", "method": "HEAD", "url": "/webhook/intercom", "reply": reply("", "")},
        {"name": "a GET asks nothing", "source": "https://github.com/zulip/zulip/pull/24001", "url": "/webhook/intercom"},
    ],
)
write(
    "jira",
    simple(
        "jira", "Jira", DOCS["jira"], "It's a Secret to Everybody", "X-Hub-Signature",
        {"webhookEvent": "jira:issue_updated", "issue": {"key": "HELLO-7"}},
        claim("jira:issue_updated", "d-1", False, "HELLO-7"), prefix="sha256=",
        headers=[("X-Atlassian-Webhook-Identifier", "d-1")],
    ),
    taken(
        "Atlassian's example", DOCS["jira"] + PUBLISHED, "It's a Secret to Everybody",
        [("X-Hub-Signature", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9")],
        "Hello World!", "a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9",
    ),
)
META_GET = "/webhook/meta?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
write(
    "meta",
    simple(
        "meta", "Meta", DOCS["meta"], "app-secret", "X-Hub-Signature-256",
        {"object": "page", "entry": [{"id": "0", "changes": [{"field": "feed", "value": {}}]}]},
        claim("page.feed"), prefix="sha256=",
    ),
    simple(
        "meta", "Meta, changes of two fields", DOCS["meta"], "app-secret", "X-Hub-Signature-256",
        {"object": "page", "entry": [{"changes": [{"field": "feed"}]}, {"changes": [{"field": "feed"}, {"field": "mention"}]}]},
        claim("page"), prefix="sha256=",
    ),
    gets=[
        {"name": "the challenge is repeated to who knows the token", "source": DOCS["meta"], "url": META_GET + "meatyhamhock", "token": "meatyhamhock", "reply": reply("1158201444", TEXT)},
        {"name": "another token is refused", "source": DOCS["meta"], "url": META_GET + "meatyhamhocl", "token": "meatyhamhock", "refusal": "signature_mismatch"},
        {"name": "no token is refused", "source": DOCS["meta"], "url": META_GET, "token": "meatyhamhock", "refusal": "signature_mismatch"},
        {"name": "a token that stands there twice is refused", "source": DOCS["meta"], "url": META_GET + "meatyhamhock&hub.verify_token=meatyhamhock", "token": "meatyhamhock", "refusal": "signature_mismatch"},
        {"name": "where no token is set, none is right", "source": DOCS["meta"], "url": META_GET, "refusal": "no_secret"},
        {"name": "another mode is no challenge", "source": DOCS["meta"], "url": "/webhook/meta?hub.mode=x&hub.challenge=1&hub.verify_token=meatyhamhock", "token": "meatyhamhock"},
    ],
)
PAGERDUTY_BODY = '{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_type":"incident","occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Tenex Engineer","type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident","self":"https://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/PGR0VU2","number":2,"status":"triggered","title":"A little bump in the road","service":{"html_url":"https://acme.pagerduty.com/services/PF9KMXH","id":"PF9KMXH","self":"https://api.pagerduty.com/services/PF9KMXH","summary":"API Service","type":"service_reference"},"assignees":[{"html_url":"https://acme.pagerduty.com/users/PTUXL6G","id":"PTUXL6G","self":"https://api.pagerduty.com/users/PTUXL6G","summary":"User 123","type":"user_reference"}],"escalation_policy":{"html_url":"https://acme.pagerduty.com/escalation_policies/PUS0KTE","id":"PUS0KTE","self":"https://api.pagerduty.com/escalation_policies/PUS0KTE","summary":"Default","type":"escalation_policy_reference"},"teams":[{"html_url":"https://acme.pagerduty.com/teams/PFCVPS0","id":"PFCVPS0","self":"https://api.pagerduty.com/teams/PFCVPS0","summary":"Engineering","type":"team_reference"}],"priority":{"html_url":"https://acme.pagerduty.com/account/incident_priorities","id":"PSO75BM","self":"https://api.pagerduty.com/priorities/PSO75BM","summary":"P1","type":"priority_reference"},"urgency":"high","conference_bridge":{"conference_number":1000,"conference_url":"https://example.com"},"resolve_reason":null}}}'
PAGERDUTY_PUBLISHED = "0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd"
PAGERDUTY = {"event": {"id": "01BW", "event_type": "incident.triggered", "data": {"id": "PGR0VU2"}}}
PAGERDUTY_SIGNATURE = mac("secret", compact(PAGERDUTY)).hex()
write(
    "pagerduty",
    simple("pagerduty", "PagerDuty", DOCS["pagerduty"], "secret", "X-PagerDuty-Signature", PAGERDUTY, claim("incident.triggered", "01BW", True, "PGR0VU2"), prefix="v1="),
    taken(
        "PagerDuty, one of several signatures", DOCS["pagerduty"] + COMPUTED, "secret",
        [("X-PagerDuty-Signature", f"v1={mac('older', compact(PAGERDUTY)).hex()},v1={PAGERDUTY_SIGNATURE}")],
        compact(PAGERDUTY), PAGERDUTY_SIGNATURE,
    ),
    taken(
        "the example of PagerDuty's library", "https://github.com/PagerDuty/go-pagerduty/blob/main/webhookv3/webhookv3_test.go" + PUBLISHED,
        "lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK", [("X-PagerDuty-Signature", "v1=" + PAGERDUTY_PUBLISHED)],
        PAGERDUTY_BODY, PAGERDUTY_PUBLISHED, claim("incident.priority_updated", "01BWDWL3NYY7LUFPZCC28QUCMK", True, "PGR0VU2"),
    ),
)
write(
    "sentry",
    simple(
        "sentry", "Sentry", DOCS["sentry"], "client-secret", "Sentry-Hook-Signature",
        {"action": "created", "data": {"issue": {"id": "7"}}}, claim("issue.created", "d-1", False, "7"),
        headers=[("Sentry-Hook-Resource", "issue"), ("Request-ID", "d-1")],
    ),
)
write(
    "shopify",
    simple(
        "shopify", "Shopify", DOCS["shopify"], "hush", "X-Shopify-Hmac-Sha256",
        {"id": 7, "admin_graphql_api_id": "gid://shopify/Order/7"}, claim("orders/create", "d-1", False, "gid://shopify/Order/7"),
        encode=b64, headers=[("X-Shopify-Topic", "orders/create"), ("X-Shopify-Webhook-Id", "d-1")],
    ),
)
write(
    "typeform",
    simple(
        "typeform", "Typeform", DOCS["typeform"], "abc123", "Typeform-Signature",
        {"event_id": "e-1", "event_type": "form_response", "form_response": {"token": "t"}},
        claim("form_response", "e-1", True, "t"), prefix="sha256=", encode=b64,
    ),
)
write(
    "vercel",
    simple(
        "vercel", "Vercel", DOCS["vercel"], "secret", "x-vercel-signature",
        {"id": "uev_1", "type": "deployment.succeeded", "payload": {"deployment": {"id": "dpl_1"}}},
        claim("deployment.succeeded", "uev_1", True, "dpl_1"), algorithm="sha1",
    ),
)

# --- a time beside the signature -----------------------------------------------------------------------------------------


def timed(verifier, title, docs, secret, header, element, prefix, separator, joint, body, claim, fresh, more=()):
    body = compact(body)
    signature = mac(secret, f"{NOW}{joint}", body).hex()
    value = f"{element}={NOW}{separator}{prefix}{signature}"
    vector = taken(f"{title}, a time beside the signature", docs + COMPUTED, secret, [(header, value)], body, signature, claim, fresh=fresh)
    later = f"{element}={NOW + 1}{separator}{prefix}{signature}"
    twice = f"{element}={NOW}{separator}{value}"
    write(
        verifier,
        vector,
        refused("signature_mismatch", vector, "another time", headers=[[header, later]]),
        refused("missing_timestamp", vector, "no time", headers=[[header, f"{prefix}{signature}"]]),
        refused("missing_timestamp", vector, "two times", headers=[[header, twice]]),
        *more,
    )


BUILDKITE_BODY = '{"event":"ping","service":{"id":"c9f8372d-c0cd-43dc-9274-768a875cf6ca","provider":"webhook","settings":{"url":"https://server.com/webhooks"}},"organization":{"id":"49801950-1df0-474f-bb56-ad6a930c5cb9","graphql_id":"T3JnYW5pemF0aW9uLS0tZTBmMzk3MgsTksGkxOWYtZTZjNzczZTJiYjEy","url":"https://api.buildkite.com/v2/organizations/acme-inc","web_url":"https://buildkite.com/acme-inc","name":"ACME Inc","slug":"acme-inc","agents_url":"https://api.buildkite.com/v2/organizations/acme-inc/agents","emojis_url":"https://api.buildkite.com/v2/organizations/acme-inc/emojis","created_at":"2021-02-03T20:34:10.486Z","pipelines_url":"https://api.buildkite.com/v2/organizations/acme-inc/pipelines"},"sender":{"id":"c9f8372d-c0cd-43dc-9269-bcbb7f308e3f","name":"ACME Man"}}'
BUILDKITE_SIGNATURE = "582d496ac2d869dd97a3101c4cda346288c49a742592daf582ec64c86449f79c"
BUILDKITE_VECTOR = taken(
    "the example of Buildkite's library", "https://github.com/buildkite/go-buildkite/blob/main/webhook_test.go" + PUBLISHED, "29b1ff5779c76bd48ba6705eb99ff970",
    [("X-Buildkite-Signature", "timestamp=1642080837,signature=" + BUILDKITE_SIGNATURE)], BUILDKITE_BODY, BUILDKITE_SIGNATURE, claim("ping"), now=1642080837, fresh=300,
)
timed("buildkite", "Buildkite", "https://buildkite.com/docs/apis/webhooks/pipelines#webhook-signature", "token", "X-Buildkite-Signature", "timestamp", "signature=", ",", ".", {"event": "build.finished", "build": {"id": "b-1"}}, claim("build.finished", None, None, "b-1"), 300, [BUILDKITE_VECTOR])
timed("calendly", "Calendly", "https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures", "5mEzn9C-I28UtwOjZJtFoob0sAAFZ95GbZkqj4y3i0I", "Calendly-Webhook-Signature", "t", "v1=", ",", ".", {"event": "invitee.created", "payload": {"uri": "u-1"}}, claim("invitee.created", None, None, "u-1"), 180)
timed("paddle", "Paddle", "https://developer.paddle.com/webhooks/signature-verification", "pdl_ntfset_01gkdqxbnp6a0y3xh0m9jbmk1v_sample", "Paddle-Signature", "ts", "h1=", ";", ":", {"event_id": "evt_1", "event_type": "transaction.completed", "data": {"id": "txn_1"}}, claim("transaction.completed", "evt_1", True, "txn_1"), 60)

# --- Svix and who follows it ---------------------------------------------------------------------------------------------

SVIX = "https://docs.svix.com/receiving/verifying-payloads/how-manual"
SVIX_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SVIX_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SVIX_SIGNATURE = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
SVIX_TIME = 1614265330


def svix(verifier, prefix, source, secret, key, body, event, event_key, published=True):
    headers = lambda time, signature: [(f"{prefix}-id", SVIX_ID), (f"{prefix}-timestamp", str(time)), (f"{prefix}-signature", "v1," + signature)]
    vectors = []
    if published:
        vectors.append(taken("Svix' example", SVIX + PUBLISHED, SVIX_SECRET, headers(SVIX_TIME, SVIX_SIGNATURE), '{"test": 2432232314}', SVIX_SIGNATURE, claim(None, SVIX_ID, True), now=SVIX_TIME, fresh=300))
    body = compact(body)
    signature = b64(mac(key, f"{SVIX_ID}.{NOW}.", body))
    vectors.append(taken(f"{verifier}, an event", source + COMPUTED, secret, headers(NOW, signature), body, signature, claim(event, SVIX_ID, True, event_key), fresh=300))
    vectors.append(refused("signature_mismatch", vectors[-1], "another id", headers=[[name, "msg_2" if name.endswith("-id") else value] for name, value in headers(NOW, signature)]))
    vectors.append(refused("malformed_signature", vectors[-2], "an id that runs on", headers=[[name, value + "." if name.endswith("-id") else value] for name, value in headers(NOW, signature)]))
    write(verifier, *vectors)


SVIX_KEY = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
svix("svix", "svix", SVIX, SVIX_SECRET, SVIX_KEY, {"type": "invoice.paid"}, "invoice.paid", None)
svix("clerk", "svix", "https://clerk.com/docs/guides/development/webhooks/syncing", SVIX_SECRET, SVIX_KEY, {"type": "user.created", "data": {"id": "user_1"}}, "user.created", "user_1")
svix("resend", "svix", "https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests", SVIX_SECRET, SVIX_KEY, {"type": "email.sent", "data": {"email_id": "e-1"}}, "email.sent", "e-1")
svix("openai", "webhook", "https://platform.openai.com/docs/guides/webhooks", SVIX_SECRET, SVIX_KEY, {"type": "response.completed", "data": {"id": "resp_1"}}, "response.completed", "resp_1")
svix("polar", "webhook", "https://polar.sh/docs/integrate/webhooks/delivery", "polar_whs_sample", b"polar_whs_sample", {"type": "order.paid", "data": {"id": "o-1"}}, "order.paid", "o-1", published=False)

# --- a time in a header of its own ---------------------------------------------------------------------------------------

SLACK = "https://docs.slack.dev/authentication/verifying-requests-from-slack/"
SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK_BODY = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
SLACK_SIGNATURE = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def slack(name, body, claim=None, **more):
    body = compact(body)
    signature = mac(SLACK_SECRET, f"v0:{NOW}:", body).hex()
    headers = [("X-Slack-Request-Timestamp", str(NOW)), ("X-Slack-Signature", "v0=" + signature)]
    return taken(name, SLACK + COMPUTED, SLACK_SECRET, headers, body, signature, claim, fresh=300, **more)


SLACK_EVENT = slack("Slack, an event", {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": {"type": "app_mention", "channel": "C1"}}, claim("app_mention", "Ev1", True, "T1:C1"))
write(
    "slack",
    taken(
        "Slack's example, a command", SLACK + PUBLISHED, SLACK_SECRET,
        [("X-Slack-Request-Timestamp", "1531420618"), ("X-Slack-Signature", "v0=" + SLACK_SIGNATURE)], SLACK_BODY, SLACK_SIGNATURE,
        claim("/webhook-collect", "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c", True, "T1DC2JH3J:G8PSS9T3V"), now=1531420618, fresh=300,
    ),
    SLACK_EVENT,
    slack("Slack asks whether the address is ours", {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}, challenge=reply("3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", TEXT)),
    refused("missing_signature", SLACK_EVENT, "a challenge without a signature", headers=[], body='{"type":"url_verification","challenge":"x"}'),
    refused("missing_timestamp", SLACK_EVENT, "no time", headers=[SLACK_EVENT["headers"][1]]),
)

ZOOM = "https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events"


def zoom(name, body, claim=None, **more):
    body = compact(body)
    signature = mac("zoom-secret", f"v0:{NOW}:", body).hex()
    headers = [("x-zm-request-timestamp", str(NOW)), ("x-zm-signature", "v0=" + signature)]
    return taken(name, ZOOM + COMPUTED, "zoom-secret", headers, body, signature, claim, fresh=300, **more)


write(
    "zoom",
    zoom("Zoom, an event", {"event": "meeting.started", "payload": {"object": {"id": "123"}}}, claim("meeting.started", None, None, "123")),
    zoom(
        "Zoom asks whether the address is ours", {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}},
        challenge=reply(compact({"encryptedToken": mac("zoom-secret", "qgg8vlvZRS6UYooatFL8Aw").hex(), "plainToken": "qgg8vlvZRS6UYooatFL8Aw"}), JSON),
    ),
)

TWITCH = "https://dev.twitch.tv/docs/eventsub/handling-webhook-events/#verifying-the-event-message"


def twitch(name, kind, body, claim=None, **more):
    body = compact(body)
    time = rfc3339(NOW)
    signature = mac("s3cre77890ab", "e76c6bd4-55c9-4987-8304-da1588d8988b", time, body).hex()
    headers = [
        ("Twitch-Eventsub-Message-Id", "e76c6bd4-55c9-4987-8304-da1588d8988b"), ("Twitch-Eventsub-Message-Timestamp", time),
        ("Twitch-Eventsub-Message-Type", kind), ("Twitch-Eventsub-Message-Signature", "sha256=" + signature),
    ]
    return taken(name, TWITCH + COMPUTED, "s3cre77890ab", headers, body, signature, claim, fresh=600, **more)


TWITCH_EVENT = twitch("Twitch, an event", "notification", {"subscription": {"type": "channel.follow"}, "event": {"broadcaster_user_id": "12826"}}, claim("channel.follow", "e76c6bd4-55c9-4987-8304-da1588d8988b", True, "channel.follow:12826"))
TWITCH_RELABELLED = [[name, "webhook_callback_verification" if name.endswith("-Type") else value] for name, value in TWITCH_EVENT["headers"]]
write(
    "twitch",
    TWITCH_EVENT,
    twitch("Twitch asks whether the address is ours", "webhook_callback_verification", {"challenge": "pogchamp-kappa-360noscope-vohiyo", "subscription": {"type": "channel.follow"}}, challenge=reply("pogchamp-kappa-360noscope-vohiyo", "text/plain")),
    TWITCH_EVENT | {"name": "an event without a challenge stays an event, whatever its header says", "headers": TWITCH_RELABELLED, "challenge": None},
    refused("signature_mismatch", TWITCH_EVENT, "another id", headers=[["Twitch-Eventsub-Message-Id", "x"], *TWITCH_EVENT["headers"][1:]]),
)

# --- key pairs -----------------------------------------------------------------------------------------------------------

DISCORD = "https://docs.discord.com/developers/events/webhook-events#preparing-for-events"
# The key of RFC 8032, section 7.1, test 2.
DISCORD_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
DISCORD_PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"


def discord(name, body, claim=None, **more):
    body = compact(body)
    signature = DISCORD_KEY.sign(f"{NOW}{body}".encode()).hex()
    headers = [("X-Signature-Ed25519", signature), ("X-Signature-Timestamp", str(NOW))]
    return taken(name, DISCORD + COMPUTED, DISCORD_PUBLIC, headers, body, signature, claim, fresh=300, **more)


write(
    "discord",
    discord("an interaction is an event", {"id": "i-1", "type": 2, "token": "x", "data": {"name": "deploy"}}, claim("interaction.deploy", "i-1", True), challenge=None),
    discord("Discord, an event", {"version": 1, "type": 1, "event": {"type": "APPLICATION_AUTHORIZED"}}, claim("APPLICATION_AUTHORIZED"), challenge=None),
    discord("the ping of webhook events", {"version": 1, "application_id": "1", "type": 0}, challenge=reply("", "", 204)),
    discord("the ping of interactions", {"id": "1", "type": 1, "token": "x", "version": 1}, challenge=reply('{"type":1}', JSON)),
)

SENDGRID = "https://github.com/sendgrid/sendgrid-python/blob/main/test/unit/test_eventwebhook.py"
SENDGRID_BODY = '[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
SENDGRID_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
SENDGRID_HEADER = "X-Twilio-Email-Event-Webhook-"
write(
    "sendgrid",
    taken(
        "SendGrid's example", SENDGRID + PUBLISHED, "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
        [(SENDGRID_HEADER + "Signature", SENDGRID_SIGNATURE), (SENDGRID_HEADER + "Timestamp", "1600112502")], SENDGRID_BODY, SENDGRID_SIGNATURE,
        claim("dropped"), now=1600112502, fresh=300,
    ),
)

# --- the address is signed -----------------------------------------------------------------------------------------------

SQUARE = "https://developer.squareup.com/docs/webhooks/step3validate"
SQUARE_SIGNATURE = "2kRE5qRU2tR+tBGlDwMEw2avJ7QM4ikPYD/PJ3bd9Og="
SQUARE_EVENT = compact({"type": "payment.updated", "event_id": "e-1", "data": {"id": "p-1"}})
SQUARE_EVENT_SIGNATURE = b64(mac("asdf1234", "https://hooks.example.com/webhook/square", SQUARE_EVENT))
SQUARE_VECTOR = taken(
    "Square's example", SQUARE + PUBLISHED, "asdf1234", [("Host", "example.com"), ("x-square-hmacsha256-signature", SQUARE_SIGNATURE)],
    '{"hello":"world"}', SQUARE_SIGNATURE, url="/webhook",
)
write(
    "square",
    SQUARE_VECTOR,
    taken(
        "the address of the contract, whatever that of the request", SQUARE + COMPUTED, "asdf1234", [("Host", "internal:8080"), ("x-square-hmacsha256-signature", SQUARE_EVENT_SIGNATURE)],
        SQUARE_EVENT, SQUARE_EVENT_SIGNATURE, claim("payment.updated", "e-1", True, "p-1"), url="/in/square",
        settings={"public_url": "https://hooks.example.com/webhook/square"},
    ),
    refused("signature_mismatch", SQUARE_VECTOR, "another path", url="/webhook/"),
    refused("signature_mismatch", SQUARE_VECTOR, "another host", headers=[["Host", "example.org"], SQUARE_VECTOR["headers"][1]]),
    refused("malformed_signature", SQUARE_VECTOR, "no host", headers=[SQUARE_VECTOR["headers"][1]]),
)

HUBSPOT = "https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests"
HUBSPOT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"


def hubspot(name, event, *types):
    body = compact([{"eventId": number, "subscriptionType": kind, "objectId": 123} for number, kind in enumerate(types)])
    signature = b64(mac(HUBSPOT_SECRET, "POST", "https://hooks.example.com/webhook/hubspot?a=1", body, f"{NOW}000"))
    headers = [("Host", "hooks.example.com"), ("X-HubSpot-Request-Timestamp", f"{NOW}000"), ("X-HubSpot-Signature-v3", signature)]
    return taken(name, HUBSPOT + COMPUTED, HUBSPOT_SECRET, headers, body, signature, claim(event), fresh=300, url="/webhook/hubspot?a=1")


write(
    "hubspot",
    hubspot("HubSpot, an HMAC of address, body and time", "contact.creation", "contact.creation"),
    hubspot("a batch of one type", "contact.creation", "contact.creation", "contact.creation"),
    hubspot("a batch of several types is of none of them", "batch", "contact.creation", "deal.creation"),
)

TWILIO = "https://www.twilio.com/docs/usage/webhooks/webhooks-security"
TWILIO_FORM = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234", "From": "+14158675309", "To": "+18005551212"}
TWILIO_SIGNATURE = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
TWILIO_VECTOR = taken(
    "Twilio's example", "https://github.com/twilio/twilio-python/blob/main/tests/unit/test_request_validator.py" + PUBLISHED, "12345",
    [("Host", "mycompany.com"), ("X-Twilio-Signature", TWILIO_SIGNATURE)], urllib.parse.urlencode(TWILIO_FORM), TWILIO_SIGNATURE,
    claim(None, None, None, "CA1234567890ABCDE"), url="/myapp.php?foo=1&bar=2",
)
TWILIO_MESSAGE = {"MessageSid": "SM1", "MessageStatus": "delivered", "Body": "a b&c", "Aye": "z"}
TWILIO_MESSAGE_SIGNATURE = b64(mac("12345", "https://hooks.example.com/in", *(name + TWILIO_MESSAGE[name] for name in sorted(TWILIO_MESSAGE)), algorithm="sha1"))
TWILIO_JSON = '{"property": "value", "boolean": true}'
TWILIO_JSON_URL = "/in?bodySHA256=" + hashlib.sha256(TWILIO_JSON.encode()).hexdigest()
TWILIO_JSON_SIGNATURE = b64(mac("12345", "https://hooks.example.com" + TWILIO_JSON_URL, algorithm="sha1"))
TWILIO_JSON_VECTOR = taken(
    "a body that is no form, its digest in the address", TWILIO + COMPUTED, "12345", [("Host", "hooks.example.com"), ("X-Twilio-Signature", TWILIO_JSON_SIGNATURE)],
    TWILIO_JSON, TWILIO_JSON_SIGNATURE, claim(), url=TWILIO_JSON_URL,
)
write(
    "twilio",
    TWILIO_VECTOR,
    taken(
        "parameters in the order of their names", TWILIO + COMPUTED, "12345",
        [("Host", "hooks.example.com"), ("I-Twilio-Idempotency-Token", "d-1"), ("X-Twilio-Signature", TWILIO_MESSAGE_SIGNATURE)],
        urllib.parse.urlencode(TWILIO_MESSAGE), TWILIO_MESSAGE_SIGNATURE, claim("message.delivered", "d-1", False, "SM1"), url="/in",
    ),
    TWILIO_JSON_VECTOR,
    refused("signature_mismatch", TWILIO_VECTOR, "another parameter of the address", url="/myapp.php?foo=1&bar=3"),
    refused("signature_mismatch", TWILIO_JSON_VECTOR, "another body under the digest", body="{}"),
)

# --- what is no signature of the whole body ------------------------------------------------------------------------------

MAILGUN = "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks"
MAILGUN_TOKEN = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
MAILGUN_SIGNATURE = mac("mailgun-signing-key", str(NOW), MAILGUN_TOKEN).hex()


def mailgun(time=str(NOW), token=MAILGUN_TOKEN, signature=MAILGUN_SIGNATURE):
    event = {"event": "opened", "message": {"headers": {"message-id": "m-1"}}}
    return compact({"signature": {"timestamp": time, "token": token, "signature": signature}, "event-data": event})


MAILGUN_VECTOR = taken(
    "Mailgun, a signature in the body", MAILGUN + COMPUTED, "mailgun-signing-key", [], mailgun(), MAILGUN_SIGNATURE,
    claim("opened", MAILGUN_TOKEN, True, "m-1"), fresh=43200, signs_body=False,
)
write(
    "mailgun",
    MAILGUN_VECTOR,
    refused("signature_mismatch", MAILGUN_VECTOR, "another token", body=mailgun(token="b")),
    refused("signature_mismatch", MAILGUN_VECTOR, "another time", body=mailgun(time=str(NOW + 1))),
    refused("missing_signature", MAILGUN_VECTOR, "no signature", body='{"signature":{"timestamp":"1","token":"a"}}'),
    refused("malformed_signature", MAILGUN_VECTOR, "no token", body=compact({"signature": {"timestamp": str(NOW), "signature": MAILGUN_SIGNATURE}})),
    refused("malformed_signature", MAILGUN_VECTOR, "nested too deep", body='{"a":' * 200 + "1" + "}" * 200),
)

NETLIFY = "https://docs.netlify.com/deploy/deploy-notifications/#payload-signature"
NETLIFY_BODY = compact({"id": "d-1", "site_id": "s-1", "state": "ready"})


def jws(header, claims, secret="netlify-secret"):
    signed = b64url(compact(header).encode()) + "." + b64url(compact(claims).encode())
    return signed + "." + b64url(mac(secret, signed))


NETLIFY_CLAIMS = {"iss": "netlify", "sha256": hashlib.sha256(NETLIFY_BODY.encode()).hexdigest()}
NETLIFY_JWS = jws({"alg": "HS256"}, NETLIFY_CLAIMS)
NETLIFY_VECTOR = taken(
    "Netlify, a JSON Web Signature", NETLIFY + COMPUTED, "netlify-secret", [("X-Webhook-Signature", NETLIFY_JWS), ("X-Netlify-Event", "deploy_created")],
    NETLIFY_BODY, NETLIFY_JWS, claim("deploy_created", None, None, "s-1"),
)
UNSIGNED_JWS = b64url(b'{"alg":"none"}') + "." + b64url(compact(NETLIFY_CLAIMS).encode()) + "."
write(
    "netlify",
    NETLIFY_VECTOR,
    refused("malformed_signature", NETLIFY_VECTOR, "the algorithm `none`", headers=[["X-Webhook-Signature", UNSIGNED_JWS]]),
    refused("malformed_signature", NETLIFY_VECTOR, "another algorithm", headers=[["X-Webhook-Signature", jws({"alg": "HS512"}, NETLIFY_CLAIMS)]]),
    refused("signature_mismatch", NETLIFY_VECTOR, "another issuer", headers=[["X-Webhook-Signature", jws({"alg": "HS256"}, NETLIFY_CLAIMS | {"iss": "x"})]]),
    refused("signature_mismatch", NETLIFY_VECTOR, "no digest", headers=[["X-Webhook-Signature", jws({"alg": "HS256"}, {"iss": "netlify"})]]),
)

GITLAB = "https://docs.gitlab.com/user/project/integrations/webhooks/#validate-payloads-by-using-a-secret-token"
write(
    "gitlab",
    taken(
        "GitLab, a token in a header", GITLAB, "gitlab-token", [("X-Gitlab-Token", "gitlab-token"), ("X-Gitlab-Event", "Merge Request Hook"), ("Idempotency-Key", "d-1")],
        compact({"object_kind": "merge_request", "project": {"path_with_namespace": "team/hello"}, "object_attributes": {"iid": 7, "action": "open"}}),
        "gitlab-token", claim("merge_request.open", "d-1", False, "team/hello:merge_request:7"), signs_body=False,
    ),
    taken(
        "GitLab, a comment belongs to what it is about", GITLAB, "gitlab-token", [("X-Gitlab-Token", "gitlab-token"), ("X-Gitlab-Event", "Note Hook")],
        compact({"object_kind": "note", "project": {"path_with_namespace": "team/hello"}, "object_attributes": {"id": 1}, "merge_request": {"iid": 7}}),
        "gitlab-token", claim("note", None, None, "team/hello:merge_request:7"), signs_body=False,
    ),
)

DOCKER = "https://docs.docker.com/docker-hub/repos/manage/webhooks/"
DOCKER_VECTOR = taken(
    "Docker Hub, a token in the URL", DOCKER, "docker-hub-token", [], compact({"push_data": {"tag": "latest"}, "repository": {"repo_name": "team/hello"}}),
    "docker-hub-token", claim("push", None, None, "team/hello"), signs_body=False, url="/webhook/dockerhub?token=docker-hub-token",
)
write(
    "dockerhub",
    DOCKER_VECTOR,
    refused("missing_signature", DOCKER_VECTOR, "no token", url="/webhook/dockerhub"),
    refused("malformed_signature", DOCKER_VECTOR, "an empty token", url="/webhook/dockerhub?token="),
    refused("malformed_signature", DOCKER_VECTOR, "the token twice", url="/webhook/dockerhub?token=docker-hub-token&token=docker-hub-token"),
)

FIGMA = "https://developers.figma.com/docs/rest-api/webhooks-security/"
FIGMA_VECTOR = taken(
    "Figma, a passcode in the body", FIGMA, "figma-passcode", [], compact({"event_type": "FILE_UPDATE", "file_key": "f-1", "passcode": "figma-passcode"}),
    "figma-passcode", claim("FILE_UPDATE", None, None, "f-1"), signs_body=False,
)
write(
    "figma",
    FIGMA_VECTOR,
    refused("missing_signature", FIGMA_VECTOR, "no passcode", body='{"event_type":"PING"}'),
    refused("missing_signature", FIGMA_VECTOR, "a passcode that is no text", body='{"passcode":["figma-passcode"]}'),
    refused("malformed_signature", FIGMA_VECTOR, "the passcode twice", body='{"passcode":"figma-passcode","passcode":"x"}'),
)

for verifier, content in FILES.items():
    (HERE / f"{verifier}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
