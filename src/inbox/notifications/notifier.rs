//! The notifier reads the logs and makes notifications from their events.
//!
//! Each instance runs one. A row for each brokerage has the position that was read. The transaction
//! that makes notifications locks this row and moves it, so each event leads to one notification,
//! whenever an instance stops. Hints about commits of this instance wake the notifier; a slow poll of
//! all logs finds what it missed.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::UnreadLimits;
use super::send::{NotificationDraft, send};
use crate::directory::Modules;
use crate::directory::people;
use crate::inbox::activity::Names;
use crate::log::Event;
use crate::log::{ChangeHints, Changes};
use crate::log::{EventCommitter, acts};
use crate::platform::BrokerId;
use crate::platform::database::{is_refusal, is_transient};
use crate::platform::{DedicatedConnection, Limit, Transaction};
use crate::platform::{Dice, InstanceCount};

mod cause;
mod draft;
mod position;
mod subject;

pub use cause::may_notify;
use position::NotifierPosition;

/// The most positions that one transaction reads.
const SPAN: i64 = 1_000;
/// The most transactions for one brokerage in a round.
const MOST_STEPS: usize = 8;
/// The most brokerages of one poll.
const MOST_BROKERS: i64 = 256;
/// The pause between rounds, so that a busy log is read in larger pieces.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two polls of all instances together.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The same of an instance that is alone: it notices its commits itself.
const POLL_INTERVAL_ALONE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Notifier {
    pub database: DedicatedConnection,
    pub modules: Modules,
    pub committer: EventCommitter,
    pub hints: ChangeHints,
    /// Who has so many unread notifications gets no further ones.
    pub unread_limits: UnreadLimits,
    pub instances: InstanceCount,
    /// Instances do not all poll at the same time.
    pub dice: Dice,
    pub stop: CancellationToken,
}

/// What a step needs beside the connection.
struct StepContext<'a> {
    modules: &'a Modules,
    committer: &'a EventCommitter,
    unread_limits: UnreadLimits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotifierStep {
    Done,
    More,
    /// Another instance works on this log.
    Locked,
}

impl Notifier {
    pub(super) async fn run(mut self) {
        let mut poll_at = Instant::now();
        loop {
            let changes = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(poll_at) => Changes { everywhere: true, ..Changes::default() },
                changes = self.hints.take() => changes,
            };
            if changes.everywhere {
                let longest = if self.instances.is_alone() {
                    POLL_INTERVAL_ALONE
                } else {
                    self.instances.spread(POLL_INTERVAL)
                };
                let pause = self.dice.between(longest / 2, longest);
                poll_at = Instant::now() + pause;
            }
            if let Err(error) = self.round(changes).await {
                tracing::warn!(%error, "notifications could not be made");
                poll_at = poll_at.min(Instant::now() + POLL_INTERVAL);
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn round(&mut self, changes: Changes) -> sqlx::Result<()> {
        let mut brokers: Vec<_> = changes.heads.into_keys().collect();
        if changes.everywhere {
            let behind = async |c: &mut PgConnection| position::behind(c, MOST_BROKERS).await;
            brokers.extend(self.database.run(behind).await?);
        }
        for broker in brokers {
            match self.catch_up(&broker).await {
                Ok(()) => {}
                // The other brokerages still get theirs.
                Err(error) if is_refusal(&error) => {
                    tracing::warn!(%error, %broker, "notifications could not be made");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn catch_up(&mut self, broker: &BrokerId) -> sqlx::Result<()> {
        for _ in 0..MOST_STEPS {
            let step = match self.step(broker, SPAN).await {
                Err(error) if is_refusal(&error) && !is_transient(&error) => {
                    self.one_by_one(broker).await?
                }
                step => step?,
            };
            match step {
                NotifierStep::More => {}
                NotifierStep::Done => return Ok(()),
                NotifierStep::Locked => break,
            }
        }
        // The other instance may have read before the commit that woke this one.
        self.hints.grown(broker, 0);
        Ok(())
    }

    /// Skips an event that the database refuses, so that it does not block the others.
    async fn one_by_one(&mut self, broker: &BrokerId) -> sqlx::Result<NotifierStep> {
        for _ in 0..SPAN {
            let step = match self.step(broker, 1).await {
                Err(error) if is_refusal(&error) && !is_transient(&error) => {
                    tracing::warn!(%error, %broker, "no notification could be made from an event");
                    let skip = async |c: &mut PgConnection| position::skip_one(c, broker).await;
                    self.database.run(skip).await?;
                    NotifierStep::More
                }
                step => step?,
            };
            if step != NotifierStep::More {
                return Ok(step);
            }
        }
        Ok(NotifierStep::More)
    }

    /// Reads up to `span` positions of one log, in one transaction.
    async fn step(&mut self, broker: &BrokerId, span: i64) -> sqlx::Result<NotifierStep> {
        let context = StepContext {
            modules: &self.modules,
            committer: &self.committer,
            unread_limits: self.unread_limits,
        };
        let step = async |c: &mut PgConnection| step(c, broker, span, &context).await;
        self.database.run_within(Limit::PATIENT, step).await
    }
}

async fn step(
    connection: &mut PgConnection,
    broker: &BrokerId,
    span: i64,
    context: &StepContext<'_>,
) -> sqlx::Result<NotifierStep> {
    let mut transaction = Transaction::begin(connection).await?;
    let Some(NotifierPosition { position, head }) =
        position::lock(&mut transaction, broker).await?
    else {
        return Ok(NotifierStep::Locked);
    };
    let upto = head.min(position + span);
    if upto == position {
        return Ok(NotifierStep::Done);
    }
    let events = acts::notable(&mut transaction, broker, position, upto).await?;
    let drafts = drafts(&mut transaction, broker, &events, context.modules).await?;
    position::advance(&mut transaction, broker, upto).await?;
    let mut new_events = Vec::new();
    if !drafts.is_empty() {
        let sent = send(&mut transaction, broker, drafts, context.unread_limits).await?;
        new_events.extend(sent.into_iter().map(|sent| sent.event));
    }
    let committed = context.committer.conclude(transaction, broker, new_events);
    committed.await?;
    let step = if upto < head {
        NotifierStep::More
    } else {
        NotifierStep::Done
    };
    Ok(step)
}

/// Drafts of the notifications from these events, for the users who want them and received the event too: the
/// owner of a record, or the last holder of its lock, may have left its team.
async fn drafts(
    connection: &mut PgConnection,
    broker: &BrokerId,
    events: &[Event],
    modules: &Modules,
) -> sqlx::Result<Vec<NotificationDraft>> {
    let causes = events.iter().filter_map(|event| cause::of(event, modules));
    let mut causes: Vec<_> = causes.collect();
    if causes.is_empty() {
        return Ok(Vec::new());
    }
    let mut users: Vec<_> = causes.iter().map(|cause| cause.to.clone()).collect();
    users.sort_unstable();
    users.dedup();
    let unwanted = super::preferences::unwanted(connection, broker, &users).await?;
    causes.retain(|cause| !unwanted.contains(&(cause.to.clone(), cause.kind)));
    let teams = people::teams(connection, broker, &users).await?;
    causes.retain(|cause| teams.may_receive(&cause.to, &cause.event.body.audience));
    let mut drafts = Vec::new();
    for (audiences, groups) in draft::by_reader(draft::group(causes), &teams) {
        let newest = groups.iter().map(draft::CauseGroup::newest);
        let names = Names::of(newest, modules);
        let names = names.look_up(connection, broker, &audiences).await?;
        drafts.extend(groups.iter().map(|group| group.draft(&names, modules)));
    }
    Ok(drafts)
}
