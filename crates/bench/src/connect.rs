//! Opening a stream.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use http1::{BadHead, Head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// The limit from the connect to the head of the answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Small, so that a server notices a stalled reader soon.
const STALLED_BUFFER_BYTES: u32 = 4096;
/// How much of a refusal an error repeats.
const REASON_CHARS: usize = 300;

pub(crate) struct Opened {
    pub socket: TcpStream,
    pub head: Head,
    /// The part of the body that came with the head.
    pub early: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("no answer within {} s", OPEN_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Head(#[from] BadHead),
    #[error("the server closed the connection without an answer")]
    Closed,
    #[error("status {0}: {1}")]
    Status(u16, String),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub server: SocketAddr,
    pub source: Option<SocketAddrV4>,
    pub stalled: bool,
}

/// Sends `request` and reads the head of a stream.
pub(crate) async fn open_stream(route: Route, request: &[u8]) -> Result<Opened, OpenError> {
    let opened = timeout(OPEN_TIMEOUT, open(route, request));
    let opened = opened.await.map_err(|_| OpenError::Timeout)??;
    match opened.head.status {
        200 => Ok(opened),
        status => Err(OpenError::Status(status, reason(&opened.early))),
    }
}

/// The beginning of a refusal, in one line.
pub(crate) fn reason(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(REASON_CHARS).collect()
}

async fn open(route: Route, request: &[u8]) -> Result<Opened, OpenError> {
    let mut socket = connect(route).await?;
    socket.write_all(request).await?;
    let mut bytes = Vec::with_capacity(1024);
    let head = read_head(&mut socket, &mut bytes).await?;
    let early = bytes.split_off(head.len);
    Ok(Opened {
        socket,
        head,
        early,
    })
}

async fn connect(route: Route) -> io::Result<TcpStream> {
    let socket = if route.server.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(source) = route.source {
        // Otherwise the ports of the run before stay in use for a minute.
        socket.set_reuseaddr(true)?;
        let any_port = SocketAddrV4::new(*source.ip(), 0);
        socket
            .bind(source.into())
            .or_else(|_| socket.bind(any_port.into()))?;
    }
    if route.stalled {
        socket.set_recv_buffer_size(STALLED_BUFFER_BYTES)?;
    }
    socket.connect(route.server).await
}

/// Reads until the head of an answer is complete. The part of the body that came with it stays
/// in `bytes`.
pub(crate) async fn read_head(
    socket: &mut TcpStream,
    bytes: &mut Vec<u8>,
) -> Result<Head, OpenError> {
    loop {
        if let Some(head) = http1::parse(bytes)? {
            return Ok(head);
        }
        if socket.read_buf(bytes).await? == 0 {
            return Err(OpenError::Closed);
        }
    }
}
