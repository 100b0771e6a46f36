//! On whose behalf a worker acts: the user, with the teams and the role of the request.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::row::TaskRef;
use super::{Claimed, TaskError, Tasks};
use crate::identity::{Caller, Role};
use crate::platform::TeamId;

/// The part of a caller that is stored with a task.
#[derive(Serialize, Deserialize)]
struct Requester {
    role: String,
    teams: Vec<TeamId>,
}

/// The caller as the table has it.
pub(super) fn stored(caller: &Caller) -> Option<String> {
    let requester = Requester {
        role: caller.role.as_str().to_owned(),
        teams: caller.teams.to_vec(),
    };
    serde_json::to_string(&requester).ok()
}

impl Tasks {
    /// The user of a task, with the rights of the request that created it. If nothing is stored, an
    /// agent without teams.
    pub async fn requester(&self, claimed: &Claimed) -> Result<Caller, TaskError> {
        let mut connection = self.pool.acquire().await?;
        let at = TaskRef {
            broker: &claimed.broker,
            id: claimed.task.id(),
        };
        let json = read(&mut connection, at).await?;
        let stored: Option<Requester> = json.and_then(|json| serde_json::from_str(&json).ok());
        let role = stored.as_ref().and_then(|stored| stored.role.parse().ok());
        let teams = stored.map_or(Vec::new(), |stored| stored.teams);
        Ok(Caller {
            user: claimed.task.user().clone(),
            broker: claimed.broker.clone(),
            teams: teams.into(),
            role: role.unwrap_or(Role::Agent),
            expires_at: claimed.lease_until,
            credential: std::sync::Arc::default(),
        })
    }
}

async fn read(connection: &mut PgConnection, at: TaskRef<'_>) -> sqlx::Result<Option<String>> {
    let json = sqlx::query_scalar!(
        "select on_behalf::text from porchlight.tasks where broker_id = $1 and id = $2",
        at.broker.as_str(),
        at.id.as_str(),
    );
    Ok(json.fetch_optional(connection).await?.flatten())
}
