//! Writes and reads signs.

use sqlx::PgConnection;

use super::sign_columns::SignColumns;
use super::sign_row::SignRow;
use super::{KeyedSign, LastRead, LastReadColumns, StoredSign};
use crate::collab::presence::moment::Moment;
use crate::platform::BrokerId;

/// Selects rows of signs. A macro, because sqlx checks only literals.
macro_rules! select_signs {
    ($from:literal, $($arguments:tt)*) => {
        sqlx::query_as!(
            SignRow,
            r#"select p.broker_id, p.user_id, p.session, p.instance, p.flush, p.teams, p.status,
                   p.viewing, p.viewing_audience, p.editing, p.editing_audience, p.streams,
                   (extract(epoch from p.said_at - statement_timestamp()) * 1000)::bigint as "said_in!",
                   (extract(epoch from p.active_at - statement_timestamp()) * 1000)::bigint as "active_in!",
                   (extract(epoch from p.live_until - statement_timestamp()) * 1000)::bigint as ends_in
               "# + $from,
            $($arguments)*
        )
    };
}

/// Writes signs. `flush` is the number of this write.
pub async fn write(
    connection: &mut PgConnection,
    instance: &str,
    flush: i64,
    signs: &[KeyedSign],
    now: Moment,
) -> sqlx::Result<()> {
    let columns = SignColumns::of(signs, now);
    sqlx::query!(
        "insert into porchlight.presence as p (broker_id, user_id, session, instance, flush, teams,
             status, viewing, viewing_audience, editing, editing_audience, streams, said_at,
             active_at, live_until)
         select broker_id, user_id, session, $1, $2, teams, status, viewing, viewing_audience,
             editing, editing_audience, streams,
             statement_timestamp() + said_in * interval '1 ms',
             statement_timestamp() + active_in * interval '1 ms',
             statement_timestamp() + ends_in * interval '1 ms'
         from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                 $9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[],
                 $15::text[])
             as s(broker_id, user_id, session, teams, status, viewing, viewing_audience, editing,
                 editing_audience, said_in, active_in, ends_in, streams)
         on conflict (broker_id, user_id, session, instance) do update set
             flush = excluded.flush, teams = excluded.teams, status = excluded.status,
             viewing = excluded.viewing, viewing_audience = excluded.viewing_audience,
             editing = excluded.editing, editing_audience = excluded.editing_audience,
             streams = excluded.streams, said_at = excluded.said_at, active_at = excluded.active_at,
             live_until = excluded.live_until
         -- A write whose outcome nobody knew may come late.
         where excluded.flush > p.flush",
        instance,
        flush,
        &columns.broker as &[&str],
        &columns.user as &[&str],
        &columns.session as &[&str],
        &columns.teams,
        &columns.status as &[&str],
        &columns.viewing.records as &[Option<String>],
        &columns.viewing.audiences as &[Option<String>],
        &columns.editing.records as &[Option<String>],
        &columns.editing.audiences as &[Option<String>],
        &columns.said_in,
        &columns.active_in,
        &columns.ends_in as &[Option<i64>],
        &columns.streams,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What other instances have written about these brokerages since the last read.
pub async fn read_new(
    connection: &mut PgConnection,
    last_read: &[LastRead],
    brokers: &[BrokerId],
    now: Moment,
) -> sqlx::Result<Vec<StoredSign>> {
    let seen = LastReadColumns::of(last_read);
    let brokers: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let rows = select_signs!(
        "from unnest($1::text[], $2::bigint[]) as seen(instance, flush)
               join porchlight.presence p on p.instance = seen.instance and p.flush > seen.flush
               where p.broker_id = any($3)",
        &seen.instances as &[&str],
        &seen.flushes,
        &brokers as &[&str],
    );
    Ok(stored(rows.fetch_all(connection).await?, now))
}

/// Everything that other instances have written about these brokerages.
pub async fn read_all(
    connection: &mut PgConnection,
    instance: &str,
    brokers: &[BrokerId],
    now: Moment,
) -> sqlx::Result<Vec<StoredSign>> {
    let brokers: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let rows = select_signs!(
        "from porchlight.presence p where p.broker_id = any($1) and p.instance <> $2",
        &brokers as &[&str],
        instance,
    );
    Ok(stored(rows.fetch_all(connection).await?, now))
}

fn stored(rows: Vec<SignRow>, now: Moment) -> Vec<StoredSign> {
    rows.into_iter().filter_map(|row| row.parse(now)).collect()
}
