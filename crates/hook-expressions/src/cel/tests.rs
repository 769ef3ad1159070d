//! What expressions give, what is refused, and that nothing goes beyond its budget.

use bytes::Bytes;
use hook_core::{envelope::Meta, payload::Payload};

use super::*;

const PAYLOAD: &str = r#"{
    "action": "opened", "number": 7, "price": 2.50, "draft": false, "none": null, "big": 123456789012345678901234567890,
    "labels": [{"name": "bug", "weight": 3}, {"name": "ui"}], "user": {"login": "octocat", "0": "zero", "a/b": 1},
    "list": [1, 2, 3], "\u0071uoted": "x"
}"#;

#[track_caller]
fn evaluate_in(payload: &str, text: &str, budget: &Budget) -> Result<bool, EvalError> {
    let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let payload = Payload::parse(Bytes::copy_from_slice(payload.as_bytes())).unwrap();
    let meta = Meta { flags: vec!["seen".into()], delivery_id: Some("d-1".into()), ..Meta::default() };
    let view = EventView { source: "github", event_type: "issues.opened", payload: &payload, meta: &meta };
    expression.matches_within(view, budget)
}

#[track_caller]
fn evaluate(text: &str) -> Result<bool, EvalError> {
    evaluate_in(PAYLOAD, text, &Budget::default())
}

#[test]
fn what_is_true_is_true() {
    for text in [
        "true",
        "source == 'github' && type == \"issues.opened\"",
        "type.startsWith('issues.') && type.endsWith('opened') && type.contains('s.o')",
        "payload.action == 'opened'",
        "payload.number > 6 && payload.number <= 7.0 && payload.number != 8",
        "payload.price == 2.5 && payload.price * 2 == 5",
        "payload.big > 1e20",
        "!payload.draft",
        "payload.none == null",
        "payload.labels.exists(l, l.name == 'bug')",
        "payload.labels.all(l, size(l.name) > 1)",
        "payload.labels.exists_one(l, has(l.weight))",
        "payload.labels.filter(l, has(l.weight)).size() == 1",
        "payload.labels.map(l, l.name) == ['bug', 'ui']",
        "payload.labels.map(l, has(l.weight), l.weight * 2) == [6]",
        "payload.labels[0].name in ['bug', 'crash']",
        "payload['labels'][1]['name'] == 'ui'",
        "payload.user['0'] == 'zero'",
        "payload.user['a/b'] == 1",
        "payload.quoted == 'x'",
        "'login' in payload.user && !('email' in payload.user)",
        "payload.user.exists(key, key == 'login')",
        "has(payload.user.login) && !has(payload.user.email) && !has(payload.nobody.login)",
        "'seen' in meta.flags && meta.delivery_id == 'd-1' && !has(meta.trace_id)",
        "payload.action.matches('^op.n') && matches(payload.action, 'ed$')",
        "{'a': 1, 'b': [2]}.b[0] == 2",
        "(1 + 2) * 3 - 4 / 2 % 3 == 7 && -payload.number == -7 && 7 % 4 == 3",
        "payload.list + [4] == [1, 2, 3, 4] && 'a' + 'b' == 'ab'",
        "payload.number > 5 ? payload.action == 'opened' : false",
        "int('12') == 12 && int(2.9) == 2 && double('0.5') == 0.5 && string(7) == '7' && string(payload.price) == '2.50'",
        "payload.action.upperAscii() == 'OPENED' && 'ÄB'.lowerAscii() == 'Äb'",
        "size('ü') == 1 && size({}) == 0 && size(payload.list) == 3",
        "r'\\d' == '\\\\d' && '\\u00fc\\x41\\101' == 'üAA' && '''a\n'b''' == \"a\\n'b\"",
        "0x1F == 31 && 1e3 == 1000 && .5 == 0.5",
        "1 == 1.0 && '1' != 1 && [1] == [1.0] && true != 1",
        "payload.list.exists(a, payload.list.exists(b, a + b == 6 && a == b))",
        "true // and that is it",
        "dyn(payload.number) == 7",
        "!has(payload.package.name) && !has(payload.`content-type`) && payload.user.`a/b` == 1",
        "-9223372036854775808 < 0 && -9223372036854775808 == -9223372036854775807 - 1",
        "!(1 in payload.user) && payload.list.existsOne(a, a == 2)",
        "payload.big == 123456789012345678901234567890.0",
        "'45'.matches('^\\\\d+$') && !'\u{664}'.matches('^\\\\d$') && 'a&b'.matches('^[a&&b]+$')",
        "'a' < 'b' && false < true",
    ] {
        assert_eq!(evaluate(text), Ok(true), "{text}");
    }
}

#[test]
fn what_has_no_answer_has_none_and_one_side_can_make_up_for_it() {
    for text in [
        "payload.nobody == 1",
        "payload.labels[2].name == 'x'",
        "payload.labels[-1].name == 'x'",
        "payload.action > 5",
        "payload.action.login == 'x'",
        "payload.labels.all(l, l.weight > 0)",
        "payload.number",
        "payload.number && true",
        "1 / payload.list[0] / 0 == 1",
        "9223372036854775807 + payload.number > 0",
        "-9223372036854775807 - payload.number < 0",
        "payload.number.contains('7')",
        "'x' in payload.action",
        "{payload.number: 2} == {}",
        "{payload.action: 1, 'opened': 2} == {}",
        "size(payload.number) == 1",
        "has(payload.action.x)",
    ] {
        assert!(matches!(evaluate(text), Err(EvalError::Missing(_) | EvalError::Mismatch(_))), "{text}");
    }
    assert_eq!(evaluate("payload.nobody == 1 || source == 'github'"), Ok(true));
    assert_eq!(evaluate("payload.nobody == 1 && source == 'gitlab'"), Ok(false));
    assert_eq!(evaluate("payload.labels.exists(l, l.weight == 3)"), Ok(true));
    assert_eq!(evaluate("payload.labels.all(l, l.weight < 3)"), Ok(false));
    assert_eq!(evaluate("payload.a.b.c == 1"), Err(EvalError::Missing("payload.a.b.c".into())));
}

#[test]
fn what_cannot_be_right_is_refused_with_its_place_and_a_remedy() {
    let check = |text: &str, part: &str, place: &str| {
        let error = Expression::compile(text).unwrap_err();
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert_eq!(&text[error.span.clone()], place, "{text}");
        assert!(!error.help.is_empty());
    };
    check("", "expected a value, found the end", "");
    check("payload.action = 'x'", "`=` means nothing here", "=");
    check("a == 1", "no variable `a`", "a");
    check("payload.list.exists(x, y == 1)", "no variable `y`", "y");
    check("now() > 1", "no function `now`", "now");
    check("size() == 1", "another number of arguments", "size");
    check("'x'", "is a string, which is never true", "'x'");
    check("type", "never true or false", "type");
    check("size(payload)", "is a number", "size(payload)");
    check("payload.x && 1", "is a number", "1");
    check("payload.list.filter(x, true)", "is a list", "payload.list.filter(x, true)");
    check("payload.a ? 1 : 2", "is a number", "payload.a ? 1 : 2");
    check("payload.a + 1", "a calculation", "payload.a + 1");
    check("payload.a.matches(payload.b)", "no string that stands here", "matches");
    check("payload.a.matches('(')", "this is no pattern", "'('");
    check("payload.a == 1 payload", "expected the end", "payload");
    check("(true", "expected `)`, found the end", "");
    check("'abc", "does not end", "'abc");
    check("99999999999999999999 == 1", "too large", "99999999999999999999");
    check("1u == 1", "no unsigned", "u");
    check("b'x' == 'x'", "no bytes", "b");
    check("payload.exists(type, true)", "`type` is taken", "type");
    check("has(payload)", "takes one field", "has(payload)");
    check("'\\q' == 'q'", "no escape", "\\");
    check("{1: 2} == {}", "are strings", "1");
    check("{'a': 1, 'b': 2, 'a': 3} == {}", "stands twice", "'a'");
    check("payload.in == 1", "`in` is a word of the language", "in");
    check("payload.`a == 1", "does not end", "`");
    check("9223372036854775808 > 0", "expected a value", "9223372036854775808");
    check("let == 1", "expected a variable, found `let`", "let");
    let error = Expression::compile("true &&\n  nobody").unwrap_err();
    assert_eq!(error.line_column, (2, 3));
    assert!(error.to_string().ends_with("(at line 2, character 3)"), "{error}");
}

#[test]
fn a_hostile_text_is_refused_before_it_is_deep_or_long() {
    let nested = |open: &str, close: &str, times: usize| format!("{}1{} == 1", open.repeat(times), close.repeat(times));
    for bomb in [
        nested("(", ")", 1_000),
        nested("[", "]", 1_000),
        nested("-", "", 2_000),
        format!("{}true", "!".repeat(4_000)),
        "1+".repeat(2_000) + "1 == 1",
        "true?".repeat(700) + "true",
        "payload".to_owned() + &"[0]".repeat(1_000) + " == 1",
        "payload.list.exists(a, ".repeat(4),
        "payload.list".to_owned() + &".map(a, a)".repeat(300) + " == []",
        "size(".repeat(700),
        "a".repeat(5_000),
        "{'a':".repeat(700),
        "\"\\".to_owned(),
        "true ==".repeat(500) + " true",
    ] {
        assert!(Expression::compile(&bomb).is_err(), "{:.40}", bomb);
    }
    assert!(
        Expression::compile(&vec!["payload.action == 'opened'"; 100].join("||")).is_ok(),
        "a flat list is not deep"
    );
}

#[test]
fn a_hostile_payload_ends_within_the_budget() {
    let list = format!("{{\"list\":[{}0],\"text\":\"{}\"}}", "0,".repeat(50_000), "a".repeat(500_000));
    for bomb in [
        "payload.list.all(a, payload.list.all(b, payload.list.all(c, a == b)))",
        "payload.list.map(a, payload.list).size() == payload.list.map(a, payload.list).map(b, b + b).size()",
        "payload.list.map(a, payload.text + payload.text).size() == 1",
        "payload.list.all(a, payload.text.matches('(a*)*b{3}'))",
        "payload.list.all(a, !payload.text.contains('aaab'))",
        "payload.list.all(a, payload == payload)",
        "payload.list.all(a, !(a in payload.list.filter(b, b > 0)))",
        "payload.list.all(a, !(payload.text in payload))",
        "payload.list.all(a, {payload.text: a}[payload.text] == a)",
    ] {
        let budget = Budget::default();
        let answer = evaluate_in(&list, bomb, &budget);
        assert_eq!(answer, Err(EvalError::Spent(Spent)), "{bomb}");
        assert!(budget.used() <= crate::budget::STEPS, "{bomb}");
    }
}

#[test]
fn a_filter_on_the_type_does_not_look_at_the_payload() {
    let large = format!("{{\"text\":\"{}\",\"action\":\"opened\"}}", "a".repeat(1_000_000));
    let cost = |text: &str| {
        let budget = Budget::default();
        assert_eq!(evaluate_in(&large, text, &budget), Ok(true), "{text}");
        budget.used()
    };
    assert!(cost("type == 'issues.opened' && source == 'github'") < 20);
    assert!(cost("payload.action == 'opened'") < 20_000, "what is passed over costs little");
    assert!(cost("payload.text != 'x'") > 100_000);
}

#[test]
fn a_compiled_expression_goes_to_other_threads() {
    fn goes<T: Send + Sync + Clone>(_: &T) {}
    goes(&Expression::compile("true").unwrap());
}

proptest::proptest! {
    #[test]
    fn any_text_is_refused_or_ends_within_the_budget(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "payload", ".list", ".labels", "[", "]", "(", ")", "{", "}", "1", "0.5", "'a'", "==", "<", "&&", "||", "!", "-",
            "+", "?", ":", "in", ",", ".exists(a,", ".map(b,", ".all(c,", "a", "b", "has(", "size(", ".matches('a*')", "type",
            "meta", "null", "%", "/", "*", " ", "\"", "\\", "é", "0x", "1e",
        ]), 0..30)
    ) {
        let text: String = parts.concat();
        if let Ok(expression) = Expression::compile(&text) {
            let payload = Payload::parse(Bytes::from_static(PAYLOAD.as_bytes())).unwrap();
            let meta = Meta::default();
            let budget = Budget::of(10_000);
            let view = EventView { source: "github", event_type: "issues.opened", payload: &payload, meta: &meta };
            let _ = expression.matches_within(view, &budget);
            proptest::prop_assert!(budget.used() <= 10_000);
        }
    }
}
