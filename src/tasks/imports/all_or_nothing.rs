//! Creates all rows or none: reads all of them, and then creates all in one transaction.

use super::Import;
use super::checkpoint::{self, Advance};
use super::progress::{ImportProgress, Stage};
use super::stop::Stop;
use crate::tasks::LeaseState;

impl Import<'_> {
    /// Creates all records, or reports what is wrong.
    pub(super) async fn all_or_nothing(
        &self,
        progress: &mut ImportProgress<'_>,
    ) -> Result<(), Stop> {
        self.check(progress).await?;
        if progress.bad() == 0 {
            let created = self.create_all(progress).await;
            if created.is_err() {
                progress.reset_created();
            }
            created?;
        }
        match progress.bad() {
            0 => Ok(()),
            _ => Err(progress.failed().await),
        }
    }

    async fn check(&self, progress: &mut ImportProgress<'_>) -> Result<(), Stop> {
        let (mut rows, mut read) = (self.sheet.all(), 0);
        while let Some(batch) = self.read(&mut rows) {
            self.refuse_stopped()?;
            read += batch.rows();
            progress.count(0, batch.bad);
            progress.name(&batch.faults).await?;
            progress.report_rows(Stage::Checking, read).await?;
            // Reading never waits, so let other tasks of this thread run.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// The table may refuse rows, too. All of them are reported, and nothing is created then.
    async fn create_all(&self, progress: &mut ImportProgress<'_>) -> Result<(), Stop> {
        let mut transaction = self.importer.pool.begin().await?;
        let (mut rows, mut done, mut faults) = (self.sheet.all(), 0, Vec::new());
        while let Some(mut batch) = self.read(&mut rows) {
            self.refuse_stopped()?;
            self.create(&mut transaction, &mut batch).await?;
            done += batch.rows();
            progress.count(batch.good(), batch.bad);
            faults.append(&mut batch.faults);
            progress.report_rows(Stage::Second, done).await?;
        }
        if !faults.is_empty() {
            // The output needs another connection, so return this one first.
            transaction.rollback().await?;
            return progress.name(&faults).await;
        }
        let lease = &self.job.lease;
        // The lock comes last, so that the import can be cancelled until then.
        if lease.lock(&mut transaction).await? == LeaseState::Cancelling {
            return Err(Stop::Cancelled);
        }
        let advance = Advance {
            from: 0,
            created: done,
            bad: 0,
        };
        checkpoint::advance(&mut transaction, lease, advance, &[]).await?;
        transaction.commit().await?;
        self.importer.records.notify_changed();
        Ok(())
    }
}
