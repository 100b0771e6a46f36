//! The configuration: one struct of flags and environment variables per concern.

mod demo;
pub mod identity;
mod modules;
mod notifications;
mod presence;
mod records;
mod server;
mod signals;
mod tasks;
mod worker;

pub use identity::IdentityArgs;

use clap::Args;

use crate::log::RetentionSettings;
use crate::platform::DatabaseSettings;
use crate::stream::StreamSettings;

/// Everything `porchlight serve` can be told.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where it listens.
    #[command(flatten)]
    pub server: server::ServerSettings,
    /// Where it keeps things.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Whom it believes.
    #[command(flatten)]
    pub identity: identity::IdentityArgs,
    /// How long it remembers.
    #[command(flatten)]
    pub retention: RetentionSettings,
    /// How it talks.
    #[command(flatten)]
    pub streams: StreamSettings,
    /// When somebody counts as here.
    #[command(flatten)]
    pub presence: presence::PresenceSettings,
    /// What it talks of.
    #[command(flatten)]
    pub modules: modules::ModuleSettings,
    /// Which records it keeps.
    #[command(flatten)]
    pub records: records::RecordSettings,
    /// What its users can signal.
    #[command(flatten)]
    pub signals: signals::SignalSettings,
    /// How long work may take.
    #[command(flatten)]
    pub tasks: tasks::TaskSettings,
    /// How long it keeps what people were told by name.
    #[command(flatten)]
    pub notifications: notifications::NotificationSettings,
    /// What it does itself.
    #[command(flatten)]
    pub worker: worker::WorkerSettings,
    /// Whether there is something to see.
    #[command(flatten)]
    pub demo: demo::DemoSettings,
}

impl Config {
    /// Whether serving includes working: as asked, and else where nobody else could.
    #[must_use]
    pub fn has_worker(&self) -> bool {
        let is_alone = self.demo.demo || self.database.database_url.is_none();
        self.worker.with_worker.unwrap_or(is_alone)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn a_service_works_itself_if_it_is_told_to_or_is_alone() {
        let has_worker = |flags: &[&str]| {
            let flags = ["porchlight"].iter().chain(flags);
            Flags::parse_from(flags).config.has_worker()
        };
        let url = "--database-url=postgres://localhost/crm";
        assert!(!has_worker(&[url]) && !has_worker(&["--with-worker=false"]));
        assert!(has_worker(&[url, "--demo"]) && !has_worker(&["--demo", "--with-worker=false"]));
        assert!(has_worker(&[url, "--with-worker"]) && has_worker(&[url, "--with-worker=true"]));
    }
}
