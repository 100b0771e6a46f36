//! Reads the output of one task, from any byte to its end, without a queue.

use tokio::sync::oneshot;

use super::loader::OutputReads;
use crate::identity::Caller;
use crate::log::{TaskKey, TaskListener};
use crate::platform::Limit;
use crate::platform::TaskId;
use crate::platform::database::limited;
use crate::tasks::user::find_visible;
use crate::tasks::{TaskError, TaskState, Tasks};

/// A position in the output of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputPosition {
    pub attempt: i32,
    /// The next byte to read.
    pub byte: i32,
}

/// A position in the output of one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReadPosition {
    pub(super) task: TaskKey,
    pub(super) at: OutputPosition,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStart {
    /// At this byte of the newest attempt.
    Byte(i32),
    /// Where an earlier reader ended.
    Resume(OutputPosition),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputStep {
    /// The text so far is void: another attempt has begun, or the position did not exist.
    Restart(OutputPosition),
    Text {
        from: i32,
        text: String,
        to: OutputPosition,
    },
    /// The task has ended, and all of its output was read.
    End(TaskState, OutputPosition),
}

impl OutputStep {
    /// The name of the event on a stream.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Restart(_) => "restart",
            Self::Text { .. } => "output",
            Self::End(..) => "end",
        }
    }

    /// The position of a reader after this step.
    #[must_use]
    pub fn position(&self) -> OutputPosition {
        match self {
            Self::Restart(at) | Self::End(_, at) | Self::Text { to: at, .. } => *at,
        }
    }
}

/// The next step. None when the task is gone or the database cannot be reached.
pub(super) type OutputAnswer = Option<OutputStep>;

/// Reads the output of one task. It has a position and no text.
#[derive(Debug)]
pub struct OutputReader {
    reads: OutputReads,
    position: ReadPosition,
    pending: Option<oneshot::Receiver<OutputAnswer>>,
    _listener: TaskListener,
}

impl Tasks {
    /// Opens the output of a task that the caller may see.
    pub async fn read_output(
        &self,
        caller: &Caller,
        task: &TaskId,
        start: OutputStart,
    ) -> Result<OutputReader, TaskError> {
        let listener = self.notices.listen(&caller.broker);
        // The query has its own limit: after the limit of a request, no stream can be opened.
        let row = limited(Limit::REQUEST, async {
            let mut connection = self.pool.acquire().await?;
            find_visible(&mut connection, caller, task).await
        });
        let row = row.await?;
        let attempt = row.attempt;
        let at = match start {
            OutputStart::Byte(byte) if byte > row.output_bytes => {
                return Err(TaskError::WrongOffset(row.output_bytes));
            }
            OutputStart::Byte(byte) => OutputPosition { attempt, byte },
            OutputStart::Resume(at) => at,
        };
        let task = TaskKey {
            broker: caller.broker.clone(),
            task: task.clone(),
        };
        Ok(OutputReader {
            reads: self.output_reads.clone(),
            position: ReadPosition { task, at },
            pending: None,
            _listener: listener,
        })
    }
}

impl OutputReader {
    /// Waits for what comes next. Nothing is lost when this is cancelled. None when the task is
    /// gone or the database cannot be reached.
    pub async fn next(&mut self) -> Option<OutputStep> {
        let pending = match &mut self.pending {
            Some(pending) => pending,
            none => none.insert(self.reads.ask(&self.position).await?),
        };
        let answer = pending.await.ok().flatten();
        self.pending = None;
        let step = answer?;
        self.position.at = step.position();
        Some(step)
    }
}
