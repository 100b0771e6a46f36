//! Runs the commands.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::signal::unix::{SignalKind, signal};

use super::{TokenCommand, service_manager, unknown_settings, welcome};
use crate::app;
use crate::app::{AppError, Application, Environment, WorkerApplication};
use crate::config::Config;
use crate::identity::{Secret, development_secret};
use crate::platform::Database;
use crate::platform::DatabaseSettings;
use crate::platform::telemetry;
use crate::platform::telemetry::progress;
use crate::platform::{Clock, Dice};

/// The exit code after a second signal: 128 plus the number of the signal, as in shells.
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

/// All background tasks share this thread: they pass work to each other all the time, and that costs
/// little within a thread. Connections have threads of their own, unless one thread serves them all.
pub(super) fn runtime() -> std::io::Result<LocalRuntime> {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().build_local(LocalOptions::default())
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

/// Runs a command until it is done, or until a signal ends it.
pub(super) fn run_until_stopped<T>(
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let runtime = runtime().map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let stop = stop_signal().map_err(|error| error.to_string())?;
        tokio::select! {
            done = work => done,
            () = stop => Err("it was stopped".to_owned()),
        }
    })
}

pub(super) fn serve(config: Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.server.log, config.server.log_format) {
        return fail(&error);
    }
    unknown_settings::warn();
    allow_many_files();
    use_small_pages();
    block_on(async {
        // From the first moment, so that a signal during the start stops the service too.
        let stop = stop_signal().map_err(|error| error.to_string())?;
        let mut stop = std::pin::pin!(stop);
        let built = tokio::select! {
            built = Application::build(config, Environment::system()) => built,
            () = &mut stop => return Ok(()),
        };
        let application = built.map_err(|error| error.to_string())?;
        let application = application.with_manager(service_manager::from_environment());
        let addr = application.addr().map_err(|error| error.to_string())?;
        telemetry::log_address(addr);
        if let Some(signer) = application.development_signer()
            && std::io::stdout().is_terminal()
            && let Ok(text) = welcome::text(signer, addr, application.demo(), &Clock::system())
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
    unknown_settings::warn();
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

/// Each stream is an open file. This raises the limit as far as the system allows.
fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A lower limit still works.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

/// The buffers of a connection are mostly empty. With huge pages the empty part would use memory too,
/// 8 KiB for each stream.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages could not be disabled");
    }
}

/// Ends at the first SIGTERM or SIGINT. A second one ends the process at once.
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let either = async |t: &mut tokio::signal::unix::Signal,
                            i: &mut tokio::signal::unix::Signal| {
            tokio::select! { _ = t.recv() => {}, _ = i.recv() => {} }
        };
        either(&mut terminate, &mut interrupt).await;
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            std::process::exit(EXIT_AT_ONCE);
        });
    })
}

pub(super) fn migrate(config: &Config) -> ExitCode {
    if let Err(error) = telemetry::start(&config.server.log, config.server.log_format) {
        return fail(&error);
    }
    block_on(async {
        let open = Database::open(&config.database, &config.quotas);
        let open = progress::during("opening the database", open).await;
        let database = open.map_err(AppError::from)?;
        let migrated = progress::during("migrating the database", app::prepare(&database)).await;
        database.close().await;
        migrated
    })
}

/// The secret in the data directory, which a service without `JWT_SECRET` uses. Makes one if there is
/// none.
pub(super) fn stored_secret(database: &DatabaseSettings) -> Result<Secret, String> {
    let data_dir = database.data_dir().map_err(|error| error.to_string())?;
    development_secret(&data_dir).map_err(|error| error.to_string())
}

pub(super) fn token(command: &TokenCommand) -> ExitCode {
    let mut settings = command.identity.settings();
    // A service with public keys only does not know the development secret.
    if !settings.has_keys() {
        match stored_secret(&command.database) {
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
