//! Good rows are kept, whatever the others are: batch by batch, each with its checkpoint in one
//! transaction.

use super::Import;
use super::batch::Batch;
use super::checkpoint::{self, Advance, Checkpoint};
use super::progress::{Progress, Stage};
use super::stop::Stop;
use crate::tasks::HoldOutcome;

impl Import<'_> {
    /// Creates what has not been created yet.
    pub(super) async fn keep_good(
        &self,
        progress: &mut Progress<'_>,
        begun: Checkpoint,
    ) -> Result<(), Stop> {
        self.recall(progress, begun).await?;
        let mut rows = self.sheet.undone();
        while let Some(mut batch) = self.read(&mut rows) {
            self.refuse_stopped()?;
            let held = self.commit(&mut batch, progress.done()).await?;
            progress.count(batch.good(), batch.bad);
            progress.name(&batch.faults).await?;
            if held == HoldOutcome::Cancelling && progress.done() < self.sheet.rows {
                return Err(Stop::Cancelled);
            }
            progress.tell(Stage::Creating, progress.done()).await?;
        }
        Ok(())
    }

    /// Knows again what was done before, and names what was wrong then.
    pub(super) async fn recall(
        &self,
        progress: &mut Progress<'_>,
        begun: Checkpoint,
    ) -> Result<(), Stop> {
        progress.recall(begun);
        let mut after = 0;
        loop {
            let page = checkpoint::faults(&self.importer.pool, &self.job.holding, after).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = *last;
            let faults: Vec<_> = page.into_iter().map(|(_, fault)| fault).collect();
            progress.name(&faults).await?;
        }
    }

    /// The worker stops: whoever goes on begins after the last batch.
    pub(super) fn refuse_stopped(&self) -> Result<(), Stop> {
        if self.job.stop.is_cancelled() {
            return Err(Stop::Interrupted);
        }
        Ok(())
    }

    /// Creates a batch and moves the checkpoint, if the task is still this worker's then.
    async fn commit(&self, batch: &mut Batch, from: i32) -> Result<HoldOutcome, Stop> {
        let mut transaction = self.importer.pool.begin().await?;
        self.create(&mut transaction, batch).await?;
        let holding = &self.job.holding;
        let held = holding.hold(&mut transaction).await?;
        let by = Advance {
            created: batch.good(),
            bad: batch.bad,
        };
        checkpoint::advance(&mut transaction, holding, (from, by), &batch.faults).await?;
        transaction.commit().await?;
        self.importer.records.has_changed();
        Ok(held)
    }
}
