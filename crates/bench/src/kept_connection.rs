//! A keep-alive connection for one request after the other.

use std::io;
use std::net::SocketAddr;

use http1::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::connect::{OpenError, read_head};

#[derive(Default)]
pub(crate) struct KeptConnection {
    socket: Option<TcpStream>,
    /// The body of the last answer.
    pub answer: Vec<u8>,
}

impl KeptConnection {
    /// The connection, or a new one if the server has closed it.
    pub(crate) async fn open(&mut self, server: SocketAddr) -> io::Result<TcpStream> {
        if let Some(socket) = self.socket.take() {
            let idle = socket.try_read(&mut [0; 1]);
            if matches!(idle, Err(e) if e.kind() == io::ErrorKind::WouldBlock) {
                return Ok(socket);
            }
        }
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        mut socket: TcpStream,
        request: &[u8],
    ) -> Result<u16, OpenError> {
        self.answer.clear();
        socket.write_all(request).await?;
        let head = read_head(&mut socket, &mut self.answer).await?;
        self.answer.drain(..head.len);
        let mut body = head.body;
        let mut content = Vec::new();
        loop {
            body.take(&self.answer, |data| content.extend_from_slice(data))
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            self.answer.clear();
            let is_over = body == Body::Done || socket.read_buf(&mut self.answer).await? == 0;
            if is_over {
                break;
            }
        }
        if head.keep_alive && body == Body::Done {
            self.socket = Some(socket);
        }
        self.answer = content;
        Ok(head.status)
    }
}
