//! One group of requests, one commit.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection};

use super::{Job, PublishError, Published, WriterParts};
use crate::log::hints::CommittedBatch;
use crate::log::idempotency;
use crate::log::idempotency::{IdempotencyKey, IdempotencyKeyId};
use crate::log::{Appended, Batch, append};
use crate::platform::BrokerId;
use crate::platform::Dice;
use crate::platform::database::is_refusal;

/// Takes the next group: in order, bounded, and no key twice.
pub(super) fn take(waiting: &mut Vec<Job>, most_events: usize) -> Vec<Job> {
    let mut keys: Vec<&IdempotencyKeyId> = Vec::new();
    let (mut events, mut taken) = (0, 0);
    for job in waiting.iter() {
        events += job.publication.events.len();
        let key = job.publication.key.as_ref().map(|key| &key.id);
        if taken > 0 && (events > most_events || key.is_some_and(|key| keys.contains(&key))) {
            break;
        }
        keys.extend(key);
        taken += 1;
    }
    waiting.drain(..taken).collect()
}

/// Writes a group and answers it. When the database refuses a group of several,
/// each request is tried by itself: one cannot spoil the others.
pub(super) async fn settle(parts: &mut WriterParts, group: Vec<Job>) {
    match write(parts, &group).await {
        Ok(outcome) => tell(parts, group, outcome),
        Err(Failure::Refused(error)) if group.len() > 1 => {
            tracing::debug!(%error, "a group was refused; its requests go one by one");
            for job in group {
                Box::pin(settle(parts, vec![job])).await;
            }
        }
        Err(failure) => {
            tracing::warn!(error = %failure, requests = group.len(), "publishing failed");
            for job in group {
                job.answer(Err(PublishError::Unconfirmed));
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Refused(sqlx::Error),
    #[error("{0}")]
    Unconfirmed(#[from] sqlx::Error),
}

/// The place of every request's events, or why it has none.
type Outcome = (Vec<Result<Published, PublishError>>, Vec<Appended>);

impl Failure {
    fn of(error: sqlx::Error) -> Self {
        if is_refusal(&error) {
            Self::Refused(error)
        } else {
            Self::Unconfirmed(error)
        }
    }
}

async fn write(parts: &mut WriterParts, group: &[Job]) -> Result<Outcome, Failure> {
    let dice = &parts.dice;
    let written = parts
        .database
        .run(async |connection| write_on(connection, dice, group).await);
    written.await.map_err(Failure::of)
}

async fn write_on(
    connection: &mut PgConnection,
    dice: &Dice,
    group: &[Job],
) -> sqlx::Result<Outcome> {
    if group.iter().all(|job| job.publication.key.is_none()) {
        // One statement is a transaction by itself.
        return write_in(connection, dice, group).await;
    }
    let mut transaction = connection.begin().await?;
    let outcome = write_in(&mut transaction, dice, group).await?;
    transaction.commit().await?;
    Ok(outcome)
}

async fn write_in(
    connection: &mut PgConnection,
    dice: &Dice,
    group: &[Job],
) -> sqlx::Result<Outcome> {
    let mut places = repeats(connection, group).await?;
    let fresh: Vec<_> = (0..group.len()).filter(|i| places[*i].is_none()).collect();
    let appended = append(connection, dice, &batches(group, &fresh)).await?;
    let mut next: BTreeMap<&str, i64> = appended
        .iter()
        .map(|a| (a.broker.as_str(), a.first))
        .collect();
    let mut answers: Vec<(&IdempotencyKey, Appended)> = Vec::new();
    for i in fresh {
        let publication = &group[i].publication;
        let Some(first) = next.get_mut(publication.broker.as_str()) else {
            continue;
        };
        let Some(log) = appended.iter().find(|a| a.broker == publication.broker) else {
            continue;
        };
        let count = i64::try_from(publication.events.len()).unwrap_or(i64::MAX);
        let place = Appended {
            first: *first,
            count,
            ..log.clone()
        };
        *first += count;
        places[i] = Some(Ok(Published {
            epoch: place.epoch.clone(),
            first: place.first,
            count,
            is_repeat: false,
        }));
        answers.extend(publication.key.as_ref().map(|key| (key, place)));
    }
    if !answers.is_empty() {
        idempotency::keep(connection, &answers).await?;
    }
    let places = places
        .into_iter()
        .map(|p| p.unwrap_or(Err(PublishError::Unconfirmed)));
    Ok((places.collect(), appended))
}

/// The answers of requests whose key was used before.
async fn repeats(
    connection: &mut PgConnection,
    group: &[Job],
) -> sqlx::Result<Vec<Option<Result<Published, PublishError>>>> {
    let mut places = vec![None; group.len()];
    let keyed = |(i, job): (usize, &Job)| Some((job.publication.key.clone()?, i));
    let mut keys: Vec<_> = group.iter().enumerate().filter_map(keyed).collect();
    if keys.is_empty() {
        return Ok(places);
    }
    keys.sort();
    let names: Vec<_> = keys.iter().map(|(key, _)| key).collect();
    let is_free = idempotency::claim(connection, &names).await?;
    for ((key, i), is_free) in keys.iter().zip(is_free) {
        if !is_free {
            places[*i] = Some(match idempotency::taken(connection, &key.id).await? {
                Some(taken) if taken.body_hash == key.body_hash => Ok(Published {
                    epoch: taken.epoch,
                    first: taken.first,
                    count: taken.count,
                    is_repeat: true,
                }),
                Some(_) => Err(PublishError::KeyReused),
                None => Err(PublishError::Unconfirmed),
            });
        }
    }
    Ok(places)
}

/// The requests at `fresh`, gathered by broker.
fn batches<'a>(group: &'a [Job], fresh: &[usize]) -> Vec<Batch<'a>> {
    let mut by_broker: BTreeMap<&BrokerId, Vec<_>> = BTreeMap::new();
    for i in fresh {
        let publication = &group[*i].publication;
        by_broker
            .entry(&publication.broker)
            .or_default()
            .extend(publication.events.iter());
    }
    by_broker
        .into_iter()
        .map(|(broker, events)| Batch { broker, events })
        .collect()
}

/// Hands what is committed on, then answers.
fn tell(parts: &WriterParts, group: Vec<Job>, (places, appended): Outcome) {
    for log in appended {
        let mut events = Vec::new();
        for (job, place) in group.iter().zip(&places) {
            match place {
                Ok(p) if !p.is_repeat && job.publication.broker == log.broker => {
                    events.extend(job.events(p.first, log.at));
                }
                _ => {}
            }
        }
        parts.committed.tell(CommittedBatch {
            head: log.head(),
            broker: log.broker,
            epoch: log.epoch,
            events,
        });
    }
    for (job, place) in group.into_iter().zip(places) {
        job.answer(place);
    }
}
