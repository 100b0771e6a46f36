//! `docs/reference/events.md`: every event of a stream, generated from `openapi/openapi.yaml`.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

const PAGE: &str = "docs/reference/events.md";
/// Set it to write the page instead of checking it.
const UPDATE: &str = "UPDATE_DOCS";

const HEAD: &str = "# Events\n\n\
    Every event that a stream can have. This page is generated from `openapi/openapi.yaml`; to update it, run\n\
    `UPDATE_DOCS=1 cargo test --test architecture -- events`.\n\n\
    An event of the log has `type`, `action`, `timestamp` and, where they apply, `module`, `recordId`, `userId`,\n\
    `version`, `data` and `changes`. For such events the tables below have the fields of `data`.\n";

struct ApiDocument(Value);

impl ApiDocument {
    fn read() -> Self {
        let yaml = include_str!("../../openapi/openapi.yaml");
        Self(serde_norway::from_str(yaml).expect("YAML"))
    }

    fn schema(&self, name: &str) -> &Value {
        &self.0["components"]["schemas"][name]
    }

    /// The schema itself, or the one that it refers to.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        name_of(schema).map_or(schema, |name| self.schema(name))
    }

    fn page(&self) -> String {
        let mut page = HEAD.to_owned();
        page += &self.section("Streams", "StreamMessage");
        page += &self.section("Streams of a task's output", "OutputMessage");
        page
    }

    fn section(&self, title: &str, messages: &str) -> String {
        let forms = self.schema(messages)["anyOf"].as_array().expect("forms");
        let events = forms.iter().map(|form| self.event(form));
        format!("\n## {title}\n{}", events.collect::<String>())
    }

    fn event(&self, form: &Value) -> String {
        let data = &form["properties"]["data"]["contentSchema"];
        let schema = self.resolved(data);
        let id = if form["required"].is_array() {
            "With an `id`."
        } else {
            "Without an `id`."
        };
        let title = form["title"].as_str().expect("a title");
        let description = Some(text_of(schema)).filter(|text| !text.is_empty());
        let description = description.unwrap_or_else(|| text_of(form));
        let mut event = format!("\n### {title}\n{description} {id}\n");
        let payload = match schema["properties"].get("data") {
            Some(data) => self.resolved(data),
            None => schema,
        };
        let rows = self.rows(payload);
        if !rows.is_empty() {
            write!(
                event,
                "\n| field | value | meaning |\n|---|---|---|\n{rows}"
            )
            .expect("text");
        }
        event
    }

    /// A row for each field of an object, or of any of its variants.
    fn rows(&self, schema: &Value) -> String {
        let mut rows = String::new();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let value = self.value(field);
            let meaning = self.meaning(field);
            writeln!(rows, "| `{name}` | {value} | {meaning} |").expect("text");
        }
        for variants in ["allOf", "oneOf", "anyOf"] {
            for variant in schema[variants].as_array().into_iter().flatten() {
                for row in self.rows(self.resolved(variant)).lines() {
                    let field = row.split(" | ").next().unwrap_or_default();
                    if !rows.contains(&format!("{field} | ")) {
                        writeln!(rows, "{row}").expect("text");
                    }
                }
            }
        }
        rows
    }

    /// The field's own description, or that of its schema.
    fn meaning(&self, field: &Value) -> String {
        let own = text_of(field);
        if own.is_empty() {
            text_of(self.resolved(field))
        } else {
            own
        }
    }

    /// What a field can be, in short.
    fn value(&self, field: &Value) -> String {
        let schema = self.resolved(field);
        if let Some(only) = schema.get("const") {
            return format!("`{only}`");
        }
        if let Some(values) = schema["enum"].as_array() {
            let values = values.iter().map(|value| format!("`{value}`"));
            return values.collect::<Vec<_>>().join(", ");
        }
        match (&schema["type"], name_of(field)) {
            (Value::String(object), Some(name)) if object == "object" => name.to_owned(),
            (Value::String(array), _) if array == "array" => {
                format!("array of {}", self.value(&schema["items"]))
            }
            (Value::String(one), _) => one.clone(),
            (Value::Array(several), _) => {
                let names = several.iter().filter_map(Value::as_str);
                names.collect::<Vec<_>>().join(" or ")
            }
            (_, Some(name)) => name.to_owned(),
            _ => "any JSON".to_owned(),
        }
    }
}

/// `Position` of `{$ref: "#/components/schemas/Position"}`.
fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// A description on one line.
fn text_of(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_events_is_the_one_that_the_api_document_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = ApiDocument::read().page();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &page).expect("a page that can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == page, "{PAGE} is out of date: set {UPDATE}=1");
}
