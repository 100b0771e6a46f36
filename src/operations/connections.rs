//! Connections over all instances.

use std::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Operations;
use super::answers::Question;
use crate::identity::Caller;
use crate::platform::BrokerId;
use crate::sessions::connections::{ConnectionPage, ConnectionQuery, OpenConnection};
use crate::sessions::{PeerAnswer, PeerAnswers};

/// An instance that was asked.
#[derive(Clone, Debug, Serialize)]
pub struct AskedInstance {
    pub instance: String,
    pub answered: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct ConnectionList {
    pub instances: Vec<AskedInstance>,
    pub connections: Vec<OpenConnection>,
    /// On all pages.
    pub total: usize,
    /// The next page's cursor.
    pub next: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum DisconnectError {
    #[error("nothing with this id is open in your brokerage; it may have ended")]
    Unknown,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The answers of all instances, with this one.
pub(super) struct Gathered<T> {
    pub(super) answers: Vec<(String, T)>,
    /// Those that should be alive.
    pub(super) silent: Vec<String>,
    /// Whether the others could be asked.
    pub(super) is_complete: bool,
}

impl<T> Gathered<T> {
    pub(super) fn instances(&self) -> Vec<AskedInstance> {
        let answered = self.answers.iter().map(|(instance, _)| (instance, true));
        let silent = self.silent.iter().map(|instance| (instance, false));
        let asked = answered.chain(silent);
        let asked = asked.map(|(instance, answered)| AskedInstance {
            instance: instance.clone(),
            answered,
        });
        asked.collect()
    }
}

impl Operations {
    /// Asks the other instances, and adds this one's answer. Without the database, only this one answers.
    pub(super) async fn gather<T: DeserializeOwned>(
        &self,
        broker: &BrokerId,
        question: &Question,
        own: T,
    ) -> Gathered<T> {
        let mut gathered = Gathered {
            answers: vec![(self.0.parts.instance.to_string(), own)],
            silent: Vec::new(),
            is_complete: true,
        };
        match self.ask(broker, question, |_| false).await {
            Ok(asked) => {
                gathered.silent = asked.silent;
                for PeerAnswer { instance, text } in asked.answers {
                    match serde_json::from_str(&text) {
                        Ok(answer) => gathered.answers.push((instance, answer)),
                        // Another version.
                        Err(_) => gathered.silent.push(instance),
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "other instances could not be asked");
                gathered.is_complete = false;
            }
        }
        gathered
    }

    async fn ask(
        &self,
        broker: &BrokerId,
        question: &Question,
        is_enough: impl Fn(&[PeerAnswer]) -> bool,
    ) -> sqlx::Result<PeerAnswers> {
        let text = serde_json::to_string(question).unwrap_or_default();
        self.0.parts.sessions.ask(broker, &text, is_enough).await
    }

    /// A page of what is open in a brokerage.
    pub async fn connections(&self, broker: &BrokerId, query: ConnectionQuery) -> ConnectionList {
        let limit = query.limit;
        let own = self.0.parts.sessions.connections(broker, &query).await;
        let question = Question::Connections(query);
        let gathered: Gathered<ConnectionPage> = self.gather(broker, &question, own).await;
        let instances = gathered.instances();
        let pages = gathered.answers.into_iter().map(|(_, page)| page);
        let (total, connections, next) = merge(pages, limit);
        ConnectionList {
            instances,
            connections,
            total,
            next,
        }
    }

    /// Ends a connection, and returns the instance that had it.
    pub async fn disconnect(&self, caller: &Caller, id: &str) -> Result<String, DisconnectError> {
        let (broker, by) = (&caller.broker, &caller.user);
        let instance = self.disconnect_anywhere(broker, id).await?;
        tracing::info!(%broker, %by, id, instance, "an admin has ended a connection");
        Ok(instance)
    }

    async fn disconnect_anywhere(
        &self,
        broker: &BrokerId,
        id: &str,
    ) -> Result<String, DisconnectError> {
        let parts = &self.0.parts;
        if parts.sessions.disconnect(broker, id) {
            return Ok(parts.instance.to_string());
        }
        let found = |answer: &PeerAnswer| answer.text == "true";
        let question = Question::Disconnect(id.to_owned());
        let is_enough = |answers: &[PeerAnswer]| answers.iter().any(found);
        let asked = self.ask(broker, &question, is_enough).await?;
        let answer = asked.answers.into_iter().find(found);
        answer
            .map(|answer| answer.instance)
            .ok_or(DisconnectError::Unknown)
    }
}

/// The first ones of all pages, how many there are in all, and where the next page begins.
fn merge(
    pages: impl Iterator<Item = ConnectionPage>,
    limit: usize,
) -> (usize, Vec<OpenConnection>, Option<String>) {
    let (mut total, mut all, mut has_more) = (0, Vec::new(), false);
    for page in pages {
        total += page.total;
        has_more |= page.connections.len() >= limit;
        all.extend(page.connections);
    }
    let by_id = |a: &OpenConnection, b: &OpenConnection| -> Ordering { a.id.cmp(&b.id) };
    all.sort_unstable_by(by_id);
    has_more |= all.len() > limit;
    all.truncate(limit);
    let last = all.last().filter(|_| has_more);
    let next = last.map(|last| last.id.clone());
    (total, all, next)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn page(ids: &[&str], total: usize) -> ConnectionPage {
        let connection = |id: &&str| OpenConnection {
            id: (*id).to_owned(),
            kind: "stream".to_owned(),
            instance: "i".to_owned(),
            user_id: "u".to_owned(),
            user_name: None,
            role: "agent".to_owned(),
            teams: Vec::new(),
            address: None,
            since: OffsetDateTime::UNIX_EPOCH,
            expires_at: OffsetDateTime::UNIX_EPOCH,
            scope: "all".to_owned(),
            events: None,
            bytes: None,
            behind_events: None,
            is_blocked: None,
        };
        ConnectionPage {
            connections: ids.iter().map(connection).collect(),
            total,
        }
    }

    #[test]
    fn pages_of_instances_become_one_page_that_misses_nothing() {
        let pages = || [page(&["a", "d"], 3), page(&["b", "c"], 2)].into_iter();
        let (total, all, next) = merge(pages(), 2);
        let ids: Vec<_> = all.iter().map(|connection| &*connection.id).collect();
        assert_eq!(
            (total, ids, next.as_deref()),
            (5, vec!["a", "b"], Some("b"))
        );
        let (_, all, next) = merge([page(&["a"], 1), page(&["b"], 1)].into_iter(), 3);
        assert_eq!((all.len(), next), (2, None));
        assert_eq!(merge([page(&[], 0)].into_iter(), 3).2, None);
    }
}
