//! The demo.

use clap::Args;
use clap::builder::BoolishValueParser;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Demo")]
pub struct DemoSettings {
    /// Create an example brokerage in the broker acme, unless it has records, and serve
    #[arg(long, env = "PORCHLIGHT_DEMO", value_parser = BoolishValueParser::new())]
    pub demo: bool,
}
