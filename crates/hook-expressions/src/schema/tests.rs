//! What keywords assert, which schemas are refused, and that nothing goes beyond its budget.

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::*;

#[track_caller]
fn compiled(schema: &Json) -> Schema {
    Schema::compile(schema).unwrap_or_else(|error| panic!("{}: {error}", error.pointer))
}

fn payload(value: &Json) -> Payload {
    Payload::parse(Bytes::from(json!({ "v": value }).to_string())).unwrap()
}

/// Whether a value is what a schema says. The schema's own references lead below `/properties/v`.
#[track_caller]
fn check(schema: &Json, right: &[Json], wrong: &[Json]) {
    let definitions = schema.get("$defs").cloned().unwrap_or_else(|| json!({}));
    let schema = compiled(&json!({ "$defs": definitions, "properties": { "v": schema } }));
    for value in right {
        assert_eq!(schema.check(&payload(value)), Ok(()), "{value}");
    }
    for value in wrong {
        assert!(matches!(schema.check(&payload(value)), Err(Invalid::Unmet { .. })), "{value}");
    }
}

#[test]
fn every_keyword_asserts_what_the_standard_says() {
    check(&json!(true), &[json!(1)], &[]);
    check(&json!(false), &[], &[json!(1)]);
    check(&json!({"type": "integer"}), &[json!(1), json!(1.0)], &[json!(1.5), json!("1")]);
    check(&json!({"type": ["string", "null"]}), &[json!("x"), json!(null)], &[json!(false), json!([]), json!({})]);
    check(&json!({"enum": [1, "a", {"b": [1]}]}), &[json!(1.0), json!({"b": [1]})], &[json!(2), json!("A")]);
    check(&json!({"const": null}), &[json!(null)], &[json!(0)]);
    check(&json!({"minimum": 1, "exclusiveMaximum": 3}), &[json!(1), json!(2.9), json!("x")], &[json!(0.9), json!(3)]);
    check(&json!({"exclusiveMinimum": 1, "maximum": 3}), &[json!(3)], &[json!(1)]);
    check(&json!({"multipleOf": 0.01}), &[json!(4.02), json!(19.99)], &[json!(0.015), json!(10_000_000_000.005)]);
    check(&json!({"multipleOf": 3}), &[json!(9)], &[json!(10)]);
    check(&json!({"minLength": 2, "maxLength": 3}), &[json!("äö"), json!(1)], &[json!("ä"), json!("abcd")]);
    check(&json!({"pattern": "^a+$"}), &[json!("aa"), json!(1)], &[json!("ab")]);
    check(
        &json!({"minItems": 1, "maxItems": 2, "uniqueItems": true}),
        &[json!([1, 2])],
        &[json!([]), json!([1, 1.0]), json!([1, 2, 3])],
    );
    check(
        &json!({"uniqueItems": true}),
        &[json!([{"a": 1}, {"a": 2}])],
        &[json!([{"a": 1, "b": 2}, {"b": 2, "a": 1}])],
    );
    check(
        &json!({"prefixItems": [{"type": "string"}], "items": {"type": "number"}}),
        &[json!(["a", 1]), json!([])],
        &[json!([1]), json!(["a", "b"])],
    );
    check(
        &json!({"contains": {"const": 1}, "minContains": 2, "maxContains": 3}),
        &[json!([1, 1])],
        &[json!([1]), json!([1, 1, 1, 1])],
    );
    check(&json!({"contains": {"const": 1}, "minContains": 0}), &[json!([])], &[]);
    check(&json!({"minProperties": 1, "maxProperties": 1}), &[json!({"a": 1})], &[json!({}), json!({"a": 1, "b": 1})]);
    check(
        &json!({"required": ["a"], "dependentRequired": {"a": ["b"]}}),
        &[json!({"a": 1, "b": 1})],
        &[json!({}), json!({"a": 1})],
    );
    check(
        &json!({"properties": {"a": {"type": "number"}}, "patternProperties": {"^x": {"type": "string"}}, "additionalProperties": false}),
        &[json!({"a": 1, "xy": "s"})],
        &[json!({"a": "1"}), json!({"xy": 1}), json!({"b": 1})],
    );
    check(&json!({"additionalProperties": {"type": "number"}}), &[json!({"a": 1})], &[json!({"a": "x"})]);
    check(&json!({"patternProperties": {"^x": false}}), &[json!({"a": 1})], &[json!({"x": 1})]);
    check(&json!({"propertyNames": {"maxLength": 1}}), &[json!({"a": 1})], &[json!({"ab": 1})]);
    check(&json!({"dependentSchemas": {"a": {"required": ["b"]}}}), &[json!({"b": 1})], &[json!({"a": 1})]);
    check(&json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), &[json!(1)], &[json!(3)]);
    check(&json!({"anyOf": [{"minimum": 3}, {"maximum": 1}]}), &[json!(1), json!(3)], &[json!(2)]);
    check(&json!({"oneOf": [{"minimum": 1}, {"maximum": 2}]}), &[json!(0), json!(3)], &[json!(1)]);
    check(&json!({"not": {"type": "string"}}), &[json!(1)], &[json!("x")]);
    check(
        &json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"type": "null"}}),
        &[json!("a"), json!(null)],
        &[json!(""), json!(1)],
    );
    check(
        &json!({"properties": {"a": true}, "allOf": [{"properties": {"b": true}}], "unevaluatedProperties": false}),
        &[json!({"a": 1, "b": 1})],
        &[json!({"c": 1})],
    );
    check(
        &json!({"anyOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": true}}], "unevaluatedProperties": false}),
        &[json!({"a": 1}), json!({"b": 1})],
        &[json!({"c": 1}), json!({"a": 2})],
    );
    check(
        &json!({"allOf": [{"properties": {"a": true}}, {"unevaluatedProperties": false}]}),
        &[json!({}), json!(1)],
        &[json!({"a": 1})],
    );
    check(
        &json!({"properties": {"a": true}, "allOf": [{"$ref": "#/properties/v/$defs/closed"}], "$defs": {"closed": {"unevaluatedProperties": false}}}),
        &[json!({})],
        &[json!({"a": 1})],
    );
    check(&json!({"prefixItems": [true], "allOf": [{"unevaluatedItems": false}]}), &[json!([])], &[json!([1])]);
    check(
        &json!({"prefixItems": [true], "contains": {"const": "x"}, "unevaluatedItems": {"type": "number"}}),
        &[json!([1, "x", 2])],
        &[json!([1, "x", "y"])],
    );
    check(
        &json!({"$defs": {"n": {"$anchor": "num", "type": "number"}}, "$ref": "#/$defs/n"}),
        &[json!(1)],
        &[json!("x")],
    );
    check(&json!({"$defs": {"n": {"$anchor": "num", "type": "number"}}, "$ref": "#num"}), &[json!(1)], &[json!("x")]);
    check(
        &json!({"$defs": {"tree": {"properties": {"l": {"$ref": "#/$defs/tree"}, "n": {"type": "number"}}}}, "$ref": "#/$defs/tree"}),
        &[json!({"l": {"l": {"n": 1}}})],
        &[json!({"l": {"l": {"n": "x"}}})],
    );
    check(
        &json!({"$defs": {"n": {"$dynamicAnchor": "num", "type": "number"}}, "$dynamicRef": "#num"}),
        &[json!(1)],
        &[json!("x")],
    );
    check(
        &json!({"enum": [{"$anchor": "num"}], "$defs": {"n": {"$anchor": "num"}}, "allOf": [{"$ref": "#num"}]}),
        &[json!({"$anchor": "num"})],
        &[json!(1)],
    );
    check(&json!({"pattern": "^\\d+$"}), &[json!("45")], &[json!("\u{664}\u{665}")]);
    check(
        &json!({"format": "email", "title": "t", "default": 1, "x-ours": 1, "$comment": "c"}),
        &[json!("not an address")],
        &[],
    );
}

#[test]
fn what_is_wrong_is_named_by_its_place_and_never_shown() {
    let schema = compiled(
        &json!({"properties": {"user": {"properties": {"a/b": {"items": {"type": "number"}}}}}, "required": ["user"]}),
    );
    let invalid =
        |body: &'static str| schema.check(&Payload::parse(Bytes::from_static(body.as_bytes())).unwrap()).unwrap_err();
    let deep = invalid(r#"{"user": {"a/b": [1, "canary"]}}"#);
    assert_eq!(deep.to_string(), "`/user/a~1b/1` does not meet `/properties/user/properties/a~1b/items/type`");
    assert_eq!(invalid("{}").to_string(), "`/` does not meet `/required`");
}

#[test]
fn a_schema_that_cannot_be_right_is_refused_with_its_place() {
    let check = |schema: Json, pointer: &str, part: &str| {
        let error = Schema::compile(&schema).unwrap_err();
        assert_eq!(error.pointer, pointer, "{schema}");
        assert!(error.message.contains(part) && !error.help.is_empty(), "{schema}: {}", error.message);
    };
    check(json!(7), "", "an object, true or false");
    check(json!({"typ": "string"}), "/typ", "no keyword `typ`");
    check(json!({"type": "text"}), "/type", "`type` is null, boolean");
    check(json!({"properties": {"a": {"minimum": "1"}}}), "/properties/a/minimum", "a number");
    check(json!({"items": [{}]}), "/items", "one schema");
    check(json!({"$ref": "https://example.com/schema.json"}), "/$ref", "nothing is fetched");
    check(json!({"$ref": "other.json#/a"}), "/$ref", "nothing is fetched");
    check(json!({"$ref": "file:///etc/passwd"}), "/$ref", "nothing is fetched");
    check(json!({"$ref": "#/$defs/a"}), "/$ref", "where nothing is");
    check(json!({"$ref": "#a"}), "/$ref", "no `$anchor`");
    check(json!({"$ref": "#"}), "", "refers to itself");
    check(
        json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
        "/$defs/a",
        "refers to itself",
    );
    check(json!({"pattern": "(?=a)"}), "/pattern", "no pattern");
    check(json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "/$schema", "2020-12");
    check(json!({"properties": {"a": {"$id": "x"}}}), "/properties/a/$id", "not understood");
    check(json!({"dependencies": {}}), "/dependencies", "older drafts");
    check(json!({"$dynamicRef": "#a"}), "/$dynamicRef", "no `$anchor`");
    check(json!({"$vocabulary": {}}), "/$vocabulary", "not understood");
    check(json!({"multipleOf": 0}), "/multipleOf", "above zero");
    check(json!({"minLength": -1}), "/minLength", "not negative");
    check(json!({"required": [1]}), "/required", "a list of names");
    let deep = (0..200).fold(json!({}), |inner, _| json!({ "not": inner }));
    assert!(Schema::compile(&deep).is_err());
    let wide: Vec<Json> = (0..5_000).map(|_| json!({})).collect();
    assert!(Schema::compile(&json!({ "allOf": wide })).is_err());
}

#[test]
fn a_hostile_schema_ends_within_the_budget() {
    let twice = |name: usize| json!({"allOf": [{"$ref": format!("#/$defs/d{}", name + 1)}, {"$ref": format!("#/$defs/d{}", name + 1)}]});
    let mut definitions: serde_json::Map<String, Json> =
        (0..40).map(|name| (format!("d{name}"), twice(name))).collect();
    definitions.insert("d40".into(), json!({}));
    let doubling = json!({ "$defs": definitions, "$ref": "#/$defs/d0" });
    let tree = json!({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [
        {"properties": {"a": {"$ref": "#/$defs/n"}}, "minProperties": 9}, {"properties": {"a": {"$ref": "#/$defs/n"}}, "minProperties": 8}]}}});
    let nested = (0..100).fold("1".to_owned(), |inner, _| format!("{{\"a\":{inner}}}"));
    let list = format!("{{\"a\":[{}0]}}", "0,".repeat(200_000));
    let unique = json!({"properties": {"a": {"allOf": vec![json!({"not": {"uniqueItems": true}}); 50]}}});
    let patterns = json!({"properties": {"a": {"items": {"not": {"anyOf": (0..100).map(|_| json!({"const": "x"})).collect::<Vec<_>>()}}}}});
    // What costs nothing by itself, many times over: a list that everything is right in, and a name that is found again.
    let often = |leaf: Json| {
        let twice = |name: usize| json!({ "allOf": vec![json!({"$ref": format!("#/$defs/d{}", name + 1)}); 2] });
        let mut definitions: serde_json::Map<String, Json> =
            (0..15).map(|name| (format!("d{name}"), twice(name))).collect();
        definitions.insert("d15".into(), leaf);
        json!({ "$defs": definitions, "$ref": "#/$defs/d0" })
    };
    let items = often(json!({"properties": {"a": {"items": true}}}));
    let names = often(json!({"additionalProperties": true}));
    let name = format!("{{\"{}\":1}}", "k".repeat(100_000));
    let required = often(json!({"required": (0..1_000).map(|name| name.to_string()).collect::<Vec<_>>()}));
    let thousand: serde_json::Map<String, Json> = (0..1_000).map(|name| (name.to_string(), json!(1))).collect();
    let thousand = Json::Object(thousand).to_string();
    for (schema, body) in [
        (doubling, "{}"),
        (tree, &nested),
        (unique, &list),
        (patterns, &list),
        (items, &list),
        (names, &name),
        (required, &thousand),
    ] {
        let budget = Budget::default();
        let schema = compiled(&schema);
        let checked = schema.check_within(&Payload::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap(), &budget);
        assert_eq!(checked, Err(Invalid::Spent(Spent)));
        assert!(budget.used() <= crate::budget::STEPS);
    }
}

#[test]
fn what_is_only_tried_writes_no_way_down() {
    // Each element fails below a long name: writing that down for each would take minutes.
    let name = "k".repeat(1_000_000);
    let body = format!("{{\"{name}\":[{}0]}}", "0,".repeat(100_000));
    let schema =
        compiled(&json!({"additionalProperties": {"items": {"anyOf": [{"type": "string"}, {"type": "number"}]}}}));
    assert_eq!(schema.check(&Payload::parse(Bytes::from(body)).unwrap()), Ok(()));
}
