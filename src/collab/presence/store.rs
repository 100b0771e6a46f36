//! Signs of life in the table. Each instance writes its own and reads those of the others.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::moment::Moment;
use super::sign_of_life::{RecordInUse, Session, SignOfLife, Status};
use crate::platform::{BrokerId, UserId};

mod peer_signs;

pub use peer_signs::PeerSigns;

/// The session of streams that do not make their user present. It is no name of a session, so versions that do
/// not know it skip the row.
const UNSEEN: &str = "*";

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PresenceKey {
    pub broker: BrokerId,
    pub user: UserId,
    pub session: Session,
}

/// A sign that another instance wrote.
#[derive(Debug)]
pub struct StoredSign {
    pub key: PresenceKey,
    pub instance: Arc<str>,
    /// The number of the write by which it came, counted by its instance.
    pub flush: i64,
    pub sign: SignOfLife,
}

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
    let instances: Vec<_> = last_read.iter().map(|last| &*last.instance).collect();
    let flushes: Vec<_> = last_read.iter().map(|last| last.flush).collect();
    let rows = sqlx::query!(
        r#"select i.instance,
               (extract(epoch from live_until - clock_timestamp()) * 1000)::bigint as "ms_left!",
               exists (select from porchlight.presence p
                   where p.instance = i.instance and p.flush > coalesce(seen.flush, 0)) as "has_signs!"
           from porchlight.instances i
           left join unnest($2::text[], $3::bigint[]) as seen(instance, flush) on seen.instance = i.instance
           where i.instance <> $1"#,
        instance,
        &instances as &[&str],
        &flushes,
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

/// Writes signs. `flush` is the number of this write.
pub async fn write(
    connection: &mut PgConnection,
    instance: &str,
    flush: i64,
    signs: &[(PresenceKey, SignOfLife)],
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

/// The newest write of an instance that was read.
#[derive(Clone, Debug)]
pub struct LastRead {
    pub instance: Arc<str>,
    pub flush: i64,
}

/// What other instances have written about these brokerages since the last read.
pub async fn read_new(
    connection: &mut PgConnection,
    last_read: &[LastRead],
    brokers: &[BrokerId],
    now: Moment,
) -> sqlx::Result<Vec<StoredSign>> {
    let instances: Vec<_> = last_read.iter().map(|last| &*last.instance).collect();
    let flushes: Vec<_> = last_read.iter().map(|last| last.flush).collect();
    let brokers: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let rows = sqlx::query_as!(
        SignRow,
        r#"select p.broker_id, p.user_id, p.session, p.instance, p.flush, p.teams, p.status,
               p.viewing, p.viewing_audience, p.editing, p.editing_audience, p.streams,
               (extract(epoch from p.said_at - statement_timestamp()) * 1000)::bigint as "said_in!",
               (extract(epoch from p.active_at - statement_timestamp()) * 1000)::bigint as "active_in!",
               (extract(epoch from p.live_until - statement_timestamp()) * 1000)::bigint as ends_in
           from unnest($1::text[], $2::bigint[]) as seen(instance, flush)
           join porchlight.presence p on p.instance = seen.instance and p.flush > seen.flush
           where p.broker_id = any($3)"#,
        &instances as &[&str],
        &flushes,
        &brokers as &[&str],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| row.parse(now)).collect())
}

/// Everything that other instances have written about these brokerages.
pub async fn read_all(
    connection: &mut PgConnection,
    instance: &str,
    brokers: &[BrokerId],
    now: Moment,
) -> sqlx::Result<Vec<StoredSign>> {
    let brokers: Vec<_> = brokers.iter().map(BrokerId::as_str).collect();
    let rows = sqlx::query_as!(
        SignRow,
        r#"select p.broker_id, p.user_id, p.session, p.instance, p.flush, p.teams, p.status,
               p.viewing, p.viewing_audience, p.editing, p.editing_audience, p.streams,
               (extract(epoch from p.said_at - statement_timestamp()) * 1000)::bigint as "said_in!",
               (extract(epoch from p.active_at - statement_timestamp()) * 1000)::bigint as "active_in!",
               (extract(epoch from p.live_until - statement_timestamp()) * 1000)::bigint as ends_in
           from porchlight.presence p where p.broker_id = any($1) and p.instance <> $2"#,
        &brokers as &[&str],
        instance,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| row.parse(now)).collect())
}

/// Removes signs and instances that ended longer than `age` ago.
pub async fn delete_old(connection: &mut PgConnection, age: Duration) -> sqlx::Result<()> {
    sqlx::query!(
        "with gone as (
             delete from porchlight.instances
             where live_until < clock_timestamp() - $1 * interval '1 ms'
         )
         delete from porchlight.presence p
         where p.live_until < clock_timestamp() - $1 * interval '1 ms'
             or p.live_until is null and not exists (
                 select from porchlight.instances i
                 where i.instance = p.instance
                     and i.live_until > clock_timestamp() - $1 * interval '1 ms')",
        ms(age),
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// A row. In messages to other instances its names have one letter.
#[derive(Serialize, Deserialize)]
struct SignRow {
    #[serde(skip)]
    broker_id: String,
    #[serde(rename = "u")]
    user_id: String,
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    session: String,
    #[serde(skip)]
    instance: String,
    #[serde(skip)]
    flush: i64,
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    teams: String,
    #[serde(rename = "s")]
    status: String,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    viewing: Option<String>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    viewing_audience: Option<String>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    editing: Option<String>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    editing_audience: Option<String>,
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    streams: String,
    #[serde(rename = "c")]
    said_in: i64,
    #[serde(rename = "a")]
    active_in: i64,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    ends_in: Option<i64>,
}

impl SignRow {
    /// `None` if no version of this service can have written the row.
    fn parse(self, now: Moment) -> Option<StoredSign> {
        let session = match self.session.as_str() {
            "" => Session::Streams,
            UNSEEN => Session::Unseen,
            name => Session::Named(name.parse().ok()?),
        };
        let teams = self.teams.split(',').filter(|team| !team.is_empty());
        let streams = self.streams.split(',').filter_map(|at| at.parse().ok());
        let sign = SignOfLife {
            streams: streams.collect(),
            teams: teams.filter_map(|team| team.parse().ok()).collect(),
            status: self.status.parse().ok()?,
            viewing: record_in_use(self.viewing, self.viewing_audience, now).map(Box::new),
            editing: record_in_use(self.editing, self.editing_audience, now).map(Box::new),
            noticed_at: now.plus_ms(self.said_in),
            active_at: now.plus_ms(self.active_in),
            ends_at: self.ends_in.map(|ends_in| now.plus_ms(ends_in)),
        };
        let (broker, user) = (self.broker_id.parse().ok()?, self.user_id.parse().ok()?);
        let key = PresenceKey {
            broker,
            user,
            session,
        };
        Some(StoredSign {
            key,
            instance: self.instance.into(),
            flush: self.flush,
            sign,
        })
    }
}

fn record_in_use(
    record: Option<String>,
    audience: Option<String>,
    now: Moment,
) -> Option<RecordInUse> {
    Some(RecordInUse {
        record: record?.parse().ok()?,
        audience: audience?.parse().ok()?,
        looked_up_at: now,
    })
}

#[derive(Default)]
struct RecordColumns {
    records: Vec<Option<String>>,
    audiences: Vec<Option<String>>,
}

impl RecordColumns {
    fn push(&mut self, in_use: Option<&RecordInUse>) {
        self.records
            .push(in_use.map(|in_use| in_use.record.to_string()));
        self.audiences
            .push(in_use.map(|in_use| in_use.audience.to_string()));
    }
}

#[derive(Default)]
struct SignColumns<'a> {
    broker: Vec<&'a str>,
    user: Vec<&'a str>,
    session: Vec<&'a str>,
    teams: Vec<String>,
    status: Vec<&'a str>,
    viewing: RecordColumns,
    editing: RecordColumns,
    said_in: Vec<i64>,
    active_in: Vec<i64>,
    ends_in: Vec<Option<i64>>,
    streams: Vec<String>,
}

impl<'a> SignColumns<'a> {
    fn of(signs: &'a [(PresenceKey, SignOfLife)], now: Moment) -> Self {
        let mut columns = Self::default();
        for (key, sign) in signs {
            columns.push(key, sign, now);
        }
        columns
    }

    fn push(&mut self, key: &'a PresenceKey, sign: &'a SignOfLife, now: Moment) {
        self.broker.push(key.broker.as_str());
        self.user.push(key.user.as_str());
        self.session.push(match &key.session {
            Session::Streams => "",
            Session::Unseen => UNSEEN,
            Session::Named(name) => name.as_str(),
        });
        let teams: Vec<_> = sign
            .teams
            .iter()
            .map(crate::platform::TeamId::as_str)
            .collect();
        self.teams.push(teams.join(","));
        self.status.push(Status::as_str(sign.status));
        self.viewing.push(sign.viewing.as_deref());
        self.editing.push(sign.editing.as_deref());
        self.said_in.push(sign.noticed_at.ms_after(now));
        self.active_in.push(sign.active_at.ms_after(now));
        let streams: Vec<_> = sign.streams.iter().map(ToString::to_string).collect();
        self.streams.push(streams.join(","));
        self.ends_in.push(sign.ends_at.map(|end| end.ms_after(now)));
    }
}
