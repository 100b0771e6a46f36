//! What the log last said in one field of a record, which people know the record by.

use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::log::event::Audience;
use crate::platform::{BrokerId, RecordPath};

/// Events of a record that are looked at: its newest, and its first, which told all of it.
const NEWEST: i64 = 200;
const FIRST: i64 = 5;
/// Candidates of a record: the field may stand in another object than the outermost.
const CANDIDATES: i64 = 3;

#[derive(Debug)]
pub struct Question<'a> {
    pub broker: &'a BrokerId,
    /// As far as these were told of it; none: everybody.
    pub seen_by: Option<&'a [Audience]>,
    /// Records, and the field of each.
    pub records: &'a [(&'a RecordPath, &'a str)],
}

/// What an event said of a record: objects that have the field somewhere.
#[derive(Debug)]
pub struct Told {
    /// Which of the records that were asked for.
    pub of: usize,
    pub objects: Vec<Box<RawValue>>,
}

/// Candidates for every record, the newest first. Each is shown to `see` and let go of before the
/// next one is read: all together can be large.
///
/// The text is searched, not the JSON: what was published is kept to the letter, and Postgres
/// refuses to look into some of it.
pub async fn find(
    connection: &mut PgConnection,
    question: &Question<'_>,
    mut see: impl FnMut(Told),
) -> sqlx::Result<()> {
    let records = question.records.iter();
    let modules: Vec<_> = records.clone().map(|(r, _)| r.module.as_str()).collect();
    let ids: Vec<_> = records.clone().map(|(r, _)| r.id.as_str()).collect();
    let keys: Vec<_> = records.map(|(_, field)| format!("\"{field}\":")).collect();
    let seen_by = question.seen_by;
    let seen_by: Option<Vec<_>> = seen_by.map(|by| by.iter().map(ToString::to_string).collect());
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
               where ($5::text[] is null or e.audience = any($5))
                   and (strpos(e.changes::text, r.key) > 0 or strpos(e.data::text, r.key) > 0)
               order by e.position desc limit $8
           ) e
           order by r.ord, e.position desc"#,
        question.broker.as_str(),
        &modules as &[&str],
        &ids as &[&str],
        &keys,
        seen_by as Option<Vec<String>>,
        NEWEST,
        FIRST,
        CANDIDATES,
    )
    .fetch(connection);
    let raw = |json: Option<String>| json.and_then(|json| RawValue::from_string(json).ok());
    while let Some(row) = rows.try_next().await? {
        let objects = [row.changes, row.data].into_iter().filter_map(raw);
        see(Told {
            of: usize::try_from(row.ord - 1).unwrap_or_default(),
            objects: objects.collect(),
        });
    }
    Ok(())
}
