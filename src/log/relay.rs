//! The relay moves the outbox to the log. Triggers on watched tables write the outbox.
//!
//! Any instance may relay, one at a time. It deletes visible rows in the order of their ids and
//! appends their events in the same transaction, so that no event is lost or published twice. The
//! rows of a long transaction come when it commits, and nothing waits for them.
//!
//! One instance polls the outbox. It does not listen for notices, because a NOTIFY in the CRM's
//! transactions would serialise their commits.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::committer::EventCommitter;
use crate::platform::BackgroundTask;
use crate::platform::Metrics;
use crate::platform::database::{is_cancelled, is_refusal, is_transient};
use crate::platform::{DedicatedConnection, Limit, Transaction};

mod batch;
mod bulk;
mod look;
mod outbox;
mod waker;
mod watch;

use batch::{Poison, RelayBatch, RowRefusal};
pub use batch::{PrivateFields, RelayRules, SignalTypes};
use bulk::BulkTries;
use look::{BrokerLook, MOST_ROWS};
use outbox::{OutboxRow, RowPlace, RowSelection};
pub use waker::RelayWaker;
pub use watch::OutboxWatch;

/// Rows that one transaction moves.
const BATCH: i64 = 400;
/// After this time of looking for changes that can be moved, the round ends.
const LOOK_TIME: Duration = Duration::from_secs(2);
/// Pause after a round that moved rows.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Pause of a relay that nobody wakes, should a call be lost.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a failure of the database.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// How often the relay checks whether the columns of watched tables have changed.
const RENEWAL_INTERVAL: Duration = Duration::from_mins(1);
/// The time between two resets of all clients, while changes are lost again and again.
const RESET_INTERVAL: Duration = Duration::from_mins(1);
/// The time until the next try, when a reset could not be written. A try waits briefly for a log that is held, and changes
/// of all brokerages wait meanwhile.
const RESET_RETRY: Duration = Duration::from_secs(5);

/// Rows that one transaction moves.
struct RowMove<'a> {
    selection: RowSelection<'a>,
    /// The first of the rows that were taken.
    first: Option<RowPlace>,
    refusal: Option<RowRefusal>,
}

impl<'a> RowMove<'a> {
    fn new(selection: RowSelection<'a>) -> Self {
        Self {
            selection,
            first: None,
            refusal: None,
        }
    }

    /// The next try sets the first row of this one aside.
    fn set_aside_first(&mut self, reason: String) {
        let refusal = |row| RowRefusal { row, reason };
        self.refusal = self.first.map(refusal);
    }
}

/// What the relay remembers from round to round.
#[derive(Debug)]
struct RelayMemory {
    /// Clients get no reset before.
    reset_at: Instant,
    bulk_tries: BulkTries,
    /// Where the last look for brokerages ended.
    looked_up_to: RowPlace,
}

impl RelayMemory {
    fn new() -> Self {
        Self {
            reset_at: Instant::now(),
            bulk_tries: BulkTries::default(),
            looked_up_to: RowPlace::START,
        }
    }

    /// A reset that has to wait comes in time, also if nothing else does.
    fn idle_pause(&self) -> Duration {
        let left = self.reset_at.saturating_duration_since(Instant::now());
        if left.is_zero() {
            IDLE_PAUSE
        } else {
            IDLE_PAUSE.min(left)
        }
    }
}

#[derive(Debug)]
pub struct Relay {
    pub database: DedicatedConnection,
    pub committer: EventCommitter,
    pub metrics: Arc<Metrics>,
    pub waker: RelayWaker,
    pub rules: RelayRules,
    pub stop: CancellationToken,
}

impl Relay {
    #[must_use]
    pub fn start(self) -> BackgroundTask {
        BackgroundTask::new("the relay", self.run())
    }

    async fn run(mut self) {
        let (mut renewal_at, mut memory) = (Instant::now(), RelayMemory::new());
        loop {
            let began = Instant::now();
            if renewal_at <= began {
                renewal_at = began + RENEWAL_INTERVAL;
                if let Err(error) = self.renew().await {
                    tracing::warn!(%error, "the triggers of watched tables could not be renewed");
                }
            }
            let outcome = self.round(&mut memory).await;
            let is_quiet = outcome.as_ref().is_ok_and(|moved| *moved == 0);
            let pause = match outcome {
                Ok(BATCH..) => Duration::ZERO,
                // Many dead rows make a round slow. Half of the time stays for the CRM.
                Ok(1..) => BUSY_PAUSE.max(began.elapsed()),
                Ok(_) => memory.idle_pause(),
                Err(error) => {
                    tracing::warn!(%error, "the outbox could not be relayed");
                    FAILED_PAUSE
                }
            };
            // The jitter keeps instances from looking at the same moment.
            let pause = self.committer.dice().between(pause, pause + pause / 8);
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.waker.woken(), if is_quiet => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Until this is done, writers to a table whose columns have changed do slower work.
    async fn renew(&mut self) -> sqlx::Result<()> {
        let renew = async |c: &mut PgConnection| outbox::renew_watches(c).await;
        self.database.run_within(Limit::PATIENT, renew).await
    }

    /// Moves up to one batch. If changes were lost, all clients get a reset.
    async fn round(&mut self, memory: &mut RelayMemory) -> sqlx::Result<i64> {
        let state = async |c: &mut PgConnection| outbox::state(c).await;
        let state = self.database.run(state).await?;
        if state.is_lost && memory.reset_at <= Instant::now() {
            self.try_to_reset(memory).await?;
        }
        if !state.is_waiting {
            return Ok(0);
        }
        // First what comes before a bulk change: it need not wait while that one is unpacked.
        let moved = self.move_batch(memory).await?;
        let Some(bulk_change) = state.bulk_change.filter(|_| moved == 0) else {
            return Ok(moved);
        };
        self.unpack(bulk_change, &mut memory.bulk_tries).await?;
        self.move_batch(memory).await
    }

    /// A reset that the database refuses, for example because somebody holds a log, comes later: changes do not wait
    /// for it.
    async fn try_to_reset(&mut self, memory: &mut RelayMemory) -> sqlx::Result<()> {
        let pause = match self.reset_after_loss().await {
            Ok(true) => RESET_INTERVAL,
            Ok(false) => return Ok(()),
            Err(error) if is_refusal(&error) => {
                tracing::warn!(%error, "changes were lost, and clients get their reset later");
                RESET_RETRY
            }
            Err(error) => return Err(error),
        };
        memory.reset_at = Instant::now() + pause;
        Ok(())
    }

    /// Returns whether clients get a reset: not while a transaction with a lost change is open.
    async fn reset_after_loss(&mut self) -> sqlx::Result<bool> {
        let reset = async |c: &mut PgConnection| reset_after_loss(c).await;
        let lost = self.database.run_within(Limit::REQUEST, reset).await?;
        if lost > 0 {
            self.metrics.lost_changes.inc_by(lost);
            tracing::warn!(
                lost,
                "changes of watched tables have no event, because they could not be recorded: all clients get a reset, and \
                 load again what they show"
            );
        }
        Ok(lost > 0)
    }

    async fn move_batch(&mut self, memory: &mut RelayMemory) -> sqlx::Result<i64> {
        match self
            .move_rows(&mut RowMove::new(RowSelection::all(BATCH)))
            .await
        {
            Err(error) if is_refusal(&error) => {
                tracing::debug!(%error, "the outbox is relayed brokerage by brokerage");
                self.move_by_brokerage(&mut memory.looked_up_to).await
            }
            moved => moved,
        }
    }

    /// A locked log or a row that cannot be appended does not delay the other brokerages.
    ///
    /// A long outbox is not read at once. After a look at rows of which none could be moved, the next one goes on behind
    /// them, also in a later round: so many rows of locked logs in front hide no others.
    async fn move_by_brokerage(&mut self, looked_up_to: &mut RowPlace) -> sqlx::Result<i64> {
        let began = Instant::now();
        let (mut moved, mut tried) = (0, HashSet::new());
        loop {
            let after = *looked_up_to;
            let look = async |c: &mut PgConnection| look_for_brokers(c, after).await;
            let found = self.database.run(look).await?;
            for broker in found.brokers {
                if !tried.contains(&broker) {
                    moved += self.move_brokerage(broker.as_deref()).await?;
                    tried.insert(broker);
                }
            }
            if moved > 0 {
                return Ok(moved);
            }
            *looked_up_to = found.next;
            if found.next == RowPlace::START || began.elapsed() >= LOOK_TIME {
                return Ok(0);
            }
        }
    }

    async fn move_brokerage(&mut self, broker: Option<&str>) -> sqlx::Result<i64> {
        let mut rows = RowMove::new(RowSelection::of(broker, BATCH));
        match self.move_rows(&mut rows).await {
            // Fewer rows may take less time.
            Err(error) if is_cancelled(&error) => self.move_by_row(broker).await,
            Err(error) if is_transient(&error) => Ok(0),
            Err(error) if is_refusal(&error) => self.move_by_row(broker).await,
            outcome => outcome,
        }
    }

    async fn move_by_row(&mut self, broker: Option<&str>) -> sqlx::Result<i64> {
        let mut moved = 0;
        while moved < BATCH {
            let mut one = RowMove::new(RowSelection::of(broker, 1));
            let outcome = match self.move_rows(&mut one).await {
                Err(error) if is_transient(&error) => return Ok(moved),
                Err(error) if is_refusal(&error) => {
                    one.set_aside_first(error.to_string());
                    self.move_rows(&mut one).await?
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

    /// Moves rows in one transaction and returns how many.
    async fn move_rows(&mut self, rows: &mut RowMove<'_>) -> sqlx::Result<i64> {
        let (committer, rules) = (&self.committer, &self.rules);
        let moved = async |c: &mut PgConnection| move_rows(c, committer, rules, rows).await;
        let batch = self.database.run_within(Limit::PATIENT, moved).await?;
        for Poison { id, module, .. } in &batch.poison {
            self.metrics.relay_poisoned.inc();
            tracing::warn!(
                id,
                module = module.as_deref(),
                "an event was set aside; porchlight.poison says why"
            );
        }
        self.metrics.relayed.inc_by(batch.event_count);
        Ok(batch.rows)
    }
}

async fn reset_after_loss(connection: &mut PgConnection) -> sqlx::Result<u64> {
    let mut transaction = Transaction::begin(connection).await?;
    let mut lost = 0;
    if outbox::is_mine(&mut transaction).await? {
        lost = outbox::reset_after_loss(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(lost.unsigned_abs())
}

async fn look_for_brokers(
    connection: &mut PgConnection,
    after: RowPlace,
) -> sqlx::Result<BrokerLook> {
    let mut transaction = Transaction::begin(connection).await?;
    if !outbox::is_mine(&mut transaction).await? {
        return Ok(BrokerLook::nothing());
    }
    let rows = outbox::rows_after(&mut transaction, after, MOST_ROWS.into()).await?;
    transaction.commit().await?;
    Ok(BrokerLook::of(rows))
}

async fn move_rows(
    connection: &mut PgConnection,
    committer: &EventCommitter,
    rules: &RelayRules,
    moved: &mut RowMove<'_>,
) -> sqlx::Result<RelayBatch> {
    let mut transaction = Transaction::begin(connection).await?;
    if !outbox::is_mine(&mut transaction).await? {
        return Ok(RelayBatch::default());
    }
    let rows = outbox::take(&mut transaction, moved.selection).await?;
    moved.first = rows.first().map(OutboxRow::place);
    let mut batch = RelayBatch::of(rows, rules, moved.refusal.as_ref());
    outbox::set_aside(&mut transaction, &batch.poison).await?;
    let events = std::mem::take(&mut batch.events);
    let pending = committer.append_all(&mut transaction, events).await?;
    committer.commit(transaction, pending).await?;
    Ok(batch)
}
