//! The built-in worker in a process of its own.

use super::prepare::prepare;
use super::wire::{INSTANCE_LEN, Wiring};
use super::{AppError, Environment};
use crate::config::Config;
use crate::platform::{BackgroundTasks, Database};

/// A worker without a service, ready to run.
pub struct WorkerApplication {
    database: Database,
    tasks: BackgroundTasks,
}

impl WorkerApplication {
    /// Opens the database and starts the worker.
    pub async fn build(config: &Config, environment: &Environment) -> Result<Self, AppError> {
        config.backplane.redis()?;
        let database = Database::open(&config.database, &config.quotas).await?;
        prepare(&database).await?;
        let tasks = BackgroundTasks::new(environment.dice.tag(INSTANCE_LEN));
        Wiring::new(config, environment, &database, &tasks).worker_alone();
        tracing::info!("the worker has started");
        Ok(Self { database, tasks })
    }

    /// Works until `stop` completes. Then unfinished tasks are released.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let outcome = tokio::select! {
            ended = self.tasks.unexpected_end() => Err(AppError::PartEnded(ended)),
            () = self.database.gave_up() => Err(AppError::PartEnded("the embedded database")),
            () = stop => Ok(()),
        };
        tracing::info!("stopping");
        self.tasks.stop().await;
        self.database.close().await;
        tracing::info!("stopped");
        outcome
    }
}
