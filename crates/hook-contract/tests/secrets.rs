//! A secret in a contract is an error in every mode, and is shown nowhere.

mod support;

use hook_contract::{Options, check, masked};
use hook_core::problem::codes;
use support::{FILE, catalog, lines, of};

/// Stands in every secret below.
const CANARY: &str = "c4n4ryC4N4RY0123456789";

#[test]
fn a_secret_is_found_in_every_mode_and_shown_nowhere() {
    let texts = [
        format!(
            "[[smash.egress_adapters]]\nid = \"o\"\ndriver = \"http_output\"\nurl = \"https://u:{CANARY}@example.com\""
        ),
        format!(
            "[[smash.egress_adapters]]\nid = \"o\"\ndriver = \"http_output\"\nurl = \"https://example.com/?token={CANARY}\""
        ),
        format!(
            "[[smash.egress_adapters]]\nid = \"o\"\ndriver = \"http_output\"\nurl = \"https://e.com\"\nheaders = {{ Authorization = \"Bearer {CANARY}\" }}"
        ),
        format!(
            "[[smash.egress_adapters]]\nid = \"o\"\ndriver = \"http_output\"\nurl = \"https://e.com\"\ntoken = \"{CANARY}\""
        ),
        format!(
            "[[smash.egress_adapters]]\nid = \"o\"\ndriver = \"http_output\"\nurl = \"https://e.com\"\ntoken_env = \"{CANARY}\""
        ),
        format!("[[smash.egress_adapters]]\nid = \"o\"\ndriver = \"ghp_{CANARY}\""),
        format!("[sources.github]\nverifier = \"github\"\nsecret_env = [\"NAME\", \"{CANARY}\"]"),
        format!("[sources.github]\nverifier = \"github\"\nsecret = \"{CANARY}\""),
        format!("[profiles.default]\nlabel = \"x\"\nenv = {{ HMAC_SECRET_GITHUB = \"{CANARY}\" }}"),
        format!("[profiles.default]\nlabel = \"x\"\nenv = {{ DB_PASSWORD = \"{CANARY}\" }}"),
        format!("[app]\nid = \"a\"\nname = \"a\"\nversion = \"whsec_{CANARY}\""),
        format!(
            "[app]\nid = \"a\"\nname = \"a\"\nversion = \"1.0.0\"\ndescription = '''-----BEGIN PRIVATE KEY-----\n{CANARY}\n'''"
        ),
        format!("[transports.t]\ndriver = \"stdio_jsonrpc\"\nenv = {{ API_TOKEN = \"{CANARY}\" }}"),
        format!("# token = \"ghp_{CANARY}\"\n[app]"),
        format!("[log]\nwhen_pinned = \"AKIA{CANARY}\""),
    ];
    let profile = "\n[profiles.p]\nlabel = \"x\"\nsmash_adapters = [\"o\"]\n";
    let options = Options { force: true, profile: Some("p".into()), ..Options::default() };
    for text in texts {
        let text = format!("{text}{profile}");
        let checked = check(FILE, &text, &catalog(), &options);
        let found = of(&codes::SECRET_IN_FILE, &checked.problems);
        assert!(found.len() == 1 && found[0].is_error(), "{text}\n{}", lines(&checked.problems));
        let shown = format!("{:?}{:?}", checked.problems, checked.resolved);
        assert!(!shown.contains(CANARY), "{text}\n{shown}");
        let masked = masked(&text, &checked.problems);
        assert!(!masked.contains(CANARY), "{masked}");
        assert_eq!(masked.len(), text.len(), "places stay right");
        assert_eq!(masked.lines().count(), text.lines().count());
    }
}

#[test]
fn a_secret_on_a_broken_line_is_not_shown() {
    for line in [format!("token = {CANARY}"), format!("x = [ghp_{CANARY}"), format!("password = \"{CANARY}")] {
        let text = format!("[app]\n{line}\n");
        let checked = check(FILE, &text, &catalog(), &Options::default());
        assert!(!format!("{:?}", checked.problems).contains(CANARY));
        assert!(!masked(&text, &checked.problems).contains(CANARY), "{}", masked(&text, &checked.problems));
    }
}

#[test]
fn what_is_no_secret_stays_readable() {
    let text = "[app]\nid = \"a\"\nname = \"Größe\"\ntoken_env = \"SERVICE_TOKEN\"\n";
    assert_eq!(masked(text, &[]), text);
}
