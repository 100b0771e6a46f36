//! What requests need before their handlers and around them: their callers, limits, telemetry and health.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::{Wiring, size};
use crate::api::{
    ApiLimits, CallerServices, DatabaseCheck, HealthServices, MetricsAccess, RateLimits, Rates,
    RefusalKind, RequestFigures, RequestLimits, RequestTelemetry, SlowBodies, TokenPlaces,
};
use crate::directory::Brokerages;
use crate::identity::Verifier;
use crate::log::BackplaneState;
use crate::platform::{BackgroundTask, LineLimit};
use crate::sessions::Sessions;

impl Wiring<'_> {
    /// What finds callers. Their names are stored.
    pub(super) fn callers(
        &self,
        verifier: Verifier,
        brokerages: Option<Brokerages>,
        sessions: Sessions,
    ) -> CallerServices {
        self.names(&verifier);
        let settings = &self.config.identity;
        CallerServices {
            token_places: TokenPlaces {
                cookie: settings.token_cookie.clone(),
                in_query: settings.token_in_query,
            },
            verifier,
            brokerages,
            sessions,
        }
    }

    pub(super) fn limits(&self) -> ApiLimits {
        ApiLimits {
            requests: self.request_limits(),
            rates: self.rate_limits(),
            slow_bodies: SlowBodies::default(),
            quotas: self.config.quotas.clone(),
        }
    }

    pub(super) fn request_limits(&self) -> RequestLimits {
        let settings = &self.config.server;
        RequestLimits {
            head_timeout: Duration::from_secs(settings.head_timeout_seconds.into()),
            body_bytes: size(settings.body_bytes),
            body_timeout: Duration::from_secs(settings.body_timeout_seconds.into()),
            event_bytes: size(settings.event_bytes),
            page_bytes: size(settings.page_bytes),
        }
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

    pub(super) fn telemetry(&self) -> RequestTelemetry {
        RequestTelemetry {
            instance: Arc::clone(self.tasks.instance()),
            metrics: Arc::clone(&self.metrics),
            figures: self.figures.clone(),
            request_figures: self.request_figures(),
            tracer: self.tracer.clone(),
            refusals: self.line_limit("the log of refusals", RefusalKind::sum_up),
        }
    }

    fn request_figures(&self) -> RequestFigures {
        let figures = RequestFigures::new();
        self.metrics.read(figures.clone());
        figures
    }

    /// A limit of log lines, and the task that sums up the lines that were left out.
    pub(super) fn line_limit<K>(&self, name: &'static str, sum_up: fn(&K, u64)) -> Arc<LineLimit<K>>
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

    pub(super) fn health(&self, backplane: Arc<BackplaneState>) -> HealthServices {
        let settings = &self.config.server;
        let is_loopback = settings.addr().ip().is_loopback();
        HealthServices {
            database: DatabaseCheck::default(),
            backplane,
            metrics_access: MetricsAccess::new(settings.metrics_token.as_ref(), is_loopback),
        }
    }
}
