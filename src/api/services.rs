//! What handlers work with.

use super::access::RefusalKind;
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
use crate::log::Writer;
use crate::platform::LineLimit;
use crate::platform::Metrics;
use crate::platform::Pool;
use crate::records::Records;
use crate::stream::StreamServices;
use crate::tasks::Tasks;
use crate::tasks::Uploads;
use std::sync::Arc;

/// Limits that handlers hold requests to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "all of them limit bytes so far")]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of an event.
    pub event_bytes: usize,
    /// Bytes of a page of a list.
    pub page_bytes: usize,
}

pub struct Services {
    pub pool: Pool,
    pub verifier: Verifier,
    /// Where callers belong whose tokens do not say it, if that is to be looked up.
    pub brokerages: Option<Brokerages>,
    /// The cookie a token may come in.
    pub token_cookie: String,
    pub writer: Writer,
    pub fanout: Arc<Fanout>,
    pub modules: Modules,
    pub record_audiences: RecordAudiences,
    pub presence: Presence,
    /// What users are just doing.
    pub signals: Signals,
    pub signal_names: SignalNames,
    /// Who is at work on them.
    pub locks: Locks,
    /// What is asked for and done.
    pub tasks: Tasks,
    /// What people are told by name.
    pub notifications: Notifications,
    pub activity: Activity,
    /// What streams need.
    pub streams: Arc<StreamServices>,
    pub metrics: Arc<Metrics>,
    /// Decides which refusals are logged.
    pub refusals: Arc<LineLimit<RefusalKind>>,
    pub limits: Limits,
    /// The records of those who have no tables of their own.
    pub records: Arc<Records>,
    /// The files that users have sent.
    pub uploads: Uploads,
}
