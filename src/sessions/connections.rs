//! What is open, as admins of a brokerage see it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Sessions;
use super::open::{OpenSession, SessionId, SessionUser};
use crate::directory::StreamAddress;
use crate::fanout::{CloseReason, Mailbox, StreamProgress, SubscriptionId};
use crate::platform::{BrokerId, TeamId, UserId};

/// How long a worker thread may take to say how far its streams are.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConnectionQuery {
    pub user: Option<UserId>,
    /// Only ids after this one.
    pub after: Option<String>,
    pub limit: usize,
}

/// Something that is open. Instances send it to each other, and to admins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenConnection {
    pub id: String,
    pub kind: String,
    pub instance: String,
    pub user_id: String,
    pub user_name: Option<String>,
    pub role: String,
    pub teams: Vec<String>,
    pub address: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    pub scope: String,
    /// `None`, like the next three, if it is not known.
    pub events: Option<u64>,
    pub bytes: Option<u64>,
    pub behind_events: Option<u64>,
    pub is_blocked: Option<bool>,
}

/// The connections of one instance, in the order of their ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionPage {
    pub connections: Vec<OpenConnection>,
    /// How many there are, on all pages.
    pub total: usize,
}

/// How much is open in a brokerage.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionCounts {
    pub streams: u64,
    pub outputs: u64,
    pub waiting: u64,
    pub users: u64,
}

struct Listed {
    connection: OpenConnection,
    address: StreamAddress,
}

impl Sessions {
    /// What is open at this instance.
    pub async fn connections(&self, broker: &BrokerId, query: &ConnectionQuery) -> ConnectionPage {
        let (total, mut listed) = self.listed(broker, query);
        let progress = progress(listed.iter().map(|listed| &listed.address)).await;
        for Listed {
            connection,
            address,
        } in &mut listed
        {
            let key = (thread_of(&address.mailbox), address.subscription);
            if let Some(progress) = progress.get(&key) {
                connection.events = Some(progress.events);
                connection.bytes = Some(progress.bytes);
                connection.behind_events = progress.behind_events;
                connection.is_blocked = Some(progress.is_blocked);
            }
        }
        ConnectionPage {
            connections: listed.into_iter().map(|listed| listed.connection).collect(),
            total,
        }
    }

    #[must_use]
    pub fn connection_counts(&self, broker: &BrokerId) -> ConnectionCounts {
        let mut counts = ConnectionCounts::default();
        let table = self.0.open.table();
        let of_broker = table
            .users
            .iter()
            .filter(|(user, _)| user.broker == *broker);
        for (_, sessions) in of_broker {
            counts.users += 1;
            for session in sessions {
                *match session.id {
                    SessionId::Stream(_) => &mut counts.streams,
                    SessionId::Output(_) => &mut counts.outputs,
                    SessionId::LongPoll(_) => &mut counts.waiting,
                } += 1;
            }
        }
        counts
    }

    /// Ends what has this id, if it is open at this instance.
    #[must_use]
    pub fn disconnect(&self, broker: &BrokerId, id: &str) -> bool {
        let mut table = self.0.open.table();
        let users = table.users.iter_mut();
        let of_broker = users.filter(|(user, _)| user.broker == *broker);
        let mut sessions = of_broker.flat_map(|(_, sessions)| sessions);
        let session = sessions.find(|session| self.text_of(session.id) == id);
        let found = session.map(|session| session.close(CloseReason::Disconnected));
        found.is_some()
    }

    /// The first ones after the place in the query, and how many there are.
    fn listed(&self, broker: &BrokerId, query: &ConnectionQuery) -> (usize, Vec<Listed>) {
        let table = self.0.open.table();
        let is_meant = |user: &SessionUser| {
            user.broker == *broker && query.user.as_ref().is_none_or(|only| user.user == *only)
        };
        let (mut total, mut first) = (0, BTreeMap::new());
        for (user, sessions) in table.users.iter().filter(|(user, _)| is_meant(user)) {
            total += sessions.len();
            for session in sessions {
                let id = self.text_of(session.id);
                if query.after.as_ref().is_some_and(|after| id <= *after) {
                    continue;
                }
                let is_full = first.len() >= query.limit;
                if is_full && first.last_key_value().is_some_and(|(last, _)| id > *last) {
                    continue;
                }
                if let Entry::Vacant(place) = first.entry(id) {
                    place.insert((user, session));
                }
                if first.len() > query.limit {
                    first.pop_last();
                }
            }
        }
        let listed = first.into_iter();
        let listed = listed.map(|(id, (user, session))| self.describe(id, user, session));
        (total, listed.collect())
    }

    fn describe(&self, id: String, user: &SessionUser, session: &OpenSession) -> Listed {
        let connection = OpenConnection {
            id,
            kind: kind(session.id).to_owned(),
            instance: self.0.parts.instance.to_string(),
            user_id: user.user.to_string(),
            user_name: session.credential.name.as_deref().map(ToOwned::to_owned),
            role: session.role.to_string(),
            teams: session.teams.iter().map(TeamId::to_string).collect(),
            address: session.client.map(|client| client.to_string()),
            since: time_at(session.opened_at_ms),
            expires_at: time_at(session.expires_at_ms),
            scope: session.scope.to_string(),
            events: None,
            bytes: None,
            behind_events: None,
            is_blocked: None,
        };
        Listed {
            connection,
            address: session.address.clone(),
        }
    }

    fn text_of(&self, id: SessionId) -> String {
        match id {
            SessionId::Stream(id) | SessionId::Output(id) => id.simple().to_string(),
            SessionId::LongPoll(number) => format!("{}-{number}", self.0.parts.instance),
        }
    }
}

fn kind(id: SessionId) -> &'static str {
    match id {
        SessionId::Stream(_) => "stream",
        SessionId::Output(_) => "output",
        SessionId::LongPoll(_) => "waiting",
    }
}

fn time_at(unix_ms: i64) -> OffsetDateTime {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
    time.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A worker thread and one of its streams.
type ProgressKey = (usize, SubscriptionId);

/// What distinguishes the mailbox of a worker thread from the others, while it exists.
fn thread_of(mailbox: &Arc<Mailbox>) -> usize {
    Arc::as_ptr(mailbox).addr()
}

/// How far these streams are, as their worker threads tell.
async fn progress(
    addresses: impl Iterator<Item = &StreamAddress>,
) -> FxHashMap<ProgressKey, StreamProgress> {
    let mut threads: FxHashMap<usize, (Arc<Mailbox>, Vec<SubscriptionId>)> = FxHashMap::default();
    for StreamAddress {
        mailbox,
        subscription,
    } in addresses
    {
        let thread = threads.entry(thread_of(mailbox));
        let (_, ids) = thread.or_insert_with(|| (Arc::clone(mailbox), Vec::new()));
        ids.push(*subscription);
    }
    let asked = threads.into_iter();
    let asked = asked.map(|(thread, (mailbox, ids))| (thread, mailbox.inspect(ids)));
    let asked: Vec<_> = asked.collect();
    let mut all = FxHashMap::default();
    for (thread, answer) in asked {
        // A thread that is busy leaves its streams without figures.
        let answer = tokio::time::timeout(PROGRESS_TIMEOUT, answer).await;
        let known = answer.ok().and_then(Result::ok).unwrap_or_default();
        all.extend(
            known
                .into_iter()
                .map(|(id, progress)| ((thread, id), progress)),
        );
    }
    all
}
