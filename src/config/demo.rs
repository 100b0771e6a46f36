//! Whether there is something to see from the start.

use clap::Args;
use clap::builder::BoolishValueParser;

/// Whether there is something to see from the start.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Demo")]
pub struct DemoSettings {
    /// Fill the broker acme with an example brokerage, unless it has records, and serve
    #[arg(long, env = "PORCHLIGHT_DEMO", value_parser = BoolishValueParser::new())]
    pub demo: bool,
}
