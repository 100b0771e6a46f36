//! The commands of the `porchlight` binary.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

mod backup;
mod bench;
mod new_epochs;
mod psql;
mod restore;
mod run;
mod seed;
mod service_manager;
mod shell;
mod tail;
mod token;
mod unknown_settings;
mod usage_error;
mod welcome;

/// The real-time layer of a CRM: Server-Sent Events that survive any disconnect, over a
/// log in Postgres.
#[derive(Parser, Debug)]
#[command(name = "porchlight", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Every flag can be given as the environment variable beside it, \
    or in a file .env in the working directory. See https://github.com/porchlight-dev/porchlight"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Config,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve (what happens without a command)
    Serve(Box<Config>),
    /// Print a token for tests, signed with `JWT_SECRET`
    Token(Box<TokenCommand>),
    /// Run the built-in worker (imports) in a process of its own
    Worker(Box<Config>),
    /// Migrate the database and stop
    Migrate(Box<Config>),
    /// Create an example brokerage in a broker without records, and print lines for a shell that set URL,
    /// TOKEN and more: eval "$(porchlight seed)"
    Seed(Box<seed::SeedCommand>),
    /// Open psql on the database, also on the embedded one: porchlight psql -c 'select 1'
    Psql(psql::PsqlCommand),
    /// Write the embedded database to a file, while the service runs or not
    Backup(backup::BackupCommand),
    /// Load a backup into the data directory of the embedded database, while the service is stopped
    Restore(restore::RestoreCommand),
    /// After a database was set back, for example to a snapshot of its disk: clients with cursors from before get a
    /// reset
    NewEpochs(new_epochs::NewEpochsCommand),
    /// Print the `OpenAPI` description as JSON
    Openapi,
    /// Follow a stream of a local or remote service, one line for each event
    Tail(Box<tail::TailCommand>),
    /// Load a running server and measure it
    Bench(Box<bench::BenchCommand>),
}

#[derive(clap::Args, Debug)]
struct TokenCommand {
    #[command(flatten)]
    token: token::TokenArgs,
    #[command(flatten)]
    identity: crate::config::IdentityArgs,
    #[command(flatten)]
    database: crate::platform::DatabaseSettings,
}

/// Runs the command of the command line.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = env_file::load(Path::new(".env")) {
        return run::fail(&error.to_string());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage_error::print(&error),
    };
    match cli.command {
        None => run::serve(cli.serve),
        Some(Command::Serve(config)) => run::serve(*config),
        Some(Command::Token(command)) => run::token(&command),
        Some(Command::Worker(config)) => run::work(&config),
        Some(Command::Migrate(config)) => run::migrate(&config),
        Some(Command::Seed(command)) => seed::run(&command),
        Some(Command::Psql(command)) => psql::run(&command),
        Some(Command::Backup(command)) => backup::run(&command),
        Some(Command::Restore(command)) => restore::run(&command),
        Some(Command::NewEpochs(command)) => new_epochs::run(&command),
        Some(Command::Openapi) => run::print(&crate::api::DOCUMENT.to_string()),
        Some(Command::Tail(command)) => tail::run(&command),
        Some(Command::Bench(command)) => bench::run(*command),
    }
}
