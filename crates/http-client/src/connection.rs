//! One request and its answer, over TCP or TLS.

use std::io;

use http1::{BadHead, Body, Head, Malformed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::address::HttpAddress;
use crate::tls::TlsAuthorities;

const READ_BYTES: usize = 16 * 1024;

/// What is sent to a server.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub address: &'a HttpAddress,
    pub authorities: &'a TlsAuthorities,
    pub method: &'a str,
    /// Further lines of the head, each with its end.
    pub headers: &'a str,
    pub body: &'a [u8],
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("cannot connect to {address}: {error}")]
    Unreachable { address: String, error: io::Error },
    #[error("{address} answers without TLS: is its address one with http:// instead of https://?")]
    NoTls { address: String },
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

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

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
    /// The server cannot be reached, or does not speak HTTP/1.
    pub async fn open(request: Request<'_>) -> Result<Self, ConnectionError> {
        let mut transport = connect(request).await?;
        transport.write_all(&bytes(request)).await?;
        transport.flush().await?;
        let mut received = Vec::with_capacity(1024);
        let head = read_head(&mut transport, &mut received).await?;
        let mut buffer = received.split_off(head.len);
        let early = buffer.len();
        buffer.resize(early.max(READ_BYTES), 0);
        Ok(Self {
            transport,
            head: received,
            status: head.status,
            body: head.body,
            buffer,
            early,
        })
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        http1::header(&self.head, name)
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

    /// The whole body up to a limit, as far as it comes.
    pub async fn rest(&mut self, most_bytes: usize) -> Vec<u8> {
        let mut content = Vec::new();
        while content.len() < most_bytes && matches!(self.read(&mut content).await, Ok(true)) {}
        content.truncate(most_bytes);
        content
    }
}

async fn connect(request: Request<'_>) -> Result<Box<dyn Transport>, ConnectionError> {
    let address = request.address;
    let socket = TcpStream::connect((&address.host[..], address.port)).await;
    let socket = socket.map_err(|error| ConnectionError::Unreachable {
        address: address.socket(),
        error,
    })?;
    // The request is one write.
    socket.set_nodelay(true)?;
    if !address.is_tls {
        return Ok(Box::new(socket));
    }
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| ConnectionError::Host(address.host.clone()))?;
    let connector = request.authorities.connector()?;
    match connector.connect(name, socket).await {
        Ok(socket) => Ok(Box::new(socket)),
        Err(error) if is_no_tls(&error) => Err(ConnectionError::NoTls {
            address: address.socket(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Whether the server has answered with something else than TLS.
fn is_no_tls(error: &io::Error) -> bool {
    let error = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidMessage(_)))
}

/// The request, which is one write.
fn bytes(request: Request<'_>) -> Vec<u8> {
    let HttpAddress {
        target, authority, ..
    } = request.address;
    let Request {
        method,
        headers,
        body,
        ..
    } = request;
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {authority}\r\n{headers}{length}connection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
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
