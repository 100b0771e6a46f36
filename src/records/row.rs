//! The SQL of records. The functions find the table of a module.

use sqlx::PgConnection;

use super::fields::RecordKind;
use super::parse::RecordFields;
use crate::log::Cursor;
use crate::log::Epoch;
use crate::platform::PageLimit;
use crate::platform::{BrokerId, RecordId, RecordPath, TeamId, UserId, traces};

#[derive(Clone)]
pub(super) struct RecordRow {
    pub(super) id: String,
    /// The record with masked private fields.
    pub(super) json: String,
    /// The private fields.
    pub(super) secrets: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) owner_id: Option<String>,
    pub(super) version: i64,
    pub(super) is_archived: bool,
    /// The last version that changed each column.
    pub(super) field_versions: String,
}

#[derive(Clone, Copy)]
pub(super) struct RecordKey<'a> {
    pub(super) broker: &'a BrokerId,
    pub(super) record: &'a RecordPath,
}

/// Selects one row from an SQL function.
macro_rules! row {
    ($connection:expr, $call:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            RecordRow,
            r#"select id as "id!", told as "json!", secrets, team_id, owner_id,
                   version as "version!", is_archived as "is_archived!",
                   field_versions as "field_versions!"
               from porchlight."# + $call,
            $($argument),+
        )
        .fetch_optional($connection)
        .await
    };
}

/// Locks a record for a change.
pub(super) async fn lock(
    connection: &mut PgConnection,
    key: RecordKey<'_>,
) -> sqlx::Result<Option<RecordRow>> {
    let (module, id) = (key.record.module.as_str(), key.record.id.as_str());
    let broker = key.broker.as_str();
    row!(connection, "take_record($1, $2, $3)", module, broker, id)
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    broker: &BrokerId,
    kind: &RecordKind,
    fields: &RecordFields,
) -> sqlx::Result<RecordRow> {
    let (module, broker) = (kind.module.as_str(), broker.as_str());
    let json = fields.json();
    let row = row!(
        connection,
        "insert_record($1, $2, $3::text::jsonb)",
        module,
        broker,
        json
    );
    row?.ok_or(sqlx::Error::RowNotFound)
}

/// Inserts a JSON list of records.
pub(super) async fn insert_all(
    connection: &mut PgConnection,
    broker: &BrokerId,
    kind: &RecordKind,
    records: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "select from porchlight.insert_records($1, $2, $3::text::jsonb)",
        kind.module.as_str(),
        broker.as_str(),
        records,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes some fields of a locked record.
pub(super) async fn patch(
    connection: &mut PgConnection,
    key: RecordKey<'_>,
    fields: &RecordFields,
) -> sqlx::Result<RecordRow> {
    let (module, id) = (key.record.module.as_str(), key.record.id.as_str());
    let (broker, json) = (key.broker.as_str(), fields.json());
    let row = row!(
        connection,
        "patch_record($1, $2, $3, $4::text::jsonb)",
        module,
        broker,
        id,
        json
    );
    row?.ok_or(sqlx::Error::RowNotFound)
}

/// Archives a locked record, or restores it.
pub(super) async fn archive(
    connection: &mut PgConnection,
    key: RecordKey<'_>,
    is_archived: bool,
) -> sqlx::Result<RecordRow> {
    let (module, id) = (key.record.module.as_str(), key.record.id.as_str());
    let broker = key.broker.as_str();
    let row = row!(
        connection,
        "archive_record($1, $2, $3, $4)",
        module,
        broker,
        id,
        is_archived
    );
    row?.ok_or(sqlx::Error::RowNotFound)
}

/// Deletes a locked record.
pub(super) async fn delete(connection: &mut PgConnection, key: RecordKey<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "select from porchlight.delete_record($1, $2, $3)",
        key.record.module.as_str(),
        key.broker.as_str(),
        key.record.id.as_str(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Sets the user of a transaction, and the current request if it is sampled. The events of its changes name
/// both. A change without an event fails the transaction from here on.
pub(super) async fn set_user(connection: &mut PgConnection, user: &UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('porchlight.user_id', $1, true) as signed,
             set_config('porchlight.traceparent', $2, true) as traced,
             set_config('porchlight.must_capture', 'on', true) as told",
        user.as_str(),
        traceparent(),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Sets the same, and a short timeout for locked rows.
pub(super) async fn set_user_and_short_timeout(
    connection: &mut PgConnection,
    user: &UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('porchlight.user_id', $1, true) as signed,
             set_config('porchlight.traceparent', $2, true) as traced,
             set_config('porchlight.must_capture', 'on', true) as told,
             set_config('lock_timeout', '50ms', true) as hurried",
        user.as_str(),
        traceparent(),
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Empty if the current request is not sampled.
fn traceparent() -> String {
    let current = traces::current();
    current.map_or_else(String::new, |span| span.to_string())
}

/// Whether a brokerage has no records. Other transactions that call this wait for the end of this one.
pub(super) async fn lock_if_empty(
    connection: &mut PgConnection,
    broker: &BrokerId,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select porchlight.take_bare_broker($1) as "is_bare!""#,
        broker.as_str()
    )
    .fetch_one(connection)
    .await
}

/// Rows, and the position of the log in the same snapshot.
pub(super) struct RowsAtPosition {
    pub(super) position: Cursor,
    pub(super) rows: Vec<RecordRow>,
    pub(super) has_more: bool,
}

/// A row, with the head of its brokerage's log.
struct PositionedRow {
    epoch: String,
    head: i64,
    id: Option<String>,
    json: Option<String>,
    secrets: Option<String>,
    team_id: Option<String>,
    owner_id: Option<String>,
    version: Option<i64>,
    is_archived: Option<bool>,
    field_versions: Option<String>,
}

impl PositionedRow {
    fn row(self) -> Option<RecordRow> {
        Some(RecordRow {
            id: self.id?,
            json: self.json?,
            secrets: self.secrets,
            team_id: self.team_id,
            owner_id: self.owner_id,
            version: self.version?,
            is_archived: self.is_archived?,
            field_versions: self.field_versions?,
        })
    }
}

/// None when the brokerage has no log yet.
fn at_position(rows: Vec<PositionedRow>) -> Option<RowsAtPosition> {
    let first = rows.first()?;
    Some(RowsAtPosition {
        position: Epoch::stored(&first.epoch).at(first.head),
        has_more: rows.len() > 1 && rows.last().is_some_and(|last| last.id.is_none()),
        rows: rows.into_iter().filter_map(PositionedRow::row).collect(),
    })
}

pub(super) async fn one(
    connection: &mut PgConnection,
    broker: &BrokerId,
    kind: &RecordKind,
    id: &RecordId,
) -> sqlx::Result<Option<RowsAtPosition>> {
    let rows = sqlx::query_as!(
        PositionedRow,
        r#"select b.epoch, b.head, r.id as "id?", r.told as "json?", r.secrets as "secrets?",
               r.team_id as "team_id?", r.owner_id as "owner_id?", r.version as "version?",
               r.is_archived as "is_archived?", r.field_versions as "field_versions?"
           from porchlight.brokers b
           left join lateral porchlight.read_record($2, b.broker_id, $3) r on true
           where b.broker_id = $1"#,
        broker.as_str(),
        kind.module.as_str(),
        id.as_str(),
    );
    Ok(at_position(rows.fetch_all(connection).await?))
}

/// The query of one page.
pub(super) struct RecordPageQuery<'a> {
    pub(super) broker: &'a BrokerId,
    pub(super) kind: &'a RecordKind,
    pub(super) teams: &'a [TeamId],
    /// As JSON.
    pub(super) conditions: String,
    pub(super) limit: PageLimit,
}

pub(super) async fn page(
    connection: &mut PgConnection,
    page: &RecordPageQuery<'_>,
) -> sqlx::Result<Option<RowsAtPosition>> {
    let teams: Vec<_> = page.teams.iter().map(TeamId::as_str).collect();
    let rows = sqlx::query_as!(
        PositionedRow,
        r#"select b.epoch, b.head, r.id as "id?", r.told as "json?", r.secrets as "secrets?",
               r.team_id as "team_id?", r.owner_id as "owner_id?", r.version as "version?",
               r.is_archived as "is_archived?", r.field_versions as "field_versions?"
           from porchlight.brokers b
           left join lateral porchlight.records_page($2, b.broker_id, $3, $4::text::jsonb, $5, $6)
               with ordinality as r(id, told, secrets, team_id, owner_id, version, is_archived,
                   field_versions, place) on true
           where b.broker_id = $1 order by r.place"#,
        page.broker.as_str(),
        page.kind.module.as_str(),
        &teams as &[&str],
        page.conditions,
        page.limit.rows(),
        page.limit.bytes(),
    );
    Ok(at_position(rows.fetch_all(connection).await?))
}
