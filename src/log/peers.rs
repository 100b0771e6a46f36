//! What instances tell each other, by LISTEN and NOTIFY: that logs have grown, that presence has
//! changed, which tasks have changed, and signals themselves. Nothing depends on being heard but speed (and signals, which
//! are over in seconds anyway). The CRM tells all of them when users change their brokerage.

pub mod listen;
pub mod notify;

/// The channel of hints that logs have grown.
pub const LOGS: &str = "porchlight";
/// The channel of hints that presence has changed.
pub const PRESENCE: &str = "porchlight_presence";
/// The channel of hints that tasks have changed. A payload that names none means all of them.
pub const TASKS: &str = "porchlight_tasks";
pub const SIGNALS: &str = "porchlight_signals";
/// The channel on which `porchlight.forget_broker` says whose brokerage is to be looked up again.
pub const BROKERS: &str = "porchlight_brokers";
