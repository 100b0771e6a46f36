//! The lease of each instance. Its signs count for as long as it renews its lease.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;

use super::{LastRead, LastReadColumns, ms};

/// Another instance, and how long its lease lasts. The lease has expired if this is not positive.
#[derive(Clone, Debug)]
pub struct PeerLease {
    pub instance: Arc<str>,
    pub ms_left: i64,
    /// Whether it has written signs since the last read, about whatever brokerage.
    pub has_signs: bool,
}

/// Renews the lease of this instance. Returns whether it had expired: the others may have counted
/// this instance as dead.
pub async fn renew_lease(
    connection: &mut PgConnection,
    instance: &str,
    lease: Duration,
) -> sqlx::Result<bool> {
    let lives = sqlx::query!(
        r#"with before as (select live_until from porchlight.instances where instance = $1)
         insert into porchlight.instances (instance, live_until)
         values ($1, clock_timestamp() + $2 * interval '1 ms')
         on conflict (instance) do update set live_until = excluded.live_until
         returning coalesce((select live_until <= clock_timestamp() from before), true)
             as "was_gone!""#,
        instance,
        ms(lease),
    )
    .fetch_one(connection)
    .await?;
    Ok(lives.was_gone)
}

/// Ends the lease of this instance, so that nobody waits for its answers.
pub async fn end_lease(connection: &mut PgConnection, instance: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update porchlight.instances set live_until = clock_timestamp() where instance = $1",
        instance,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The leases of the others. An instance that is not in `last_read` was never read.
pub async fn peer_leases(
    connection: &mut PgConnection,
    instance: &str,
    last_read: &[LastRead],
) -> sqlx::Result<Vec<PeerLease>> {
    let seen = LastReadColumns::of(last_read);
    let rows = sqlx::query!(
        r#"select i.instance,
               (extract(epoch from live_until - clock_timestamp()) * 1000)::bigint as "ms_left!",
               exists (select from porchlight.presence p
                   where p.instance = i.instance and p.flush > coalesce(seen.flush, 0)) as "has_signs!"
           from porchlight.instances i
           left join unnest($2::text[], $3::bigint[]) as seen(instance, flush) on seen.instance = i.instance
           where i.instance <> $1"#,
        instance,
        &seen.instances as &[&str],
        &seen.flushes,
    )
    .fetch_all(connection)
    .await?;
    let leases = rows.into_iter().map(|row| PeerLease {
        instance: row.instance.into(),
        ms_left: row.ms_left,
        has_signs: row.has_signs,
    });
    Ok(leases.collect())
}
