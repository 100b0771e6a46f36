//! All rows or none: all are read, and then all are created in one transaction.

use super::Import;
use super::checkpoint::{self, Advance};
use super::progress::{Progress, Stage};
use super::stop::Stop;
use crate::tasks::HoldOutcome;

impl Import<'_> {
    /// Creates everything, or names what is in the way.
    pub(super) async fn all_or_nothing(&self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        self.check(progress).await?;
        if progress.bad() == 0 {
            let created = self.create_all(progress).await;
            if created.is_err() {
                progress.nothing();
            }
            created?;
        }
        match progress.bad() {
            0 => Ok(()),
            _ => Err(progress.failed().await),
        }
    }

    async fn check(&self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let (mut rows, mut read) = (self.sheet.all(), 0);
        while let Some(batch) = self.read(&mut rows) {
            self.refuse_stopped()?;
            read += batch.rows();
            progress.count(0, batch.bad);
            progress.name(&batch.faults).await?;
            progress.tell(Stage::Checking, read).await?;
            // Reading never waits, and others use this thread, too.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What only the table refuses is found on the way, all of it; then nothing is created.
    async fn create_all(&self, progress: &mut Progress<'_>) -> Result<(), Stop> {
        let mut transaction = self.importer.pool.begin().await?;
        let (mut rows, mut done, mut faults) = (self.sheet.all(), 0, Vec::new());
        while let Some(mut batch) = self.read(&mut rows) {
            self.refuse_stopped()?;
            self.create(&mut transaction, &mut batch).await?;
            done += batch.rows();
            progress.count(batch.good(), batch.bad);
            faults.append(&mut batch.faults);
            progress.tell(Stage::Second, done).await?;
        }
        if !faults.is_empty() {
            // Output takes a connection of its own, so not before this one is given back.
            transaction.rollback().await?;
            return progress.name(&faults).await;
        }
        let holding = &self.job.holding;
        // Last, so that it can be cancelled until then.
        if holding.hold(&mut transaction).await? == HoldOutcome::Cancelling {
            return Err(Stop::Cancelled);
        }
        let by = Advance {
            created: done,
            bad: 0,
        };
        checkpoint::advance(&mut transaction, holding, (0, by), &[]).await?;
        transaction.commit().await?;
        self.importer.records.has_changed();
        Ok(())
    }
}
