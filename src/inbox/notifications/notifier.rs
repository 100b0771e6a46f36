//! The notifier: reads on in the logs and makes the notifications that nobody posts.
//!
//! Any instance may do it. For each broker a row says up to where its log was read; who makes
//! the notifications holds it, and moves it in the same transaction. So each happening is
//! told of once, whoever dies when. Hints of own commits wake it; a slow look at all
//! logs finds what was missed.

use std::time::Duration;

use rustc_hash::FxHashMap;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::sequence;
use crate::directory::Modules;
use crate::inbox::activity::Names;
use crate::log::Event;
use crate::log::{ChangeHints, Changes};
use crate::log::{EventCommitter, acts};
use crate::platform::BrokerId;
use crate::platform::Dice;
use crate::platform::database::{is_for_later, is_refusal};
use crate::platform::{DedicatedConnection, Limit};

mod cause;
mod draft;
mod place;
mod subject;

pub use cause::may_matter;
use place::NotifierPosition;

/// Positions that one transaction reads.
const SPAN: i64 = 1_000;
/// Transactions for one broker before it is another's turn.
const MOST_STEPS: usize = 8;
/// Brokers that one look at all logs takes up.
const MOST_BROKERS: i64 = 256;
/// From one round to the next, so that a busy log is read in larger pieces.
const REST: Duration = Duration::from_millis(50);
/// From one look at all logs to the next.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Notifier {
    pub database: DedicatedConnection,
    /// What records are called, and what happens to them.
    pub modules: Modules,
    pub committer: EventCommitter,
    /// Where it hears of own commits.
    pub hints: ChangeHints,
    /// So that instances do not all look at once.
    pub dice: Dice,
    pub stop: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    More,
    /// Another instance is at it.
    Taken,
}

impl Notifier {
    /// Makes notifications until it is stopped.
    pub async fn run(mut self) {
        let mut look_at = Instant::now();
        loop {
            let news = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(look_at) => Changes { everywhere: true, heads: FxHashMap::default() },
                news = self.hints.take() => news,
            };
            if news.everywhere {
                let rest = self.dice.between(LOOK_EVERY / 2, LOOK_EVERY);
                look_at = Instant::now() + rest;
            }
            if let Err(error) = self.round(news).await {
                tracing::warn!(%error, "notifications could not be made");
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(REST) => {}
            }
        }
    }

    async fn round(&mut self, news: Changes) -> sqlx::Result<()> {
        let mut brokers: Vec<_> = news.heads.into_keys().collect();
        if news.everywhere {
            let behind = async |c: &mut PgConnection| place::behind(c, MOST_BROKERS).await;
            brokers.extend(self.database.run(behind).await?);
        }
        for broker in brokers {
            match self.catch_up(&broker).await {
                Ok(()) => {}
                // The others' are made all the same.
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
                Err(error) if is_refusal(&error) && !is_for_later(&error) => {
                    self.one_by_one(broker).await?
                }
                step => step?,
            };
            match step {
                Step::More => {}
                Step::Done => return Ok(()),
                Step::Taken => break,
            }
        }
        // It may have looked before what we were told of was committed.
        self.hints.grown(broker, 0);
        Ok(())
    }

    /// What cannot be told of is passed by, and holds up nothing else.
    async fn one_by_one(&mut self, broker: &BrokerId) -> sqlx::Result<Step> {
        for _ in 0..SPAN {
            let step = match self.step(broker, 1).await {
                Err(error) if is_refusal(&error) && !is_for_later(&error) => {
                    tracing::warn!(%error, %broker, "nobody can be told of an event");
                    let pass = async |c: &mut PgConnection| place::pass_one(c, broker).await;
                    self.database.run(pass).await?;
                    Step::More
                }
                step => step?,
            };
            if step != Step::More {
                return Ok(step);
            }
        }
        Ok(Step::More)
    }

    async fn step(&mut self, broker: &BrokerId, span: i64) -> sqlx::Result<Step> {
        let told = (&self.modules, &self.committer);
        let step = async |c: &mut PgConnection| step(c, (broker, span), told).await;
        self.database.run_within(Limit::PATIENT, step).await
    }
}

/// Reads on in one log, in one transaction.
async fn step(
    connection: &mut PgConnection,
    (broker, span): (&BrokerId, i64),
    (modules, committer): (&Modules, &EventCommitter),
) -> sqlx::Result<Step> {
    let mut transaction = connection.begin().await?;
    let Some(NotifierPosition { position, head }) = place::take(&mut transaction, broker).await?
    else {
        return Ok(Step::Taken);
    };
    let upto = head.min(position + span);
    if upto == position {
        return Ok(Step::Done);
    }
    let events = acts::notable(&mut transaction, broker, (position, upto)).await?;
    let drafts = drafts(&mut transaction, broker, (&events, modules)).await?;
    place::move_to(&mut transaction, broker, upto).await?;
    let mut told = Vec::new();
    if !drafts.is_empty() {
        let entered = sequence::enter(&mut transaction, broker, drafts).await?;
        told.extend(entered.into_iter().map(|(_, event)| event));
    }
    committer.conclude(transaction, broker, told).await?;
    let step = if upto < head { Step::More } else { Step::Done };
    Ok(step)
}

/// What is to be said of these events, to those who want to be told.
async fn drafts(
    connection: &mut PgConnection,
    broker: &BrokerId,
    (events, modules): (&[Event], &Modules),
) -> sqlx::Result<Vec<sequence::Draft>> {
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
    let matters = draft::gathered(causes);
    let told = matters.iter().map(draft::Matter::newest);
    let names = Names::of(told, modules);
    let names = names.looked_up(connection, (broker, None)).await?;
    let drafts = matters.into_iter().map(|m| m.draft(&names, modules));
    Ok(drafts.collect())
}
