//! Imports: the rows of a CSV file become records of a module. The built-in worker runs them.
//!
//! `decode` makes text of a file. `rows` splits it into rows, and holds one at a time. `columns` maps
//! columns to fields, and `cell` reads what spreadsheets write. `sheet` combines them. `check` refuses
//! what cannot succeed before a file is read. `good_rows` and `all_or_nothing` are the two ways to
//! create the records, with the transactions of `batch`. `checkpoint` stores how far an import is.

use std::pin::Pin;
use std::sync::Arc;

use crate::platform::database::limited;
use crate::platform::{BrokerId, Limit, Pool, TaskType, UploadId};
use crate::records::{RecordKind, Records};
use crate::tasks::builtin_worker::{Cleanup, Handler, Job, JobEnd};
use crate::tasks::uploads::Uploads;
use crate::tasks::{TaskOutcome, Tasks};

mod all_or_nothing;
mod batch;
mod cell;
mod check;
mod checkpoint;
mod columns;
mod decode;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
mod fault_output;
mod good_rows;
mod params;
mod progress;
mod refusal;
mod rows;
mod sheet;
mod stop;
mod summary;

pub use check::ImportCheck;
use checkpoint::Checkpoint;
use params::{CsvSource, ImportMode, ImportParams};
use progress::ImportProgress;
use sheet::Sheet;
use stop::Stop;

/// The type of import tasks.
pub const TASK_TYPE: &str = "import_csv";

#[derive(Debug)]
pub struct Importer {
    pub pool: Pool,
    pub records: Arc<Records>,
    pub uploads: Uploads,
    pub tasks: Tasks,
}

struct Import<'a> {
    importer: &'a Importer,
    job: &'a Job,
    kind: &'a RecordKind,
    sheet: Sheet,
}

impl Handler for Importer {
    fn task_type(&self) -> TaskType {
        TASK_TYPE.parse().expect("a valid type")
    }

    fn run(&self, job: Job) -> Pin<Box<dyn Future<Output = JobEnd> + Send + '_>> {
        Box::pin(async move {
            match limited(Limit::IMPORT, self.import(&job)).await {
                Ok(end) => end,
                Err(stop) => stop.into(),
            }
        })
    }
}

impl Importer {
    async fn import(&self, job: &Job) -> Result<JobEnd, Stop> {
        let given = job.params.as_deref();
        let (params, kind) = check::parse(&self.records, &job.caller, given).await?;
        let content = self.content(job, &params).await?;
        let begun = checkpoint::begin(&self.pool, &job.lease).await?;
        let (sheet_kind, sheet_params) = (kind.clone(), params.clone());
        // Opening a large file would block this thread.
        let opened = tokio::task::spawn_blocking(move || {
            Sheet::open(content, &sheet_kind, &sheet_params, begun.next_row)
        });
        let sheet = opened.await.map_err(Stop::broken)??;
        let import = Import {
            importer: self,
            job,
            kind,
            sheet,
        };
        let outcome = import.run(params.mode, begun).await?;
        Ok(match params.source {
            CsvSource::Inline(_) => JobEnd::With(outcome),
            CsvSource::Upload(upload) => {
                JobEnd::WithCleanup(outcome, self.removal(job.lease.broker.clone(), upload))
            }
        })
    }

    /// An attempt that finds all rows done, and only the end not reported, needs the upload too.
    fn removal(&self, broker: BrokerId, upload: UploadId) -> Cleanup {
        let uploads = self.uploads.clone();
        Cleanup::new(async move {
            let remove = uploads.remove(&broker, &upload);
            if let Err(error) = limited(Limit::REQUEST, remove).await {
                // Housekeeping will remove it.
                tracing::warn!(%error, "an imported upload could not be removed");
            }
        })
    }

    async fn content(&self, job: &Job, params: &ImportParams) -> Result<Vec<u8>, Stop> {
        match &params.source {
            CsvSource::Inline(csv) => Ok(csv.clone().into_bytes()),
            CsvSource::Upload(id) => {
                let content = self.uploads.read(&job.caller, id).await?;
                content.ok_or_else(|| check::no_such_upload(id).into())
            }
        }
    }
}

impl Import<'_> {
    async fn run(&self, mode: ImportMode, begun: Checkpoint) -> Result<TaskOutcome, Stop> {
        let (tasks, lease) = (&self.importer.tasks, &self.job.lease);
        let mut progress = ImportProgress::new(tasks, lease, self.kind, self.sheet.rows);
        let done = match mode {
            // All rows are done; only the end was not reported.
            _ if begun.next_row == self.sheet.rows => self.recall(&mut progress, begun).await,
            ImportMode::Keep => self.create_good(&mut progress, begun).await,
            ImportMode::AllOrNothing => self.all_or_nothing(&mut progress).await,
        };
        if let Err(Stop::Cancelled) = &done {
            progress.report_partial().await?;
        }
        done?;
        let most = self.importer.tasks.rules().event_bytes;
        Ok(progress.completed(&self.sheet.columns.ignored, most))
    }
}
