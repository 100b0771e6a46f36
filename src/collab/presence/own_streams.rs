//! When each stream of a user at this instance was opened.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::sign_of_life::{OpenedAt, Session};
use crate::platform::UserId;

/// Those of each user, the oldest first. The user's sign has the same list.
type StreamsByUser = FxHashMap<UserId, Arc<[OpenedAt]>>;

#[derive(Debug, Default)]
pub struct OwnStreams {
    seen: StreamsByUser,
    unseen: StreamsByUser,
}

impl OwnStreams {
    /// Adds a stream, and returns all of the user's in this session.
    pub fn add(&mut self, session: &Session, user: &UserId, at: OpenedAt) -> Arc<[OpenedAt]> {
        let streams = self.of(session).entry(user.clone()).or_default();
        *streams = streams.iter().copied().chain([at]).collect();
        Arc::clone(streams)
    }

    /// Removes a stream, and returns those that the user has left in this session.
    pub fn remove(&mut self, session: &Session, user: &UserId, at: OpenedAt) -> Arc<[OpenedAt]> {
        let users = self.of(session);
        let Some(streams) = users.get_mut(user) else {
            return Arc::default();
        };
        if let Some(ended) = streams.iter().position(|other| *other == at) {
            let others = |place: &usize| *place != ended;
            let left = (0..streams.len()).filter(others);
            *streams = left.map(|place| streams[place]).collect();
        }
        let left = Arc::clone(streams);
        if left.is_empty() {
            users.remove(user);
        }
        left
    }

    fn of(&mut self, session: &Session) -> &mut StreamsByUser {
        match session {
            Session::Unseen => &mut self.unseen,
            Session::Streams | Session::Named(_) => &mut self.seen,
        }
    }
}
