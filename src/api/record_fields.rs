//! The fields of a record in a body.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::records::InputValue;

/// Fields by name, each once, with unparsed values.
pub(super) struct FieldsBody(Vec<(String, Box<RawValue>)>);

impl FieldsBody {
    pub(super) fn given(&self) -> impl Iterator<Item = (&str, InputValue<'_>)> {
        let fields = self.0.iter();
        fields.map(|(name, value)| (name.as_str(), InputValue::Json(value)))
    }
}

impl<'de> Deserialize<'de> for FieldsBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = FieldsBody;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldsBody, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                let mut names = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    fields.push((name, value));
                }
                Ok(FieldsBody(fields))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
