//! On whose behalf a worker acts: the user with the teams and the role of the request.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::row::At;
use super::{Claimed, TaskError, Tasks};
use crate::identity::{Caller, Role};
use crate::platform::TeamId;

/// What of a caller is kept with a task.
#[derive(Serialize, Deserialize)]
struct Behalf {
    role: String,
    teams: Vec<TeamId>,
}

/// The caller as the table keeps it.
pub(super) fn written(caller: &Caller) -> Option<String> {
    let behalf = Behalf {
        role: caller.role.as_str().to_owned(),
        teams: caller.teams.to_vec(),
    };
    serde_json::to_string(&behalf).ok()
}

impl Tasks {
    /// The user of a task, with the rights of the request that made it; with no more than being
    /// themselves where nothing is known of it.
    pub async fn on_behalf(&self, claimed: &Claimed) -> Result<Caller, TaskError> {
        let mut connection = self.pool.acquire().await?;
        let at = At {
            broker: &claimed.broker,
            id: claimed.task.id(),
        };
        let kept = kept(&mut connection, at).await?;
        let kept: Option<Behalf> = kept.and_then(|json| serde_json::from_str(&json).ok());
        let role = kept.as_ref().and_then(|kept| kept.role.parse().ok());
        let teams = kept.map_or(Vec::new(), |kept| kept.teams);
        Ok(Caller {
            user: claimed.task.user().clone(),
            broker: claimed.broker.clone(),
            teams: teams.into(),
            role: role.unwrap_or(Role::Agent),
            expires_at: claimed.lease_until,
            token_id: None,
        })
    }
}

async fn kept(connection: &mut PgConnection, at: At<'_>) -> sqlx::Result<Option<String>> {
    let kept = sqlx::query_scalar!(
        "select on_behalf::text from porchlight.tasks where broker_id = $1 and id = $2",
        at.broker.as_str(),
        at.id.as_str(),
    );
    Ok(kept.fetch_optional(connection).await?.flatten())
}
