//! Rules for the records in our own tables.

use clap::Args;

use crate::records::IdRule;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Records")]
pub struct RecordSettings {
    /// Ids that agents may choose for new records: `uuid` (random UUIDs) or `any`. With `any`,
    /// agents can find out by trying whether another team has a record with an id. Admins and
    /// services may choose any id
    #[arg(long, env = "PORCHLIGHT_RECORD_IDS", value_name = "RULE", default_value_t = IdRule::Uuid)]
    pub record_ids: IdRule,
}
