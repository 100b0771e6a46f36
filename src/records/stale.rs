//! Two who change one record: what of it collides.

use std::collections::BTreeMap;

use super::error::{RecordsError, Stale};
use super::fields::Kind;
use super::parse::Fields;
use super::record::Record;
use super::row::RecordRow;
use crate::log::Rights;

/// What a writer knows of the record.
#[derive(Clone, Debug, Default)]
pub(super) struct Known<'a> {
    /// The versions it may be, where the writer says so.
    pub(super) versions: Option<&'a [i64]>,
    /// Whether changes of other fields may be let stand.
    pub(super) may_merge: bool,
}

/// Refuses a change that began from a record which is no more.
pub(super) fn refuse_stale(
    known: &Known<'_>,
    (row, kind, reader): (&RecordRow, &Kind, &Rights),
    wished: &Fields,
) -> Result<(), RecordsError> {
    let Some(versions) = known.versions else {
        return Ok(());
    };
    let asked = versions.iter().copied().max().unwrap_or_default();
    if versions.contains(&row.version) {
        return Ok(());
    }
    let fields = collisions(row, kind, (asked, wished))?;
    // A version that is still to come is no version of this record.
    if known.may_merge && fields.is_empty() && asked < row.version {
        return Ok(());
    }
    Err(RecordsError::Stale(Box::new(Stale {
        asked,
        version: row.version,
        record: Record::of(row, kind, reader)?.json,
        fields,
    })))
}

/// The fields that were changed since. One that happens to be as it is wished to be collides as
/// well: two who both count up from five to six have counted once.
fn collisions(
    row: &RecordRow,
    kind: &Kind,
    (asked, wished): (i64, &Fields),
) -> sqlx::Result<Vec<String>> {
    let changed: BTreeMap<String, i64> =
        serde_json::from_str(&row.field_versions).map_err(|e| sqlx::Error::Decode(e.into()))?;
    let has_changed = |column: &str| changed.get(column).is_some_and(|version| *version > asked);
    let colliding = wished.iter().filter_map(|(column, _)| {
        let name = &kind.of_column(column)?.name;
        has_changed(column).then(|| name.clone())
    });
    Ok(colliding.collect())
}
