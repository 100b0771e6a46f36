//! The configuration: one struct of flags and environment variables per concern.

pub mod database;
pub mod demo;
pub mod identity;
pub mod log;
pub mod modules;
pub mod notifications;
pub mod presence;
pub mod server;
pub mod signals;
pub mod streams;
pub mod tasks;

use clap::Args;

/// Everything `porchlight serve` can be told.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where it listens.
    #[command(flatten)]
    pub server: server::ServerSettings,
    /// Where it keeps things.
    #[command(flatten)]
    pub database: database::DatabaseSettings,
    /// Whom it believes.
    #[command(flatten)]
    pub identity: identity::IdentityArgs,
    /// How long it remembers.
    #[command(flatten)]
    pub retention: log::RetentionSettings,
    /// How it talks.
    #[command(flatten)]
    pub streams: streams::StreamSettings,
    /// When somebody counts as here.
    #[command(flatten)]
    pub presence: presence::PresenceSettings,
    /// What it talks of.
    #[command(flatten)]
    pub modules: modules::ModuleSettings,
    /// What its users can signal.
    #[command(flatten)]
    pub signals: signals::SignalSettings,
    /// How long work may take.
    #[command(flatten)]
    pub tasks: tasks::TaskSettings,
    /// How long it keeps what people were told by name.
    #[command(flatten)]
    pub notifications: notifications::NotificationSettings,
    /// Whether there is something to see.
    #[command(flatten)]
    pub demo: demo::DemoSettings,
}
