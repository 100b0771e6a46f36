//! The forms that the document gives to the events of a stream.

use serde_json::{Value, json};

use super::DESCRIBED;
use super::document::resolved;
use super::schemas::{Gathered, Schema};

#[derive(Clone)]
pub struct EventForm {
    pub schema: Schema,
    /// What names look like that `names` does not list.
    name: Option<Schema>,
    /// All names of such events, or an example of them.
    names: Vec<String>,
    /// The name of the schema of the stream.
    stream: String,
}

impl EventForm {
    /// Whether it describes events of this name.
    pub fn has_name(&self, name: &str) -> bool {
        match self.name {
            Some(schema) => DESCRIBED.schemas.allows(schema, &name.into()),
            None => self.names.iter().any(|known| known == name),
        }
    }

    /// How [`super::seen`] names an event of this form.
    pub fn noted(&self, name: &str) -> String {
        let known = self.names.iter().find(|known| *known == name);
        let example = self.names.first().expect("a name");
        self.note(known.unwrap_or(example))
    }

    /// The types that this form describes, as they are noted.
    pub fn types(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| self.note(name))
    }

    fn note(&self, name: &str) -> String {
        format!("{} {name}", self.stream)
    }

    fn read(gathered: &mut Gathered, common: &Value, form: &Value, stream: &str) -> Self {
        let event = &form["properties"]["event"];
        let names = event["enum"].as_array().into_iter().flatten();
        let names: Vec<_> = names
            .chain(event.get("const"))
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect();
        let name = names.is_empty().then(|| match event {
            Value::Null => true.into(),
            event => event.clone(),
        });
        let names = if names.is_empty() {
            vec![form["title"].as_str().expect("a title").to_owned()]
        } else {
            names
        };
        Self {
            schema: gathered.add(json!({"allOf": [common, form]})),
            name: name.map(|name| gathered.add(name)),
            names,
            stream: stream.to_owned(),
        }
    }
}

/// The forms in the `contentSchema` of a stream's text.
pub fn of_stream(gathered: &mut Gathered, schema: &Value) -> Vec<EventForm> {
    let stream = schema["$ref"].as_str().unwrap_or_default();
    let stream = stream.rsplit('/').next().unwrap_or_default();
    let event = resolved(&resolved(schema)["contentSchema"]["items"]);
    let forms = event["anyOf"].as_array().into_iter().flatten();
    let mut common = event.clone();
    if let Value::Object(common) = &mut common {
        common.remove("anyOf");
    }
    forms
        .map(|form| EventForm::read(gathered, &common, form, stream))
        .collect()
}
