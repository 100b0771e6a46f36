//! What a service manager like systemd is told.

use std::fs::File;
use std::future::ready;

use nix::sys::signal::Signal;
use tokio::net::UnixDatagram;

use crate::support::child::ChildProcess;
use crate::support::cluster::{TestDatabase, open_dir};
use crate::support::ends::{last_words, user};
use crate::support::requests::{client, stream_at};
use crate::support::wait::soon;
use crate::support::{Answer, Process, Publisher, eventually, for_team, number};

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

/// Whoever starts it has closed the pipe, or the disk is full: then the service goes on without a log.
#[tokio::test]
async fn a_service_whose_log_cannot_be_written_serves_and_stops_in_order() {
    let (database, dir) = (TestDatabase::create().await, open_dir());
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let variables = [
        ("DATABASE_URL", &*database.url()),
        ("NOTIFY_SOCKET", path.to_str().expect("a path")),
        ("PORCHLIGHT_LOG", "debug"),
    ];
    let mut command = Process::command("127.0.0.1:0", &variables);
    let full = File::options().write(true).open("/dev/full");
    command.stderr(full.expect("a device that is always full"));
    let mut child = ChildProcess::spawn(&mut command).expect("the binary runs");
    let told = next(&socket).await;
    let (_, base) = told.split_once("Serves ").expect("an address");
    let mut stream = stream_at(&format!("{base}/stream/team"), &user(1), true).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    let published = Publisher::new(base).once(&for_team("a", 7)).await;
    published.expect("a position");
    assert_eq!(number(&stream.logged(1).await[0]), 7);
    child.signal(Signal::SIGTERM);
    assert_eq!(last_words(&mut stream).await["reason"], "drain");
    let status = eventually("the process ends", || ready(child.try_wait())).await;
    assert_eq!(status.code(), Some(0));
}
