//! Notices between instances, by LISTEN and NOTIFY: logs that have grown, changes of presence,
//! changed tasks, revoked sessions, and signals. A lost notice only costs time. A lost signal is acceptable, because
//! signals last only seconds. The CRM sends a notice when a user changes the brokerage.

pub mod listen;
pub mod notify;

pub const LOGS: &str = "porchlight";
pub const PRESENCE: &str = "porchlight_presence";
/// A payload without a task means all tasks.
pub const TASKS: &str = "porchlight_tasks";
/// Something was revoked, or a stream of another instance gets a fresh token.
pub const SESSIONS: &str = "porchlight_sessions";
pub const SIGNALS: &str = "porchlight_signals";
/// `porchlight.forget_broker` sends here which user's brokerage must be looked up again.
pub const BROKERS: &str = "porchlight_brokers";
