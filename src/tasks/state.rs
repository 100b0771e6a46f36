//! The states of a task, and the transitions between them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It waits for a worker, or for the delay before its next attempt.
    Queued,
    /// A worker has it, or one of its steps has begun.
    Running,
    /// Its cancellation was requested, and its worker has not confirmed it.
    Cancelling,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be queued, running, cancelling, completed, failed or cancelled")]
pub struct UnknownTaskState;

impl TaskState {
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the state is final.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether a transition is allowed. A trigger in the database has the same table.
    #[must_use]
    pub fn may_become(self, next: Self, is_workflow: bool) -> bool {
        match (self, next) {
            (Self::Queued, Self::Running | Self::Cancelled)
            | (Self::Running, Self::Cancelling)
            | (
                Self::Running | Self::Cancelling,
                Self::Completed | Self::Failed | Self::Cancelled,
            ) => true,
            (Self::Queued, Self::Failed) => is_workflow,
            (Self::Running, Self::Queued) => !is_workflow,
            _ => false,
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TaskState {
    type Err = UnknownTaskState;
    fn from_str(name: &str) -> Result<Self, UnknownTaskState> {
        let named = Self::ALL.into_iter().find(|state| state.as_str() == name);
        named.ok_or(UnknownTaskState)
    }
}

impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_final_states_have_no_transitions() {
        for state in TaskState::ALL {
            let leads_on = |is_workflow| {
                let next = move |next: &TaskState| state.may_become(*next, is_workflow);
                TaskState::ALL.into_iter().filter(next).count()
            };
            assert_eq!(leads_on(false) == 0, state.is_over(), "{state}");
            assert_eq!(leads_on(true) == 0, state.is_over(), "{state}");
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
