//! Work in the worker's own transaction: it counts only while the task is held.

use sqlx::PgConnection;

use super::row::{TaskRow, look};
use super::{LeaseClaim, State, TaskError};

/// Whether work on a held task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldOutcome {
    GoOn,
    /// The task is to end.
    Cancelling,
}

impl LeaseClaim {
    /// Holds the task to the end of a transaction: nobody takes it over before, and reports on
    /// it are not waited for. Refused where it is lost already.
    pub async fn hold(&self, connection: &mut PgConnection) -> Result<HoldOutcome, TaskError> {
        let found = look!(
            "select * from porchlight.tasks where broker_id = $1 and id = $2 for key share",
            self.broker.as_str(),
            self.task.as_str(),
        );
        let row = found.fetch_optional(connection).await?;
        let row = row.ok_or_else(|| TaskError::Unknown(self.task.clone()))?;
        let row = TaskRow::try_from(row)?;
        self.check(&row)?;
        Ok(match row.state {
            State::Cancelling => HoldOutcome::Cancelling,
            _ => HoldOutcome::GoOn,
        })
    }
}
