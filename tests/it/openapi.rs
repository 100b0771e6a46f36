//! The description of the service says what is served, all of it, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use porchlight::api::routes;
use porchlight::api::{Code, DOCUMENT};
use serde_json::Value;

mod answers;
mod calls;
mod coverage;
mod nulls;
mod refusals;

const METHODS: &[&str] = &[
    "get", "put", "post", "delete", "patch", "head", "options", "trace",
];

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().expect("an object").iter()
}

/// The last of two keys would win, and hide the first.
#[test]
fn no_key_is_there_twice() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.yaml");
    let text = std::fs::read_to_string(path).expect("a file");
    let strict: Result<serde_norway::Value, _> = serde_norway::from_str(&text);
    strict.expect("openapi.yaml is YAML without duplicate keys");
}

/// `{description: One, or two}` has a key `or two`, without a value.
#[test]
fn every_key_has_a_value() {
    let mut empty = Vec::new();
    find_empty_keys(&DOCUMENT, "", &mut empty);
    assert_eq!(empty, Vec::<String>::new());
}

fn find_empty_keys(value: &Value, at: &str, empty: &mut Vec<String>) {
    match value {
        Value::Null => empty.push(at.to_owned()),
        Value::Array(items) => {
            for item in items {
                find_empty_keys(item, at, empty);
            }
        }
        Value::Object(members) => {
            let is_value = |name: &str| matches!(name, "example" | "examples" | "const" | "enum");
            for (name, member) in members.iter().filter(|(name, _)| !is_value(name)) {
                find_empty_keys(member, &format!("{at}/{name}"), empty);
            }
        }
        _ => {}
    }
}

#[test]
fn what_is_served_is_described_and_what_is_described_is_served() {
    let served: BTreeSet<_> = routes::all()
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    let mut described = BTreeSet::new();
    for (path, item) in object(&DOCUMENT["paths"]) {
        for (method, _) in object(item).filter(|(name, _)| METHODS.contains(&name.as_str())) {
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(served, described);
}

#[test]
fn every_part_of_a_path_is_described() {
    for (path, item) in object(&DOCUMENT["paths"]) {
        let parts: BTreeSet<_> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        for (method, operation) in object(item) {
            let parameters = operation["parameters"].as_array();
            let described: BTreeSet<_> = parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(parts, described, "{method} {path}");
        }
    }
}

#[test]
fn every_code_of_a_problem_is_described_and_every_described_one_is_used() {
    let codes: BTreeSet<_> = Code::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(codes, described_codes());
}

/// The codes that any response of the document names.
fn described_codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (_, response) in object(&DOCUMENT["components"]["responses"]) {
        let schema = &response["content"]["application/problem+json"]["schema"];
        let all_of = schema["allOf"].as_array().into_iter().flatten();
        for code in all_of.map(|part| &part["properties"]["code"]) {
            let many = code["enum"].as_array().into_iter().flatten();
            let names = many.chain(code.get("const")).filter_map(Value::as_str);
            codes.extend(names.map(ToOwned::to_owned));
        }
    }
    codes
}
