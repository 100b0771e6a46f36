//! A network between the service and its Postgres that can fail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::cluster::{self, TestDatabase};

const BUFFER_BYTES: usize = 64 * 1_024;

/// The numbers of the last connections that were silenced and cut.
#[derive(Clone, Copy, Debug, Default)]
struct Fates {
    silent_upto: u64,
    cut_upto: u64,
}

struct Shared {
    fates: watch::Sender<Fates>,
    opened: watch::Sender<u64>,
}

/// A TCP proxy to the Postgres of the tests.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A proxy that passes everything on.
    pub async fn before(database: &TestDatabase) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            fates: watch::Sender::default(),
            opened: watch::Sender::default(),
        });
        let accepting = accept(listener, cluster::socket(), Arc::clone(&shared));
        let accepting = tokio::spawn(accepting).abort_handle();
        Self {
            url: url(addr, database.name()),
            shared,
            accepting,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many connections were made so far.
    pub fn opened(&self) -> u64 {
        *self.shared.opened.borrow()
    }

    /// All connections that are open now accept data from here on and never answer. The
    /// database does not learn of it either. New ones work.
    pub fn silence(&self) {
        let upto = self.opened();
        self.shared.fates.send_modify(|f| f.silent_upto = upto);
    }

    /// All connections that are open now end.
    pub fn cut(&self) {
        let upto = self.opened();
        self.shared.fates.send_modify(|f| f.cut_upto = upto);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

fn url(addr: SocketAddr, database: &str) -> String {
    format!("postgres://postgres@{addr}/{database}?sslmode=disable")
}

async fn accept(listener: TcpListener, socket: PathBuf, shared: Arc<Shared>) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        let Ok(server) = UnixStream::connect(&socket).await else {
            continue;
        };
        let mut number = 0;
        shared.opened.send_modify(|n| {
            *n += 1;
            number = *n;
        });
        let line = ProxiedConnection {
            number,
            fates: shared.fates.subscribe(),
        };
        tokio::spawn(line.carry(client, server));
    }
}

struct ProxiedConnection {
    number: u64,
    fates: watch::Receiver<Fates>,
}

impl ProxiedConnection {
    async fn carry(mut self, mut client: TcpStream, mut server: UnixStream) {
        let _ = client.set_nodelay(true);
        let (mut cut, number) = (self.fates.clone(), self.number);
        let is_cut = async move {
            let fated = cut.wait_for(|fates| fates.cut_upto >= number).await;
            drop(fated);
        };
        let carried = async {
            let is_silent = self.fates.wait_for(|fates| fates.silent_upto >= number);
            let passed = {
                let (from_client, to_client) = client.split();
                let (from_server, to_server) = server.split();
                tokio::select! {
                    biased;
                    _ = is_silent => false,
                    () = copy(from_client, to_server) => true,
                    () = copy(from_server, to_client) => true,
                }
            };
            if !passed {
                swallow(&mut client).await;
                // The database goes on waiting for a client whose data does not arrive.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = is_cut => {}
            () = carried => {}
        }
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

/// Takes everything, and answers nothing.
async fn swallow(client: &mut TcpStream) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(1..) = client.read(&mut buffer).await {}
}
