//! What programs give, what is refused, and that nothing goes beyond its budget.

use bytes::Bytes;
use hook_core::payload::Payload;

use super::*;

const PAYLOAD: &str = r#"{"a":1,"b":{"c":[1,2,3],"d":"text"},"list":[{"k":"x","n":2},{"k":"y","n":1},{"k":"x","n":3}],"s":"aXbXc","f":1.50,"n":null,"t":true}"#;

fn payload(text: &str) -> Payload {
    Payload::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn run(program: &str) -> Result<String, RunError> {
    let program = Program::compile(program).unwrap_or_else(|error| panic!("{program}: {error}"));
    let made = program.run(&payload(PAYLOAD))?;
    Ok(String::from_utf8(made.bytes().to_vec()).unwrap())
}

/// What a filter makes of the payload, as the only member of an object.
#[track_caller]
fn check(filter: &str, expected: &str) {
    let made = run(&format!("{{r: [{filter}]}}")).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(made, format!("{{\"r\":[{expected}]}}"), "{filter}");
}

#[test]
fn paths_lead_into_values() {
    check(".a, .b.c[1], .b[\"d\"], .\"a\", .nobody, .n.x", "1,2,\"text\",1,null,null");
    check(".b.c[-1], .b.c[9], .b.c[1:], .b.c[:-1], .s[1:3]", "3,null,[2,3],[1,2],\"Xb\"");
    check(".b.c[], (.list[] | .n), .a.x?, (.a[]?)", "1,2,3,2,1,3");
    check(".b | .., \"end\"", "{\"c\":[1,2,3],\"d\":\"text\"},[1,2,3],1,2,3,\"text\",\"end\"");
    check("[paths] | length", "21");
    check(". as {a: $x, b: {c: [$y]}} | $x, $y", "1,1");
    check(". as {$a, b: {(\"d\"): $z}} | [$a, $z]", "[1,\"text\"]");
    check("path(.b.c[1]), [paths(type == \"number\")][0]", "[\"b\",\"c\",1],[\"a\"]");
    check("getpath([\"b\", \"c\", 0]), getpath([\"x\", \"y\"])", "1,null");
}

#[test]
fn values_are_made_and_calculated() {
    check("1 + 2 * 3 - 4 / 2, 7 % 3, -7 % 3, -.a", "5,1,-1,-1");
    check("1.5 + 1, 1 / 2, .f, 10 / 5, 1e3", "2.5,0.5,1.50,2,1000");
    check("9223372036854775807 + 1", "9223372036854776000");
    check("\"a\" + \"b\", [1] + [2], {x: 1} + {y: 2}, null + 1", "\"ab\",[1,2],{\"x\":1,\"y\":2},1");
    check(
        "[1, 2, 1] - [1], \"ab\" * 2, \"a,b\" / \",\", {a: {b: 1}} * {a: {c: 2}}",
        "[2],\"abab\",[\"a\",\"b\"],{\"a\":{\"b\":1,\"c\":2}}",
    );
    check("(1, 2) + (10, 20)", "11,12,21,22");
    check("1 == 1.0, \"a\" < \"b\", [1] < [2], {} < [], null < false", "true,true,true,false,true");
    check("true and (true, false), false or false, (null | not)", "true,false,false,true");
    check(".n // 1, (.nobody, 2) // 3, empty // 4, (try ((1 | error) // 5) catch .)", "1,2,4,1");
    check("\"x\\(.a)\\(.b.c)\", \"\\u00fc\\n\"", "\"x1[1,2,3]\",\"ü\\n\"");
    check("{(.b.d): 1, \"k\": .a, a, \"q\\(1)\": 2}", "{\"text\":1,\"k\":1,\"a\":1,\"q1\":2}");
    check("{(\"x\", \"y\"): 1} | keys[]", "\"x\",\"y\"");
    check("1 as $x | {$x, y: $x}", "{\"x\":1,\"y\":1}");
    check(
        "if .a == 1 then \"one\" elif .a == 2 then \"two\" else \"many\" end, if false then 1 end | type",
        "\"string\",\"object\"",
    );
    check("try error(\"x\") catch ., (try error({a: 1}) catch .a), [.[] | try error catch .] [0]", "\"x\",1,1");
    check(
        "reduce .b.c[] as $x (0; . + $x), [foreach .b.c[] as $x (0; . + $x)], [foreach (1, 2) as $x (0; . + $x; [$x, .])]",
        "6,[1,3,6],[[1,1],[2,3]]",
    );
    check(
        "def f(g): g + 1; def h($x; $y): $x * $y; f(.a), h(2; 3), def r: if . > 3 then . else . + 1 | r end; (1 | r)",
        "2,6,4",
    );
    check("def f($a): a + $a; f(1, 2)", "2,3,3,4");
    check("def f($x; $y): [$x, $y]; f(1, 2; 3, 4)", "[1,3],[1,4],[2,3],[2,4]");
}

#[test]
fn operators_group_as_in_jq() {
    check("7 * 5 % 4, 10 / 3 % 2, 7 % 5 * 3, 1 - 2 * 3 % 4, -7 % 3 + 1", "3,1,6,-1,0");
    check("({} | .a = .b // 1), ({} | .a = (.b // 1)), (null // {} | .a = 2)", "{\"a\":null},{\"a\":1},{\"a\":2}");
    check("({} | .a = 1 or false), ({a: 4} | .a += 2 * 3 | .a), ({a: 5} | .a %= 3 | .a)", "{\"a\":true},10,2");
    check("\"\\({} | .a = .b // 1 | tojson)-\\(7 * 5 % 4)\"", "\"{\\\"a\\\":null}-3\"");
    check("1 + 2 as $x | -$x, 5", "-3,5");
    check("null // 1 // 2, false // null // 3, 1 // 2 | . + 1", "2,4,2");
    let error = Program::compile(".a = 1 = 2").unwrap_err();
    assert!(error.message.contains("another changes"), "{}", error.message);
    let error = Program::compile(".a | = 1").unwrap_err();
    assert!(error.message.contains("found `=`"), "an operator is named as it is written: {}", error.message);
}

#[test]
fn several_values_come_in_the_order_of_jq() {
    check("\"\\(1, 2)-\\(3, 4)\"", "\"1-3\",\"2-3\",\"1-4\",\"2-4\"");
    check("{a: (1, 2), b: (3, 4)} | [.a, .b]", "[1,3],[1,4],[2,3],[2,4]");
    check("[1, 2] | .[0, 1] + .[0, 1], pow(1, 2; 3, 4)", "2,3,3,4,1,8,1,16");
    check("[[1, 2], [3, 4]] | .[][0, 1], .[][(0, 1):(1, 2)]", "1,3,2,4,[1],[3],[1,2],[3,4],[],[],[2],[4]");
    check("[label $f | (1, 2, 3) | ., if . == 2 then break $f else empty end]", "[1,2]");
    check("[label $a | (label $b | 1, break $a, 2), 3], [first(label $f | 1, break $f)]", "[1],[1]");
    check("[foreach (1, 2, 3) as $x (0; if $x == 2 then empty else . + $x end)]", "[1,3]");
    check("reduce (1, 2) as $x (0; if $x == 1 then empty else . + $x end)", "2");
    check("try ((1, error(\"x\")) // 2) catch \"caught\"", "1,\"caught\"");
    check("[1, 2] | (.[0] += empty), (.x? += 1)", "[1,2]");
}

#[test]
fn indices_and_slices_round_as_in_jq() {
    check("[0, 1, 2] | .[1.7], .[-1.2], .[nan], .[[1, 2]], .[[1]]", "1,2,null,[1],[1]");
    check("[0, 1, 2] | .[-0.5:], .[1:-0.5], .[nan:1.2], .[{start: 1, end: null}]", "[2],[1,2],[0,1],[1,2]");
    check(
        "(null | .[2:4] = [1]), ([0, 1, 2] | .[1:-0.5] = []), ([1] | .[{start: 0, end: 1}] = [7, 8])",
        "[1],[0],[7,8]",
    );
    check("[0, [1, 2]] | flatten(1.5), ({a: [1], b: 2} | flatten)", "[0,1,2],[1,2]");
    check("(\"ab\" * 0), (\"ab\" * 1.5), (\"ab\" * -1)", "\"\",\"ab\",null");
    check(
        "(try limit(-1; 1) catch \"no\"), (try skip(-1; 1) catch \"no\"), (try nth(-1; 1) catch \"no\")",
        "\"no\",\"no\",\"no\"",
    );
    check(
        "(nan < nan), (nan == nan), ([nan, 1] | sort), (nan % 5), ([infinite] | tojson)",
        "true,false,[null,1],null,\"[1.7976931348623157e+308]\"",
    );
    check(
        "(1e17 * 1 | tostring), (0.00001 * 1 | tostring), (100000000000000000001 | tostring)",
        "\"1e+17\",\"1e-05\",\"100000000000000000001\"",
    );
    check("100000000000000000001 == 100000000000000000000, 1.0 == 1", "false,true");
}

#[test]
fn patterns_match_as_in_jq() {
    check(
        "\"baac\" | gsub(\"a*\"; \"-\"), [match(\"a*\"; \"g\").offset], [match(\"a*\"; \"gn\").offset]",
        "\"-b--c-\",[0,1,3,4],[1]",
    );
    check(
        "\"a\\nb\" | test(\"a.b\"), test(\"a.b\"; \"s\"), test(\"a.b\"; \"p\"), test(\"^b\"), test(\"\"; \"n\")",
        "false,false,true,false,false",
    );
    check("(\"YWI\", \"YWI=\", \"YWJ\" | @base64d), (try (\"?\" | @base64d) catch 1)", "\"ab\",\"ab\",\"ab\",1");
    check(
        "(\"fooba\" | @base32, (@base32 | @base32d)), (\"%C3%A9%20x\" | @urid), (try (\"%\" | @urid) catch 1)",
        "\"MZXW6YTB\",\"fooba\",\"é x\",1",
    );
    check("try ({} | @sh) catch 1, ([nan, 1] | @csv)", "1,\",1\"");
    check(
        "[[1, 2], [3]] | [combinations], (\"a\" | IN(\"a\", \"b\")), INDEX({id: 7}; .id)",
        "[[1,3],[2,3]],true,{\"7\":{\"id\":7}}",
    );
    check(
        "(true | try contains(false) catch 1), ([true] | contains([false])), (null | has(\"a\"), indices(1))",
        "1,false,false,null",
    );
    check(
        "([{name: \"x\", value: null}, {key: 1, v: 2}] | from_entries), (\"true\" | toboolean)",
        "{\"x\":null,\"1\":2},true",
    );
    check("(\".5\", \"1.\", \"+1\", \"1e2\" | tonumber), (try (\"0x1\" | tonumber) catch 0)", "0.5,1,1,1e2,0");
}

#[test]
fn dates_are_those_of_utc() {
    check(
        "1425599621 | todate, gmtime, (gmtime | mktime)",
        "\"2015-03-05T23:53:41Z\",[2015,2,5,23,53,41,4,63],1425599621",
    );
    check("\"2015-03-05T23:51:47Z\" | fromdate, (fromdate | todate)", "1425599507,\"2015-03-05T23:51:47Z\"");
    check(
        "(-1.5 | gmtime), (0, 951782400, -62135596800, 4107542400 | todate)",
        "[1969,11,31,23,59,58.5,3,364],\"1970-01-01T00:00:00Z\",\"2000-02-29T00:00:00Z\",\"1-01-01T00:00:00Z\",\"2100-03-01T00:00:00Z\"",
    );
    check("[2024, 13, 1] | todate, mktime", "\"2025-02-01T00:00:00Z\",1738368000");
    check(
        "1425599621 | strftime(\"%A, %d %b %Y %j %e %I %p %D %R %s %u %w %%\")",
        "\"Thursday, 05 Mar 2015 064  5 11 PM 03/05/15 23:53 1425599621 4 4 %\"",
    );
    check("\"Thu, 5 Mar 2015 11:51 PM\" | strptime(\"%a, %d %b %Y %I:%M %p\") | mktime", "1425599460");
    check(
        "(\"2015-03-05T23:51:47+02:00\", \"2015-03-05T23:51:47Z\" | strptime(\"%FT%T%z\") | mktime)",
        "1425592307,1425599507",
    );
    check(
        "(try (\"2015-03-05\" | fromdate) catch 1), (try (1 | strftime(\"%Q\")) catch 2), (try (1e300 | todate) catch 3)",
        "1,2,3",
    );
}

#[test]
fn what_a_path_leads_to_is_changed() {
    check("(.b.c |= map(. * 2)) | .b.c", "[2,4,6]");
    check("(.a = 5 | .a), (.a += 1 | .a), (.x.y[1] = 2 | .x), (.n //= 7 | .n)", "5,2,{\"y\":[null,2]},7");
    check("(.list[] | select(.k == \"x\") | .n) |= . + 10 | [.list[].n]", "[12,1,13]");
    check("del(.b, .list, .s) | keys_unsorted", "[\"a\",\"f\",\"n\",\"t\"]");
    check(
        "del(.b.c[0, 2]).b.c, del(.list[] | select(.n > 1)).list, (.b.c | del(.[1:]))",
        "[2],[{\"k\":\"y\",\"n\":1}],[1]",
    );
    check("(.b.c[] |= empty).b.c", "[]");
    check(
        "(.b.c[1:] = [9]).b.c, (.b | to_entries | length), (.b | with_entries(.value |= tostring) | .c)",
        "[1,9],2,\"[1,2,3]\"",
    );
    check(
        "setpath([\"b\", \"c\", 0]; 9).b.c, delpaths([[\"a\"], [\"b\"]]).a, pick(.b.d), map_values(type).a",
        "[9,2,3],null,{\"b\":{\"d\":\"text\"}},\"number\"",
    );
    check(
        "walk(if type == \"number\" then . + 1 else . end).b.c, (.. |= (if type == \"string\" then \"s\" else . end) | .b.d)",
        "[2,3,4],\"s\"",
    );
    check(
        "(first(.b.c[]) |= 9).b.c, (limit(2; .b.c[]) |= 0).b.c, (if .t then .a else .b end |= 3).a",
        "[9,2,3],[0,0,3],3",
    );
    check(
        "def p: .b.c; (p[0] |= 8).b.c, to_entries[0], ({} | .a.b.c = 1)",
        "[8,2,3],{\"key\":\"a\",\"value\":1},{\"a\":{\"b\":{\"c\":1}}}",
    );
}

#[test]
fn functions_do_what_jq_says() {
    check("(.list | length), (.s | length), (\"ü\" | utf8bytelength), (null | length), (-3 | length)", "3,5,2,0,3");
    check(
        "(.b | keys), (.b.c | has(0)), (.b | has(\"x\")), (\"c\" | in({c: 1})), ([1] | inside([1, 2]))",
        "[\"c\",\"d\"],true,false,true,true",
    );
    check(
        "[.list | sort_by(.n)[].n], [.list | group_by(.k)[] | length], [.list | unique_by(.k)[].n], (.list | min_by(.n).n, max_by(.n).n)",
        "[1,2,3],[2,1],[2,1],1,3",
    );
    check(
        "([3, 1, 2, 1] | sort, unique, min, max, add, reverse, first, last, nth(1))",
        "[1,1,2,3],[1,2,3],1,3,7,[1,2,1,3],3,1,1",
    );
    check(
        "([[1, [2]], 3] | flatten, flatten(1)), ([[1, 2], [3]] | transpose), ([] | add)",
        "[1,2,3],[1,[2],3],[[1,3],[2,null]],null",
    );
    check("[range(3)], [range(1; 4)], [range(0; 1; 0.5)], [range(3; 0; -1)]", "[0,1,2],[1,2,3],[0,0.5],[3,2,1]");
    check(
        "first(range(10; 20)), [1 | limit(2; repeat(. * 2))], [.b.c[] | select(. > 1)], last(1, 2), nth(1; 5, 6, 7)",
        "10,[2,2],[2,3],2,6",
    );
    check(
        "isempty(empty), any(.b.c[]; . > 2), all(.b.c[]; . > 2), ([true, false] | any, all), ([1] | any(. > 5))",
        "true,true,false,true,false,false",
    );
    check(
        "([1 | recurse(if . < 3 then . + 1 else empty end)]), ([1 | while(. < 8; . * 2)]), (1 | until(. > 50; . * 3))",
        "[1,2,3],[1,2,4],81",
    );
    check(
        "(.s | split(\"X\"), ascii_downcase, ascii_upcase, explode[0], test(\"x\"; \"i\"), startswith(\"a\"), ltrimstr(\"a\"), rtrimstr(\"c\"))",
        "[\"a\",\"b\",\"c\"],\"axbxc\",\"AXBXC\",97,true,true,\"XbXc\",\"aXbX\"",
    );
    check(
        "([1, null, \"a\", true] | join(\"-\")), ([97, 252] | implode), (\" x \" | trim, ltrim, rtrim)",
        "\"1--a-true\",\"aü\",\"x\",\"x \",\" x\"",
    );
    check(
        "(\"1.10\" | tonumber), (1.5 | tostring), ([1] | tojson), (\"[1,{}]\" | fromjson), (1.7 | floor, ceil, round), (4 | sqrt), (-1 | abs), pow(2; 3)",
        "1.10,\"1.5\",\"[1]\",[1,{}],1,2,2,2,1,8",
    );
    check(
        "(.s | sub(\"X\"; \"-\"), gsub(\"X\"; \"-\"), gsub(\"(?<l>[ab])\"; \"<\\(.l)>\"))",
        "\"a-bXc\",\"a-b-c\",\"<a>X<b>Xc\"",
    );
    check(
        "(\"a1b22\" | [scan(\"[0-9]+\")], capture(\"(?<d>[0-9]+)\"), [match(\"[0-9]+\"; \"g\") | .offset, .string], [splits(\"[0-9]+\")], (split(\"[0-9]\"; null) | length))",
        "[\"1\",\"22\"],{\"d\":\"1\"},[1,\"1\",3,\"22\"],[\"a\",\"b\",\"\"],4",
    );
    check(
        "([1, \"a\\\"b\", null] | @csv, @tsv, @json, @sh)",
        "\"1,\\\"a\\\"\\\"b\\\",\",\"1\\ta\\\"b\\t\",\"[1,\\\"a\\\\\\\"b\\\",null]\",\"1 'a\\\"b' null\"",
    );
    check(
        "(\"ü <&>\" | @uri, @html, @base64, (@base64 | @base64d)), @text \"\\(.a)\"",
        "\"%C3%BC%20%3C%26%3E\",\"ü &lt;&amp;&gt;\",\"w7wgPCY+\",\"ü <&>\",\"1\"",
    );
    check(
        "(\"abab\" | index(\"b\"), rindex(\"b\"), indices(\"ab\")), ([1, 2, 1] | indices(1)), ([{a: 1, b: 2}] | contains([{a: 1}]))",
        "1,3,[0,2],[0,2],true",
    );
    check(
        "([.[] | strings] | length), ([.[] | scalars] | length), ([.[] | values] | length), ([{key: \"a\", value: 1}, {name: \"b\"}] | from_entries), (1 | toarray)",
        "1,5,6,{\"a\":1,\"b\":null},[1]",
    );
}

#[test]
fn only_one_object_is_a_payload() {
    assert_eq!(run("."), Ok(PAYLOAD.to_owned()), "nothing is lost, numbers stay as they were written");
    assert_eq!(run("{a, b: .b.d}"), Ok(r#"{"a":1,"b":"text"}"#.to_owned()));
    assert_eq!(run("empty"), Err(RunError::NoResult));
    assert_eq!(run("., ."), Err(RunError::SeveralResults));
    assert_eq!(run("repeat(.)"), Err(RunError::SeveralResults), "the second is enough to know");
    assert_eq!(run(".a"), Err(RunError::NotAnObject("number")));
    assert_eq!(run("[.]"), Err(RunError::NotAnObject("array")));
    assert_eq!(run(".n"), Err(RunError::NotAnObject("null")));
}

#[test]
fn an_error_never_shows_the_payload() {
    let reason = |program: &str| match run(program) {
        Err(RunError::Raised(reason)) => reason,
        other => panic!("{program}: {other:?}"),
    };
    assert_eq!(reason("error(\"no title\")"), "no title");
    for program in [
        "error(.b.d)",
        ".b.d | error",
        "error",
        ".b.d | tonumber",
        ".b.d + 1",
        ".b.d.x",
        ".[.b.d] | .[0] | error(\"\\(.)\")",
        "{(.b.c): 1}",
    ] {
        assert!(!reason(program).contains("text"), "{program}");
    }
}

#[test]
fn what_is_not_there_is_refused_with_its_place_and_a_remedy() {
    let check = |program: &str, part: &str, place: &str| {
        let error = Program::compile(program).unwrap_err();
        assert!(error.message.contains(part), "{program}: {}", error.message);
        assert_eq!(&program[error.span.clone()], place, "{program}");
        assert!(!error.help.is_empty());
    };
    check("{a: env.PATH}", "there is no `env`", "env");
    check("$ENV", "there is no `$ENV`", "$ENV");
    check(". as $x | $y", "no variable `$y`", "$y");
    for impure in ["input", "inputs", "now", "debug", "halt", "input_filename", "localtime"] {
        check(impure, "there is no", impure);
    }
    check("nobody(.)", "no function `nobody` with 1 arguments", "nobody");
    check("{a: ", "expected", "");
    check(".a |", "expected", "");
    check("label $out | break $in", "no label `$in`", "$in");
    check("label $out | $out", "no variable `$out`", "$out");
    check("test(\"a\"; \"l\")", "no flag `l`", "test");
    check("test(.a)", "no string that stands here", "test");
    check("test(\"(\")", "no pattern", "test");
    check("@nobody \"x\"", "no format", "@nobody");
    assert!(Program::compile("import \"a\" as a; .").is_err());
    assert!(Program::compile("include \"/etc/passwd\"; .").is_err());
    assert!(Program::compile("").is_err());
}

#[test]
fn a_hostile_program_is_refused_or_ends_within_the_budget() {
    for bomb in [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f(g): f(g | g); f(.)",
        "def f: [f]; f",
        "[range(1e9)]",
        "[limit(1e9; repeat(1))]",
        "last(repeat(1))",
        "[recurse(., .)]",
        "{} | until(false; .)",
        "[1 | while(true; . + 1)]",
        "reduce range(100) as $i (\"x\"; . + .)",
        "reduce range(100) as $i ([1]; [., .])",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(100) as $i ({}; {a: ., b: .}) | tojson",
        "reduce range(1e6) as $i (1; [.])",
        "\"x\" * 1e9",
        "[range(3000)] | [.[] as $a | .[] as $b | $a + $b]",
        "[range(300)] | [combinations]?, [.[] as $a | .[] as $b | .[] as $c | 1]",
        "reduce range(1e6) as $i ({}; .[\"k\\($i)\"] = $i) | [.[]] | map(tojson) | join(\",\") * 100",
        "repeat(empty)",
        "(\"k\" * 100000) as $k | [range(100000) | {($k): 1}]",
        "(\"k\" * 100000) as $k | [range(100000) | {a: 1}[$k]]",
        "(\"k\" * 100000) as $k | {} | [range(100000) as $i | .[$k] = $i]",
        "(\"k\" * 100000) as $k | {($k): 1} as $o | [range(100000) | $o + $o]",
        "(\"k\" * 100000) as $k | {($k): 1} | [range(100000) as $i | getpath([$k]), delpaths([[$k]])]",
        "(\"a\" * 100000) as $t | [$t | indices(\"a\" * 50000)]",
        "setpath([range(100000)]; 1)",
        "[] | .[1e9] = 1",
        "([range(100000)] | map([.]) | tojson) as $j | [range(1000) | $j | fromjson]",
        "[range(20000)] | . - . , sort_by(-.) | group_by(1) | [range(1000) as $i | .[0] | sort]",
        "[range(100000) | \"a\" * 100] | join(\"b\" * 10000)",
        "(\"a\" * 100000) | [range(1000) as $i | test(\"(a*)*b{9}\")]",
        "(\"a\" * 100000) | gsub(\"\"; \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\") | [range(1000) as $i | gsub(\"x\"; \"y\")]",
        "(\"A\" * 500000) | [match(\".*[^A-Z]|[A-Z]\"; \"g\")]",
        "def f(x): x | f(x, x); f(.)",
        "reduce range(30) as $i (.; [.., ..])",
        "def a: ., .; def b: a | a | a | a | a; def c: b | b | b | b | b; [c | c]",
        "[range(100000)] | del(.[range(100000)]), [range(1e5)] | map(select(. as $x | range(1e5) == $x))",
        "try def f: f; f catch 1 | [range(1e9)]",
        "[range(1e5) as $x | try error(\"x\" * 1000) catch 1] | length | [range(1e9)?]",
    ] {
        let Ok(program) = Program::compile(bomb) else { continue };
        let budget = Budget::of(200_000);
        let result = program.run_within(&payload(PAYLOAD), &budget);
        assert!(matches!(result, Err(RunError::Spent(_) | RunError::SeveralResults)), "{bomb}: {result:?}");
        assert!(budget.used() <= 200_000, "{bomb}");
    }
    assert_eq!(run("try ([range(1e9)]) catch {}"), Err(RunError::Spent(Spent)), "nothing catches an empty budget");
}

#[test]
fn a_definition_that_comes_back_to_itself_in_any_way_ends_before_the_stack_does() {
    for body in [
        ".[f]",
        ".[f:f]",
        ".a[f].b[f]",
        "\"\\(f)\\(f)\"",
        "{a: f, (f): 1}",
        "if f then 1 else 2 end",
        "reduce f as $x (0; .)",
        "[foreach f as [$a, {b: $b}] (0; .; .)]",
        "try f catch 1",
        "f // f",
        "f and f",
        "first(f)",
        "limit(1; f)",
        "last(f)",
        "path(f)",
        "label $x | f",
        "f as [$x, {a: $y}] | 1",
        "def g(h): h; g(g(f))",
        "def g($h): $h; g(f)",
        "pow(f; f)",
        "range(f; f; f)",
        "sort_by(f)",
        "[[1]] | map(f)",
        "any(f; f)",
        "-f",
        ".a = f",
        ".a |= f",
        "f |= 1",
        "recurse(f)",
        "walk(f)",
        "until(f; f)",
        "del(f)",
    ] {
        let program = Program::compile(&format!("def f: {body}; f")).unwrap_or_else(|error| panic!("{body}: {error}"));
        let result = program.run(&payload(r#"{"a":[[1],{"b":[2]}]}"#));
        assert!(matches!(result, Err(RunError::Spent(_) | RunError::Raised(_))), "{body}: {result:?}");
    }
}

#[test]
fn a_text_that_nests_is_refused_before_it_is_parsed() {
    for bomb in [
        "(".repeat(4_000),
        "[".repeat(1_000) + &"]".repeat(1_000),
        "-".repeat(4_000) + "1",
        "- ".repeat(2_000) + "1",
        "try ".repeat(1_500) + ".",
        "if ".repeat(2_000),
        "def f: ".repeat(1_000),
        ".|".repeat(4_000) + ".",
        ". as $x | ".repeat(800) + ".",
        "reduce ".repeat(1_000),
        "\"\\(".repeat(2_000),
        "1//".repeat(2_000) + "1",
        ".a=".repeat(2_000) + "1",
        "1%".repeat(4_000) + "1",
        "1+".repeat(4_000) + "1",
        ".a|=".repeat(190) + "1",
        "label $x|".repeat(150) + "1",
        "a".repeat(9_000),
        ".a".repeat(90) + &"|.a".repeat(120),
    ] {
        assert!(Program::compile(&bomb).is_err(), "{:.20}", bomb);
    }
    let long: Vec<String> = (0..100).map(|field| format!("f{field}: .f{field}")).collect();
    assert!(Program::compile(&format!("{{{}}}", long.join(", "))).is_ok(), "many fields are not deep");
}

#[test]
fn a_program_goes_to_other_threads() {
    fn goes<T: Send + Sync + Clone>(_: &T) {}
    goes(&Program::compile(".").unwrap());
}

proptest::proptest! {
    #[test]
    fn any_text_is_refused_or_ends_within_the_budget(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            ".", ".a", ".b", ".list", "[", "]", "(", ")", "{", "}", "1", "\"x\"", "|", ",", "+", "*", "//", "|=", "=", "==", ":",
            "..", "?", "try ", "catch ", "if ", " then ", " else ", " end ", "reduce ", " as $x ", "$x", "def f: ", "f", ";",
            "range(9)", "recurse(", "map(", "select(", "tojson", "keys", "\"\\(", "-", " and ", "limit(3;", "path(", "del(",
            "error", "first(", "empty", "repeat(", "walk(", "add", "group_by(", "gsub(\"a\";", "@base64",
        ]), 0..25)
    ) {
        if let Ok(program) = Program::compile(&parts.concat()) {
            let budget = Budget::of(20_000);
            let _ = program.run_within(&payload(PAYLOAD), &budget);
            proptest::prop_assert!(budget.used() <= 20_000);
        }
    }
}
