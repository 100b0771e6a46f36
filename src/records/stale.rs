//! Conflicts between two changes of one record.

use std::collections::BTreeMap;

use super::error::{RecordsError, Stale};
use super::fields::RecordKind;
use super::parse::RecordFields;
use super::record::Record;
use super::row::RecordRow;
use crate::log::Rights;

/// What a writer requires of the record.
#[derive(Clone, Debug, Default)]
pub(super) struct Precondition<'a> {
    /// The versions that the record may have. None for any.
    pub(super) versions: Option<&'a [i64]>,
    /// Whether others may have changed other fields.
    pub(super) may_merge: bool,
}

/// Refuses a change of a record that has changed since the writer read it.
pub(super) fn refuse_stale(
    precondition: &Precondition<'_>,
    row: &RecordRow,
    kind: &RecordKind,
    reader: &Rights,
    change: &RecordFields,
) -> Result<(), RecordsError> {
    let Some(versions) = precondition.versions else {
        return Ok(());
    };
    let asked = versions.iter().copied().max().unwrap_or_default();
    if versions.contains(&row.version) {
        return Ok(());
    }
    let fields = conflicts(row, kind, asked, change)?;
    // A higher version than the row's never existed.
    if precondition.may_merge && fields.is_empty() && asked < row.version {
        return Ok(());
    }
    Err(RecordsError::Stale(Box::new(Stale {
        asked,
        version: row.version,
        record: Record::of(row, kind, reader)?.json,
        fields,
    })))
}

/// The fields of this change that others changed since the version. A field conflicts even if it has
/// the new value already: two increments from five to six must not count as one.
fn conflicts(
    row: &RecordRow,
    kind: &RecordKind,
    asked: i64,
    change: &RecordFields,
) -> sqlx::Result<Vec<String>> {
    let changed: BTreeMap<String, i64> =
        serde_json::from_str(&row.field_versions).map_err(|e| sqlx::Error::Decode(e.into()))?;
    let has_changed = |column: &str| changed.get(column).is_some_and(|version| *version > asked);
    let conflicting = change.iter().filter_map(|(column, _)| {
        let name = &kind.of_column(column)?.name;
        has_changed(column).then(|| name.clone())
    });
    Ok(conflicting.collect())
}
