//! Many reports in one statement: whose lease holds, gets it renewed and its report kept.

use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::super::events::Reported;
use super::agenda::Name;
use crate::log::NewEvent;
use crate::platform::{BrokerId, TaskId, TeamId, UserId};
use crate::tasks::moves::TELL_EVERY;
use crate::tasks::row::Progress;
use crate::tasks::{Message, Percent, State};

/// One task's newest report, or only a look whether there is something to tell.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) name: Name,
    /// Who reports, and since which claim; none for a look.
    pub(super) by: Option<(UserId, i32)>,
    pub(super) progress: Progress,
}

/// A task whose report was kept.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) name: Name,
    pub(super) by: Option<(UserId, i32)>,
    pub(super) state: State,
    pub(super) lease_until: OffsetDateTime,
    pub(super) parent: Option<TaskId>,
    /// What is told of it now.
    pub(super) events: Vec<NewEvent>,
    /// When the rest is to be told, if there is any.
    pub(super) wait: Option<Duration>,
}

impl Asked {
    fn fence(&self) -> Option<i32> {
        self.by.as_ref().map(|(_, fence)| *fence)
    }

    fn permille(&self) -> Option<i16> {
        self.progress.percent.map(Percent::permille)
    }
}

struct TakenRow {
    broker_id: String,
    id: String,
    is_report: bool,
    worker_id: Option<String>,
    attempt: i32,
    state: String,
    lease_until: OffsetDateTime,
    parent_id: Option<String>,
    user_id: String,
    team_id: Option<String>,
    permille: Option<i16>,
    step: Option<i32>,
    steps: Option<i32>,
    message: Option<String>,
    partial: Option<String>,
    version: i64,
    tells: bool,
    wait_ms: Option<i32>,
}

/// Keeps reports. Rows are taken in the order in which all take them; of a task that is not
/// held so, nothing is changed and nothing comes back.
pub(super) async fn keep(
    connection: &mut PgConnection,
    asked: &[Asked],
) -> sqlx::Result<Vec<Taken>> {
    let column = |of: fn(&Asked) -> Option<&str>| asked.iter().map(of).collect::<Vec<_>>();
    let brokers = column(|a| Some(a.name.0.as_str()));
    let ids = column(|a| Some(a.name.1.as_str()));
    let workers = column(|a| a.by.as_ref().map(|(worker, _)| worker.as_str()));
    let messages = column(|a| a.progress.message.as_ref().map(Message::as_str));
    let partials = column(|a| a.progress.partial.as_deref().map(RawValue::get));
    let fences: Vec<_> = asked.iter().map(Asked::fence).collect();
    let percents: Vec<_> = asked.iter().map(Asked::permille).collect();
    let (step, steps): (Vec<_>, Vec<_>) = asked.iter().map(|a| a.progress.step.unzip()).unzip();
    let rows = sqlx::query_as!(
        TakenRow,
        r#"with asked as (
               select * from unnest($1::text[], $2::text[], $3::text[], $4::integer[],
                       $5::smallint[], $6::integer[], $7::integer[], $8::text[], $9::text[])
                   as a(broker_id, id, worker_id, fence, permille, step, steps, message, partial)
           ), mine as materialized (
               select t.broker_id, t.id, a.fence is not null as is_report, a.permille, a.step,
                   a.steps, a.message, a.partial,
                   (a.fence is not null or t.is_untold) and (t.told_at is null
                       or t.told_at + $10::float8 * interval '1 second' <= clock_timestamp())
                       as tells
               from porchlight.tasks t join asked a on a.broker_id = t.broker_id and a.id = t.id
               where t.state in ('running', 'cancelling') and not t.is_workflow
                   and (a.fence is null or a.fence = t.attempt and a.worker_id = t.worker_id)
               order by t.broker_id, t.id for no key update of t
           ), kept as (
               update porchlight.tasks t
               set permille = coalesce(m.permille, t.permille),
                   step = case when m.steps is null then t.step else m.step end,
                   steps = coalesce(m.steps, t.steps),
                   message = coalesce(m.message, t.message),
                   partial = coalesce(m.partial::json, t.partial),
                   lease_until = case when m.is_report
                       then clock_timestamp() + make_interval(secs => t.lease_seconds)
                       else t.lease_until end,
                   reported_at = case when m.is_report
                       then clock_timestamp() else t.reported_at end,
                   told_at = case when m.tells then clock_timestamp() else t.told_at end,
                   is_untold = not m.tells and (m.is_report or t.is_untold),
                   version = t.version + m.tells::integer
               from mine m where t.broker_id = m.broker_id and t.id = m.id
               returning t.*, m.is_report, m.tells
           )
           select broker_id as "broker_id!", id as "id!", is_report as "is_report!", worker_id,
               attempt as "attempt!", state as "state!", lease_until as "lease_until!", parent_id,
               user_id as "user_id!", team_id, permille, step, steps, message,
               case when tells then partial::text end as partial, version as "version!",
               tells as "tells!",
               case when is_untold then 1 + extract(milliseconds from
                   told_at + $10::float8 * interval '1 second' - clock_timestamp())::integer
               end as wait_ms
           from kept"#,
        &brokers as &[Option<&str>],
        &ids as &[Option<&str>],
        &workers as &[Option<&str>],
        &fences as &[Option<i32>],
        &percents as &[Option<i16>],
        &step as &[Option<i32>],
        &steps as &[Option<i32>],
        &messages as &[Option<&str>],
        &partials as &[Option<&str>],
        TELL_EVERY.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    let mut taken: Vec<_> = rows.into_iter().filter_map(TakenRow::taken).collect();
    // What one log is told stands in a fixed order.
    taken.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(taken)
}

impl TakenRow {
    /// Names in the table were checked when they were written.
    fn taken(self) -> Option<Taken> {
        let wait_ms = self.wait_ms.map(|ms| u64::try_from(ms).unwrap_or(0));
        let worker = self.worker_id.as_deref().and_then(|id| id.parse().ok());
        let by = worker.zip(self.is_report.then_some(self.attempt));
        let mut taken = Taken {
            name: (
                BrokerId::parse(&self.broker_id).ok()?,
                self.id.parse().ok()?,
            ),
            by,
            state: self.state.parse().ok()?,
            lease_until: self.lease_until,
            parent: self.parent_id.as_deref().and_then(|id| id.parse().ok()),
            events: Vec::new(),
            wait: wait_ms.map(Duration::from_millis),
        };
        if self.tells {
            taken.events = self.events(&taken)?;
        }
        Some(taken)
    }

    fn events(self, taken: &Taken) -> Option<Vec<NewEvent>> {
        let partial = self.partial.map(RawValue::from_string).transpose();
        let progress = Progress {
            percent: self.permille.and_then(|p| Percent::of_permille(p).ok()),
            step: self.step.zip(self.steps),
            message: self.message.map(Message::stored),
            partial: partial.ok()?,
        };
        let team = self
            .team_id
            .as_deref()
            .map(TeamId::parse)
            .transpose()
            .ok()?;
        let told = Reported {
            id: &taken.name.1,
            user: &UserId::parse(&self.user_id).ok()?,
            team: team.as_ref(),
            state: taken.state,
            attempt: self.attempt,
            version: self.version,
            progress: &progress,
        };
        Some(told.told().collect())
    }
}
