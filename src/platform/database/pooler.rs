//! Notices a pooler in transaction mode between the service and its database. Behind one, a session of the
//! server serves whoever comes next, so that settings of a session and LISTEN do not work.

use sqlx::PgConnection;

use crate::platform::quotas;

/// Another client of the pooler may come in between, so one look may miss it.
const LOOKS: usize = 3;
/// Settings of the session that protect others: without them, a statement, a wait for a lock or an open
/// transaction has no limit in the database.
const TIME_LIMITS: [&str; 3] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
];

/// Whether two connections of ours are one session of the server.
pub(super) async fn is_between(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> sqlx::Result<bool> {
    for _ in 0..LOOKS {
        mark(first, "first").await?;
        mark(second, "second").await?;
        let marked = sqlx::query_scalar!("select current_setting('porchlight.connection', true)");
        if marked.fetch_one(&mut *first).await?.as_deref() != Some("first") {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn mark(connection: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let mark = sqlx::query!(
        "select set_config('porchlight.connection', $1, false) as mark",
        name
    );
    mark.fetch_one(connection).await.map(drop)
}

/// Says what does not work behind the pooler as the database is set up.
pub(super) async fn warn(connection: &mut PgConnection) {
    let wanted = TIME_LIMITS.into_iter().map(str::to_owned);
    let wanted: Vec<_> = wanted.chain(quotas::session_settings()).collect();
    match missing(connection, &wanted).await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => tracing::warn!(
            missing = missing.join(", "),
            "a pooler in transaction mode is in front of the database, so that limits of time and quotas \
             hold only if the role has them: docs/SCALING.md has the statements"
        ),
        Err(error) => tracing::warn!(%error, "it is unknown which settings the role has"),
    }
}

/// The settings that neither the role nor the database has.
async fn missing(connection: &mut PgConnection, wanted: &[String]) -> sqlx::Result<Vec<String>> {
    let missing = sqlx::query_scalar!(
        r#"select name as "name!" from unnest($1::text[]) as wanted(name)
           where not exists (
               select from pg_db_role_setting s, unnest(s.setconfig) as config
               where split_part(config, '=', 1) = name
                   and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
                   and s.setrole in (0, (select oid from pg_roles where rolname = session_user)))"#,
        wanted,
    );
    missing.fetch_all(connection).await
}
