//! What the requests of one group are answered when it commits.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::{PublishError, PublishRequest, PublishResult, Published};
use crate::log::Appended;
use crate::log::event::NewEvent;
use crate::log::idempotency::{self, IdempotencyKey, KeyAnswer};
use crate::platform::BrokerId;

pub(super) struct GroupResults<'a> {
    group: &'a [PublishRequest],
    /// Of each request, as soon as it is known.
    results: Vec<Option<PublishResult>>,
}

impl<'a> GroupResults<'a> {
    pub(super) fn unknown(group: &'a [PublishRequest]) -> Self {
        let results = vec![None; group.len()];
        Self { group, results }
    }

    pub(super) fn into_results(self) -> Vec<PublishResult> {
        let result = |result: Option<_>| result.unwrap_or(Err(PublishError::Unconfirmed));
        self.results.into_iter().map(result).collect()
    }

    /// Claims the keys of the group, and sets the results of requests whose key was used before.
    pub(super) async fn find_repeats(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let requests = self.group.iter().map(|pending| &pending.request);
        let mut keyed: Vec<_> = requests
            .zip(&mut self.results)
            .filter_map(|(request, result)| Some((request.key.as_ref()?, result)))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        let keys: Vec<_> = keyed.iter().map(|(key, _)| *key).collect();
        let is_free = idempotency::claim(connection, &keys).await?;
        let used = keyed.into_iter().zip(is_free);
        for ((key, result), _) in used.filter(|(_, is_free)| !is_free) {
            *result = Some(earlier_result(connection, key).await?);
        }
        Ok(())
    }

    /// The events of all requests that have no result yet.
    pub(super) fn events_to_append(&self) -> BTreeMap<BrokerId, Vec<NewEvent>> {
        let mut events: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (pending, result) in self.group.iter().zip(&self.results) {
            if result.is_none() {
                let of_broker = events.entry(pending.request.broker.clone()).or_default();
                of_broker.extend(pending.request.events.iter().cloned());
            }
        }
        events
    }

    /// Gives every request without a result the next positions of its log.
    pub(super) fn assign_positions(&mut self, appended: &[Appended]) {
        let log = |log: &Appended| (log.broker.clone(), log.clone());
        let mut logs: BTreeMap<_, _> = appended.iter().map(log).collect();
        for (pending, result) in self.group.iter().zip(&mut self.results) {
            let broker = &pending.request.broker;
            let Some(log) = logs.get_mut(broker).filter(|_| result.is_none()) else {
                continue;
            };
            let count = i64::try_from(pending.request.events.len()).unwrap_or(i64::MAX);
            *result = Some(Ok(Published {
                epoch: log.epoch.clone(),
                first: log.first,
                count,
                is_repeat: false,
            }));
            log.first += count;
        }
    }

    /// What the claimed keys stand for from now on.
    pub(super) fn key_answers(&self) -> Vec<KeyAnswer<'_>> {
        let requests = self.group.iter().zip(&self.results);
        let answers =
            requests.filter_map(|(pending, result)| key_answer(pending, result.as_ref()?));
        answers.collect()
    }
}

fn key_answer<'a>(pending: &'a PublishRequest, result: &'a PublishResult) -> Option<KeyAnswer<'a>> {
    let key = pending.request.key.as_ref()?;
    let published = result.as_ref().ok()?;
    (!published.is_repeat).then_some(KeyAnswer {
        key,
        epoch: &published.epoch,
        first: published.first,
        count: published.count,
    })
}

async fn earlier_result(
    connection: &mut PgConnection,
    key: &IdempotencyKey,
) -> sqlx::Result<PublishResult> {
    Ok(match idempotency::taken(connection, &key.id).await? {
        Some(taken) if taken.body_hash == key.body_hash => Ok(Published {
            epoch: taken.epoch,
            first: taken.first,
            count: taken.count,
            is_repeat: true,
        }),
        Some(_) => Err(PublishError::KeyReused),
        None => Err(PublishError::Unconfirmed),
    })
}
