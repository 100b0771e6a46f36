//! How long the rest of a head may take.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::pauses::arrived;
use super::{HEAD_TIMEOUT, Intake};

const FIRST: &str = "GET / HTTP/1.1\r\nHo";
const LAST: &str = "st: x\r\n\r\n";

/// Both ends of a connection.
struct Ends {
    client: TcpStream,
    socket: TcpStream,
    intake: Intake,
}

impl Ends {
    async fn after(bytes: &str, head_timeout: Duration) -> Self {
        let (client, socket) = arrived(bytes.as_bytes()).await;
        let intake = Intake::new(head_timeout);
        Self {
            client,
            socket,
            intake,
        }
    }

    async fn sends(&mut self, bytes: &str) {
        self.client.write_all(bytes.as_bytes()).await.unwrap();
        self.socket.readable().await.unwrap();
    }

    /// What reaches actix now.
    fn passed(&mut self) -> String {
        let mut context = Context::from_waker(Waker::noop());
        let mut passed = Vec::new();
        loop {
            let mut room = [0; 1_024];
            let mut buffer = ReadBuf::new(&mut room);
            let intake = &mut self.intake;
            match intake.poll_read(&mut self.socket, &mut context, &mut buffer) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => return String::from_utf8(passed).unwrap(),
            }
            passed.extend_from_slice(buffer.filled());
        }
    }
}

#[tokio::test]
async fn each_head_has_a_limit_from_its_first_byte_on() {
    let mut ends = Ends::after(FIRST, HEAD_TIMEOUT).await;
    assert_eq!(ends.passed(), "");
    let first = ends.intake.head_deadline().unwrap();
    for byte in LAST.split_inclusive(|_: char| true).take(LAST.len() - 1) {
        ends.sends(byte).await;
        assert_eq!(ends.passed(), "");
        assert_eq!(ends.intake.head_deadline(), Some(first));
    }
    ends.sends(&format!("\n{FIRST}")).await;
    assert_eq!(ends.passed(), format!("{FIRST}{LAST}"));
    assert!(ends.intake.head_deadline().unwrap() > first);
}

#[tokio::test]
async fn nothing_and_a_part_of_a_body_have_no_limit() {
    let body = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1";
    for bytes in [&format!("{FIRST}{LAST}"), body] {
        let mut ends = Ends::after(bytes, HEAD_TIMEOUT).await;
        assert_eq!(ends.passed(), bytes);
        assert_eq!(ends.intake.head_deadline(), None);
    }
}

#[tokio::test]
async fn a_head_that_is_late_is_refused_and_nothing_follows() {
    let whole = format!("{FIRST}{LAST}");
    let mut ends = Ends::after(&format!("{whole}{FIRST}"), Duration::ZERO).await;
    let mut passed = ends.passed();
    let refused = async {
        while !passed.contains("x-refused") {
            yield_now().await;
            passed += &ends.passed();
        }
    };
    timeout(Duration::from_secs(30), refused).await.unwrap();
    let refusal = passed.strip_prefix(&whole).unwrap();
    assert!(refusal.starts_with("GET * HTTP/1.1\r\n"), "{refusal}");
    ends.sends(&whole).await;
    assert_eq!(ends.passed(), "");
}

#[tokio::test]
async fn what_arrived_in_time_is_read_however_late() {
    let limit = Duration::from_millis(100);
    let mut ends = Ends::after(FIRST, limit).await;
    assert_eq!(ends.passed(), "");
    ends.sends(LAST).await;
    // The service was busy meanwhile.
    tokio::time::sleep(limit * 2).await;
    assert_eq!(ends.passed(), format!("{FIRST}{LAST}"));
}
