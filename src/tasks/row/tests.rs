//! Rows for tests.

use super::{TaskProgress, TaskRow};
use crate::tasks::TaskState;

/// A queued task of ann's.
pub(in crate::tasks) fn queued(id: &str) -> TaskRow {
    let now = time::macros::datetime!(2025-11-02 12:00:00 UTC);
    TaskRow {
        id: id.parse().unwrap(),
        user: "ann".parse().unwrap(),
        team: None,
        task_type: "import".parse().unwrap(),
        title: None,
        parent: None,
        is_workflow: false,
        retry_of: None,
        state: TaskState::Queued,
        progress: TaskProgress::default(),
        result: None,
        error: None,
        attempt: 0,
        skipped_attempts: 0,
        max_attempts: 3,
        lease: None,
        run_after: None,
        cancel_requested_at: None,
        cancel_requested_by: None,
        reported_at: None,
        published_at: None,
        has_unpublished: false,
        output_bytes: 0,
        version: 0,
        created_at: now,
        started_at: None,
        ended_at: None,
        now,
    }
}
