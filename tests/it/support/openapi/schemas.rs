//! The schemas of the document, compiled.

use boon::{Compiler, SchemaIndex, Schemas as Compiled};
use serde_json::{Value, json};

/// Where the schemas stand; nothing is fetched from there.
const PLACE: &str = "https://openapi.test/schemas.json";

/// Schemas that values are checked with.
pub struct Schemas {
    compiled: Compiled,
    indices: Vec<SchemaIndex>,
}

pub type Schema = usize;

/// Schemas that are still gathered: all of them share the components of the document.
#[derive(Default)]
pub struct Gathered(Vec<Value>);

impl Gathered {
    pub fn add(&mut self, schema: Value) -> Schema {
        self.0.push(schema);
        self.0.len() - 1
    }

    /// The same, of an object that has no other members than those that the schema names.
    pub fn add_closed(&mut self, schema: &Value) -> Schema {
        self.add(json!({"allOf": [schema], "unevaluatedProperties": false}))
    }

    pub fn compile(self, components: &Value) -> Schemas {
        let count = self.0.len();
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.enable_content_assertions();
        let all = json!({"components": components, "all": self.0});
        compiler.add_resource(PLACE, all).expect("a resource");
        let mut schemas = Compiled::new();
        let index = |n: usize| {
            let place = format!("{PLACE}#/all/{n}");
            let index = compiler.compile(&place, &mut schemas);
            index.unwrap_or_else(|error| panic!("a schema of openapi.yaml is none: {error:#}"))
        };
        let indices = (0..count).map(index).collect();
        Schemas {
            compiled: schemas,
            indices,
        }
    }
}

impl Schemas {
    /// What is wrong with a value.
    pub fn check(&self, schema: Schema, value: &Value) -> Result<(), String> {
        let checked = self.compiled.validate(value, self.indices[schema]);
        checked.map_err(|error| format!("{error:#}"))
    }

    /// Whether nothing is wrong with it; this is cheaper than to say what.
    pub fn allows(&self, schema: Schema, value: &Value) -> bool {
        self.compiled.validate(value, self.indices[schema]).is_ok()
    }
}
