//! Serves: the worker threads, and the order of a stop.

use std::future::{Future, ready};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerHandle};
use actix_service::{
    Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Condition, from_fn};
use actix_web::web;
use futures_util::FutureExt;
use socket2::{Domain, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

use super::last_arrivals::{LastArrivals, Taken, give_turns};
use super::open_files::OpenFiles;
use super::watchdog::Watchdog;
use super::{AppError, Application, DRAIN_TIMEOUT};
use crate::api::Connection;
use crate::api::Origins;
use crate::api::Problem;
use crate::api::{Context, access, routes};
use crate::config::Config;
use crate::fanout::{CommitPriority, Dispatcher};
use crate::identity;
use crate::identity::{IdentitySettings, Secret};
use crate::platform::{BackgroundTask, DatabaseError};

const BACKLOG: i32 = 8_192;
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A fuller buffer is written before more is added. The writes of streams are small, so buffers stay
/// at their first size.
const WRITE_BUFFER_BYTES: usize = 1_024;
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

/// The listening socket. Connections inherit its options.
pub(super) fn listener(config: &Config) -> Result<TcpListener, AppError> {
    let addr = config.server.addr();
    let listen = || {
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
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|error| AppError::Listen(addr, error))
}

impl Application {
    /// Serves until `stop` completes. Then it stops in order: a `stream:closing` for each stream, no new
    /// connections, the requests, the background tasks, the database.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), AppError> {
        let (services, tasks) = (Arc::clone(&self.services), self.tasks.clone());
        let spread = self.config.streams.drain_spread();
        let manager = Arc::clone(&self.manager);
        let arrivals = Arc::new(LastArrivals::new(self.workers()));
        let mut server = std::pin::pin!(self.server(self.watchdog(), &arrivals)?);
        manager.tell_ready(self.addr()?);
        let handle: ServerHandle = server.handle();
        let outcome = tokio::select! {
            done = &mut server => done.map_err(AppError::from),
            ended = tasks.unexpected_end() => Err(AppError::PartEnded(ended)),
            () = self.database.gave_up() => Err(AppError::PartEnded("the embedded database")),
            () = stop => Ok(()),
        };
        tracing::info!("stopping");
        manager.tell_stopping();
        services.fanout.drain(spread);
        let stopping = arrivals.stop(&handle, self.listener);
        let _ =
            tokio::time::timeout(DRAIN_TIMEOUT * 2, async { tokio::join!(stopping, server) }).await;
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

    /// The number of worker threads.
    fn workers(&self) -> usize {
        match self.config.server.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => usize::from(n),
        }
    }

    /// Like `HttpServer` of actix-web, but with our own type of connection.
    fn server(
        &self,
        watchdog: Option<Arc<Watchdog>>,
        arrivals: &Arc<LastArrivals>,
    ) -> Result<Server, AppError> {
        let settings = &self.config.server;
        let head_timeout = Duration::from_secs(settings.head_timeout_seconds.into());
        let per_worker = usize::try_from(settings.connections_per_worker).unwrap_or(usize::MAX);
        let builder = Server::build()
            .workers(self.workers())
            .max_concurrent_connections(per_worker)
            .shutdown_timeout(DRAIN_TIMEOUT.as_secs())
            .disable_signals();
        let (services, origins, tasks) = (
            Arc::clone(&self.services),
            self.origins.clone(),
            self.tasks.clone(),
        );
        let files = Arc::new(OpenFiles::of_process(services.streams.clock.clone()));
        let arrivals = Arc::clone(arrivals);
        let stopping = builder.graceful_shutdown_signal();
        let builder = builder.listen("http", self.listener.try_clone()?, move || {
            let (services, stopping) = (Arc::clone(&services), stopping.clone());
            let health = Arc::clone(services.streams.log_handle.health());
            let writer = services.writer.clone();
            let mailbox = services.fanout.add_worker();
            let commits = CommitPriority::new(move || writer.is_busy());
            let dispatcher = Dispatcher::new(mailbox, health, commits);
            actix_web::rt::spawn(dispatcher.clone().run(tasks.stop_last()));
            let taken = Taken::default();
            actix_web::rt::spawn(Arc::clone(&arrivals).take(Rc::clone(&taken)));
            if let Some(watchdog) = &watchdog {
                actix_web::rt::spawn(Arc::clone(watchdog).beat());
            }
            let context = Context {
                services: Arc::clone(&services),
                dispatcher: Rc::clone(&dispatcher),
            };
            let http = HttpService::build()
                // Connections without a request end when the service stops, and have read what has arrived.
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move {
                        stopping.notified().await;
                        give_turns().await;
                    }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(head_timeout)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .h1_allow_half_closed(false)
                .h1_write_buffer_size(WRITE_BUFFER_BYTES)
                .on_connect_ext(|connection: &Connection, data| {
                    data.insert(Rc::clone(connection.parking()));
                })
                .finish(map_config(application(context, origins.clone()), |()| {
                    AppConfig::default()
                }));
            let files = Arc::clone(&files);
            let accept = move |socket: TcpStream| {
                files.check(&socket);
                taken.update(|taken| taken + 1);
                let peer = socket.peer_addr().ok();
                let connection = Connection::new(socket, Arc::clone(&services));
                ready(Ok::<_, DispatchError>((connection, Protocol::Http1, peer)))
            };
            held(fn_service(accept).and_then(http), dispatcher)
        })?;
        Ok(builder.run())
    }
}

/// The server counts its connections, and waits for them when it stops. It does not know the sockets
/// of parked streams, so one connection of each worker thread waits for them.
fn held<S>(
    connections: S,
    dispatcher: Rc<Dispatcher>,
) -> impl ServiceFactory<
    TcpStream,
    Config = (),
    Response = S::Response,
    Error = S::Error,
    InitError = S::InitError,
>
where
    S: ServiceFactory<TcpStream, Config = ()>,
{
    let held = move |socket: TcpStream, connections: &S::Service| {
        let dispatcher = Rc::clone(&dispatcher);
        connections.call(socket).then(async move |ended| {
            dispatcher.hold_for_parked().await;
            ended
        })
    };
    apply_fn_factory(connections, held)
}

/// The routes and the middleware.
fn application(
    context: Context,
    origins: Origins,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = Condition::new(origins.has_others(), origins.cors());
    actix_web::App::new()
        .app_data(context)
        .app_data(web::Data::new(origins))
        .app_data(
            web::PathConfig::default()
                .error_handler(|error, _| Problem::bad_parameter("path", error).into()),
        )
        .configure(routes::configure)
        .wrap(cors)
        .wrap(from_fn(access::around))
}
