//! The records that are kept here.

use clap::Args;

use crate::records::IdRule;

/// The records that are kept here.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Records")]
pub struct RecordSettings {
    /// Which ids agents may choose for new records: `uuid` (random UUIDs), or `any`, which lets them find
    /// out by trying whether another team has a record of an id. Admins and services choose any
    #[arg(long, env = "PORCHLIGHT_RECORD_IDS", value_name = "RULE", default_value_t = IdRule::Uuid)]
    pub record_ids: IdRule,
}
