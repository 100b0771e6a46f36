//! What a worker does: HTTP on its connections, and the streams that they become.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, Protocol};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Condition, from_fn};
use actix_web::web;
use tokio::task::{JoinHandle, spawn_local, yield_now};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::acceptor::{Accepted, Acceptor, BACKLOG};
use crate::api::{Connection, Context, Origins, Problem, Services, access, routes};
use crate::app::DRAIN_TIMEOUT;
use crate::app::watchdog::Watchdog;
use crate::fanout::{CommitPriority, Dispatcher};

const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How often a worker that is full looks whether it has room.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// A fuller buffer is written before more is added. The writes of streams are small, so buffers stay
/// at their first size.
const WRITE_BUFFER_BYTES: usize = 1_024;

/// What actix-http takes.
type Arrival = (Connection, Protocol, Option<SocketAddr>);

/// What each worker needs.
#[derive(Clone)]
pub(in crate::app) struct Http {
    pub(in crate::app) services: Arc<Services>,
    pub(in crate::app) origins: Origins,
    pub(in crate::app) watchdog: Option<Arc<Watchdog>>,
    pub(in crate::app) most_connections: usize,
    /// Connections that have come are accepted then, and no others.
    pub(in crate::app) closing: CancellationToken,
    /// Connections without a request end then, when they have read what has arrived.
    pub(in crate::app) stopping: CancellationToken,
    /// Streams that are left end then.
    pub(in crate::app) stop_last: CancellationToken,
}

impl Http {
    /// Serves connections on this thread: those that come before `closing`, until they end. Ends earlier when nobody would
    /// serve their streams.
    pub(super) async fn work(self, acceptor: Arc<Acceptor>) {
        let dispatcher = self.dispatcher();
        let delivery = spawn_local(Rc::clone(&dispatcher).run(self.stop_last.clone()));
        if let Some(watchdog) = &self.watchdog {
            spawn_local(Arc::clone(watchdog).beat());
        }
        tokio::select! {
            () = self.serve(acceptor, &dispatcher) => {}
            () = unexpected_end(delivery, &self.stop_last) => tracing::error!("the dispatcher of a worker has ended"),
        }
    }

    async fn serve(&self, acceptor: Arc<Acceptor>, dispatcher: &Rc<Dispatcher>) {
        let Ok(http) = self.service(dispatcher).new_service(()).await else {
            return;
        };
        let open = TaskTracker::new();
        let serve = |Accepted { socket, peer }| {
            let connection = Connection::new(socket, Arc::clone(&self.services));
            open.spawn_local(http.call((connection, Protocol::Http1, Some(peer))));
        };
        while let Some(accepted) = self.accept(&acceptor, &open).await {
            serve(accepted);
        }
        std::iter::from_fn(|| acceptor.accept_now())
            .take(BACKLOG.into())
            .for_each(serve);
        drop(acceptor);
        drain(&open, dispatcher).await;
    }

    /// The next connection, if there is room for it; `None` after `closing`.
    async fn accept(&self, acceptor: &Acceptor, open: &TaskTracker) -> Option<Accepted> {
        let accept = async {
            while open.len() >= self.most_connections {
                tokio::time::sleep(FULL_PAUSE).await;
            }
            acceptor.accept().await
        };
        tokio::select! {
            () = self.closing.cancelled() => None,
            accepted = accept => Some(accepted),
        }
    }

    fn dispatcher(&self) -> Rc<Dispatcher> {
        let health = Arc::clone(self.services.streams.log_handle.health());
        let writer = self.services.writer.clone();
        let mailbox = self.services.fanout.add_worker();
        let commits = CommitPriority::new(move || writer.is_busy());
        Dispatcher::new(mailbox, health, commits)
    }

    /// Like `HttpServer` of actix-web, but with our own type of connection.
    fn service(
        &self,
        dispatcher: &Rc<Dispatcher>,
    ) -> impl ServiceFactory<
        Arrival,
        Config = (),
        InitError = (),
        Service: Service<Arrival, Future: 'static>,
    > + use<> {
        let context = Context {
            services: Arc::clone(&self.services),
            dispatcher: Rc::clone(dispatcher),
        };
        let stopping = self.stopping.clone();
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move {
                    stopping.cancelled().await;
                    give_turns().await;
                }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(self.services.limits.requests.head_timeout)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .h1_allow_half_closed(false)
            .h1_write_buffer_size(WRITE_BUFFER_BYTES)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(Rc::clone(connection.parking()));
            })
            .finish(map_config(
                application(context, self.origins.clone()),
                |()| AppConfig::default(),
            ))
    }
}

/// Waits for the end of a task that ends before it is told to, by a panic.
async fn unexpected_end(task: JoinHandle<()>, stop: &CancellationToken) {
    let _ = task.await;
    if stop.is_cancelled() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the end of all connections, and of the streams that have left them.
async fn drain(open: &TaskTracker, dispatcher: &Dispatcher) {
    open.close();
    let ended = async {
        open.wait().await;
        dispatcher.until_none_parked().await;
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, ended).await.is_err() {
        tracing::info!(left = open.len(), "connections did not end in time");
    }
}

/// All other tasks of the thread have two turns. Between them, the thread looks for what has arrived at its sockets.
async fn give_turns() {
    for _ in 0..2 {
        yield_now().await;
    }
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
