//! TLS: a certificate is checked, and then a stream is a stream.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests may fail")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sse_client::{Answer, Connection, ConnectionError, HttpAddress, StreamRequest, TlsAuthorities};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n";

fn key(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

/// A server for `localhost`; returns its address. It answers every request.
async fn serve() -> String {
    let certificate = CertificateDer::from_pem_file(key("server.pem")).unwrap();
    let private = PrivateKeyDer::from_pem_file(key("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A client that does not trust the certificate hangs up.
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                socket.read_buf(&mut request).await.unwrap();
            }
            socket.write_all(ANSWER).await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });
    format!("https://localhost:{port}")
}

async fn open(service: &str, authorities: &TlsAuthorities) -> Result<Connection, ConnectionError> {
    let address = HttpAddress::parse(service, "/stream", &[]).unwrap();
    let request = StreamRequest {
        address: &address,
        authorities,
        token: "t",
        cursor: "",
        user_agent: "test",
    };
    request.open().await
}

#[tokio::test]
async fn a_stream_comes_over_tls_from_a_server_that_is_trusted() {
    let service = serve().await;
    let usual = TlsAuthorities::usual();
    let refused = open(&service, &usual).await.err().expect("a stranger");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let ours = usual.with_file(&key("ca.pem")).unwrap();
    let mut connection = open(&service, &ours).await.unwrap();
    assert_eq!(Answer::of(&connection).status, 200);
    let mut content = Vec::new();
    while connection.read(&mut content).await.unwrap() {}
    assert_eq!(content, b"data: x\n\n");
    // The certificate is for another name.
    let by_number = service.replace("localhost", "127.0.0.1");
    assert!(open(&by_number, &ours).await.is_err());
}

#[test]
fn a_file_without_certificates_is_refused() {
    for (file, word) in [("missing.pem", "read"), ("server.key", "no certificates")] {
        let refused = TlsAuthorities::usual().with_file(&key(file)).unwrap_err();
        assert!(refused.to_string().contains(word), "{refused}");
    }
}
