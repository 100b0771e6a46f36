//! Batches of rows: read together, and created in one transaction.

use sqlx::{Acquire, PgConnection};

use super::Import;
use super::rows::CsvRows;
use super::stop::Stop;
use super::summary::RowFault;
use crate::records::{RecordFields, Records, RecordsError};

const MOST_ROWS: usize = 100;

/// A row from which a record can be created.
#[derive(Debug)]
struct GoodRow {
    line: i32,
    fields: RecordFields,
}

#[derive(Debug, Default)]
pub(super) struct RowBatch {
    good: Vec<GoodRow>,
    /// The number of rows from which no record can be created.
    pub(super) bad: i32,
    pub(super) faults: Vec<RowFault>,
}

impl RowBatch {
    pub(super) fn good(&self) -> i32 {
        i32::try_from(self.good.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn rows(&self) -> i32 {
        self.good() + self.bad
    }
}

impl Import<'_> {
    /// Reads the next rows. None at the end.
    pub(super) fn read(&self, rows: &mut CsvRows<'_>) -> Option<RowBatch> {
        let (records, caller) = (&*self.importer.records, &self.job.caller);
        let mut batch = RowBatch::default();
        for row in rows.take(MOST_ROWS) {
            let line = row.line;
            match self.sheet.read(&row, records, caller, self.kind) {
                Ok(fields) => batch.good.push(GoodRow { line, fields }),
                Err(faults) => {
                    batch.bad += 1;
                    batch.faults.extend(faults);
                }
            }
        }
        (batch.rows() > 0).then_some(batch)
    }

    /// Creates the records of the good rows. Rows that the table refuses become bad.
    pub(super) async fn create(
        &self,
        connection: &mut PgConnection,
        batch: &mut RowBatch,
    ) -> Result<(), Stop> {
        if batch.good.is_empty() {
            return Ok(());
        }
        let together = batch.good.iter().map(|row| &row.fields);
        let Err(error) = self.insert(connection, together).await else {
            return Ok(());
        };
        refuse_unless_of_row(error)?;
        // One bad row fails the statement for all, so insert them one by one.
        let mut good = Vec::new();
        for row in std::mem::take(&mut batch.good) {
            match self.insert(connection, [&row.fields]).await {
                Ok(()) => good.push(row),
                Err(error) => {
                    batch.bad += 1;
                    batch.faults.extend(self.sheet.faults(row.line, &error));
                    refuse_unless_of_row(error)?;
                }
            }
        }
        batch.good = good;
        batch.faults.sort_by_key(|fault| fault.line);
        Ok(())
    }

    /// Inserts all of these records or none.
    async fn insert<'f>(
        &self,
        connection: &mut PgConnection,
        records: impl IntoIterator<Item = &'f RecordFields>,
    ) -> Result<(), RecordsError> {
        let mut savepoint = connection.begin().await?;
        let caller = &self.job.caller;
        Records::insert_all(&mut savepoint, caller, self.kind, records).await?;
        Ok(savepoint.commit().await?)
    }
}

/// Errors of one row are its faults. All other errors end the import.
fn refuse_unless_of_row(error: RecordsError) -> Result<(), Stop> {
    match error {
        RecordsError::Invalid(_)
        | RecordsError::IdTaken
        | RecordsError::NotYourTeam(_)
        | RecordsError::Parameter { .. } => Ok(()),
        error => Err(error.into()),
    }
}
