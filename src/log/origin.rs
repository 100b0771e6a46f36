//! Detects a restored database. Its logs get new epochs, so that a cursor from after the backup
//! gets a reset instead of silence.

use sqlx::PgConnection;

use crate::log::event::Epoch;
use crate::platform::{BrokerId, Pool};

const RENEWED: &str = "the database has lost events (a restored backup, or a failover): its logs have new epochs, and \
                       clients with cursors from before get a reset. Revocations of tokens after the backup \
                       are lost, too: repeat them, or run `porchlight new-epochs --revoke-tokens`";

/// Renews every epoch when the database is a copy. Runs at start, before anything reads the log.
pub async fn renew_epochs_at_start(pool: &Pool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    renew_epochs_of_copy(&mut connection).await.map(drop)
}

/// Renews every epoch when the database is a copy of the one that wrote the logs. Returns whether it is.
pub async fn renew_epochs_of_copy(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let renewed = sqlx::query_scalar!(r#"select porchlight.renew_epochs_of_copy() as "renewed!""#);
    let renewed = renewed.fetch_one(connection).await?;
    if renewed {
        tracing::warn!("{RENEWED}");
    }
    Ok(renewed)
}

/// Renews every epoch when this log is shorter than it was seen.
pub async fn renew_epochs_of_shorter_log(
    connection: &mut PgConnection,
    broker: &BrokerId,
    epoch: &Epoch,
    seen: i64,
) -> sqlx::Result<()> {
    let renewed = sqlx::query_scalar!(
        r#"select porchlight.renew_epochs_of_shorter_log($1, $2, $3) as "renewed!""#,
        broker.as_str(),
        epoch.as_str(),
        seen,
    );
    if renewed.fetch_one(connection).await? {
        tracing::warn!(%broker, seen, "{RENEWED}");
    }
    Ok(())
}

/// Renews every epoch, whatever the database is, and returns the number of logs.
pub async fn renew_epochs(connection: &mut PgConnection) -> sqlx::Result<i64> {
    renew_epochs_of_copy(connection).await?;
    let renewed = sqlx::query_scalar!(r#"select porchlight.renew_epochs() as "renewed!""#);
    renewed.fetch_one(connection).await
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
