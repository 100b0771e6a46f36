//! One request for a stream, over TCP or TLS.

use std::io;

use http1::{BadHead, Body, Head, Malformed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::address::StreamAddress;
use crate::cursor_file::readable;
use crate::state::Answer;
use crate::tls::TlsAuthorities;

const READ_BYTES: usize = 16 * 1024;

/// What a client sends to open a stream.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub address: &'a StreamAddress,
    pub authorities: &'a TlsAuthorities,
    /// It must have no control characters.
    pub token: &'a str,
    /// Where to continue; empty for a beginning.
    pub cursor: &'a str,
    pub user_agent: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("{0} is no name of a host")]
    Host(String),
    #[error(transparent)]
    Head(#[from] BadHead),
    #[error(transparent)]
    Body(#[from] Malformed),
    #[error("the connection was closed before the answer")]
    NoAnswer,
    #[error("the connection broke off")]
    CutOff,
}

trait Transport: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

/// An answer whose head has come.
pub struct Connection {
    transport: Box<dyn Transport>,
    /// The bytes of the head.
    head: Vec<u8>,
    status: u16,
    body: Body,
    buffer: Vec<u8>,
    /// The part of `buffer` that has not been passed on: what came with the head.
    early: usize,
}

impl Connection {
    /// Sends the request and reads the head of the answer.
    ///
    /// # Errors
    /// The service cannot be reached, or does not speak HTTP/1.
    pub async fn open(request: Request<'_>) -> Result<Self, ConnectionError> {
        let mut transport = connect(request).await?;
        transport.write_all(text(request).as_bytes()).await?;
        transport.flush().await?;
        let mut bytes = Vec::with_capacity(1024);
        let head = read_head(&mut transport, &mut bytes).await?;
        let mut buffer = bytes.split_off(head.len);
        let early = buffer.len();
        buffer.resize(early.max(READ_BYTES), 0);
        Ok(Self {
            transport,
            head: bytes,
            status: head.status,
            body: head.body,
            buffer,
            early,
        })
    }

    /// The head, for the state of the client.
    #[must_use]
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            content_type: http1::header(&self.head, "content-type"),
            retry_after: http1::header(&self.head, "retry-after"),
        }
    }

    /// Appends the next part of the body. Returns `false` at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn read(&mut self, content: &mut Vec<u8>) -> Result<bool, ConnectionError> {
        let before = content.len();
        while content.len() == before {
            if self.body == Body::Done {
                return Ok(false);
            }
            let mut read = std::mem::take(&mut self.early);
            if read == 0 {
                read = self.transport.read(&mut self.buffer).await?;
                if read == 0 {
                    return if self.body == Body::Open {
                        Ok(false)
                    } else {
                        Err(ConnectionError::CutOff)
                    };
                }
            }
            self.body
                .take(&self.buffer[..read], |data| content.extend_from_slice(data))?;
        }
        Ok(true)
    }

    /// The whole body up to a limit, as far as it comes: for the reason of a refusal.
    pub async fn rest(&mut self, most_bytes: usize) -> Vec<u8> {
        let mut content = Vec::new();
        while content.len() < most_bytes && matches!(self.read(&mut content).await, Ok(true)) {}
        content.truncate(most_bytes);
        content
    }
}

async fn connect(request: Request<'_>) -> Result<Box<dyn Transport>, ConnectionError> {
    let address = request.address;
    let socket = TcpStream::connect((&address.host[..], address.port)).await?;
    // The request is one write.
    socket.set_nodelay(true)?;
    if !address.is_tls {
        return Ok(Box::new(socket));
    }
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| ConnectionError::Host(address.host.clone()))?;
    let connector = request.authorities.connector()?;
    Ok(Box::new(connector.connect(name, socket).await?))
}

fn text(request: Request<'_>) -> String {
    let StreamAddress {
        target, authority, ..
    } = request.address;
    let Request {
        token, user_agent, ..
    } = request;
    let cursor = match request.cursor {
        "" => String::new(),
        cursor => format!("last-event-id: {}\r\n", readable(cursor)),
    };
    format!(
        "GET {target} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {user_agent}\r\naccept: text/event-stream\r\n\
         cache-control: no-store\r\nauthorization: Bearer {token}\r\n{cursor}connection: close\r\n\r\n"
    )
}

/// Reads until the head is complete. What came of the body stays behind it in `bytes`.
async fn read_head(
    transport: &mut impl Transport,
    bytes: &mut Vec<u8>,
) -> Result<Head, ConnectionError> {
    loop {
        match http1::parse(bytes)? {
            // An interim answer, such as 103.
            Some(head) if (100..200).contains(&head.status) => drop(bytes.drain(..head.len)),
            Some(head) => return Ok(head),
            None => {
                if transport.read_buf(bytes).await? == 0 {
                    return Err(ConnectionError::NoAnswer);
                }
            }
        }
    }
}
