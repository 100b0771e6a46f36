//! What `porchlight.forget_broker(…)` tells all instances.

use serde::Deserialize;

use super::Member;

/// Whose answers are forgotten: those of this user, of this team, or of both together; without
/// either, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Forget {
    user: Option<String>,
    team: Option<String>,
}

impl Forget {
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// What a notification says. One that cannot be read may mean anything, so it means everything.
    #[must_use]
    pub fn parse(payload: &str) -> Self {
        serde_json::from_str(payload).unwrap_or_default()
    }

    /// Whether this member's answer is forgotten.
    #[must_use]
    pub fn is_about(&self, member: &Member) -> bool {
        let is_user = |user: &String| user == member.user.as_str();
        let is_team = |team: &String| member.team.as_ref().is_some_and(|of| of.as_str() == team);
        self.user.as_ref().is_none_or(is_user) && self.team.as_ref().is_none_or(is_team)
    }
}
