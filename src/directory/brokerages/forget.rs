//! The notification that `porchlight.forget_broker(…)` sends to all instances.

use serde::Deserialize;

use super::Member;

/// Whose answers to forget: those of a user, of a team, or of a user with a team. Without either, all
/// of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ForgetRequest {
    user: Option<String>,
    team: Option<String>,
}

impl ForgetRequest {
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Reads a notification. One that cannot be read may mean any member, so it means all.
    #[must_use]
    pub fn parse(payload: &str) -> Self {
        serde_json::from_str(payload).unwrap_or_default()
    }

    #[must_use]
    pub fn matches(&self, member: &Member) -> bool {
        let is_user = |user: &String| user == member.user.as_str();
        let is_team = |team: &String| member.team.as_ref().is_some_and(|of| of.as_str() == team);
        self.user.as_ref().is_none_or(is_user) && self.team.as_ref().is_none_or(is_team)
    }
}
