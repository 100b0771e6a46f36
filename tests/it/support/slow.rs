//! A stream that is read only when asked: a socket with a very small buffer, and nobody who
//! reads ahead.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::openapi::{Head, Sent};
use super::{Stream, Token};

/// What the receiving side of the socket holds; the system rounds it up.
const ROOM_BYTES: u32 = 4_096;

/// Opens a stream at `path`.
pub async fn open(addr: SocketAddr, path: &str, token: &Token) -> Stream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .set_recv_buffer_size(ROOM_BYTES)
        .expect("a small one");
    let mut socket = socket.connect(addr).await.expect("a connection");
    let token = token.signed();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let sent = socket.write_all(request.as_bytes()).await;
    sent.expect("a request");
    let unread = BytesMut::new();
    let mut body = Chunked { socket, unread };
    let mut head = vec![body.line().await.expect("an answer")];
    while let Some(line) = body.line().await.filter(|line| !line.is_empty()) {
        head.push(line);
    }
    let head = Head::parse(&head.join("\r\n")).expect("a head");
    let body = stream::unfold(body, async |mut body| Some((body.chunk().await?, body)));
    Stream::of(&Sent::get(path), head, Box::pin(body))
}

struct Chunked {
    socket: TcpStream,
    unread: BytesMut,
}

impl Chunked {
    /// The next chunk; `None` at the end, clean or not.
    async fn chunk(&mut self) -> Option<Bytes> {
        let len = usize::from_str_radix(&self.line().await?, 16).expect("a length");
        while self.unread.len() < len + 2 {
            self.more().await?;
        }
        let chunk = self.unread.split_to(len).freeze();
        self.unread.advance(2);
        (len > 0).then_some(chunk)
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.unread.split_to(end);
                self.unread.advance(2);
                return String::from_utf8(line.to_vec()).ok();
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        self.unread.reserve(1_024);
        let read = self.socket.read_buf(&mut self.unread).await.ok()?;
        (read > 0).then_some(())
    }
}
