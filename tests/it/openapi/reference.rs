//! docs/reference/events.md is generated from openapi.yaml.
//!
//! `UPDATE_DOCS=1 cargo test --test it -- the_events_reference` writes it.

use std::fmt::Write as _;
use std::path::Path;

use porchlight::api::DOCUMENT;
use serde_json::Value;

const FILE: &str = "docs/reference/events.md";
const INTRODUCTION: &str = "\
# Events

Generated from [openapi.yaml](../../openapi/openapi.yaml), which has the exact schemas. Do not edit.

A stream is made of these events. Events with an id are logged and replayed. Events without one are
states or control events: they are sent once, and a new stream gets a snapshot instead. `escrow` stands
for the singular of any module. `data` is the object of that name inside the event's JSON, or all of the
JSON for control events and snapshots.
";

fn schema(value: &Value) -> &Value {
    match value["$ref"].as_str() {
        Some(path) => {
            let name = path.rsplit('/').next().expect("a name");
            schema(&DOCUMENT["components"]["schemas"][name])
        }
        None => value,
    }
}

/// A short name of a type, as a table shows it.
fn kind(value: &Value) -> String {
    let value = schema(value);
    let texts = |key: &str| -> Option<Vec<String>> {
        let values = value[key].as_array()?.iter();
        Some(
            values
                .map(|text| text.as_str().map_or(text.to_string(), Into::into))
                .collect(),
        )
    };
    if let Some(values) = texts("enum") {
        return format!("`{}`", values.join("`, `"));
    }
    if !value["const"].is_null() {
        return format!("`{}`", value["const"].to_string().trim_matches('"'));
    }
    match (
        value["format"].as_str(),
        texts("type"),
        value["type"].as_str(),
    ) {
        (Some("date-time"), ..) => "time".to_owned(),
        (_, Some(types), _) => types.join(" or "),
        (.., Some("array")) => format!("array of {}", kind(&value["items"])),
        (.., Some(name)) => name.to_owned(),
        _ => "any".to_owned(),
    }
}

fn field_rows(data: &Value, text: &mut String) {
    let Some(fields) = data["properties"].as_object() else {
        return;
    };
    let required = data["required"].as_array().into_iter().flatten();
    let required: Vec<_> = required.filter_map(Value::as_str).collect();
    text.push_str("\n| field | type | |\n|---|---|---|\n");
    for (name, field) in fields {
        let described = field["description"].as_str();
        let described = described.or_else(|| schema(field)["description"].as_str());
        let described = described.unwrap_or_default().replace('\n', " ");
        let always = if required.contains(&name.as_str()) {
            ""
        } else {
            "optional. "
        };
        let row = format!(
            "| `{name}` | {} | {always}{}",
            kind(field),
            described.trim()
        );
        writeln!(text, "{} |", row.trim_end()).expect("text");
    }
}

/// The forms that the data of an event may have.
fn forms(content: &Value) -> Vec<&Value> {
    let content = schema(content);
    let data = match schema(&content["properties"]["data"]) {
        Value::Null => content,
        data => data,
    };
    let several = data["oneOf"].as_array().or(data["anyOf"].as_array());
    several.map_or(vec![data], |forms| forms.iter().map(schema).collect())
}

fn section(form: &Value, text: &mut String) {
    let title = form["title"].as_str().expect("a title");
    let is_logged = form["required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|n| n == "id"));
    let content = &form["properties"]["data"]["contentSchema"];
    writeln!(text, "\n## {title}\n").expect("text");
    let described = content["description"].as_str();
    let described = described.or_else(|| schema(content)["description"].as_str());
    if let Some(described) = described {
        writeln!(text, "{}", described.trim()).expect("text");
    }
    let id = if is_logged {
        "It has an id."
    } else {
        "It has no id."
    };
    writeln!(text, "{id}").expect("text");
    for data in forms(content) {
        field_rows(data, text);
    }
}

fn rendered() -> String {
    let mut text = INTRODUCTION.to_owned();
    let schemas = &DOCUMENT["components"]["schemas"];
    for form in schemas["StreamMessage"]["anyOf"].as_array().expect("forms") {
        section(form, &mut text);
    }
    text.push_str("\n# The output of a task\n\n`GET /tasks/{id}/output` is a stream of its own.\n");
    for form in schemas["OutputMessage"]["anyOf"].as_array().expect("forms") {
        section(form, &mut text);
    }
    text
}

#[test]
fn the_events_reference_is_what_openapi_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let text = rendered();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).expect("a file that can be written");
    }
    let written = std::fs::read_to_string(&path).expect("a file");
    assert!(
        written == text,
        "{FILE} is old: run UPDATE_DOCS=1 cargo test --test it -- the_events_reference"
    );
}
