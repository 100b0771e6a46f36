//! Which modules the CRM has.

use clap::Args;

use crate::modules::Modules;

/// Which modules the CRM has.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Modules")]
pub struct ModuleSettings {
    /// Modules whose records can be locked and viewed, each with what one of its records is called
    #[arg(
        long,
        env = "PORCHLIGHT_MODULES",
        value_name = "MODULES",
        default_value = "escrows=escrow,listings=listing,clients=client,appointments=appointment,leads=lead"
    )]
    pub modules: Modules,
}
