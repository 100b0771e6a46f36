//! Imports: the rows of a CSV file become records of a module, by the worker that is built in.
//!
//! The way of a file: `text` decodes it, `rows` cuts it into rows without ever holding more
//! than one, `columns` says which column is which field, `cell` takes what spreadsheets
//! write, `sheet` is all of that together. `check` says what cannot be done before a file is read. `keep` and `all` are the two ways to create the
//! records, over the transactions of `batch`; how far an import has come stands in
//! `checkpoint`.

use std::pin::Pin;
use std::sync::Arc;

use crate::platform::TaskType;
use crate::platform::database::limited;
use crate::platform::{Limit, Pool};
use crate::records::{Kind, Records};
use crate::tasks::builtin_worker::{End, Handler, Job};
use crate::tasks::uploads::Uploads;
use crate::tasks::{Outcome, Tasks};

mod all;
mod batch;
mod cell;
mod check;
mod checkpoint;
mod columns;
mod keep;
mod output;
mod params;
mod progress;
mod refusal;
mod rows;
mod sheet;
mod stop;
mod text;
mod text_output;

pub use check::ImportCheck;
use checkpoint::Checkpoint;
use params::{Mode, Params, Source};
use progress::Progress;
use sheet::Sheet;
use stop::Stop;

/// The type of the tasks.
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
    kind: &'a Kind,
    sheet: Sheet,
}

impl Handler for Importer {
    fn task_type(&self) -> TaskType {
        TASK_TYPE.parse().expect("a short word")
    }

    fn run(&self, job: Job) -> Pin<Box<dyn Future<Output = End> + Send + '_>> {
        Box::pin(async move {
            match limited(Limit::IMPORT, self.import(&job)).await {
                Ok(outcome) => End::With(outcome),
                Err(stop) => stop.into(),
            }
        })
    }
}

impl Importer {
    async fn import(&self, job: &Job) -> Result<Outcome, Stop> {
        let given = job.params.as_deref();
        let (params, kind) = check::understand(&self.records, &job.caller, given).await?;
        let content = self.content(job, &params).await?;
        let begun = checkpoint::begin(&self.pool, &job.holding).await?;
        let (kind_of_sheet, given) = (kind.clone(), params.clone());
        // A large file would hold up whatever else this thread does.
        let opened = tokio::task::spawn_blocking(move || {
            Sheet::open(content, (&kind_of_sheet, &given), begun.next_row)
        });
        let sheet = opened.await.map_err(Stop::broken)??;
        let import = Import {
            importer: self,
            job,
            kind,
            sheet,
        };
        let outcome = import.run(params.mode, begun).await?;
        if let Source::Upload(upload) = &params.source
            && let Err(error) = self.uploads.remove(&job.holding.broker, upload).await
        {
            // Housekeeping removes it later.
            tracing::warn!(%error, "an upload that was imported could not be removed");
        }
        Ok(outcome)
    }

    async fn content(&self, job: &Job, params: &Params) -> Result<Vec<u8>, Stop> {
        match &params.source {
            Source::Inline(csv) => Ok(csv.clone().into_bytes()),
            Source::Upload(id) => {
                let content = self.uploads.read(&job.caller, id).await?;
                content.ok_or_else(|| check::no_such_upload(id).into())
            }
        }
    }
}

impl Import<'_> {
    async fn run(&self, mode: Mode, begun: Checkpoint) -> Result<Outcome, Stop> {
        let to = (&self.importer.tasks, &self.job.holding);
        let mut progress = Progress::new(to, self.kind, self.sheet.rows);
        let done = match mode {
            // Only its end was not told.
            _ if begun.next_row == self.sheet.rows => self.recall(&mut progress, begun).await,
            Mode::Keep => self.keep_good(&mut progress, begun).await,
            Mode::AllOrNothing => self.all_or_nothing(&mut progress).await,
        };
        if let Err(Stop::Cancelled) = &done {
            progress.tell_partial().await?;
        }
        done?;
        let most = self.importer.tasks.rules().event_bytes;
        Ok(progress.completed(&self.sheet.columns.ignored, most))
    }
}
