//! The listening socket, which all workers share.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::unconstrained;

use crate::app::open_files::OpenFiles;
use crate::platform::Clock;

/// Connections that nobody has accepted.
pub(in crate::app) const BACKLOG: u16 = 8_192;
/// How long nothing is accepted after the system has refused a connection, for want of files or memory.
const PAUSE: Duration = Duration::from_millis(500);

/// A new connection.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    pub(super) peer: SocketAddr,
}

#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    /// Workers that wait for a connection get one each, in their order.
    turns: Mutex<()>,
    files: OpenFiles,
}

impl Acceptor {
    pub(super) fn new(listener: std::net::TcpListener, clock: Clock) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            turns: Mutex::default(),
            files: OpenFiles::of_process(clock),
        })
    }

    /// The next connection, which belongs to the thread that asks.
    pub(super) async fn accept(&self) -> Accepted {
        let _turn = self.turns.lock().await;
        loop {
            match self.listener.accept().await {
                Ok((socket, peer)) => {
                    self.files.check(&socket);
                    return Accepted { socket, peer };
                }
                Err(error) if has_gone(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// A connection that has come already, however many this task has accepted.
    pub(super) fn accept_now(&self) -> Option<Accepted> {
        unconstrained(self.accept()).now_or_never()
    }
}

/// Whether the client has gone before it was accepted.
fn has_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    async fn acceptor() -> Acceptor {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let listener = listener.into_std().expect("a socket");
        Acceptor::new(listener, Clock::system()).expect("a runtime")
    }

    async fn connect(acceptor: &Acceptor) -> TcpStream {
        let addr = acceptor.listener.local_addr().expect("an address");
        TcpStream::connect(addr).await.expect("a connection")
    }

    #[tokio::test]
    async fn who_waits_longest_gets_the_next_connection() {
        let acceptor = acceptor().await;
        let turns = std::cell::RefCell::new(Vec::new());
        let worker = async |n: usize| {
            for _ in 0..4 {
                acceptor.accept().await;
                turns.borrow_mut().push(n);
            }
        };
        let clients = async {
            for n in 0..12 {
                let _client = connect(&acceptor).await;
                while turns.borrow().len() <= n {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::join!(join_all((0..3).map(worker)), clients);
        assert_eq!(turns.into_inner(), [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[tokio::test]
    async fn those_who_have_connected_are_accepted_without_waiting_for_others() {
        let acceptor = acceptor().await;
        let clients = [connect(&acceptor).await, connect(&acceptor).await];
        // The runtime has seen them.
        let first = acceptor.accept().await.peer;
        let rest: Vec<_> = std::iter::from_fn(|| acceptor.accept_now()).collect();
        let accepted = rest.iter().map(|accepted| accepted.peer);
        let accepted: Vec<_> = std::iter::once(first).chain(accepted).collect();
        let connected = clients.map(|client| client.local_addr().expect("an address"));
        assert_eq!(accepted, connected);
    }
}
