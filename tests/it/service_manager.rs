//! What a service manager like systemd is told.

use nix::sys::signal::Signal;
use tokio::net::UnixDatagram;

use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::requests::client;
use crate::support::wait::soon;
use crate::support::{Answer, Process};

async fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 128];
    let count = soon("a message", socket.recv(&mut bytes)).await;
    String::from_utf8_lossy(&bytes[..count.expect("a message")]).into_owned()
}

#[tokio::test]
async fn a_service_manager_is_told_when_it_is_ready_while_it_is_alive_and_when_it_stops() {
    let (database, dir) = (TestDatabase::create().await, open_dir());
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let variables = [
        ("DATABASE_URL", &*database.url()),
        ("NOTIFY_SOCKET", path.to_str().expect("a path")),
        ("WATCHDOG_USEC", "400000"),
    ];
    let mut process = Process::start("127.0.0.1:0", &variables).await;
    let ready = loop {
        let message = next(&socket).await;
        if message != "WATCHDOG=1" {
            break message;
        }
    };
    let addr = process.addr;
    assert_eq!(ready, format!("READY=1\nSTATUS=Serves http://{addr}"));
    let answer = Answer::to(client(true).get(process.url("/health/ready"))).await;
    assert_eq!(answer.status, 200);
    for _ in 0..3 {
        assert_eq!(next(&socket).await, "WATCHDOG=1");
    }
    process.signal(Signal::SIGTERM);
    let stopping = async { while !next(&socket).await.starts_with("STOPPING=1\n") {} };
    soon("it says that it stops", stopping).await;
    assert_eq!(process.exit_code().await, Some(0));
}
