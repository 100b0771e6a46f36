//! The last value of a record's label field in the log.

use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::log::event::Audience;
use crate::platform::{BrokerId, RecordPath};

/// Events of a record that are searched: its newest, and its first, which had all fields.
const NEWEST: i64 = 200;
const FIRST: i64 = 5;
/// Candidates of a record. The field may be in a nested object, which does not count.
const CANDIDATES: i64 = 3;

#[derive(Debug)]
pub struct LabelQuery<'a> {
    pub broker: &'a BrokerId,
    /// Only events for these audiences.
    pub seen_by: &'a [Audience],
    /// The records, and the label field of each.
    pub records: &'a [(&'a RecordPath, &'a str)],
}

/// The objects of one event that contain the field at any depth.
#[derive(Debug)]
pub struct LabelCandidates {
    /// The index of the record in the query.
    pub record: usize,
    pub objects: Vec<Box<RawValue>>,
}

/// Passes the candidates of every record to `see`, the newest first. It keeps one at a time in
/// memory, because all of them together can be large.
///
/// It searches text instead of JSON, because Postgres cannot parse all JSON that the log accepts.
pub async fn find(
    connection: &mut PgConnection,
    query: &LabelQuery<'_>,
    mut see: impl FnMut(LabelCandidates),
) -> sqlx::Result<()> {
    let records = query.records.iter();
    let modules: Vec<_> = records.clone().map(|(r, _)| r.module.as_str()).collect();
    let ids: Vec<_> = records.clone().map(|(r, _)| r.id.as_str()).collect();
    let keys: Vec<_> = records.map(|(_, field)| format!("\"{field}\":")).collect();
    let seen_by: Vec<_> = query.seen_by.iter().map(ToString::to_string).collect();
    let mut rows = sqlx::query!(
        r#"select r.ord as "ord!", e.changes, e.data
           from unnest($2::text[], $3::text[], $4::text[])
               with ordinality as r(module, record_id, key, ord)
           cross join lateral (
               select e.position, e.changes::text as changes, e.data::text as data
               from (
                   (select * from porchlight.events e
                    where e.broker_id = $1 and e.module = r.module and e.record_id = r.record_id
                    order by e.position desc limit $6)
                   union all
                   (select * from porchlight.events e
                    where e.broker_id = $1 and e.module = r.module and e.record_id = r.record_id
                    order by e.position limit $7)
               ) e
               where e.audience = any($5)
                   and (strpos(e.changes::text, r.key) > 0 or strpos(e.data::text, r.key) > 0)
               order by e.position desc limit $8
           ) e
           order by r.ord, e.position desc"#,
        query.broker.as_str(),
        &modules as &[&str],
        &ids as &[&str],
        &keys,
        &seen_by,
        NEWEST,
        FIRST,
        CANDIDATES,
    )
    .fetch(connection);
    let raw = |json: Option<String>| json.and_then(|json| RawValue::from_string(json).ok());
    while let Some(row) = rows.try_next().await? {
        let objects = [row.changes, row.data].into_iter().filter_map(raw);
        see(LabelCandidates {
            record: usize::try_from(row.ord - 1).unwrap_or_default(),
            objects: objects.collect(),
        });
    }
    Ok(())
}
