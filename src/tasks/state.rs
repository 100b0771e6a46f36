//! What can become of a task.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits for a worker, maybe for a while yet.
    Queued,
    /// A worker is at it, or at one of its children.
    Running,
    /// It is to end, and its worker does not know it yet.
    Cancelling,
    Completed,
    /// It could not be done.
    Failed,
    /// It was not to be done.
    Cancelled,
}

/// A state that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be queued, running, cancelling, completed, failed or cancelled")]
pub struct UnknownState;

impl State {
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Cancelling,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The state as it is written.
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

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether a task may go from here to there. The database holds to the same.
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

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = UnknownState;
    fn from_str(name: &str) -> Result<Self, UnknownState> {
        let named = Self::ALL.into_iter().find(|state| state.as_str() == name);
        named.ok_or(UnknownState)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_stays_as_it_is() {
        for state in State::ALL {
            let leads_on = |is_workflow| {
                let next = move |next: &State| state.may_become(*next, is_workflow);
                State::ALL.into_iter().filter(next).count()
            };
            assert_eq!(leads_on(false) == 0, state.is_over(), "{state}");
            assert_eq!(leads_on(true) == 0, state.is_over(), "{state}");
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
