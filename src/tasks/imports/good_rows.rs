//! Creates the good rows, even if others are bad. Each batch is one transaction with its checkpoint.

use super::Import;
use super::batch::RowBatch;
use super::checkpoint::{self, Advance, Checkpoint};
use super::progress::{ImportProgress, Stage};
use super::stop::Stop;
use crate::tasks::LeaseState;

impl Import<'_> {
    /// Creates the rows that are not done.
    pub(super) async fn create_good(
        &self,
        progress: &mut ImportProgress<'_>,
        begun: Checkpoint,
    ) -> Result<(), Stop> {
        self.recall(progress, begun).await?;
        let mut rows = self.sheet.remaining();
        while let Some(mut batch) = self.read(&mut rows) {
            self.refuse_stopped()?;
            let lease = self.commit(&mut batch, progress.done()).await?;
            progress.count(batch.good(), batch.bad);
            progress.name(&batch.faults).await?;
            let done = progress.done();
            if lease == LeaseState::Cancelling && done < self.sheet.rows {
                return Err(Stop::Cancelled);
            }
            match progress.report_rows(Stage::Creating, done).await {
                // There is nothing left to cancel.
                Err(Stop::Cancelled) if done == self.sheet.rows => {}
                reported => reported?,
            }
        }
        Ok(())
    }

    /// Continues from earlier attempts, and writes their faults into the output again.
    pub(super) async fn recall(
        &self,
        progress: &mut ImportProgress<'_>,
        begun: Checkpoint,
    ) -> Result<(), Stop> {
        progress.recall(begun);
        let mut after = 0;
        loop {
            let page = checkpoint::faults(&self.importer.pool, &self.job.lease, after).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.n;
            let faults: Vec<_> = page.into_iter().map(|stored| stored.fault).collect();
            progress.name(&faults).await?;
        }
    }

    /// Ends the attempt when the worker stops. The next attempt begins after the last batch.
    pub(super) fn refuse_stopped(&self) -> Result<(), Stop> {
        if self.job.stop.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        Ok(())
    }

    /// Creates a batch and advances the checkpoint. Fails if the lease is lost.
    async fn commit(&self, batch: &mut RowBatch, from: i32) -> Result<LeaseState, Stop> {
        let mut transaction = self.importer.pool.begin().await?;
        self.create(&mut transaction, batch).await?;
        let lease = &self.job.lease;
        let state = lease.lock(&mut transaction).await?;
        let advance = Advance {
            from,
            created: batch.good(),
            bad: batch.bad,
        };
        checkpoint::advance(&mut transaction, lease, advance, &batch.faults).await?;
        transaction.commit().await?;
        self.importer.records.notify_changed();
        Ok(state)
    }
}
