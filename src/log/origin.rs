//! Detects a restored database. Its logs get new epochs, so that a cursor from after the backup
//! gets a reset instead of silence.

use sqlx::PgConnection;

use crate::platform::Pool;

/// Renews every epoch when the database is a copy. Runs at start, before anything reads the log.
pub async fn renew_epochs_of_copy(pool: &Pool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    match renew_epochs_of_a_copy(&mut connection).await {
        Ok(true) => tracing::warn!(
            "this database is a copy of the one that wrote the log (a restored backup, or a \
             failover): cursors from before get a reset"
        ),
        Ok(false) => {}
        // Some hosted databases do not allow the query.
        Err(error) => {
            tracing::warn!(%error, "it is unknown whether this database is a restored copy");
        }
    }
    Ok(())
}

/// Returns whether epochs were renewed.
async fn renew_epochs_of_a_copy(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let renewed = sqlx::query_scalar!(
        r#"with here as (
               select system_identifier::text as system_identifier,
                   (select timeline_id::bigint from pg_control_checkpoint()) as timeline,
                   (select oid::bigint from pg_database where datname = current_database()) as db
               from pg_control_system()
           ), moved as (
               insert into porchlight.origin as o (system_identifier, timeline, database_oid)
               select system_identifier, timeline, db from here
               on conflict (only_row) do update set system_identifier = excluded.system_identifier,
                   timeline = excluded.timeline, database_oid = excluded.database_oid
               where (o.system_identifier, o.timeline, o.database_oid) is distinct from
                   (excluded.system_identifier, excluded.timeline, excluded.database_oid)
               returning 1
           ), renewed as (
               update porchlight.brokers set epoch = substr(md5(random()::text || broker_id), 1, 6)
               where exists (select 1 from moved) and head > 0 returning 1
           )
           select exists (select 1 from renewed) as "renewed!""#,
    )
    .fetch_one(connection)
    .await?;
    Ok(renewed)
}

/// A name of this database that no other has, unless the database does not tell.
pub async fn name(pool: &Pool) -> sqlx::Result<String> {
    let mut connection = pool.acquire().await?;
    let name = sqlx::query_scalar!(
        r#"select coalesce((select system_identifier || '-' || database_oid from porchlight.origin), '0')
               as "name!""#,
    );
    name.fetch_one(&mut *connection).await
}
