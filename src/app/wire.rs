//! Builds every part, and gives it what it needs.
//!
//! `services` is the list, in the order in which an event passes through the parts. Each part is a
//! handle and its background task.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Environment;
use crate::api::{
    DatabaseCheck, MetricsAccess, RateLimits, Rates, RefusalKind, RequestFigures, RequestLimits,
    Services, SlowBodies, TokenPlaces,
};
use crate::config::Config;
use crate::directory::{BrokerageQuery, Modules};
use crate::fanout::Fanout;
use crate::identity::Verifier;
use crate::log::{PublishingBytes, TaskNotices};
use crate::platform::traces::{ExportTarget, TracerParts};
use crate::platform::{
    ArrivalRush, BackgroundTask, BackgroundTasks, Clock, Database, DedicatedConnection, Dice,
    Figures, InstanceCount, LineLimit, Metrics, Tracer,
};
use crate::sessions::SessionHead;

mod audience_changes;
mod backplane;
mod collab;
mod inbox;
mod log;
mod operations;
mod retention;
mod sessions;
mod streams;
mod tasks;

use audience_changes::AudienceChanges;
use backplane::Notices;
use log::{Commits, FollowerBatches};
use operations::Watched;
use sessions::TeamChanges;

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
        let config = self.config;
        let notices = Notices::of(&config.backplane);
        let fanout = self.fanout(&notices);
        let task_notices = TaskNotices::with(&notices.peers, &notices.subscriptions);
        let brokerages = query.map(|query| self.brokerages(query));
        let peers = self.peers(&notices, &task_notices, brokerages.as_ref());
        let audiences = self.record_audiences();
        let sessions = self.sessions(&verifier, &notices);
        self.session_sync(&sessions, &peers, revoked);
        let presence = self.presence(&fanout, &audiences, peers.presence, &notices, &sessions);
        sessions.observe(Arc::new(TeamChanges(presence.clone())));
        let signals = self.signals(&fanout, &notices, peers.signals);
        let observer = AudienceChanges::observer(&audiences, &presence, &signals);
        let Commits { committer, batches } = self.commits(&notices, &observer, &fanout);
        let waker = self.relay(committer.clone());
        let records = Arc::new(self.records(waker.clone()));
        let uploads = self.uploads();
        let tasks = self.checked_tasks(committer.clone(), task_notices, &records, &uploads);
        self.worker_beside(&tasks, &records, &uploads);
        let batches = FollowerBatches::of(batches, peers.batches);
        let log_handle = self.follower(&fanout, batches, notices.logs, observer);
        self.names(&verifier);
        self.retention();
        let streams = self.streams(log_handle, &presence, brokerages.clone(), &sessions);
        let operations = self.operations(Watched {
            sessions: &sessions,
            presence: &presence,
            fanout: &fanout,
            streams: &streams,
            uploads: &uploads,
            waker,
        });
        Services {
            instance: Arc::clone(self.tasks.instance()),
            backplane: peers.state,
            pool: self.database.pool.clone(),
            database_check: DatabaseCheck::default(),
            verifier,
            token_places: TokenPlaces {
                cookie: config.identity.token_cookie.clone(),
                in_query: config.identity.token_in_query,
            },
            writer: self.writer(committer.clone()),
            fanout,
            modules: self.modules(),
            record_audiences: audiences,
            streams,
            brokerages,
            sessions,
            presence,
            signals,
            signal_names: config.signals.signals.clone(),
            locks: self.locks(committer.clone()),
            tasks,
            notifications: self.notifications(committer, notices.notifiable),
            activity: self.activity(),
            operations,
            metrics: Arc::clone(&self.metrics),
            tracer: self.tracer.clone(),
            figures: self.figures.clone(),
            request_figures: self.request_figures(),
            metrics_access: self.metrics_access(),
            rate_limits: self.rate_limits(),
            slow_bodies: SlowBodies::default(),
            refusals: self.line_limit("the log of refusals", RefusalKind::sum_up),
            limits: self.limits(),
            quotas: config.quotas.clone(),
            records,
            uploads,
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

    fn request_figures(&self) -> RequestFigures {
        let figures = RequestFigures::new();
        self.metrics.read(figures.clone());
        figures
    }

    fn metrics_access(&self) -> MetricsAccess {
        let settings = &self.config.server;
        let is_loopback = settings.addr().ip().is_loopback();
        MetricsAccess::new(settings.metrics_token.as_ref(), is_loopback)
    }

    fn rate_limits(&self) -> Arc<RateLimits> {
        let settings = &self.config.rates;
        let limits = Arc::new(RateLimits::new(Rates {
            user: settings.user_rate,
            brokerage: settings.brokerage_rate,
            service: settings.service_rate,
            worker: settings.worker_rate,
            address: settings.address_rate,
            trusted_proxies: settings.trusted_proxies.into(),
        }));
        let (limited, stop) = (Arc::clone(&limits), self.stop());
        let run = async move { limited.forget_full(stop).await };
        let task = BackgroundTask::new("the clean-up of rate limits", run);
        self.tasks.spawn(task);
        limits
    }

    fn limits(&self) -> RequestLimits {
        RequestLimits {
            head_timeout: Duration::from_secs(self.config.server.head_timeout_seconds.into()),
            body_bytes: size(self.config.server.body_bytes),
            body_timeout: Duration::from_secs(self.config.server.body_timeout_seconds.into()),
            event_bytes: size(self.config.server.event_bytes),
            page_bytes: size(self.config.server.page_bytes),
        }
    }

    /// A limit of log lines, and the task that sums up the lines that were left out.
    fn line_limit<K>(&self, name: &'static str, sum_up: fn(&K, u64)) -> Arc<LineLimit<K>>
    where
        K: Eq + Hash + Clone + Send + 'static,
    {
        let per_second = self.config.server.log_lines_per_second;
        let limit = Arc::new(LineLimit::new(per_second, self.clock()));
        let (summed, stop) = (Arc::clone(&limit), self.stop());
        let run = async move { summed.sum_up(stop, sum_up).await };
        self.tasks.spawn(BackgroundTask::new(name, run));
        limit
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
