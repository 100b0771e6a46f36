//! Clients that have gone although nobody wanted it, and have not come back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::open::SessionUser;

/// Clients that are missed at a time. Further ones are not noted.
const MOST: usize = 10_000;
/// After this time, nobody expects a client back.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// A user who is not back.
#[derive(Clone, Debug)]
pub struct LostClient {
    pub user: SessionUser,
    pub away: Duration,
}

/// Users whose last stream broke, and programs whose last stream ended. While nobody is missed, a new stream
/// costs a look at an empty map.
#[derive(Debug, Default)]
pub(super) struct LostClients(Mutex<FxHashMap<SessionUser, Instant>>);

impl LostClients {
    pub(super) fn add(&self, user: &SessionUser) {
        let mut clients = self.clients();
        if clients.len() < MOST {
            clients.insert(user.clone(), Instant::now());
        }
    }

    pub(super) fn is_back(&self, user: &SessionUser) {
        let mut clients = self.clients();
        if !clients.is_empty() {
            clients.remove(user);
        }
    }

    /// Those that have been away for longer than this.
    pub(super) fn longer_than(&self, age: Duration) -> Vec<LostClient> {
        let mut clients = self.clients();
        clients.retain(|_, since| since.elapsed() < FORGET_AFTER);
        let away = clients.iter().map(|(user, since)| LostClient {
            user: user.clone(),
            away: since.elapsed(),
        });
        away.filter(|client| client.away >= age).collect()
    }

    fn clients(&self) -> MutexGuard<'_, FxHashMap<SessionUser, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_missed_until_it_is_back() {
        let user = |name: &str| SessionUser {
            broker: "b".parse().unwrap(),
            user: name.parse().unwrap(),
        };
        let lost = LostClients::default();
        for name in ["ann", "bob", "cid"] {
            lost.add(&user(name));
        }
        lost.is_back(&user("ann"));
        lost.is_back(&user("bob"));
        assert!(lost.longer_than(Duration::from_mins(1)).is_empty());
        let away = lost.longer_than(Duration::ZERO);
        assert_eq!(away.len(), 1);
        assert_eq!(away[0].user, user("cid"));
    }
}
