//! Checks that the OpenAPI document matches routes and responses.

use std::collections::BTreeSet;

use procstate::{Params, Runner};
use serde_json::{Value, json};

use super::client::{Answer, Site};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn document(site: &Site) -> Value {
    site.get("/v1/openapi.json").ok()
}

/// Returns every method and path of the document.
fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, operations)| {
        operations.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
    });
    operations.collect()
}

#[test]
fn every_route_is_described_and_every_description_is_served() {
    let source = std::fs::read_to_string("src/http/routes.rs").unwrap();
    let mut served = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let handlers = route.split_once(path).unwrap().1.split("\n        .").next().unwrap();
        for method in METHODS {
            if handlers.contains(&format!("{method}(")) {
                served.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    let site = Site::new();
    assert!(served.len() > 20, "{served:?}");
    assert_eq!(described(&document(&site)), served);
    site.store.process("p").unwrap().register("w", Params::new()).unwrap();
    for (method, path) in served {
        if path == "/v1/events" {
            continue;
        }
        let path = path.replace("{process}", "p").replace("{work}", "w");
        let answer = site.send(&method.to_uppercase(), &path, "{}");
        assert!(![404, 405].contains(&answer.status), "{method} {path}: {}", answer.text());
    }
}

#[test]
fn responses_match_their_schemas() {
    let site = Site::new();
    let document = document(&site);
    let process = site.store.process("p").unwrap();
    process.register_all([("a", Params::new().int("n", 1)), ("b", Params::new().int("fails", 1))]).unwrap();
    process.unregister("gone").unwrap();
    let worker = Runner::builder(&site.store, "p").worker_fn(|work| {
        work.add_stat("done", 1.5);
        work.params().get_int("fails").map_or(Ok(()), |_| Err("no".into()))
    });
    worker.build().unwrap().run_once().unwrap();
    let mut seen = BTreeSet::new();
    for (method, path, body) in [
        ("get", "/v1/processes", ""),
        ("get", "/v1/processes/{process}", ""),
        ("get", "/v1/processes/{process}/state", ""),
        ("get", "/v1/processes/{process}/history", ""),
        ("get", "/v1/processes/{process}/settings", ""),
        ("patch", "/v1/processes/{process}/settings", r#"{"scheduleSeconds": 1e9}"#),
        ("get", "/v1/processes/{process}/work", ""),
        ("post", "/v1/processes/{process}/work", r#"{"items": [{"name": "x"}]}"#),
        ("get", "/v1/processes/{process}/work/{work}", ""),
        ("put", "/v1/processes/{process}/work/{work}", r#"{"params": {"intParams": {"n": 2}}}"#),
        ("delete", "/v1/processes/{process}/work/{work}", ""),
        ("post", "/v1/processes/{process}/release", ""),
        ("post", "/v1/processes/{process}/purge", r#"{"olderThanSeconds": 3600}"#),
        ("post", "/v1/processes/{process}/pause", ""),
        ("post", "/v1/processes/{process}/resume", ""),
        ("post", "/v1/processes/{process}/retry", r#"{"failed": true}"#),
        ("post", "/v1/processes/{process}/run", ""),
        ("get", "/v1/stats", ""),
        ("get", "/v1/openapi.json", ""),
        ("get", "/metrics", ""),
        ("get", "/healthz", ""),
        ("get", "/readyz", ""),
    ] {
        let asked = path.replace("{process}", "p").replace("{work}", "a");
        check(&document, method, path, &site.send(&method.to_uppercase(), &asked, body));
        let none = path.replace("{process}", "none").replace("{work}", "none");
        check(&document, method, path, &site.send(&method.to_uppercase(), &none, "[]"));
        seen.insert((method.to_owned(), path.to_owned()));
    }
    seen.insert(("get".to_owned(), "/v1/events".to_owned()));
    assert_eq!(described(&document), seen);
}

/// Checks that a response is one of those documented for an operation.
fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
    let response = resolve(document, response);
    assert!(response.is_object(), "{method} {path} answers {}: {}", answer.status, answer.text());
    let kind = answer.header("content-type").split(';').next().unwrap();
    let schema = &response["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path} answers {kind}");
    if kind.ends_with("json") {
        let value = answer.json();
        assert_eq!(mismatch(document, schema, &value), None, "{method} {path}: {value}");
    }
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => value,
    }
}

/// Returns how a value differs from its schema, as far as this document uses JSON Schema.
fn mismatch(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = resolve(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = choices.iter().filter(|choice| mismatch(document, choice, value).is_none()).count();
        return (fits != 1).then(|| format!("{value} is {fits} of {}", schema["oneOf"]));
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        Value::Null => Vec::new(),
        kind => vec![kind.clone()],
    };
    let is_kind = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other}"),
    };
    if !kinds.is_empty() && !kinds.iter().any(is_kind) {
        return Some(format!("{value} is not {kinds:?}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Some(format!("{value} is none of {choices:?}"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| mismatch(document, &schema["items"], item));
    }
    let members = value.as_object()?;
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let missing = required.iter().find(|name| !members.contains_key(name.as_str().unwrap()));
    if let Some(missing) = missing {
        return Some(format!("no {missing} in {value}"));
    }
    members.iter().find_map(|(name, member)| {
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => Some(format!("{name} is not described")),
            (Value::Null, Value::Bool(true) | Value::Null) => None,
            (Value::Null, others) => mismatch(document, others, member).map(|why| format!("{name}: {why}")),
            (own, _) => mismatch(document, own, member).map(|why| format!("{name}: {why}")),
        }
    })
}

#[test]
fn mismatches_are_detected() {
    let schema = json!({"type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"type": ["string", "null"]}}});
    let fits = |value: Value| mismatch(&json!({}), &schema, &value).is_none();
    assert!(fits(json!({"a": "x"})) && fits(json!({"a": null})));
    assert!(
        !fits(json!({})) && !fits(json!({"a": 1})) && !fits(json!({"a": "x", "b": 1})) && !fits(json!([]))
    );
}
