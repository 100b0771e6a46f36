//! Reads the tables of records from the database. No table is named here.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::fields::{Catalogue, Field, FieldType, FieldWriter, RecordKind, TableRule};
use crate::directory::{Module, Modules};

/// Reads the fields of the configured modules that have a table.
pub(super) async fn read(
    connection: &mut PgConnection,
    modules: &Modules,
) -> sqlx::Result<Catalogue> {
    sqlx::query!("select from porchlight.remember_record_words()")
        .execute(&mut *connection)
        .await?;
    let mut kinds = Vec::new();
    for module in modules.iter() {
        let fields = fields(connection, module).await?;
        if !fields.is_empty() {
            kinds.push(RecordKind {
                module: module.name.clone(),
                rules: rules(connection, module).await?,
                fields,
            });
        }
    }
    Ok(Catalogue(kinds))
}

struct FieldRow {
    column: String,
    name: String,
    of_type: Option<String>,
    writer: String,
    is_kept: bool,
    is_required: bool,
    is_private: bool,
    allowed: Option<Vec<String>>,
    least: Option<i64>,
    most: Option<i64>,
    scale: Option<i32>,
}

impl FieldRow {
    /// None for a column whose type is not supported.
    fn field(self, module: &Module) -> Option<Field> {
        let writer = match &*self.writer {
            "creator" => FieldWriter::Creator,
            "database" => FieldWriter::Database,
            _ => FieldWriter::Anybody,
        };
        Some(Field {
            // The table's watch or the configuration may make a field private.
            is_private: self.is_private || module.private.contains(&self.name),
            of_type: field_type(&self.of_type?)?,
            is_required: self.is_required && writer == FieldWriter::Anybody,
            column: self.column,
            name: self.name,
            writer,
            is_kept: self.is_kept,
            allowed: self.allowed,
            least: self.least,
            most: self.most,
            scale: self.scale,
        })
    }
}

fn field_type(name: &str) -> Option<FieldType> {
    Some(match name {
        "text" => FieldType::Text,
        "texts" => FieldType::Texts,
        "number" => FieldType::Number,
        "integer" => FieldType::Integer,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "timestamp" => FieldType::Timestamp,
        _ => return None,
    })
}

async fn fields(connection: &mut PgConnection, module: &Module) -> sqlx::Result<Vec<Field>> {
    let rows = sqlx::query_as!(
        FieldRow,
        r#"select "column" as "column!", name as "name!", type as of_type, writer as "writer!",
               is_kept as "is_kept!", is_required as "is_required!", is_private as "is_private!",
               allowed, least, most, scale
           from porchlight.record_fields where module = $1 order by place"#,
        module.name.as_str(),
    );
    let rows = rows.fetch_all(connection).await?.into_iter();
    Ok(rows.filter_map(|row| row.field(module)).collect())
}

async fn rules(
    connection: &mut PgConnection,
    module: &Module,
) -> sqlx::Result<HashMap<String, TableRule>> {
    let rows = sqlx::query!(
        r#"select rule as "rule!", name as "name!", reason
           from porchlight.record_rules where module = $1"#,
        module.name.as_str(),
    );
    let rules = rows.fetch_all(connection).await?.into_iter().map(|row| {
        let reason = row.reason.unwrap_or_else(|| "is not allowed".to_owned());
        let field = row.name;
        (row.rule, TableRule { field, reason })
    });
    Ok(rules.collect())
}
