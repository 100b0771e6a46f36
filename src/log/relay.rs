//! The relay: what transactions on watched tables have put into the outbox goes to the log.
//!
//! Any instance may do it, one at a time. It takes what it sees, in the order of ids, and
//! appends it in the same transaction: nothing is lost and nothing told twice, and what a
//! long transaction has written comes when it commits, holding nobody up.
//!
//! The outbox is looked at, not listened to: a NOTIFY in the transactions of the CRM would
//! make all of their commits stand in one line.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::log::append;
use crate::log::hints::{CommitNotifier, CommittedBatch};
use crate::platform::Dice;
use crate::platform::Metrics;
use crate::platform::database::{is_for_later, is_refusal};
use crate::platform::{DedicatedConnection, Limit};

mod batch;
mod outbox;
mod waker;

use batch::{Load, Poison};
pub use batch::{PrivateFields, RelayRules, SignalTypes};
use outbox::Choice;
pub use waker::RelayWaker;

/// Rows that one transaction moves.
const BATCH: i64 = 400;
/// Brokers that are served by themselves in one round, when they cannot be served together.
const MOST_BROKERS: i64 = 64;
/// The next look after one that found something.
const BUSY_REST: Duration = Duration::from_millis(10);
/// The next look where no table is watched and nothing came for a while.
const IDLE_REST: Duration = Duration::from_secs(1);
/// After something came, more is expected for so long.
const WAKEFUL: Duration = Duration::from_mins(1);
/// The next look after the database could not be asked.
const FAILED_REST: Duration = Duration::from_secs(1);
/// Between looks at whether watched tables have other columns by now.
const RENEWAL_REST: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Relay {
    pub database: DedicatedConnection,
    /// For names of new logs, and so that instances do not all look at once.
    pub dice: Dice,
    /// Who is told of what was committed.
    pub committed: CommitNotifier,
    pub metrics: Arc<Metrics>,
    /// Rung by those who know that there is something.
    pub waker: RelayWaker,
    /// How often it looks when there is nothing.
    pub poll: Duration,
    /// What events must be like.
    pub rules: RelayRules,
    pub stop: CancellationToken,
}

/// What a round has done, and whether more is to be expected.
struct Round {
    moved: i64,
    is_watching: bool,
}

impl Relay {
    /// Relays until it is stopped.
    pub async fn run(mut self) {
        let mut wakeful_until = Instant::now();
        let mut renewal_at = wakeful_until;
        loop {
            let began = Instant::now();
            if renewal_at <= began {
                renewal_at = began + RENEWAL_REST;
                if let Err(error) = self.renew().await {
                    tracing::warn!(%error, "what watched tables tell could not be renewed");
                }
            }
            let outcome = self.round().await;
            let is_quiet = outcome.as_ref().is_ok_and(|round| round.moved == 0);
            let rest = match outcome {
                Ok(Round { moved: BATCH.., .. }) => Duration::ZERO,
                Ok(Round { moved: 1.., .. }) => {
                    wakeful_until = Instant::now() + WAKEFUL;
                    // Many dead rows make a look expensive: half of the time is the CRM's.
                    BUSY_REST.max(began.elapsed())
                }
                Ok(round) if round.is_watching || began < wakeful_until => {
                    self.poll.max(began.elapsed())
                }
                Ok(_) => self.poll.max(IDLE_REST),
                Err(error) => {
                    tracing::warn!(%error, "the outbox could not be relayed");
                    FAILED_REST
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.waker.rung(), if is_quiet => {}
                () = tokio::time::sleep(self.dice.between(rest, rest + rest / 8)) => {}
            }
        }
    }

    /// Writers to a table that has changed do it for themselves until then, at a price.
    async fn renew(&mut self) -> sqlx::Result<()> {
        let renew = async |c: &mut PgConnection| outbox::renew_watches(c).await;
        self.database.run_within(Limit::PATIENT, renew).await
    }

    /// Moves what there is, up to a batch.
    async fn round(&mut self) -> sqlx::Result<Round> {
        let look = async |c: &mut PgConnection| outbox::look(c).await;
        let look = self.database.run(look).await?;
        if look.is_bundled {
            let unpack = async |c: &mut PgConnection| unpack(c).await;
            self.database.run_within(Limit::PATIENT, unpack).await?;
        }
        let is_watching = look.is_watching;
        let moved = if look.is_waiting {
            self.move_on().await?
        } else {
            0
        };
        Ok(Round { moved, is_watching })
    }

    async fn move_on(&mut self) -> sqlx::Result<i64> {
        match self.carry(Choice::all(BATCH), None).await {
            Err(error) if is_refusal(&error) => {
                tracing::debug!(%error, "the outbox is relayed broker by broker");
                self.one_by_one().await
            }
            moved => moved,
        }
    }

    /// A log that somebody holds, or a row that cannot be appended, does not hold up others.
    async fn one_by_one(&mut self) -> sqlx::Result<i64> {
        let brokers = async |c: &mut PgConnection| outbox::brokers(c, MOST_BROKERS).await;
        let mut moved = 0;
        for broker in self.database.run(brokers).await? {
            let broker = broker.as_deref();
            moved += match self.carry(Choice::of(broker, BATCH), None).await {
                Err(error) if is_for_later(&error) => 0,
                Err(error) if is_refusal(&error) => self.row_by_row(broker).await?,
                outcome => outcome?,
            };
        }
        Ok(moved)
    }

    async fn row_by_row(&mut self, broker: Option<&str>) -> sqlx::Result<i64> {
        let mut moved = 0;
        while moved < BATCH {
            let one = Choice::of(broker, 1);
            let outcome = match self.carry(one, None).await {
                Err(error) if is_for_later(&error) => return Ok(moved),
                Err(error) if is_refusal(&error) => {
                    self.carry(one, Some(&error.to_string())).await?
                }
                outcome => outcome?,
            };
            if outcome == 0 {
                break;
            }
            moved += outcome;
        }
        Ok(moved)
    }

    /// Moves the rows of a choice in one transaction; says how many. With `refused`, it sets
    /// them aside.
    async fn carry(&mut self, choice: Choice<'_>, refused: Option<&str>) -> sqlx::Result<i64> {
        let with = (&self.dice, &self.rules);
        let carried = async |c: &mut PgConnection| carry(c, with, choice, refused).await;
        let (load, told) = self.database.run_within(Limit::PATIENT, carried).await?;
        for Poison { id, module, .. } in &load.poison {
            self.metrics.relay_poisoned.inc();
            tracing::warn!(
                id,
                ?module,
                "an event was set aside; porchlight.poison says why"
            );
        }
        self.metrics.relayed.inc_by(load.len());
        for batch in told {
            self.committed.tell(batch);
        }
        Ok(load.rows)
    }
}

/// A transaction of its own: what is unpacked stays so, whatever becomes of it.
async fn unpack(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut transaction = connection.begin().await?;
    if outbox::is_mine(&mut transaction).await? {
        outbox::unpack(&mut transaction).await?;
    }
    transaction.commit().await
}

async fn carry(
    connection: &mut PgConnection,
    (dice, rules): (&Dice, &RelayRules),
    choice: Choice<'_>,
    refused: Option<&str>,
) -> sqlx::Result<(Load, Vec<CommittedBatch>)> {
    let mut transaction = connection.begin().await?;
    if !outbox::is_mine(&mut transaction).await? {
        return Ok(Default::default());
    }
    let rows = outbox::take(&mut transaction, choice).await?;
    let load = Load::of(rows, rules, refused);
    outbox::set_aside(&mut transaction, &load.poison).await?;
    let appended = append(&mut transaction, dice, &load.batches()).await?;
    transaction.commit().await?;
    let told = appended.into_iter().map(|log| CommittedBatch {
        head: log.head(),
        epoch: log.epoch.clone(),
        events: log.events(load.events(&log.broker)).collect(),
        broker: log.broker.clone(),
    });
    let told = told.collect();
    Ok((load, told))
}
