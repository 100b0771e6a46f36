//! What admins see of the running service, and do: figures, open connections, rows that were set aside, alerts.
//!
//! Each instance counts for itself, and evaluates the rules of alerts all the time. When an admin asks, the
//! instance that got the request asks all others, and puts the answers together. An admin sees the own
//! brokerage only, and what concerns an instance or the database as a whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::collab::Presence;
use crate::fanout::{ConnectionLimits, Fanout, LogHealth};
use crate::log::RelayWaker;
use crate::platform::{BackgroundTask, Clock, DedicatedConnection, Figures, Metrics, Pool};
use crate::sessions::Sessions;
use crate::tasks::Uploads;

mod alerts;
mod answers;
mod breaches;
mod connections;
mod memory;
mod meters;
mod overview;
mod poison;
mod report;
mod rules;
mod samples;
mod settings;
mod watch;

pub use alerts::Alert;
pub use connections::{AskedInstance, ConnectionList, DisconnectError};
pub use overview::{BrokerageTotals, DatabaseState, FiringAlert, Overview};
pub use poison::{PoisonList, SetAsideError};
pub use report::{BrokerageReport, InstanceReport, PoolReport};
pub use rules::{RULES, Rule, RuleName, RuleScope};
pub use settings::AlertSettings;

use alerts::AlertBoard;
use breaches::Troubles;
use meters::InstanceMeters;
use samples::Samples;

/// Parts of the service that are looked at.
pub struct OperationParts {
    /// Of the requests.
    pub pool: Pool,
    /// Of the background tasks.
    pub core: Pool,
    pub sessions: Sessions,
    pub presence: Presence,
    pub fanout: Arc<Fanout>,
    pub health: Arc<LogHealth>,
    pub connection_limits: Arc<ConnectionLimits>,
    pub most_streams: usize,
    pub uploads: Uploads,
    pub figures: Figures,
    pub metrics: Arc<Metrics>,
    pub waker: RelayWaker,
    pub clock: Clock,
    pub instance: Arc<str>,
    pub version: &'static str,
    pub settings: AlertSettings,
}

/// The connections of this module, and the end of its tasks.
pub struct OperationTasks {
    /// For figures of the database that an admin waits for.
    pub looks: DedicatedConnection,
    /// For answers to other instances.
    pub answers: DedicatedConnection,
    /// For the rules of alerts.
    pub alerts: DedicatedConnection,
    pub stop: CancellationToken,
}

struct OperationsShared {
    parts: OperationParts,
    looks: tokio::sync::Mutex<DedicatedConnection>,
    started_at: OffsetDateTime,
    samples: Mutex<Samples>,
    alerts: AlertBoard,
    /// As the database was read last.
    troubles: Mutex<Option<Arc<Troubles>>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Operations(Arc<OperationsShared>);

impl Operations {
    /// The handle, and the tasks that answer other instances and evaluate the rules.
    #[must_use]
    pub fn start(parts: OperationParts, tasks: OperationTasks) -> (Self, [BackgroundTask; 2]) {
        let questions = parts.sessions.questions();
        let started_at = parts.clock.now();
        let operations = Self(Arc::new(OperationsShared {
            alerts: AlertBoard::new(Arc::clone(&parts.metrics)),
            parts,
            looks: tokio::sync::Mutex::new(tasks.looks),
            started_at,
            samples: Mutex::default(),
            troubles: Mutex::default(),
        }));
        let metrics = &operations.0.parts.metrics;
        metrics.read(InstanceMeters::of(&operations));
        let answering = answers::run(
            operations.clone(),
            tasks.answers,
            questions,
            tasks.stop.clone(),
        );
        let watching = watch::run(operations.clone(), tasks.alerts, tasks.stop);
        let tasks = [
            BackgroundTask::new("the answers to other instances", answering),
            BackgroundTask::new("the watch of figures", watching),
        ];
        (operations, tasks)
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.0.samples()
    }
}

impl OperationsShared {
    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn longest_lag(&self) -> Duration {
        self.samples().longest_lag()
    }

    fn troubles(&self) -> Option<Arc<Troubles>> {
        let troubles = self.troubles.lock();
        troubles.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_troubles(&self, troubles: Arc<Troubles>) {
        let known = self.troubles.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(troubles);
    }
}
