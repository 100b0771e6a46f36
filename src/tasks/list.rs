//! The history of tasks, from new to old, page by page.

use std::fmt;
use std::str::FromStr;

use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;

use super::row::{TaskRow, look};
use super::user::seen;
use super::{State, Task, TaskError, Tasks};
use crate::identity::Caller;
use crate::log::Cursor;
use crate::log::heads;
use crate::platform::{BrokerId, TaskId, TaskType, TeamId, UserId};
use crate::platform::{PageItems, PageLimit};

/// A snapshot is one moment of everything.
const SNAPSHOT: &str = "begin transaction isolation level repeatable read, read only";

/// A task, and where the log stood.
#[derive(Clone, Debug)]
pub struct Found {
    pub task: Task,
    pub position: Cursor,
}

#[derive(Clone, Debug)]
pub struct TaskListQuery {
    /// Only those that are there.
    pub state: Option<State>,
    /// Only of this type.
    pub task_type: Option<TaskType>,
    /// Only the steps of this workflow.
    pub parent: Option<TaskId>,
    /// Only this user's.
    pub user: Option<UserId>,
    /// Only those that are older than this.
    pub before: Option<PageCursor>,
    /// How long the page may be.
    pub limit: PageLimit,
}

/// Tasks, true at a position.
#[derive(Debug)]
pub struct TaskPage {
    pub position: Cursor,
    /// The tasks, from new to old.
    pub tasks: PageItems,
    /// Where the next page begins, if there may be one.
    pub next: Option<PageCursor>,
}

/// A place between two tasks, as clients keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageCursor {
    created_at: OffsetDateTime,
    id: TaskId,
}

/// Text that is no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be what `next` of a page was")]
pub struct InvalidPageCursor;

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.created_at.unix_timestamp_nanos() / 1_000;
        write!(f, "{micros}-{}", self.id)
    }
}

impl FromStr for PageCursor {
    type Err = InvalidPageCursor;
    fn from_str(text: &str) -> Result<Self, InvalidPageCursor> {
        let (micros, id) = text.split_once('-').ok_or(InvalidPageCursor)?;
        let nanos = micros.parse::<i64>().map_err(|_| InvalidPageCursor)?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos) * 1_000);
        Ok(Self {
            created_at: at.map_err(|_| InvalidPageCursor)?,
            id: id.parse().map_err(|_| InvalidPageCursor)?,
        })
    }
}

impl Task {
    /// Where it stands in lists.
    fn place(&self) -> PageCursor {
        PageCursor {
            created_at: self.row.created_at,
            id: self.row.id.clone(),
        }
    }
}

impl Tasks {
    /// The tasks that the caller may see.
    pub async fn list(
        &self,
        caller: &Caller,
        question: &TaskListQuery,
    ) -> Result<TaskPage, TaskError> {
        let (mut snapshot, position) = self.snapshot(&caller.broker).await?;
        if let Some(parent) = &question.parent {
            seen(&mut snapshot, caller, parent).await?;
        }
        let rows = page(&mut snapshot, caller, question).await?;
        let mut tasks = PageItems::new(question.limit);
        let listed = rows.into_iter().map(Task::listed);
        let filled = tasks.fill(listed, |task| {
            serde_json::to_string(task).unwrap_or_default()
        });
        Ok(TaskPage {
            position,
            tasks,
            next: filled.goes_on_after().map(|last| last.place()),
        })
    }

    /// One moment of the database, and where the broker's log stood in it.
    pub(super) async fn snapshot(
        &self,
        broker: &BrokerId,
    ) -> Result<(Transaction<'static, Postgres>, Cursor), TaskError> {
        let broker = std::slice::from_ref(broker);
        let mut snapshot = self.pool.begin_with(SNAPSHOT).await?;
        let mut known = heads::read(&mut snapshot, broker).await?;
        if known.is_empty() {
            // Nothing was ever told at this broker.
            snapshot.rollback().await?;
            let mut connection = self.pool.acquire().await?;
            heads::ensure(&mut connection, self.committer.dice(), broker).await?;
            drop(connection);
            snapshot = self.pool.begin_with(SNAPSHOT).await?;
            known = heads::read(&mut snapshot, broker).await?;
        }
        let head = known.first().map(|(_, log)| log.epoch.at(log.head));
        Ok((snapshot, head.ok_or(TaskError::Busy)?))
    }
}

/// The caller's own, those that their teams are told of, for admins all, or the steps of one workflow:
/// each from an index of its own, so that a page costs a page. Where a page begins is not optional
/// in the query: in a plan for any page it would be a filter, and not a place in the index.
async fn page(
    snapshot: &mut Transaction<'_, Postgres>,
    caller: &Caller,
    question: &TaskListQuery,
) -> sqlx::Result<Vec<TaskRow>> {
    let teams: Vec<_> = caller.teams.iter().map(TeamId::as_str).collect();
    let before = question.before.as_ref();
    let found = look!(
        "null::text as partial, null::text as result",
        of "select t.* from (select * from (
             (select id, created_at from porchlight.tasks
              where broker_id = $1 and user_id = $2 and not $4 and $9::text is null
                  and (created_at, id) < (coalesce($5::timestamptz, 'infinity'), coalesce($6, ''))
                  and ($7::text is null or state = $7) and ($8::text is null or type = $8)
                  and ($10::text is null or user_id = $10)
              order by created_at desc, id desc limit $11)
             union
             (select l.id, l.created_at from unnest($3::text[]) as told(team) cross join lateral (
                  select id, created_at from porchlight.tasks
                  where broker_id = $1 and team_id = told.team and not $4 and $9::text is null
                      and (created_at, id) < (coalesce($5::timestamptz, 'infinity'), coalesce($6, ''))
                      and ($7::text is null or state = $7) and ($8::text is null or type = $8)
                      and ($10::text is null or user_id = $10)
                  order by created_at desc, id desc limit $11
              ) l)
             union
             (select id, created_at from porchlight.tasks
              where broker_id = $1 and $4 and $9::text is null
                  and (created_at, id) < (coalesce($5::timestamptz, 'infinity'), coalesce($6, ''))
                  and ($7::text is null or state = $7) and ($8::text is null or type = $8)
                  and ($10::text is null or user_id = $10)
              order by created_at desc, id desc limit $11)
             union
             (select id, created_at from porchlight.tasks
              where broker_id = $1 and parent_id = $9
                  and ($4 or user_id = $2 or team_id = any($3))
                  and (created_at, id) < (coalesce($5::timestamptz, 'infinity'), coalesce($6, ''))
                  and ($7::text is null or state = $7) and ($8::text is null or type = $8)
                  and ($10::text is null or user_id = $10)
              order by created_at desc, id desc limit $11)
         ) found order by created_at desc, id desc limit $11) found cross join lateral (
             select * from porchlight.tasks where broker_id = $1 and id = found.id offset 0
         ) t",
        caller.broker.as_str(),
        caller.user.as_str(),
        &teams as &[&str],
        caller.may_administer(),
        before.map(|before| before.created_at),
        before.map(|before| before.id.as_str()),
        question.state.map(State::as_str),
        question.task_type.as_ref().map(TaskType::as_str),
        question.parent.as_ref().map(TaskId::as_str),
        question.user.as_ref().map(UserId::as_str),
        question.limit.rows() + 1,
    );
    let rows = found.fetch_all(&mut **snapshot).await?;
    rows.into_iter().map(TaskRow::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_between_pages_reads_back_as_it_was_written() {
        let text = "1762084800123456-a-b.c:d";
        assert_eq!(text.parse::<PageCursor>().unwrap().to_string(), text);
        for rubbish in ["", "1", "-", "1-", "x-a", "99999999999999999999-a", "1-a b"] {
            assert!(rubbish.parse::<PageCursor>().is_err(), "{rubbish:?}");
        }
    }
}
