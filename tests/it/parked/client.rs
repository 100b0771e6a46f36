//! A connection whose bytes a test writes and reads itself.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::wait::soon;
use crate::support::{Service, Token, eventually};

pub struct RawClient {
    pub socket: TcpStream,
    /// Everything that was read.
    pub text: String,
}

/// A request for a stream of team `a`, with further header lines.
pub fn request(version: &str, token: &Token, headers: &str) -> String {
    let token = token.signed();
    format!(
        "GET /stream/team HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
    )
}

impl RawClient {
    pub async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.expect("a connection");
        let text = String::new();
        Self { socket, text }
    }

    /// One whose receive buffer is as small as the system allows.
    pub async fn connect_small(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small one");
        let socket = socket.connect(addr).await.expect("a connection");
        let text = String::new();
        Self { socket, text }
    }

    /// A stream of team `a` that is ready.
    pub async fn open(service: &Service, token: &Token) -> Self {
        let mut client = Self::connect(service.addr).await;
        client.send(request("1.1", token, "")).await;
        client.until("locks:snapshot").await;
        client
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.socket.write_all(bytes.as_ref()).await;
        sent.expect("the service reads");
    }

    /// Reads until `text` has come.
    pub async fn until(&mut self, text: &str) {
        while !self.text.contains(text) {
            self.read_more(text).await;
        }
    }

    /// Reads until one of these has come, and tells which. Nothing of what was before is left.
    pub async fn first_of<'a>(&mut self, texts: [&'a str; 2]) -> &'a str {
        loop {
            if let Some(text) = texts.into_iter().find(|text| self.text.contains(text)) {
                return text;
            }
            let tail = self.text.len().saturating_sub(64);
            self.text.drain(..self.text.floor_char_boundary(tail));
            self.read_more(texts[0]).await;
        }
    }

    async fn read_more(&mut self, wanted: &str) {
        let mut bytes = Vec::with_capacity(16 * 1_024);
        let read = soon(wanted, self.socket.read_buf(&mut bytes)).await;
        assert!(read.expect("bytes") > 0, "no {wanted:?} in {}", self.text);
        self.text.push_str(&String::from_utf8_lossy(&bytes));
    }

    /// Reads to the end of the connection.
    pub async fn rest(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = soon("the end", self.socket.read_to_end(&mut rest)).await;
        self.text.push_str(&String::from_utf8_lossy(&rest));
    }
}

/// Waits until so many streams are open.
pub async fn open_streams(service: &Service, n: u32) {
    let are_open = async || {
        let open = service.metric("porchlight_streams_open").await;
        (open == f64::from(n)).then_some(())
    };
    eventually("the number of open streams", are_open).await;
}
