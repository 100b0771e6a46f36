//! Tells for whom a migration waits.

use sqlx::PgConnection;

use crate::platform::database::DatabaseError;

/// A transaction that has locked a table.
#[derive(Debug)]
struct BlockingTransaction {
    pid: i32,
    application: String,
    table: String,
    seconds: i64,
}

/// Names the oldest transaction. The server does not tell which one held the lock that was wanted.
pub(super) async fn warn(connection: &mut PgConnection, error: &DatabaseError) {
    let (wait, remedy) = (
        "the migration waits for another transaction and tries again",
        "end the transaction: select pg_terminate_backend(pid)",
    );
    if let Ok(Some(oldest)) = oldest(connection).await {
        tracing::warn!(
            %error,
            pid = oldest.pid,
            application = oldest.application,
            table = oldest.table,
            seconds = oldest.seconds,
            remedy,
            "{wait}"
        );
    } else {
        tracing::warn!(%error, "{wait}");
    }
}

/// Tables of users have such object ids.
async fn oldest(connection: &mut PgConnection) -> sqlx::Result<Option<BlockingTransaction>> {
    let oldest = sqlx::query_as!(
        BlockingTransaction,
        r#"select a.pid as "pid!", a.application_name as "application!", c.relname::text as "table!",
               extract(epoch from clock_timestamp() - a.xact_start)::bigint as "seconds!"
           from pg_locks l
               join pg_stat_activity a on a.pid = l.pid
               join pg_class c on c.oid = l.relation
           where l.granted and a.datname = current_database() and a.pid <> pg_backend_pid()
               and l.relation >= 16384
           order by a.xact_start
           limit 1"#
    );
    oldest.fetch_optional(connection).await
}
