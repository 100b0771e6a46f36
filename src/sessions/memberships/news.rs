//! What the tokens of a user tell about the user's teams.

use std::cmp::Ordering;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::platform::TeamId;

/// The teams in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TeamsOfToken {
    /// Those of the caller: they are shared.
    pub(super) teams: Arc<[TeamId]>,
    /// When the token was issued.
    pub(super) as_of: OffsetDateTime,
}

impl TeamsOfToken {
    /// Whether another token of the same user tells nothing beside this one. Two of the same second never do.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let has_all = || other.teams.iter().all(|team| self.teams.contains(team));
        other.as_of == self.as_of || (other.as_of < self.as_of && has_all())
    }
}

/// What several tokens of a user tell together.
#[derive(Debug)]
pub(super) struct TeamNews {
    pub(super) newest: TeamsOfToken,
    /// The teams in older tokens that the newest one lacks.
    pub(super) left: Vec<TeamId>,
    /// When the token was issued whose teams are stored.
    pub(super) stored_as_of: Option<OffsetDateTime>,
}

impl TeamNews {
    pub(super) fn of(token: &TeamsOfToken) -> Self {
        Self {
            newest: token.clone(),
            left: Vec::new(),
            stored_as_of: None,
        }
    }

    pub(super) fn add(&mut self, other: &TeamsOfToken) {
        let older = match other.as_of.cmp(&self.newest.as_of) {
            Ordering::Less => other.clone(),
            Ordering::Equal => return,
            Ordering::Greater => std::mem::replace(&mut self.newest, other.clone()),
        };
        let newest = &self.newest.teams;
        self.left.retain(|team| !newest.contains(team));
        for team in older.teams.iter().filter(|team| !newest.contains(team)) {
            if !self.left.contains(team) {
                self.left.push(team.clone());
            }
        }
    }

    pub(super) fn add_stored(&mut self, stored: &TeamsOfToken) {
        self.stored_as_of = Some(stored.as_of);
        self.add(stored);
    }

    /// Whether the stored token is not there, or older than the newest one.
    pub(super) fn is_to_store(&self) -> bool {
        self.stored_as_of
            .is_none_or(|stored| stored < self.newest.as_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(teams: &str, issued_after: i64) -> TeamsOfToken {
        TeamsOfToken {
            teams: teams
                .split(' ')
                .filter_map(|team| team.parse().ok())
                .collect(),
            as_of: OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(issued_after),
        }
    }

    #[test]
    fn the_newest_token_counts_in_whatever_order_they_come() {
        let tokens = [
            token("a b", 1),
            token("a", 2),
            token("c d", 2),
            token("a e", 3),
        ];
        for order in [
            [0, 1, 3],
            [0, 3, 1],
            [1, 0, 3],
            [1, 3, 0],
            [3, 0, 1],
            [3, 1, 0],
        ] {
            let mut news = TeamNews::of(&tokens[order[0]]);
            for n in order {
                news.add(&tokens[n]);
            }
            assert_eq!(news.newest, tokens[3]);
            assert_eq!(news.left, token("b", 0).teams[..], "{order:?}");
        }
        // Of two tokens of the same second, nobody knows which is newer.
        let mut news = TeamNews::of(&tokens[1]);
        news.add(&tokens[2]);
        assert_eq!((news.newest, news.left), (tokens[1].clone(), Vec::new()));
    }

    #[test]
    fn what_tells_nothing_is_not_compared() {
        let known = token("a b", 2);
        for (other, is_covered) in [
            (token("a b", 2), true),
            (token("c", 2), true),
            (token("b", 1), true),
            (token("", 1), true),
            (token("c", 1), false),
            (token("a b", 3), false),
        ] {
            assert_eq!(known.covers(&other), is_covered, "{other:?}");
        }
    }

    #[test]
    fn only_what_is_newer_is_stored() {
        for (stored, is_to_store) in [(1, true), (2, false), (3, false)] {
            let mut news = TeamNews::of(&token("a", 2));
            assert!(news.is_to_store());
            news.add_stored(&token("a b", stored));
            assert_eq!(news.is_to_store(), is_to_store, "{stored}");
        }
    }
}
