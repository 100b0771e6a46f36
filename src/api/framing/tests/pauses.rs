//! How much a connection reads before it lets actix pass on what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{HEAD_TIMEOUT, Intake};

/// The size of actix's buffer.
const PAUSE_BYTES: usize = 8 * 1_024;
/// Several of these buffers, and less than a socket holds.
const ARRIVED_BYTES: usize = 4 * PAUSE_BYTES;
/// What is read at a time. It divides all the other sizes, so that every read is full.
const ROOM_BYTES: usize = 1_024;

/// A task that notes whether it was woken.
#[derive(Default)]
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A head and the beginning of a longer body.
fn request() -> Vec<u8> {
    let head = "POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let mut request = head.as_bytes().to_vec();
    request.resize(ARRIVED_BYTES, b'x');
    request
}

/// Both ends of a connection on which all of these bytes have arrived.
pub(super) async fn arrived(bytes: &[u8]) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    client.write_all(bytes).await.unwrap();
    let mut seen = vec![0; bytes.len()];
    let all = async {
        while socket.peek(&mut seen).await.unwrap() < bytes.len() {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), all).await.unwrap();
    (client, socket)
}

/// The bytes that are given until there are no more, or a pause.
fn given(intake: &mut Intake, socket: &mut TcpStream, context: &mut Context<'_>) -> usize {
    let mut given = 0;
    while given < ARRIVED_BYTES {
        let mut room = [0; ROOM_BYTES];
        let mut buffer = ReadBuf::new(&mut room);
        match intake.poll_read(socket, context, &mut buffer) {
            Poll::Ready(read) => read.unwrap(),
            Poll::Pending => break,
        }
        given += buffer.filled().len();
    }
    given
}

#[tokio::test]
async fn a_connection_pauses_after_the_size_of_a_buffer_and_goes_on_by_itself() {
    let (_client, mut socket) = arrived(&request()).await;
    let (mut intake, task) = (Intake::new(HEAD_TIMEOUT), Arc::new(Task::default()));
    let waker = Waker::from(Arc::clone(&task));
    let mut context = Context::from_waker(&waker);
    for turn in 1..=ARRIVED_BYTES / PAUSE_BYTES {
        let given = given(&mut intake, &mut socket, &mut context);
        assert_eq!(given, PAUSE_BYTES, "turn {turn}");
        // Nothing else wakes it: the socket has all there is.
        assert!(task.0.swap(false, Ordering::Relaxed), "turn {turn}");
    }
}
