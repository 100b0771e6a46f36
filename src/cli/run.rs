//! Running the commands.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::{TokenCommand, welcome};
use crate::app;
use crate::app::{AppError, Application, Environment, WorkerApplication};
use crate::config::Config;
use crate::identity::{Secret, development_secret};
use crate::platform::Database;
use crate::platform::DatabaseSettings;
use crate::platform::telemetry;
use crate::platform::telemetry::progress;
use crate::platform::{Clock, Dice};

/// Exit code after a second signal: 128 and the signal's number, as shells have it.
const EXIT_AT_ONCE: i32 = 130;

pub(super) fn fail(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "porchlight: {message}");
    ExitCode::FAILURE
}

pub(super) fn print(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The service's own tasks share this thread: they hand work to each other all the time,
/// and a hand-over within a thread costs nothing. Connections have threads of their own.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

pub(super) fn block_on<E: std::fmt::Display>(
    work: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    let done = match runtime() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

pub(super) fn serve(config: Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.server.log, config.server.log_format) {
        return fail(&error);
    }
    allow_many_files();
    use_small_pages();
    block_on(async {
        // Heard from the first moment: a signal during start stops too.
        let stop = stop_signal().map_err(|error| error.to_string())?;
        let mut stop = std::pin::pin!(stop);
        let built = tokio::select! {
            built = Application::build(config, Environment::system()) => built,
            () = &mut stop => return Ok(()),
        };
        let application = built.map_err(|error| error.to_string())?;
        let addr = application.addr().map_err(|error| error.to_string())?;
        telemetry::announce(addr);
        if let Some(secret) = application.development_secret()
            && std::io::stdout().is_terminal()
            && let Ok(text) = welcome::text(secret, addr, (application.demo(), &Clock::system()))
        {
            print(&text);
        }
        application
            .run(stop)
            .await
            .map_err(|error| error.to_string())
    })
}

pub(super) fn work(config: &Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.server.log, config.server.log_format) {
        return fail(&error);
    }
    block_on(async {
        let stop = stop_signal().map_err(|error| error.to_string())?;
        let mut stop = std::pin::pin!(stop);
        let environment = Environment::system();
        let built = tokio::select! {
            built = WorkerApplication::build(config, &environment) => built,
            () = &mut stop => return Ok(()),
        };
        let application = built.map_err(|error| error.to_string())?;
        let ended = application.run(stop).await;
        ended.map_err(|error| error.to_string())
    })
}

/// Each stream is an open file: take as many as the system allows.
fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Less than hoped for is still what there is.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// A connection's buffers are mostly empty: with huge pages the empty part would be
/// memory too, 8 KiB of it per stream.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages stay as they are");
    }
}

/// Done at the first SIGTERM or SIGINT; a second one ends the process at once.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let first = async |t: &mut tokio::signal::unix::Signal,
                           i: &mut tokio::signal::unix::Signal| {
            tokio::select! { _ = t.recv() => {}, _ = i.recv() => {} }
        };
        first(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            first(&mut terminate, &mut interrupt).await;
            std::process::exit(EXIT_AT_ONCE);
        });
    })
}

pub(super) fn migrate(config: &Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.server.log, config.server.log_format) {
        return fail(&error);
    }
    block_on(async {
        let open = Database::open(&config.database);
        let open = progress::during("opening the database", open).await;
        let database = open.map_err(AppError::from)?;
        let migrated = progress::during("migrating the database", app::prepare(&database)).await;
        database.close().await;
        migrated
    })
}

/// The secret that a service without `JWT_SECRET` has made, or will use.
pub(super) fn kept_secret(database: &DatabaseSettings) -> Result<Secret, String> {
    let data_dir = database.data_dir().map_err(|error| error.to_string())?;
    development_secret(&data_dir).map_err(|error| error.to_string())
}

pub(super) fn token(command: &TokenCommand) -> ExitCode {
    let mut settings = command.identity.settings();
    if settings.secret.is_none() {
        match kept_secret(&command.database) {
            Ok(secret) => settings.secret = Some(secret),
            Err(error) => return fail(&error),
        }
    }
    match command
        .token
        .token(&settings, &Clock::system(), &Dice::system())
    {
        Ok(token) => print(&token),
        Err(error) => fail(&error.to_string()),
    }
}
