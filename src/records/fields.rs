//! The fields of records, as the database defines them.

use std::collections::HashMap;

use serde::Serialize;

use crate::platform::ModuleName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Text,
    Texts,
    /// A decimal number, stored as it is written.
    Number,
    Integer,
    Boolean,
    /// Like 2025-11-02.
    Date,
    /// Like 2025-11-02T12:00:00Z.
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldWriter {
    /// Everybody who may write the record.
    Anybody,
    Creator,
    Database,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The name in JSON: `listPrice`.
    pub name: String,
    /// The column in the table: `list_price`.
    #[serde(skip)]
    pub column: String,
    #[serde(rename = "type")]
    pub of_type: FieldType,
    pub writer: FieldWriter,
    /// Whether a new record needs it.
    #[serde(rename = "required")]
    pub is_required: bool,
    /// Whether a value cannot be removed.
    #[serde(skip)]
    pub is_kept: bool,
    /// Whether only the owner and admins may see it.
    #[serde(rename = "private")]
    pub is_private: bool,
    /// The allowed values, if only some are.
    #[serde(rename = "values", skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
    /// The lowest number, or the fewest characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<i64>,
    /// The highest number, the most characters of a text, or the most texts of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<i64>,
    #[serde(rename = "decimals", skip_serializing_if = "Option::is_none")]
    pub scale: Option<i32>,
}

impl Field {
    /// Whether a search includes it: text that people write and everybody may read.
    #[must_use]
    pub fn is_searched(&self) -> bool {
        let is_text = matches!(self.of_type, FieldType::Text | FieldType::Texts);
        let is_id = matches!(&*self.column, "id" | "team_id" | "owner_id");
        is_text && !is_id && !self.is_private && self.allowed.is_none()
    }

    /// Whether a list can be sorted by it.
    #[must_use]
    pub fn is_sorted(&self) -> bool {
        self.of_type != FieldType::Texts && !self.is_private
    }
}

/// A constraint of the table.
#[derive(Clone, Debug)]
pub(super) struct TableRule {
    pub(super) field: String,
    pub(super) reason: String,
}

/// The records of one module: their fields and constraints.
#[derive(Clone, Debug)]
pub struct RecordKind {
    pub module: ModuleName,
    /// In the order of the table.
    pub fields: Vec<Field>,
    /// By the names of constraints.
    pub(super) rules: HashMap<String, TableRule>,
}

impl RecordKind {
    /// The field with this name in JSON.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    pub(super) fn of_column(&self, column: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.column == column)
    }

    /// The names of the fields for which `which` is true, for a sentence.
    #[must_use]
    pub fn names(&self, which: impl Fn(&Field) -> bool) -> String {
        let names: Vec<_> = self.fields.iter().filter(|field| which(field)).collect();
        let names: Vec<_> = names.iter().map(|field| field.name.as_str()).collect();
        names.join(", ")
    }
}

/// The modules that have a table.
#[derive(Clone, Debug)]
pub struct Catalogue(pub(super) Vec<RecordKind>);

impl Catalogue {
    #[must_use]
    pub fn kind(&self, module: &ModuleName) -> Option<&RecordKind> {
        self.0.iter().find(|kind| kind.module == *module)
    }

    /// In the order of the configuration.
    pub fn kinds(&self) -> impl Iterator<Item = &RecordKind> {
        self.0.iter()
    }
}
