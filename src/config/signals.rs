//! Which signals there are.

use clap::Args;

use crate::collab::SignalNames;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Signals")]
pub struct SignalSettings {
    /// Signals that users can give; each has another one that ends it, with `stopped_` before its name
    #[arg(
        long,
        env = "PORCHLIGHT_SIGNALS",
        value_name = "NAMES",
        default_value = "typing"
    )]
    pub signals: SignalNames,
}
