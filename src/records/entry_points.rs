//! Values of fields, from bodies and from lines of files.

use serde_json::Value;
use serde_json::value::RawValue;

use super::value;
use super::{Field, FieldType, FieldWriter, InputValue};
use crate::platform::entry_point::{EntryPoint, with_text};

pub const ENTRY_POINTS: [EntryPoint; 1] = [EntryPoint {
    name: "record_value",
    read: |bytes| with_text(bytes, read),
}];

const TYPES: [FieldType; 7] = [
    FieldType::Text,
    FieldType::Texts,
    FieldType::Number,
    FieldType::Integer,
    FieldType::Boolean,
    FieldType::Date,
    FieldType::Timestamp,
];

fn field(of_type: FieldType, is_narrow: bool) -> Field {
    let allowed = ["new".to_owned(), "sold".to_owned()];
    let has_values = is_narrow && matches!(of_type, FieldType::Text);
    Field {
        name: "listPrice".to_owned(),
        column: "list_price".to_owned(),
        of_type,
        writer: FieldWriter::Anybody,
        is_required: false,
        is_kept: is_narrow,
        is_private: is_narrow,
        allowed: has_values.then(|| allowed.to_vec()),
        least: is_narrow.then_some(1),
        most: is_narrow.then_some(20),
        scale: is_narrow.then_some(2),
    }
}

/// What is accepted is JSON that is accepted again and does not change.
fn read(text: &str) {
    for field in TYPES
        .iter()
        .flat_map(|of| [field(*of, false), field(*of, true)])
    {
        let json = serde_json::from_str::<&RawValue>(text).ok();
        let inputs = [Some(InputValue::Text(text)), json.map(InputValue::Json)];
        for input in inputs.into_iter().flatten() {
            let Ok(first) = value::parse(&field, input) else {
                continue;
            };
            let parsed: Value = serde_json::from_str(&first).expect("JSON");
            assert!(!field.is_kept || !parsed.is_null(), "{text}");
            let raw: &RawValue = serde_json::from_str(&first).expect("JSON");
            let again = value::parse(&field, InputValue::Json(raw));
            assert_eq!(again.as_ref(), Ok(&first), "{:?} {text:?}", field.of_type);
        }
    }
}
