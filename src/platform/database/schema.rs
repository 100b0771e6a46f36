//! The schema: migrations make the tables, then functions are applied by revision.

use std::time::Duration;

use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};
use sqlx::{Connection, Executor, PgConnection};

use super::DatabaseError;
use super::sqlstate::is_contended;

mod blockers;
mod functions;

pub use functions::{FUNCTIONS, SqlFunction};

/// Everything of ours is in it.
const SCHEMA: &str = "porchlight";
/// The migrations that a database has.
const TABLE: &str = "porchlight.migrations";

/// A migration may take long, and it waits for the one of another instance.
const NO_LIMITS: &str = "set local statement_timeout = 0; set local lock_timeout = 0; \
                         set local idle_in_transaction_session_timeout = 0";

/// A migration that waits for a table holds others already, and whoever wants those waits behind it. So it soon gives all
/// of them back: before statements of the service fail (`lock_timeout`), and after Postgres has ended an autovacuum that
/// is in the way (`deadlock_timeout`, 1 s).
const LOCK_LIMIT: &str = "set local lock_timeout = '1500ms'";
/// Others can work meanwhile.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.dangerous_set_table_name(TABLE);
    migrations.set_locking(false);
    migrations
}

/// The newest migration of this version.
pub(super) fn newest_migration() -> i64 {
    let migrations = migrations();
    let versions = migrations.iter().map(|migration| migration.version);
    versions.max().unwrap_or_default()
}

/// The newest migration of a database; 0 if it has none.
pub(super) async fn newest_applied(connection: &mut PgConnection) -> sqlx::Result<i64> {
    let applied = connection.list_applied_migrations(TABLE).await;
    let applied = applied.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    let versions = applied.iter().map(|migration| migration.version);
    Ok(versions.max().unwrap_or_default())
}

/// Whether there is nothing to do. Then an instance needs no lock of its session, which would not work
/// behind a pooler. A database that cannot tell is not current.
pub(super) async fn is_current(connection: &mut PgConnection, functions: &[SqlFunction]) -> bool {
    let Ok(applied) = connection.list_applied_migrations(TABLE).await else {
        return false;
    };
    let migrations = migrations();
    let has_all = applied.len() == migrations.iter().count();
    has_all
        && refuse_other_builds(&applied, &migrations).is_ok()
        && functions::are_current(connection, functions)
            .await
            .unwrap_or(false)
}

/// Brings the schema up to date. Waits as long as it takes until nobody else holds what it has to lock.
pub(super) async fn update(
    connection: &mut PgConnection,
    functions: &[SqlFunction],
) -> Result<(), DatabaseError> {
    loop {
        match try_update(connection, functions).await {
            Err(error) if is_blocked(&error) => blockers::warn(connection, &error).await,
            outcome => return outcome,
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
}

/// Does all of it in one transaction, or nothing.
async fn try_update(
    connection: &mut PgConnection,
    functions: &[SqlFunction],
) -> Result<(), DatabaseError> {
    let begun = connection.begin().await;
    let mut transaction = begun.map_err(DatabaseError::Prepare)?;
    match apply(&mut transaction, functions).await {
        Ok(()) => transaction.commit().await.map_err(DatabaseError::Prepare),
        Err(error) => {
            // At once, because others wait for its locks. Where it fails, the connection is broken.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// Instances that start together wait for each other.
async fn apply(
    transaction: &mut PgConnection,
    functions: &[SqlFunction],
) -> Result<(), DatabaseError> {
    set(transaction, NO_LIMITS).await?;
    take_turn(transaction).await?;
    set(transaction, LOCK_LIMIT).await?;
    transaction.create_schema_if_not_exists(SCHEMA).await?;
    transaction.ensure_migrations_table(TABLE).await?;
    let applied = transaction.list_applied_migrations(TABLE).await?;
    let migrations = migrations();
    refuse_other_builds(&applied, &migrations)?;
    migrations.run(&mut *transaction).await?;
    let applied = functions::apply(transaction, functions).await;
    applied.map_err(DatabaseError::Functions)
}

async fn set(transaction: &mut PgConnection, settings: &'static str) -> Result<(), DatabaseError> {
    let set = transaction.execute(settings).await;
    set.map(drop).map_err(DatabaseError::Prepare)
}

/// Whether another transaction holds what has to be locked.
fn is_blocked(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Migrate(
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
        )
        | DatabaseError::Functions(error)
        | DatabaseError::Prepare(error) => is_contended(error),
        _ => false,
    }
}

/// Waits for the migrations of other instances.
///
/// sqlx takes a lock of the session, with a key that older versions use too. Behind a pooler the session is
/// ours only until the end of the transaction, so the transaction takes the same lock.
async fn take_turn(transaction: &mut PgConnection) -> Result<(), DatabaseError> {
    transaction.lock().await?;
    let kept = sqlx::query!(
        "select pg_advisory_xact_lock((classid::bigint << 32) | objid::bigint) as taken from pg_locks
         where locktype = 'advisory' and pid = pg_backend_pid() and objsubid = 1"
    );
    let kept = kept.fetch_one(&mut *transaction).await;
    kept.map_err(DatabaseError::Prepare)?;
    Ok(transaction.unlock().await?)
}

/// Fails if a migration of the database is not one of this version.
fn refuse_other_builds(
    applied: &[AppliedMigration],
    migrations: &Migrator,
) -> Result<(), DatabaseError> {
    let newest = migrations.iter().map(|migration| migration.version).max();
    let known = |version| migrations.iter().find(|known| known.version == version);
    let mut newer = None;
    for migration in applied {
        let version = migration.version;
        match known(version) {
            Some(known) if known.checksum == migration.checksum => {}
            None if Some(version) > newest => newer = newer.or(Some(version)),
            _ => return Err(DatabaseError::UnreleasedBuild(version)),
        }
    }
    newer.map_or(Ok(()), |version| Err(DatabaseError::NewerVersion(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a database of this version has.
    fn ours() -> Vec<AppliedMigration> {
        let applied = |migration: &sqlx::migrate::Migration| AppliedMigration {
            version: migration.version,
            checksum: migration.checksum.clone(),
        };
        migrations().iter().map(applied).collect()
    }

    fn other(version: i64) -> AppliedMigration {
        let checksum = vec![0; 48].into();
        AppliedMigration { version, checksum }
    }

    fn judge(applied: &[AppliedMigration]) -> Result<(), DatabaseError> {
        refuse_other_builds(applied, &migrations())
    }

    #[test]
    fn migrations_of_this_version_are_accepted() {
        let ours = ours();
        for count in 0..=ours.len() {
            assert!(judge(&ours[..count]).is_ok(), "{count}");
        }
    }

    #[test]
    fn further_migrations_are_of_a_newer_version() {
        let mut applied = ours();
        let next = applied.last().unwrap().version + 1;
        applied.extend([other(next), other(next + 1)]);
        let refused = judge(&applied);
        assert!(
            matches!(refused, Err(DatabaseError::NewerVersion(version)) if version == next),
            "{refused:?}"
        );
    }

    #[test]
    fn a_migration_with_other_content_is_of_an_unreleased_build() {
        for changed in 0..ours().len() {
            let mut applied = ours();
            let version = applied[changed].version;
            applied[changed] = other(version);
            // The unreleased builds had more migrations.
            applied.push(other(1_000));
            let refused = judge(&applied);
            assert!(
                matches!(refused, Err(DatabaseError::UnreleasedBuild(v)) if v == version),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn an_unknown_migration_between_known_ones_is_of_an_unreleased_build() {
        let mut applied = ours();
        applied.insert(0, other(0));
        let refused = judge(&applied);
        assert!(
            matches!(refused, Err(DatabaseError::UnreleasedBuild(0))),
            "{refused:?}"
        );
    }
}
