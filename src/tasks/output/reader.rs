//! Reading output: from a byte to the end of the task, with no queue in between.

use tokio::sync::oneshot;

use super::super::user::seen;
use super::loader::OutputReads;
use crate::identity::Caller;
use crate::log::{TaskKey, TaskListener};
use crate::platform::Limit;
use crate::platform::TaskId;
use crate::platform::database::limited;
use crate::tasks::{State, TaskError, Tasks};

/// A place in the output of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutputPosition {
    pub attempt: i32,
    /// What comes next, in bytes.
    pub byte: i32,
}

/// A place in the output of one task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Position {
    pub(super) key: TaskKey,
    pub(super) place: OutputPosition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another attempt has begun, or the place was none: the text so far counts no more.
    Restart(OutputPosition),
    Text {
        from: i32,
        text: String,
        to: OutputPosition,
    },
    /// The task has ended, and this was all.
    End(State, OutputPosition),
}

impl Step {
    /// What it is called on a stream.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Restart(_) => "restart",
            Self::Text { .. } => "output",
            Self::End(..) => "end",
        }
    }

    /// Where the reader stands after it.
    #[must_use]
    pub fn place(&self) -> OutputPosition {
        match self {
            Self::Restart(place) | Self::End(_, place) | Self::Text { to: place, .. } => *place,
        }
    }
}

/// What a reader is answered. `None`: the task is gone, or the database cannot be reached.
pub(super) type Answer = Option<Step>;

/// Somebody who reads the output of one task. It holds a position and no text.
#[derive(Debug)]
pub struct OutputReader {
    reads: OutputReads,
    position: Position,
    asked: Option<oneshot::Receiver<Answer>>,
    _listener: TaskListener,
}

impl Tasks {
    /// Opens the output of a task that the caller may see, at a byte of the newest attempt or
    /// where an earlier reader stood.
    pub async fn read_output(
        &self,
        (caller, task): (&Caller, &TaskId),
        byte: i32,
        stood: Option<OutputPosition>,
    ) -> Result<OutputReader, TaskError> {
        let listener = self.notices.here.listen();
        // With a limit of its own: a request that reaches its limit is not answered with a stream.
        let row = limited(Limit::REQUEST, async {
            let mut connection = self.pool.acquire().await?;
            seen(&mut connection, caller, task).await
        });
        let row = row.await?;
        let attempt = row.attempt;
        if stood.is_none() && byte > row.output_bytes {
            return Err(TaskError::WrongOffset(row.output_bytes));
        }
        let key = TaskKey {
            broker: caller.broker.clone(),
            task: task.clone(),
        };
        let place = stood.unwrap_or(OutputPosition { attempt, byte });
        Ok(OutputReader {
            reads: self.output_reads.clone(),
            position: Position { key, place },
            asked: None,
            _listener: listener,
        })
    }
}

impl OutputReader {
    /// Waits for what comes next. Dropping the future loses nothing. `None`: the task is gone, or
    /// the database cannot be reached.
    pub async fn next(&mut self) -> Option<Step> {
        let asked = match &mut self.asked {
            Some(asked) => asked,
            none => none.insert(self.reads.ask(&self.position).await?),
        };
        let answer = asked.await.ok().flatten();
        self.asked = None;
        let step = answer?;
        self.position.place = step.place();
        Some(step)
    }
}
