//! The names of signals.

use clap::Args;

use crate::collab::SignalNames;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Signals")]
pub struct SignalSettings {
    /// Signals that users can send. Each can be ended by another one, named `stopped_` and its name
    #[arg(
        long,
        env = "PORCHLIGHT_SIGNALS",
        value_name = "NAMES",
        default_value = "typing"
    )]
    pub signals: SignalNames,
}
