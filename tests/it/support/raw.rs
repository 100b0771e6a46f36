//! Bytes on a connection, for requests that no client library sends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::openapi::assert_connection_described;
use super::wait::soon;

/// Writes `bytes`, and reads what is answered until the service hangs up by itself.
pub async fn exchange_open(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(addr).await.expect("a connection");
    let _ = connection.write_all(bytes).await;
    answers(&mut connection, bytes).await
}

/// Writes `bytes`, says that no more comes, and reads what is answered, if anything is.
pub async fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(addr).await.expect("a connection");
    // The service may have hung up before it has read everything.
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    answers(&mut connection, bytes).await
}

/// Reads to the end of the connection. The answers must be described in openapi.yaml.
pub async fn answers(connection: &mut TcpStream, sent: &[u8]) -> String {
    let mut answer = Vec::new();
    let _ = soon(
        "the end of the connection",
        connection.read_to_end(&mut answer),
    )
    .await;
    let answers = String::from_utf8_lossy(&answer).into_owned();
    assert_connection_described(sent, &answers);
    answers
}
