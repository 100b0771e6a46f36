//! The fields of records, as the database says they are.

use std::collections::HashMap;

use serde::Serialize;

use crate::platform::ModuleName;

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Text,
    Texts,
    /// A decimal number, kept as it is written.
    Number,
    Integer,
    Boolean,
    /// A day, like 2025-11-02.
    Date,
    /// A moment, like 2025-11-02T12:00:00Z.
    Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Writer {
    /// Whoever may write the record.
    Anybody,
    Creator,
    Database,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// What clients call it: `listPrice`.
    pub name: String,
    /// What the table calls it: `list_price`.
    #[serde(skip)]
    pub column: String,
    #[serde(rename = "type")]
    pub of_type: FieldType,
    pub writer: Writer,
    /// Whether a new record needs it.
    #[serde(rename = "required")]
    pub is_required: bool,
    /// Whether it always has a value.
    #[serde(skip)]
    pub is_kept: bool,
    /// Whether only the owner and admins see it.
    #[serde(rename = "private")]
    pub is_private: bool,
    /// All values that it can have, where they are few.
    #[serde(rename = "values", skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
    /// The least value, or characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<i64>,
    /// The greatest value, or characters of a text, or texts of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<i64>,
    #[serde(rename = "decimals", skip_serializing_if = "Option::is_none")]
    pub scale: Option<i32>,
}

impl Field {
    /// Whether a search looks into it: text that people write, and everybody may read.
    #[must_use]
    pub fn is_searched(&self) -> bool {
        let is_text = matches!(self.of_type, FieldType::Text | FieldType::Texts);
        let is_a_name = matches!(&*self.column, "id" | "team_id" | "owner_id");
        is_text && !is_a_name && !self.is_private && self.allowed.is_none()
    }

    /// Whether a list can be sorted by it.
    #[must_use]
    pub fn is_sorted(&self) -> bool {
        self.of_type != FieldType::Texts && !self.is_private
    }
}

/// A rule of the table, which a write may break.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) field: String,
    pub(super) reason: String,
}

/// The records of one module: their fields, and the rules they obey.
#[derive(Clone, Debug)]
pub struct Kind {
    pub module: ModuleName,
    /// The fields, in the order of the table.
    pub fields: Vec<Field>,
    /// By the names of constraints.
    pub(super) rules: HashMap<String, Rule>,
}

impl Kind {
    /// The field that clients call so.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field of this column.
    pub(super) fn of_column(&self, column: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.column == column)
    }

    /// The names of those that `which` picks, for a sentence.
    #[must_use]
    pub fn names(&self, which: impl Fn(&Field) -> bool) -> String {
        let names: Vec<_> = self.fields.iter().filter(|field| which(field)).collect();
        let names: Vec<_> = names.iter().map(|field| field.name.as_str()).collect();
        names.join(", ")
    }
}

/// The modules whose records are kept here.
#[derive(Clone, Debug)]
pub struct Catalogue(pub(super) Vec<Kind>);

impl Catalogue {
    /// The records of a module, if they are kept here.
    #[must_use]
    pub fn kind(&self, module: &ModuleName) -> Option<&Kind> {
        self.0.iter().find(|kind| kind.module == *module)
    }

    /// All of them, in the order of the configuration.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }
}
