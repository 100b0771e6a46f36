//! Bytes on a connection, for requests that no client library sends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wait::soon;

/// Writes `bytes`, and reads what is answered until the service hangs up by itself.
pub async fn exchange_open(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(addr).await.expect("a connection");
    let _ = connection.write_all(bytes).await;
    rest(&mut connection).await
}

/// Writes `bytes`, says that no more comes, and reads what is answered, if anything is.
pub async fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut connection = TcpStream::connect(addr).await.expect("a connection");
    // The service may have hung up before it has read everything.
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    rest(&mut connection).await
}

async fn rest(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = soon(
        "the end of the connection",
        connection.read_to_end(&mut answer),
    )
    .await;
    String::from_utf8_lossy(&answer).into_owned()
}
