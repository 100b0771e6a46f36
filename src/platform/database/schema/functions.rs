//! SQL functions, one in each file of `sql/functions`, which are applied by revision.

use sqlx::{Connection, Executor, PgConnection};

/// A file of `sql/functions`: a function with its triggers, or views.
#[derive(Clone, Copy, Debug)]
pub struct SqlFunction {
    pub name: &'static str,
    pub revision: i32,
    pub sql: &'static str,
}

impl SqlFunction {
    /// The first line has the revision: `-- revision: 1`.
    #[must_use]
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        let revision = revision(sql);
        Self {
            name,
            revision,
            sql,
        }
    }
}

const fn revision(sql: &str) -> i32 {
    const PREFIX: &[u8; 13] = b"-- revision: ";
    let text = sql.as_bytes();
    assert!(
        matches!(text.first_chunk(), Some(PREFIX)),
        "the first line of a SQL function is not like `-- revision: 1`"
    );
    let (mut at, mut revision) = (PREFIX.len(), 0);
    while at < text.len() && text[at].is_ascii_digit() {
        revision = revision * 10 + (text[at] - b'0') as i32;
        at += 1;
    }
    assert!(revision > 0, "the revision of a SQL function is missing");
    revision
}

/// Applies the functions whose revision is greater than the database's, in one transaction. So a
/// newer version's functions stay when an older version starts beside it.
pub(super) async fn apply(
    connection: &mut PgConnection,
    functions: &[SqlFunction],
) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    let newer = newer(&mut transaction, functions).await?;
    // A function may use another one that comes later.
    let unchecked = "set local check_function_bodies = off";
    transaction.execute(unchecked).await?;
    for function in &newer {
        transaction.execute(function.sql).await?;
        store_revision(&mut transaction, function).await?;
    }
    if !newer.is_empty() {
        sqlx::query!("select porchlight.remake_watches()")
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query!("select porchlight.set_up_record_tables()")
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// Whether no function is newer than the database's, and no table of records waits to be set up.
pub(super) async fn are_current(
    connection: &mut PgConnection,
    functions: &[SqlFunction],
) -> sqlx::Result<bool> {
    if !newer(&mut *connection, functions).await?.is_empty() {
        return Ok(false);
    }
    let waits = sqlx::query_scalar!(
        r#"select exists (select from porchlight.record_tables where told is null) as "waits!""#
    );
    Ok(!waits.fetch_one(connection).await?)
}

async fn newer(
    connection: &mut PgConnection,
    functions: &[SqlFunction],
) -> sqlx::Result<Vec<SqlFunction>> {
    let stored = sqlx::query!("select name, revision from porchlight.functions")
        .fetch_all(connection)
        .await?;
    let is_newer = |function: &&SqlFunction| {
        let stored = stored.iter().find(|row| row.name == function.name);
        stored.is_none_or(|row| row.revision < function.revision)
    };
    Ok(functions.iter().filter(is_newer).copied().collect())
}

async fn store_revision(connection: &mut PgConnection, function: &SqlFunction) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.functions (name, revision) values ($1, $2)
         on conflict (name) do update set revision = excluded.revision, applied_at = now()",
        function.name,
        function.revision,
    )
    .execute(connection)
    .await
    .map(drop)
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(SqlFunction::new($name, include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"), "/sql/functions/", $name, ".sql"
        )))),*]
    };
}

/// The functions of this version, in the order in which they are applied.
pub const FUNCTIONS: &[SqlFunction] = files! {
    "acts_page"
    "archive_record"
    "are_numbers_known"
    "base_type"
    "camel_case"
    "capture"
    "capture_parts"
    "capture_statement"
    "check_fence"
    "check_task_move"
    "column_number"
    "columns_of"
    "count_keys"
    "count_locks"
    "count_notifications"
    "count_own_unread"
    "count_tasks"
    "count_unread"
    "count_uploads"
    "count_use"
    "delete_record"
    "drop_bulk_staging"
    "emit"
    "emit_texts"
    "event_bytes"
    "events_before"
    "events_between"
    "events_page"
    "events_query"
    "first_bulk_change"
    "forget_broker"
    "give_up_bulk_change"
    "insert_record"
    "insert_records"
    "is_anything_waiting"
    "is_copy"
    "is_id_per_broker"
    "is_json_trusted"
    "is_reserved_type"
    "keep_key_of_0_2_0"
    "keep_record"
    "keep_unread"
    "made_of"
    "make_bulk_staging"
    "patch_record"
    "position_of_last_events"
    "read_record"
    "record_fields"
    "record_list"
    "record_words_made_of"
    "records_page"
    "refuse_columns"
    "refuse_reserved_singular"
    "refuse_reserved_type"
    "refuse_table"
    "remake_watches"
    "remember_record_words"
    "renew_epochs"
    "renew_epochs_of_copy"
    "renew_epochs_of_shorter_log"
    "renew_watches"
    "reset_after_loss"
    "set_up_record_tables"
    "take_bare_broker"
    "take_record"
    "timeline_here"
    "unpack_bulk_change"
    "unread_between"
    "unwatch"
    "wait_for_outbox"
    "watch"
    "watched"
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_in_the_list_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/functions");
        let files = std::fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<_> = files
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|end| end == "sql"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        let listed: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn the_first_line_has_the_revision() {
        assert_eq!(revision("-- revision: 1\n"), 1);
        assert_eq!(revision("-- revision: 120\n-- 7"), 120);
    }

    #[test]
    #[should_panic(expected = "missing")]
    fn a_revision_is_a_number() {
        revision("-- revision: one\n");
    }
}
