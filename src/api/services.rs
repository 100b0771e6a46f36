//! The services that handlers call.

use super::access::RefusalKind;
use super::database_check::DatabaseCheck;
use super::demo::DemoSignIn;
use super::metrics_access::MetricsAccess;
use super::rate_limits::RateLimits;
use super::request_figures::RequestFigures;
use super::slow_bodies::SlowBodies;
use super::token::TokenPlaces;
use crate::collab::Locks;
use crate::collab::Presence;
use crate::collab::{SignalNames, Signals};
use crate::directory::Brokerages;
use crate::directory::Modules;
use crate::directory::RecordAudiences;
use crate::fanout::Fanout;
use crate::identity::Verifier;
use crate::inbox::Activity;
use crate::inbox::notifications::Notifications;
use crate::log::{BackplaneState, Writer};
use crate::operations::Operations;
use crate::platform::Figures;
use crate::platform::LineLimit;
use crate::platform::Metrics;
use crate::platform::Tracer;
use crate::platform::{Pool, QuotaSettings};
use crate::records::Records;
use crate::sessions::Sessions;
use crate::stream::StreamServices;
use crate::tasks::Tasks;
use crate::tasks::Uploads;
use std::sync::Arc;
use std::time::Duration;

/// The limits of requests and answers.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// How long a head may take to arrive.
    pub head_timeout: Duration,
    pub body_bytes: usize,
    /// How long a JSON body may take to arrive.
    pub body_timeout: Duration,
    pub event_bytes: usize,
    pub page_bytes: usize,
}

pub struct Services {
    /// The name of this instance in the log.
    pub instance: Arc<str>,
    /// Whether the notices between instances arrive.
    pub backplane: Arc<BackplaneState>,
    pub pool: Pool,
    pub database_check: DatabaseCheck,
    pub verifier: Verifier,
    pub sessions: Sessions,
    /// Looks up the brokerage of a user whose token does not name it, if a query is configured.
    pub brokerages: Option<Brokerages>,
    pub token_places: TokenPlaces,
    pub writer: Writer,
    pub fanout: Arc<Fanout>,
    pub modules: Modules,
    pub record_audiences: RecordAudiences,
    pub presence: Presence,
    pub signals: Signals,
    pub signal_names: SignalNames,
    pub locks: Locks,
    pub tasks: Tasks,
    pub notifications: Notifications,
    pub activity: Activity,
    pub operations: Operations,
    pub streams: Arc<StreamServices>,
    pub metrics: Arc<Metrics>,
    /// Makes the spans of sampled requests.
    pub tracer: Tracer,
    pub figures: Figures,
    pub request_figures: RequestFigures,
    pub metrics_access: MetricsAccess,
    pub rate_limits: Arc<RateLimits>,
    pub slow_bodies: SlowBodies,
    pub refusals: Arc<LineLimit<RefusalKind>>,
    pub limits: RequestLimits,
    pub quotas: QuotaSettings,
    pub records: Arc<Records>,
    pub uploads: Uploads,
    /// In a demo that can make tokens.
    pub demo: Option<DemoSignIn>,
}
