//! Revocations and renewals in their tables.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::identity::{Caller, Credential, KeyId, Revocation, Revoked};
use crate::platform::TeamId;

/// Tokens of a brokerage that can be revoked one by one at a time, and users, and members of teams.
pub(super) const MOST_OF_A_KIND: i64 = 100_000;
/// Rows that one statement reads or deletes.
pub(super) const STEP: i64 = 1_000;
/// A renewal that was not answered by then never will be.
const RENEWAL_SECONDS: f64 = 60.0;

struct RevocationRow {
    broker_id: String,
    kind: String,
    subject: String,
    team: String,
    issued_before: Option<OffsetDateTime>,
    kept_until: Option<OffsetDateTime>,
    number: i64,
}

impl RevocationRow {
    /// `None` if no version of this service can have written the row.
    fn parse(self) -> Option<Revocation> {
        let what = match (self.kind.as_str(), self.issued_before) {
            ("token", _) => Revoked::Token(self.subject.into()),
            ("user", Some(issued_before)) => Revoked::User {
                user: self.subject.parse().ok()?,
                issued_before,
            },
            ("member", Some(issued_before)) => Revoked::Member {
                user: self.subject.parse().ok()?,
                team: self.team.parse().ok()?,
                issued_before,
            },
            ("broker", Some(issued_before)) => Revoked::Brokerage { issued_before },
            _ => return None,
        };
        Some(Revocation {
            broker: self.broker_id.parse().ok()?,
            what,
            kept_until: self.kept_until,
        })
    }
}

/// The key of a revocation, and its time.
#[derive(Default)]
struct RevocationKey<'a> {
    subject: &'a str,
    team: &'a str,
    issued_before: Option<OffsetDateTime>,
}

impl<'a> RevocationKey<'a> {
    fn of(what: &'a Revoked) -> Self {
        let (subject, team, issued_before) = match what {
            Revoked::Token(id) => (&**id, "", None),
            Revoked::User {
                user,
                issued_before,
            } => (user.as_str(), "", Some(*issued_before)),
            Revoked::Member {
                user,
                team,
                issued_before,
            } => (user.as_str(), team.as_str(), Some(*issued_before)),
            Revoked::Brokerage { issued_before } => ("", "", Some(*issued_before)),
        };
        Self {
            subject,
            team,
            issued_before,
        }
    }
}

/// Writes a revocation, which only extends the one that is there. `None`: there are too many.
pub(super) async fn write_revocation(
    connection: &mut PgConnection,
    revocation: &Revocation,
) -> sqlx::Result<Option<Revocation>> {
    let RevocationKey {
        subject,
        team,
        issued_before,
    } = RevocationKey::of(&revocation.what);
    let row = sqlx::query_as!(
        RevocationRow,
        "with head as (update porchlight.session_head set head = head + 1 returning head)
         insert into porchlight.revocations as r
             (broker_id, kind, subject, team, issued_before, kept_until, number)
         select $1, $2, $3, $4, $5, $6, head from head
         where $2 = 'broker' or $7 > (
             select count(*) from porchlight.revocations
             where broker_id = $1 and kind = $2 and (subject, team) <> ($3, $4))
         on conflict (broker_id, kind, subject, team) do update set
             issued_before = greatest(r.issued_before, excluded.issued_before),
             kept_until = case when r.kept_until is not null and excluded.kept_until is not null
                 then greatest(r.kept_until, excluded.kept_until) end,
             number = excluded.number
         returning broker_id, kind, subject, team, issued_before, kept_until, number",
        revocation.broker.as_str(),
        revocation.what.kind(),
        subject,
        team,
        issued_before,
        revocation.kept_until,
        MOST_OF_A_KIND,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.and_then(RevocationRow::parse))
}

/// Revokes all tokens of each brokerage that were issued before now. Returns the number of brokerages.
pub async fn revoke_everywhere(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let revoked = sqlx::query!(
        "with listed as (
             select broker_id, row_number() over (order by broker_id) as place from porchlight.brokers
         ), head as (
             update porchlight.session_head set head = head + (select count(*) from listed) returning head)
         insert into porchlight.revocations as r (broker_id, kind, subject, issued_before, number)
         -- `iat` has whole seconds.
         select broker_id, 'broker', '', date_trunc('second', clock_timestamp()) + interval '1 second',
             head - (select count(*) from listed) + place
         from listed, head
         on conflict (broker_id, kind, subject, team) do update set
             issued_before = greatest(r.issued_before, excluded.issued_before), kept_until = null,
             number = excluded.number"
    );
    let revoked = revoked.execute(connection).await?;
    Ok(revoked.rows_affected())
}

/// The number of the last change.
pub(super) async fn head(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select head from porchlight.session_head")
        .fetch_one(connection)
        .await
}

/// The next revocations after a number, at most [`STEP`], and whether there may be more.
pub(super) async fn revocations_after(
    connection: &mut PgConnection,
    number: i64,
) -> sqlx::Result<RevocationPage> {
    let rows = sqlx::query_as!(
        RevocationRow,
        "select broker_id, kind, subject, team, issued_before, kept_until, number
         from porchlight.revocations where number > $1 order by number limit $2",
        number,
        STEP,
    )
    .fetch_all(connection)
    .await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= STEP);
    Ok(RevocationPage {
        next: rows.last().map(|row| row.number).filter(|_| is_full),
        revocations: rows.into_iter().filter_map(RevocationRow::parse).collect(),
    })
}

pub(super) struct RevocationPage {
    pub(super) revocations: Vec<Revocation>,
    /// Where the next page starts, if there may be one.
    pub(super) next: Option<i64>,
}

/// A fresh token for a stream of some instance.
#[derive(Debug)]
pub(super) struct StoredRenewal {
    pub(super) stream: Uuid,
    pub(super) fresh: Caller,
}

struct RenewalRow {
    broker_id: String,
    user_id: String,
    stream: String,
    role: String,
    teams: Vec<String>,
    token_id: Option<String>,
    issued_at: Option<OffsetDateTime>,
    key_id: Option<String>,
    expires_at: OffsetDateTime,
}

impl RenewalRow {
    fn parse(self) -> Option<StoredRenewal> {
        let teams = self.teams.iter().filter_map(|team| team.parse().ok());
        let fresh = Caller {
            user: self.user_id.parse().ok()?,
            broker: self.broker_id.parse().ok()?,
            teams: teams.collect::<Vec<TeamId>>().into(),
            role: self.role.parse().ok()?,
            expires_at: self.expires_at,
            credential: Arc::new(Credential {
                token_id: self.token_id.map(Into::into),
                issued_at: self.issued_at,
                // It was noted when the token was verified.
                names_teams: false,
                key: self.key_id.as_deref().map(KeyId::new),
                name: None,
            }),
        };
        let stream = self.stream.parse().ok()?;
        Some(StoredRenewal { stream, fresh })
    }
}

/// Passes a fresh token on to the other instances. Returns false when there are none.
pub(super) async fn write_renewal(
    connection: &mut PgConnection,
    instance: &str,
    stream: Uuid,
    fresh: &Caller,
) -> sqlx::Result<bool> {
    let teams: Vec<_> = fresh.teams.iter().map(TeamId::as_str).collect();
    let credential = &fresh.credential;
    let written = sqlx::query!(
        "with head as (
             update porchlight.session_head set head = head + 1
             where exists (select from porchlight.instances
                           where instance <> $1 and live_until > clock_timestamp())
             returning head)
         insert into porchlight.stream_renewals as r (broker_id, user_id, stream, number, role, teams,
             token_id, issued_at, key_id, expires_at)
         select $2, $3, $4, head, $5, $6, $7, $8, $9, $10 from head
         on conflict (broker_id, user_id, stream) do update set
             number = excluded.number, role = excluded.role, teams = excluded.teams,
             token_id = excluded.token_id, issued_at = excluded.issued_at, key_id = excluded.key_id,
             expires_at = excluded.expires_at, outcome = null, created_at = excluded.created_at",
        instance,
        fresh.broker.as_str(),
        fresh.user.as_str(),
        stream.simple().to_string(),
        fresh.role.as_str(),
        &teams as &[&str],
        credential.token_id.as_deref(),
        credential.issued_at,
        credential.key.as_ref().map(KeyId::as_str),
        fresh.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Renewals after a number that no instance has answered.
pub(super) async fn renewals_after(
    connection: &mut PgConnection,
    number: i64,
) -> sqlx::Result<Vec<StoredRenewal>> {
    let rows = sqlx::query_as!(
        RenewalRow,
        "select broker_id, user_id, stream, role, teams, token_id, issued_at, key_id, expires_at
         from porchlight.stream_renewals where number > $1 and outcome is null",
        number,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(RenewalRow::parse).collect())
}

/// The outcome of one renewal at this instance.
pub(super) struct RenewalAnswer {
    pub(super) renewal: StoredRenewal,
    pub(super) outcome: &'static str,
}

pub(super) async fn answer_renewals(
    connection: &mut PgConnection,
    answers: &[RenewalAnswer],
) -> sqlx::Result<()> {
    let of = |column: fn(&RenewalAnswer) -> String| answers.iter().map(column).collect::<Vec<_>>();
    let brokers = of(|answer| answer.renewal.fresh.broker.to_string());
    let users = of(|answer| answer.renewal.fresh.user.to_string());
    let streams = of(|answer| answer.renewal.stream.simple().to_string());
    let outcomes = of(|answer| answer.outcome.to_owned());
    sqlx::query!(
        "update porchlight.stream_renewals r set outcome = a.outcome
         from unnest($1::text[], $2::text[], $3::text[], $4::text[])
             as a(broker_id, user_id, stream, outcome)
         where r.broker_id = a.broker_id and r.user_id = a.user_id and r.stream = a.stream",
        &brokers,
        &users,
        &streams,
        &outcomes,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The outcome of a renewal, when an instance has answered it.
pub(super) async fn renewal_outcome(
    connection: &mut PgConnection,
    stream: Uuid,
    fresh: &Caller,
) -> sqlx::Result<Option<String>> {
    let outcome = sqlx::query_scalar!(
        "select outcome from porchlight.stream_renewals
         where broker_id = $1 and user_id = $2 and stream = $3",
        fresh.broker.as_str(),
        fresh.user.as_str(),
        stream.simple().to_string(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(outcome.flatten())
}

/// Deletes up to [`STEP`] rows of each table whose time is over, and returns how many. Whoever has left a team by a
/// revocation that is forgotten has left it in the newest token that is stored, too.
pub(super) async fn delete_old(
    connection: &mut PgConnection,
    before: OffsetDateTime,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"with revocations as (
             delete from porchlight.revocations r using (
                 select broker_id, kind, subject, team from porchlight.revocations
                 where kept_until < $1 order by kept_until limit $2) old
             where (r.broker_id, r.kind, r.subject, r.team)
                 = (old.broker_id, old.kind, old.subject, old.team)
               and r.kept_until < $1
             returning r.broker_id, r.kind, r.subject, r.team, r.issued_before),
         members as (
             update porchlight.memberships m set teams = array(
                 select its.team from unnest(m.teams) with ordinality as its(team, n)
                 where not exists (
                     select from revocations r
                     where r.broker_id = m.broker_id and r.kind = 'member' and r.subject = m.user_id
                         and r.team = its.team and r.issued_before > m.as_of)
                 order by its.n)
             from (select distinct broker_id, subject from revocations where kind = 'member') r
             where m.broker_id = r.broker_id and m.user_id = r.subject),
         tickets as (
             delete from porchlight.tickets where (broker_id, hash) in (
                 select broker_id, hash from porchlight.tickets where expires_at < $1 limit $2)
             returning 1),
         unused as (
             delete from porchlight.tickets where (broker_id, hash) in (
                 select broker_id, hash from porchlight.tickets
                 where used_at is null and use_before < $1 limit $2)
             returning 1),
         renewals as (
             delete from porchlight.stream_renewals
             where created_at < clock_timestamp() - make_interval(secs => $3)
             returning 1)
         select (select count(*) from revocations) + (select count(*) from tickets)
             + (select count(*) from unused) + (select count(*) from renewals) as "deleted!""#,
        before,
        STEP,
        RENEWAL_SECONDS,
    )
    .fetch_one(connection)
    .await
}
