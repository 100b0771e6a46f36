//! A network that can fail: between the service and its Postgres, or between clients and the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::cluster::{self, TestDatabase};

const BUFFER_BYTES: usize = 64 * 1_024;
/// A throttled connection passes on so many pieces in a second.
const PIECES_PER_SECOND: usize = 20;

/// What is behind a proxy.
#[derive(Clone, Debug)]
pub enum Backend {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// What the network does with the data of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    #[default]
    Free,
    /// Each piece of data takes so long.
    Delayed(Duration),
    /// At most so many bytes pass in a second, in each direction of each connection.
    Throttled(usize),
    /// New connections end at once.
    Refused,
}

/// The numbers of the last connections that were silenced and cut.
#[derive(Clone, Copy, Debug, Default)]
struct Fates {
    silent_upto: u64,
    cut_upto: u64,
}

struct Shared {
    backend: watch::Sender<Backend>,
    fates: watch::Sender<Fates>,
    flow: watch::Sender<Flow>,
    opened: watch::Sender<u64>,
}

/// A TCP proxy.
pub struct Proxy {
    url: String,
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A proxy to the Postgres of the tests that passes everything on.
    pub async fn before(database: &TestDatabase) -> Self {
        let mut proxy = Self::to(Backend::Unix(cluster::socket())).await;
        proxy.url = proxy.database_url(database.name());
        proxy
    }

    /// A proxy that passes everything on.
    pub async fn to(backend: Backend) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            backend: watch::Sender::new(backend),
            fates: watch::Sender::default(),
            flow: watch::Sender::default(),
            opened: watch::Sender::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Self {
            url: format!("http://{addr}"),
            addr,
            shared,
            accepting,
        }
    }

    /// The address of what is behind it, through it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of a database behind it.
    pub fn database_url(&self, name: &str) -> String {
        format!("postgres://postgres@{}/{name}?sslmode=disable", self.addr)
    }

    /// How many connections were made so far.
    pub fn opened(&self) -> u64 {
        *self.shared.opened.borrow()
    }

    /// All connections that are open now accept data from here on and never answer. What is behind
    /// does not learn of it either. New ones work.
    pub fn silence(&self) {
        let upto = self.opened();
        self.shared.fates.send_modify(|f| f.silent_upto = upto);
    }

    /// All connections that are open now end.
    pub fn cut(&self) {
        let upto = self.opened();
        self.shared.fates.send_modify(|f| f.cut_upto = upto);
    }

    /// New connections lead there.
    pub fn set_backend(&self, backend: Backend) {
        self.shared.backend.send_replace(backend);
    }

    /// Changes what happens to data from now on.
    pub fn set_flow(&self, flow: Flow) {
        self.shared.flow.send_replace(flow);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        if *shared.flow.borrow() == Flow::Refused {
            continue;
        }
        let _ = client.set_nodelay(true);
        // A backend that is down refuses at once.
        let backend = shared.backend.borrow().clone();
        match backend {
            Backend::Unix(path) => {
                if let Ok(server) = UnixStream::connect(path).await {
                    tokio::spawn(shared.connection().carry(client, server));
                }
            }
            Backend::Tcp(addr) => {
                if let Ok(server) = TcpStream::connect(addr).await {
                    let _ = server.set_nodelay(true);
                    tokio::spawn(shared.connection().carry(client, server));
                }
            }
        }
    }
}

impl Shared {
    fn connection(&self) -> ProxiedConnection {
        let mut number = 0;
        self.opened.send_modify(|n| {
            *n += 1;
            number = *n;
        });
        ProxiedConnection {
            number,
            fates: self.fates.subscribe(),
            flow: self.flow.subscribe(),
        }
    }
}

struct ProxiedConnection {
    number: u64,
    fates: watch::Receiver<Fates>,
    flow: watch::Receiver<Flow>,
}

impl ProxiedConnection {
    async fn carry(
        mut self,
        mut client: TcpStream,
        mut server: impl AsyncRead + AsyncWrite + Unpin,
    ) {
        let (mut cut, number) = (self.fates.clone(), self.number);
        let is_cut = async move {
            let fated = cut.wait_for(|fates| fates.cut_upto >= number).await;
            drop(fated);
        };
        let carried = async {
            let is_silent = self.fates.wait_for(|fates| fates.silent_upto >= number);
            let passed = {
                let (from_client, to_client) = client.split();
                let (from_server, to_server) = tokio::io::split(&mut server);
                tokio::select! {
                    biased;
                    _ = is_silent => false,
                    () = copy(from_client, to_server, &self.flow) => true,
                    () = copy(from_server, to_client, &self.flow) => true,
                }
            };
            if !passed {
                swallow(&mut client).await;
                // The server goes on waiting for a client whose data does not arrive.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = is_cut => {}
            () = carried => {}
        }
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    flow: &watch::Receiver<Flow>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let most = match *flow.borrow() {
            Flow::Throttled(bytes) => bytes.div_ceil(PIECES_PER_SECOND).min(BUFFER_BYTES),
            _ => BUFFER_BYTES,
        };
        let Ok(n @ 1..) = from.read(&mut buffer[..most]).await else {
            return;
        };
        let wait = match *flow.borrow() {
            Flow::Delayed(time) => time,
            Flow::Throttled(bytes) => transfer_time(n, bytes),
            Flow::Free | Flow::Refused => Duration::ZERO,
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

fn transfer_time(bytes: usize, bytes_per_second: usize) -> Duration {
    let microseconds = bytes * 1_000_000 / bytes_per_second.max(1);
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(u64::MAX))
}

/// Takes everything, and answers nothing.
async fn swallow(client: &mut TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(1..) = client.read(&mut buffer).await {}
}
