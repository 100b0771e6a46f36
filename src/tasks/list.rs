//! Pages of tasks, from new to old.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;

use super::row::{TaskRow, select_tasks};
use super::user::find_visible;
use super::{Task, TaskError, TaskState, Tasks};
use crate::identity::Caller;
use crate::log::Cursor;
use crate::log::heads;
use crate::platform::{BrokerId, TaskId, TaskType, TeamId, Transaction, UserId};
use crate::platform::{PageItems, PageLimit};

/// All reads of one answer see the same state.
const SNAPSHOT: &str = "begin transaction isolation level repeatable read, read only";

/// A task, and the position of the log in the same snapshot.
#[derive(Clone, Debug)]
pub struct FoundTask {
    pub task: Task,
    pub position: Cursor,
}

/// Filters, and where the page begins.
#[derive(Clone, Debug)]
pub struct TaskListQuery {
    pub state: Option<TaskState>,
    pub task_type: Option<TaskType>,
    /// The workflow whose steps are listed.
    pub parent: Option<TaskId>,
    pub user: Option<UserId>,
    /// Where the page before ended.
    pub before: Option<TaskCursor>,
    pub limit: PageLimit,
}

/// A page of tasks, and the position of the log in the same snapshot.
#[derive(Debug)]
pub struct TaskPage {
    pub position: Cursor,
    pub tasks: PageItems,
    /// Where the next page begins, if there may be one.
    pub next: Option<TaskCursor>,
}

/// The last task of a page. Clients send it back for the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCursor {
    created_at: OffsetDateTime,
    id: TaskId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be what `next` of a page was")]
pub struct InvalidTaskCursor;

impl fmt::Display for TaskCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.created_at.unix_timestamp_nanos() / 1_000;
        write!(f, "{micros}-{}", self.id)
    }
}

impl FromStr for TaskCursor {
    type Err = InvalidTaskCursor;
    fn from_str(text: &str) -> Result<Self, InvalidTaskCursor> {
        let (micros, id) = text.split_once('-').ok_or(InvalidTaskCursor)?;
        let nanos = micros.parse::<i64>().map_err(|_| InvalidTaskCursor)?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos) * 1_000);
        Ok(Self {
            created_at: at.map_err(|_| InvalidTaskCursor)?,
            id: id.parse().map_err(|_| InvalidTaskCursor)?,
        })
    }
}

impl Task {
    fn cursor(&self) -> TaskCursor {
        TaskCursor {
            created_at: self.row.created_at,
            id: self.row.id.clone(),
        }
    }
}

impl Tasks {
    /// Lists tasks that the caller may see.
    pub async fn list(
        &self,
        caller: &Caller,
        query: &TaskListQuery,
    ) -> Result<TaskPage, TaskError> {
        let (mut snapshot, position) = self.snapshot(&caller.broker).await?;
        if let Some(parent) = &query.parent {
            find_visible(&mut snapshot, caller, parent).await?;
        }
        let rows = page(&mut snapshot, caller, query).await?;
        let mut tasks = PageItems::new(query.limit);
        let listed = rows.into_iter().map(Task::listed);
        let filled = tasks.fill(listed, |task| {
            serde_json::to_string(task).unwrap_or_default()
        });
        Ok(TaskPage {
            position,
            tasks,
            next: filled.goes_on_after().map(|last| last.cursor()),
        })
    }

    /// A snapshot of the database, and the position of the brokerage's log in it.
    pub(super) async fn snapshot(
        &self,
        broker: &BrokerId,
    ) -> Result<(Transaction<'static>, Cursor), TaskError> {
        let broker = std::slice::from_ref(broker);
        let mut snapshot = self.pool.begin_with(SNAPSHOT).await?;
        let mut known = heads::read(&mut snapshot, broker).await?;
        if known.is_empty() {
            // The brokerage has no log yet.
            snapshot.rollback().await?;
            let mut connection = self.pool.acquire().await?;
            heads::ensure(&mut connection, self.committer.dice(), broker).await?;
            drop(connection);
            snapshot = self.pool.begin_with(SNAPSHOT).await?;
            known = heads::read(&mut snapshot, broker).await?;
        }
        let head = known.first().map(|(_, log)| log.cursor());
        Ok((snapshot, head.ok_or(TaskError::Busy)?))
    }
}

/// The caller's own tasks and those of their teams, all tasks for administrators, or the steps of one
/// workflow. Each part uses its own index, so the cost of a page does not depend on the number of
/// tasks. The page always has a beginning: an optional one would be a filter, not an index condition.
async fn page(
    snapshot: &mut Transaction<'_>,
    caller: &Caller,
    query: &TaskListQuery,
) -> sqlx::Result<Vec<TaskRow>> {
    let teams: Vec<_> = caller.teams.iter().map(TeamId::as_str).collect();
    let before = query.before.as_ref();
    let found = select_tasks!(
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
        query.state.map(TaskState::as_str),
        query.task_type.as_ref().map(TaskType::as_str),
        query.parent.as_ref().map(TaskId::as_str),
        query.user.as_ref().map(UserId::as_str),
        query.limit.rows() + 1,
    );
    let rows = found.fetch_all(&mut **snapshot).await?;
    rows.into_iter().map(TaskRow::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let text = "1762084800123456-a-b.c:d";
        assert_eq!(text.parse::<TaskCursor>().unwrap().to_string(), text);
        for invalid in ["", "1", "-", "1-", "x-a", "99999999999999999999-a", "1-a b"] {
            assert!(invalid.parse::<TaskCursor>().is_err(), "{invalid:?}");
        }
    }
}
