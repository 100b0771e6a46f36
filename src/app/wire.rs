//! Builds every part, and gives it what it needs.
//!
//! `services` is the list, in the order in which an event passes through the parts. Each part is a
//! handle and its background task.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Environment;
use crate::api::Services;
use crate::config::Config;
use crate::directory::{BrokerageQuery, Modules};
use crate::fanout::Fanout;
use crate::identity::Verifier;
use crate::log::PublishingBytes;
use crate::platform::traces::{ExportTarget, TracerParts};
use crate::platform::{
    ArrivalRush, BackgroundTasks, Clock, Database, DedicatedConnection, Dice, Figures,
    InstanceCount, Metrics, Tracer,
};
use crate::sessions::SessionHead;

mod audience_changes;
mod backplane;
mod collab;
mod inbox;
mod log;
mod operations;
mod requests;
mod retention;
mod sessions;
mod streams;
mod tasks;

use audience_changes::AudienceChanges;
use backplane::Notices;

/// Characters of an instance's name, which notices to other instances and log lines contain.
pub(super) const INSTANCE_LEN: usize = 12;

/// What all parts are built on.
pub(super) struct Wiring<'a> {
    pub(super) config: &'a Config,
    pub(super) environment: &'a Environment,
    pub(super) database: &'a Database,
    pub(super) tasks: &'a BackgroundTasks,
    pub(super) metrics: Arc<Metrics>,
    pub(super) figures: Figures,
    pub(super) tracer: Tracer,
    pub(super) instances: InstanceCount,
    pub(super) publishing: PublishingBytes,
}

impl<'a> Wiring<'a> {
    pub(super) fn new(
        config: &'a Config,
        environment: &'a Environment,
        database: &'a Database,
        tasks: &'a BackgroundTasks,
    ) -> Self {
        Self {
            config,
            environment,
            database,
            tasks,
            metrics: Metrics::new(),
            figures: Figures::default(),
            tracer: Tracer::default(),
            instances: InstanceCount::default(),
            publishing: PublishingBytes::default(),
        }
    }

    /// Sends traces there, if anywhere.
    pub(super) fn with_traces(self, target: Option<ExportTarget>) -> Self {
        let Some(target) = target else {
            return self;
        };
        let (tracer, task) = Tracer::start(TracerParts {
            settings: &self.config.traces,
            target,
            instance: Arc::clone(self.tasks.instance()),
            clock: self.clock(),
            dice: self.dice(),
            metrics: Arc::clone(&self.metrics),
            stop: self.stop(),
        });
        self.tasks.spawn(task);
        Self { tracer, ..self }
    }

    /// Builds the parts of a service and starts their background tasks.
    pub(super) fn services(
        &self,
        verifier: Verifier,
        revoked: SessionHead,
        query: Option<BrokerageQuery>,
    ) -> Services {
        let notices = Notices::of(&self.config.backplane);
        let fanout = self.fanout(&notices);
        let brokerages = query.map(|query| self.brokerages(query));
        let peers = self.peers(&notices, brokerages.as_ref());
        let audiences = self.record_audiences();
        let sessions = self.sessions(&verifier, &notices, &peers, revoked);
        let presence = self.presence(&fanout, &audiences, peers.presence, &notices, &sessions);
        let signals = self.signals(&fanout, &notices, peers.signals);
        let observer = AudienceChanges::observer(&audiences, &presence, &signals);
        let log = self.event_log(&notices, &fanout, observer, peers.batches);
        let committer = log.committer;
        let records = Arc::new(self.records(log.relay_waker.clone()));
        let uploads = self.uploads();
        let tasks = self.checked_tasks(committer.clone(), notices.tasks, &records, &uploads);
        self.worker_beside(&tasks, &records, &uploads);
        self.retention();
        let streams = self.streams(log.handle, &presence, brokerages.clone(), &sessions);
        Services {
            callers: self.callers(verifier, brokerages, sessions),
            limits: self.limits(),
            telemetry: self.telemetry(),
            health: self.health(peers.state),
            pool: self.database.pool.clone(),
            writer: self.writer(committer.clone()),
            operations: self.operations(&fanout, &streams, &uploads, log.relay_waker),
            fanout,
            streams,
            directory: self.directory(audiences),
            collab: self.collab(presence, signals, committer.clone()),
            records,
            tasks,
            uploads,
            inbox: self.inbox(committer, notices.notifiable),
            demo: None,
        }
    }

    fn fanout(&self, notices: &Notices) -> Arc<Fanout> {
        let most_bytes = self.config.streams.memory_bytes();
        Arc::new(Fanout::new(
            most_bytes,
            self.publishing.clone(),
            self.figures.clone(),
            notices.subscriptions.clone(),
        ))
    }

    /// A connection for a loop, whose work is counted by its name.
    fn connection(&self, of: &'static str) -> DedicatedConnection {
        let connection = DedicatedConnection::new(self.database.core.clone());
        connection.counted_by(self.metrics.loops.meter(of))
    }

    fn stop(&self) -> CancellationToken {
        self.tasks.stop_last()
    }

    fn clock(&self) -> Clock {
        self.environment.clock.clone()
    }

    fn dice(&self) -> Dice {
        self.environment.dice.clone()
    }

    fn rush(&self) -> ArrivalRush {
        self.environment.rush.clone()
    }

    fn modules(&self) -> Modules {
        self.config.modules.modules()
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
