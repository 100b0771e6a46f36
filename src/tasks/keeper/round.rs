//! One round of the keeper: what waits is merged, kept, told and answered.

use rustc_hash::FxHashMap;
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

use super::agenda::{Agenda, Name};
use super::batch::{Asked, Taken, keep};
use super::{GoOn, Job, Refused, ReportKeeper};
use crate::log::EventCommitter;
use crate::log::NewEvent;
use crate::platform::{BrokerId, UserId};
use crate::tasks::family::settle;
use crate::tasks::row::{At, Progress, take};
use crate::tasks::{State, TaskError};

/// Workflows of one round: each is a transaction of its own.
const MOST_FAMILIES: usize = 64;

type Answer = oneshot::Sender<Result<GoOn, Refused>>;

/// All that one worker reports on one task in a round.
#[derive(Default)]
struct Merged {
    progress: Progress,
    answers: Vec<Answer>,
}

type Reporter = (Name, UserId, i32);

impl ReportKeeper {
    /// Does what waits, and what is due.
    pub(super) async fn round(&mut self, agenda: &mut Agenda, jobs: Vec<Job>) {
        let mut merged: FxHashMap<Reporter, Merged> = FxHashMap::default();
        for job in jobs {
            match job {
                Job::Report(holding, report, answer) => {
                    let name = (holding.broker, holding.task);
                    let entry = merged.entry((name, holding.worker, holding.fence));
                    let entry = entry.or_default();
                    entry.progress.merge((*report).into());
                    entry.answers.push(answer);
                }
                Job::Untold(broker, id) => agenda.tell_in((broker, id), std::time::Duration::ZERO),
                Job::Family(broker, id) => agenda.look_at_family((broker, id)),
            }
        }
        let asked = asked(agenda, &mut merged);
        for asked in self.grouped(asked) {
            self.settle(agenda, (asked, &mut merged)).await;
        }
        // Neither kept nor unknown: not held.
        for answer in merged.into_values().flat_map(|left| left.answers) {
            let _ = answer.send(Err(Refused::NotHeld));
        }
        for (n, name) in agenda.due_families().into_iter().enumerate() {
            if n < MOST_FAMILIES {
                self.follow(agenda, name).await;
            } else {
                agenda.look_at_family(name);
            }
        }
    }

    /// All in one, unless the last one could not be kept: then each broker by itself, so that
    /// one does not spoil the others'.
    fn grouped(&mut self, asked: Vec<Asked>) -> Vec<Vec<Asked>> {
        if asked.is_empty() {
            return Vec::new();
        }
        if !std::mem::take(&mut self.is_cautious) {
            return vec![asked];
        }
        let mut groups: FxHashMap<BrokerId, Vec<Asked>> = FxHashMap::default();
        for one in asked {
            groups.entry(one.name.0.clone()).or_default().push(one);
        }
        groups.into_values().collect()
    }

    async fn settle(
        &mut self,
        agenda: &mut Agenda,
        (asked, merged): (Vec<Asked>, &mut FxHashMap<Reporter, Merged>),
    ) {
        match self.write(&asked).await {
            Ok(taken) => {
                for taken in taken {
                    note(agenda, merged, taken);
                }
            }
            Err(error) => {
                tracing::warn!(%error, reports = asked.len(), "reports could not be kept");
                self.is_cautious = true;
                for one in asked {
                    let reporter = one.by.map(|(worker, fence)| (one.name, worker, fence));
                    let left = reporter.and_then(|reporter| merged.remove(&reporter));
                    for answer in left.into_iter().flat_map(|left| left.answers) {
                        let _ = answer.send(Err(Refused::Unconfirmed));
                    }
                }
            }
        }
    }

    async fn write(&mut self, asked: &[Asked]) -> sqlx::Result<Vec<Taken>> {
        let committer = &self.committer;
        let write = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let mut taken = keep(&mut transaction, asked).await?;
            let pending = committer.append_all(&mut transaction, by_broker(&mut taken));
            let pending = pending.await?;
            committer.commit(transaction, pending).await?;
            Ok(taken)
        };
        self.database.run(write).await
    }

    /// A workflow comes up to its children.
    async fn follow(&mut self, agenda: &mut Agenda, name: Name) {
        let committer = &self.committer;
        let followed = self.database.run(async |connection| {
            match follow(connection, committer, &name).await {
                Err(TaskError::Database(error)) => Err(error),
                outcome => Ok(outcome),
            }
        });
        match followed.await.map_err(TaskError::from).flatten() {
            Ok(is_untold) if is_untold => agenda.look_at_family(name),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a workflow could not be brought up to its steps");
                agenda.look_at_family(name);
            }
        }
    }
}

async fn follow(
    connection: &mut sqlx::PgConnection,
    committer: &EventCommitter,
    (broker, id): &Name,
) -> Result<bool, TaskError> {
    let mut transaction = connection.begin().await?;
    let Some(mut parent) = take(&mut transaction, At { broker, id }).await? else {
        return Ok(false);
    };
    if !parent.is_workflow || parent.state.is_over() {
        return Ok(false);
    }
    let mut events = settle(&mut transaction, broker, &mut parent).await?;
    if events.is_empty() && parent.is_untold {
        events = crate::tasks::moves::progressed(&mut parent);
        crate::tasks::row::write(&mut transaction, broker, &parent).await?;
    }
    committer.conclude(transaction, broker, events).await?;
    Ok(parent.is_untold && !parent.state.is_over())
}

/// The reports of a round, and the tasks that have something to tell without one.
fn asked(agenda: &mut Agenda, merged: &mut FxHashMap<Reporter, Merged>) -> Vec<Asked> {
    let due = agenda.due_tasks();
    let mut asked: Vec<_> = merged
        .iter_mut()
        .map(|((name, worker, fence), merged)| Asked {
            name: name.clone(),
            by: Some((worker.clone(), *fence)),
            progress: std::mem::take(&mut merged.progress),
        })
        .collect();
    let reported: rustc_hash::FxHashSet<_> = asked.iter().map(|one| one.name.clone()).collect();
    let silent = due.into_iter().filter(|name| !reported.contains(name));
    asked.extend(silent.map(|name| Asked {
        name,
        by: None,
        progress: Progress::default(),
    }));
    asked
}

fn by_broker(taken: &mut [Taken]) -> Vec<(BrokerId, Vec<NewEvent>)> {
    let mut told: Vec<(BrokerId, Vec<NewEvent>)> = Vec::new();
    for taken in taken {
        let events = std::mem::take(&mut taken.events);
        match told.last_mut() {
            Some((broker, all)) if *broker == taken.name.0 => all.extend(events),
            _ => told.push((taken.name.0.clone(), events)),
        }
    }
    told
}

/// It is committed: whoever waits is answered, and the rest is told later.
fn note(agenda: &mut Agenda, merged: &mut FxHashMap<Reporter, Merged>, taken: Taken) {
    let go_on = GoOn {
        cancel: taken.state == State::Cancelling,
        lease_until: taken.lease_until,
    };
    match taken.wait {
        Some(wait) => agenda.tell_in(taken.name.clone(), wait),
        None => agenda.is_told(&taken.name),
    }
    if let Some(parent) = taken.parent {
        agenda.look_at_family((taken.name.0.clone(), parent));
    }
    let Some((worker, fence)) = taken.by else {
        return;
    };
    let kept = merged.remove(&(taken.name, worker, fence));
    for answer in kept.into_iter().flat_map(|kept| kept.answers) {
        // A worker that went away has nobody to tell.
        let _ = answer.send(Ok(go_on));
    }
}

impl Progress {
    /// A newer report; what it leaves out stays.
    fn merge(&mut self, newer: Self) {
        self.percent = newer.percent.or(self.percent);
        self.step = newer.step.or(self.step);
        self.message = newer.message.or(self.message.take());
        self.partial = newer.partial.or(self.partial.take());
    }
}
