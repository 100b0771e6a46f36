//! Notices between instances, by LISTEN and NOTIFY: logs that have grown, changes of presence,
//! changed tasks, and signals. A lost notice only costs time. A lost signal is acceptable, because
//! signals last only seconds. The CRM sends a notice when a user changes the brokerage.

pub mod listen;
pub mod notify;

pub const LOGS: &str = "porchlight";
pub const PRESENCE: &str = "porchlight_presence";
/// A payload without a task means all tasks.
pub const TASKS: &str = "porchlight_tasks";
pub const SIGNALS: &str = "porchlight_signals";
/// `porchlight.forget_broker` sends here which user's brokerage must be looked up again.
pub const BROKERS: &str = "porchlight_brokers";
