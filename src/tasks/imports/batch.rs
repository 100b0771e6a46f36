//! Batches of rows, read and then created in a transaction.

use sqlx::{Acquire, PgConnection};

use super::Import;
use super::rows::Rows;
use super::stop::Stop;
use super::text_output::RowFault;
use crate::records::{Fields, Records, RecordsError};

const MOST: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Those that can be created, each with its line.
    good: Vec<(i32, Fields)>,
    /// How many cannot.
    pub(super) bad: i32,
    pub(super) faults: Vec<RowFault>,
}

impl Batch {
    /// How many can be created.
    pub(super) fn good(&self) -> i32 {
        i32::try_from(self.good.len()).unwrap_or(i32::MAX)
    }

    /// How many rows there are in it.
    pub(super) fn rows(&self) -> i32 {
        self.good() + self.bad
    }
}

impl Import<'_> {
    /// Reads the next rows; none at the end.
    pub(super) fn read(&self, rows: &mut Rows<'_>) -> Option<Batch> {
        let mut batch = Batch::default();
        let with = (&*self.importer.records, &self.job.caller, self.kind);
        for row in rows.take(MOST) {
            match self.sheet.read(&row, with) {
                Ok(fields) => batch.good.push((row.line, fields)),
                Err(faults) => {
                    batch.bad += 1;
                    batch.faults.extend(faults);
                }
            }
        }
        (batch.rows() > 0).then_some(batch)
    }

    /// Creates what can be; what the table refuses is bad, too.
    pub(super) async fn create(
        &self,
        connection: &mut PgConnection,
        batch: &mut Batch,
    ) -> Result<(), Stop> {
        if batch.good.is_empty() {
            return Ok(());
        }
        let together = batch.good.iter().map(|(_, fields)| fields);
        let Err(error) = self.insert(connection, together).await else {
            return Ok(());
        };
        refuse_unless_of_row(error)?;
        // Somebody in there spoils it for all: one by one.
        let mut good = Vec::new();
        for (line, fields) in std::mem::take(&mut batch.good) {
            match self.insert(connection, [&fields]).await {
                Ok(()) => good.push((line, fields)),
                Err(error) => {
                    batch.bad += 1;
                    batch.faults.extend(self.sheet.faults(line, &error));
                    refuse_unless_of_row(error)?;
                }
            }
        }
        batch.good = good;
        batch.faults.sort_by_key(|fault| fault.line);
        Ok(())
    }

    /// All of them or none.
    async fn insert<'f>(
        &self,
        connection: &mut PgConnection,
        records: impl IntoIterator<Item = &'f Fields>,
    ) -> Result<(), RecordsError> {
        let mut savepoint = connection.begin().await?;
        let whose = (&self.job.caller, self.kind);
        Records::insert_all(&mut savepoint, whose, records).await?;
        Ok(savepoint.commit().await?)
    }
}

/// Whether a record is refused for what it is; everything else ends the import.
fn refuse_unless_of_row(error: RecordsError) -> Result<(), Stop> {
    match error {
        RecordsError::Invalid(_)
        | RecordsError::IdTaken
        | RecordsError::NotYourTeam(_)
        | RecordsError::Parameter { .. } => Ok(()),
        error => Err(error.into()),
    }
}
