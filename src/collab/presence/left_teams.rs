//! A user who has left a team is not seen there any more, although their token still names it.

use super::Presence;
use super::sign_of_life::{SignOfLife, SignOrigin};
use crate::log::Audience;
use crate::platform::{BrokerId, TeamId, UserId};

impl Presence {
    /// Removes a user from a team, in the signs of all instances. Each instance does so, and writes its
    /// own signs again.
    pub fn left_team(&self, broker: &BrokerId, user: &UserId, team: &TeamId) {
        let brokerage = self.brokerages().get(broker).cloned();
        let Some(brokerage) = brokerage else { return };
        let mut locked = brokerage.lock();
        let changed = locked.group.leave_team(user, team);
        if changed.is_empty() {
            return;
        }
        let own = changed.into_iter();
        for own in own.filter(|source| source.origin == SignOrigin::Here) {
            self.write_again(&locked, user, own.session);
        }
        self.evaluate(&mut locked, user);
    }
}

impl SignOfLife {
    /// Removes a team, and the records that are open as one of the team. Returns whether the sign has
    /// changed.
    pub(super) fn leave_team(&mut self, team: &TeamId) -> bool {
        if !self.teams.contains(team) {
            return false;
        }
        let left = self.teams.iter().filter(|other| *other != team).cloned();
        self.teams = left.collect();
        let audience = Audience::Team(team.clone());
        for open in [&mut self.viewing, &mut self.editing] {
            if open
                .as_ref()
                .is_some_and(|in_use| in_use.audience == audience)
            {
                *open = None;
            }
        }
        true
    }
}
