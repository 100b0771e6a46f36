//! Serves: what must be there before, the listening socket, and the order of a stop.

use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};
use tokio_util::sync::CancellationToken;

use super::server::{BACKLOG, Http, Server};
use super::watchdog::Watchdog;
use super::{AppError, Application};
use crate::config::Config;
use crate::identity;
use crate::identity::{IdentitySettings, Secret};
use crate::platform::{BackgroundTask, Database, DatabaseError};

/// Probes notice within a minute that the peer of an idle connection has vanished.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Refuses to serve others than this machine without the checks of `iss` and `aud`.
pub(super) fn require_token_checks(config: &Config) -> Result<(), AppError> {
    let addr = config.server.addr();
    match config.identity.missing_check() {
        None => Ok(()),
        Some(setting) if addr.ip().is_loopback() => {
            tracing::warn!(
                setting,
                "not set: tokens that were made for other services are accepted"
            );
            Ok(())
        }
        Some(setting) => Err(AppError::NoTokenCheck { setting, addr }),
    }
}

/// The development secret, if there is no key. Only for a loopback address.
pub(super) fn development_secret(
    config: &Config,
    identity: &IdentitySettings,
) -> Result<Option<Secret>, AppError> {
    if identity.has_keys() {
        return Ok(None);
    }
    let addr = config.server.addr();
    if !addr.ip().is_loopback() {
        return Err(AppError::NoKeys(addr));
    }
    let data_dir = config
        .database
        .data_dir()
        .map_err(DatabaseError::Embedded)?;
    if let Err(error) = std::fs::create_dir_all(&data_dir) {
        return Err(AppError::DataDir {
            path: data_dir,
            error,
        });
    }
    let secret = identity::development_secret(&data_dir)?;
    tracing::warn!(
        data_dir = %data_dir.display(),
        "no JWT_SECRET: tokens are signed with a development secret kept in the data directory"
    );
    Ok(Some(secret))
}

/// Notices do not pass a pooler in transaction mode.
pub(super) fn warn_of_pooler(config: &Config, database: &Database) -> Result<(), AppError> {
    if database.is_pooled() && config.backplane.redis()?.is_none() {
        tracing::warn!(
            "a pooler in transaction mode is in front of the database, so that instances find each other's \
             events by polling: set PORCHLIGHT_BACKPLANE"
        );
    }
    Ok(())
}

/// The socket, which has its address and does not listen yet: an address that cannot be used shows before anything else
/// happens. Connections inherit its options.
pub(super) fn bind(config: &Config) -> Result<Socket, AppError> {
    let addr = config.server.addr();
    let bind = || {
        let socket = Socket::new(
            Domain::for_address(addr),
            Type::STREAM,
            Some(socket2::Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE);
        socket.set_tcp_keepalive(&keepalive.with_interval(KEEPALIVE_INTERVAL))?;
        // A peer that acknowledges nothing for this time has vanished or does not read.
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(config.streams.write_timeout()))?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&addr.into())?;
        Ok(socket)
    };
    bind().map_err(|error| AppError::Listen(addr, error))
}

/// From now on the system accepts connections. Before, they are refused, so that a balancer sends clients elsewhere.
pub(super) fn listen(socket: Socket, config: &Config) -> Result<TcpListener, AppError> {
    let listening = socket.listen(BACKLOG.into());
    listening.map_err(|error| AppError::Listen(config.server.addr(), error))?;
    Ok(socket.into())
}

impl Application {
    /// Serves until `stop` completes. Then it stops in order: a `stream:closing` for each stream, no new
    /// connections, the requests, the background tasks, the database.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let (services, tasks) = (Arc::clone(&self.services), self.tasks.clone());
        let spread = self.config.streams.drain_spread();
        let manager = Arc::clone(&self.manager);
        let http = self.http();
        let workers = self.config.server.workers();
        let addr = self.addr()?;
        let server = Server::start(self.listener, &http, workers)?;
        manager.tell_ready(addr);
        let outcome = tokio::select! {
            error = server.unexpected_end() => Err(error),
            ended = tasks.unexpected_end() => Err(AppError::PartEnded(ended)),
            () = self.database.gave_up() => Err(AppError::PartEnded("the embedded database")),
            () = stop => Ok(()),
        };
        tracing::info!("stopping");
        manager.tell_stopping();
        services.fanout.drain(spread);
        server.stop().await;
        tasks.stop().await;
        self.database.close().await;
        tracing::info!("stopped");
        outcome
    }

    /// Only for a service manager that waits for signs of life.
    fn watchdog(&self) -> Option<Arc<Watchdog>> {
        let watchdog = Arc::new(Watchdog::new(self.manager.watchdog()?));
        let (manager, stop) = (Arc::clone(&self.manager), self.tasks.stop_last());
        let watch = Arc::clone(&watchdog).watch(manager, stop);
        self.tasks.spawn(BackgroundTask::new("the watchdog", watch));
        Some(watchdog)
    }

    fn http(&self) -> Http {
        let settings = &self.config.server;
        Http {
            services: Arc::clone(&self.services),
            origins: self.origins.clone(),
            watchdog: self.watchdog(),
            most_connections: usize::try_from(settings.connections_per_worker)
                .unwrap_or(usize::MAX),
            closing: CancellationToken::new(),
            stopping: CancellationToken::new(),
            stop_last: self.tasks.stop_last(),
        }
    }
}
