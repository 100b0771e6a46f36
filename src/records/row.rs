//! The SQL of records. Which table a module has is the database's to know.

use sqlx::PgConnection;

use super::fields::Kind;
use super::parse::Fields;
use crate::log::Cursor;
use crate::log::Epoch;
use crate::platform::PageLimit;
use crate::platform::{BrokerId, RecordId, RecordPath, TeamId, UserId};

/// A record as the table has it.
#[derive(Clone)]
pub(super) struct RecordRow {
    pub(super) id: String,
    pub(super) told: String,
    /// What those with the right see in place of it.
    pub(super) secrets: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) owner_id: Option<String>,
    pub(super) version: i64,
    pub(super) is_archived: bool,
    /// By column, the version that changed it last.
    pub(super) field_versions: String,
}

/// Which record, of which broker.
#[derive(Clone, Copy)]
pub(super) struct RecordKey<'a> {
    pub(super) broker: &'a BrokerId,
    pub(super) record: &'a RecordPath,
}

/// The ways to come by one row differ in the function that returns it.
macro_rules! row {
    ($connection:expr, $call:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            RecordRow,
            r#"select id as "id!", told as "told!", secrets, team_id, owner_id,
                   version as "version!", is_archived as "is_archived!",
                   field_versions as "field_versions!"
               from porchlight."# + $call,
            $($argument),+
        )
        .fetch_optional($connection)
        .await
    };
}

/// Takes a record for a change.
pub(super) async fn take(
    connection: &mut PgConnection,
    key: RecordKey<'_>,
) -> sqlx::Result<Option<RecordRow>> {
    let (module, id) = (key.record.module.as_str(), key.record.id.as_str());
    let broker = key.broker.as_str();
    row!(connection, "take_record($1, $2, $3)", module, broker, id)
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    (broker, kind): (&BrokerId, &Kind),
    fields: &Fields,
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

/// Makes records of a list of objects.
pub(super) async fn insert_all(
    connection: &mut PgConnection,
    (broker, kind): (&BrokerId, &Kind),
    given: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "select from porchlight.insert_records($1, $2, $3::text::jsonb)",
        kind.module.as_str(),
        broker.as_str(),
        given,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes some fields of a record that was taken.
pub(super) async fn patch(
    connection: &mut PgConnection,
    key: RecordKey<'_>,
    fields: &Fields,
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

/// Puts a record that was taken away, or brings it back.
pub(super) async fn archive(
    connection: &mut PgConnection,
    key: RecordKey<'_>,
    is_away: bool,
) -> sqlx::Result<RecordRow> {
    let (module, id) = (key.record.module.as_str(), key.record.id.as_str());
    let broker = key.broker.as_str();
    let row = row!(
        connection,
        "archive_record($1, $2, $3, $4)",
        module,
        broker,
        id,
        is_away
    );
    row?.ok_or(sqlx::Error::RowNotFound)
}

/// Removes a record that was taken.
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

/// Says who writes, to the end of the transaction: what the table tells names them.
pub(super) async fn sign(connection: &mut PgConnection, user: &UserId) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('porchlight.user_id', $1, true) as signed",
        user.as_str()
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// The same, and waits for no row longer than ordinary changes take.
pub(super) async fn sign_in_a_hurry(
    connection: &mut PgConnection,
    user: &UserId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('porchlight.user_id', $1, true) as signed,
             set_config('lock_timeout', '50ms', true) as hurried",
        user.as_str()
    )
    .fetch_one(connection)
    .await
    .map(drop)
}

/// Whether a broker has no records; others who ask wait for the end of the transaction.
pub(super) async fn take_bare(
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

/// Rows, and where the log stood at that very moment.
pub(super) struct Seen {
    pub(super) position: Cursor,
    pub(super) rows: Vec<RecordRow>,
    pub(super) has_more: bool,
}

/// A row beside the head of its broker's log.
struct SeenRow {
    epoch: String,
    head: i64,
    id: Option<String>,
    told: Option<String>,
    secrets: Option<String>,
    team_id: Option<String>,
    owner_id: Option<String>,
    version: Option<i64>,
    is_archived: Option<bool>,
    field_versions: Option<String>,
}

impl SeenRow {
    fn row(self) -> Option<RecordRow> {
        Some(RecordRow {
            id: self.id?,
            told: self.told?,
            secrets: self.secrets,
            team_id: self.team_id,
            owner_id: self.owner_id,
            version: self.version?,
            is_archived: self.is_archived?,
            field_versions: self.field_versions?,
        })
    }
}

/// The rows, unless the broker has no log yet.
fn seen(rows: Vec<SeenRow>) -> Option<Seen> {
    let first = rows.first()?;
    Some(Seen {
        position: Epoch::stored(&first.epoch).at(first.head),
        has_more: rows.len() > 1 && rows.last().is_some_and(|last| last.id.is_none()),
        rows: rows.into_iter().filter_map(SeenRow::row).collect(),
    })
}

pub(super) async fn one(
    connection: &mut PgConnection,
    (broker, module, id): (&BrokerId, &Kind, &RecordId),
) -> sqlx::Result<Option<Seen>> {
    let rows = sqlx::query_as!(
        SeenRow,
        r#"select b.epoch, b.head, r.id as "id?", r.told as "told?", r.secrets as "secrets?",
               r.team_id as "team_id?", r.owner_id as "owner_id?", r.version as "version?",
               r.is_archived as "is_archived?", r.field_versions as "field_versions?"
           from porchlight.brokers b
           left join lateral porchlight.read_record($2, b.broker_id, $3) r on true
           where b.broker_id = $1"#,
        broker.as_str(),
        module.module.as_str(),
        id.as_str(),
    );
    Ok(seen(rows.fetch_all(connection).await?))
}

/// What a list asks of the table.
pub(super) struct Page<'a> {
    pub(super) broker: &'a BrokerId,
    pub(super) kind: &'a Kind,
    pub(super) teams: &'a [TeamId],
    pub(super) wanted: String,
    pub(super) limit: PageLimit,
}

/// A page of records, in order.
pub(super) async fn page(
    connection: &mut PgConnection,
    page: &Page<'_>,
) -> sqlx::Result<Option<Seen>> {
    let teams: Vec<_> = page.teams.iter().map(TeamId::as_str).collect();
    let rows = sqlx::query_as!(
        SeenRow,
        r#"select b.epoch, b.head, r.id as "id?", r.told as "told?", r.secrets as "secrets?",
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
        page.wanted,
        page.limit.rows(),
        page.limit.bytes(),
    );
    Ok(seen(rows.fetch_all(connection).await?))
}
