//! The services that handlers call.

use std::sync::Arc;
use std::time::Duration;

use super::access::RefusalKind;
use super::database_check::DatabaseCheck;
use super::demo::DemoSignIn;
use super::metrics_access::MetricsAccess;
use super::rate_limits::RateLimits;
use super::request_figures::RequestFigures;
use super::slow_bodies::SlowBodies;
use super::token::TokenPlaces;
use crate::collab::{Locks, Presence, SignalNames, Signals};
use crate::directory::{Brokerages, Modules, RecordAudiences};
use crate::fanout::Fanout;
use crate::identity::Verifier;
use crate::inbox::Activity;
use crate::inbox::notifications::Notifications;
use crate::log::{BackplaneState, Writer};
use crate::operations::Operations;
use crate::platform::{Figures, LineLimit, Metrics, Pool, QuotaSettings, Tracer};
use crate::records::Records;
use crate::sessions::Sessions;
use crate::stream::StreamServices;
use crate::tasks::{Tasks, Uploads};

/// First what every request needs before its handler and around it, then what handlers call, by the modules at the top
/// of `src`. The groups are values, so that it costs nothing to reach into them.
pub struct Services {
    pub callers: CallerServices,
    pub limits: ApiLimits,
    pub telemetry: RequestTelemetry,
    pub health: HealthServices,
    pub pool: Pool,
    pub writer: Writer,
    pub fanout: Arc<Fanout>,
    pub streams: Arc<StreamServices>,
    pub directory: DirectoryServices,
    pub collab: CollabServices,
    pub records: Arc<Records>,
    pub tasks: Tasks,
    pub uploads: Uploads,
    pub inbox: InboxServices,
    pub operations: Operations,
    /// In a demo that can make tokens.
    pub demo: Option<DemoSignIn>,
}

/// What finds the caller of a request.
pub struct CallerServices {
    pub token_places: TokenPlaces,
    pub verifier: Verifier,
    /// Looks up the brokerage of a user whose token does not name it, if a query is configured.
    pub brokerages: Option<Brokerages>,
    /// Knows what was revoked, and finds the callers of tickets.
    pub sessions: Sessions,
}

/// How much callers may send and have.
pub struct ApiLimits {
    pub requests: RequestLimits,
    pub rates: Arc<RateLimits>,
    pub slow_bodies: SlowBodies,
    pub quotas: QuotaSettings,
}

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

/// Counts, traces and logs requests.
pub struct RequestTelemetry {
    /// The name of this instance in the log.
    pub instance: Arc<str>,
    pub metrics: Arc<Metrics>,
    /// What brokerages do.
    pub figures: Figures,
    pub request_figures: RequestFigures,
    /// Makes the spans of sampled requests.
    pub tracer: Tracer,
    /// Limits the log lines about refusals.
    pub refusals: Arc<LineLimit<RefusalKind>>,
}

/// What probes and collectors of metrics ask.
pub struct HealthServices {
    pub database: DatabaseCheck,
    /// Whether the notices between instances arrive.
    pub backplane: Arc<BackplaneState>,
    pub metrics_access: MetricsAccess,
}

pub struct DirectoryServices {
    pub modules: Modules,
    pub record_audiences: RecordAudiences,
}

pub struct CollabServices {
    pub presence: Presence,
    pub signals: Signals,
    pub signal_names: SignalNames,
    pub locks: Locks,
}

pub struct InboxServices {
    pub notifications: Notifications,
    pub activity: Activity,
}
