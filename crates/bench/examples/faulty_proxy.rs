//! A TCP proxy whose network fails on command, for benchmarks with faults.
//!
//! `faulty_proxy 127.0.0.1:6379 127.0.0.1:7001 127.0.0.1:7002`: connections to each of the later addresses go to the
//! first. Lines on the standard input change what happens from then on:
//!
//! - `delay 200`: each piece of data arrives so many milliseconds later, as over a long line.
//! - `partition 1`: nothing passes through the first so many addresses, and new connections get no answer. What was
//!   under way arrives when this is over.
//! - `free`: everything passes.

#![expect(clippy::print_stderr, reason = "a program of a benchmark")]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

const BUFFER_BYTES: usize = 64 * 1_024;
/// Pieces that may be under way in one direction of a connection.
const MOST_UNDER_WAY: usize = 4_096;

#[derive(Clone, Copy, Debug, Default)]
struct Network {
    delay: Duration,
    /// Addresses that are cut off.
    cut_off: usize,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

fn main() -> ExitCode {
    let mut addresses = std::env::args().skip(1);
    let (backend, listeners) = (addresses.next(), addresses.collect::<Vec<_>>());
    let Some(backend) = backend.filter(|_| !listeners.is_empty()) else {
        eprintln!("usage: faulty_proxy BACKEND LISTEN...");
        return ExitCode::FAILURE;
    };
    let network = watch::Sender::new(Network::default());
    let runtime = Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            for (number, address) in listeners.iter().enumerate() {
                let listener = TcpListener::bind(address).await?;
                let door = Door {
                    backend: backend.clone(),
                    number,
                    network: network.subscribe(),
                };
                tokio::spawn(door.accept(listener));
            }
            let commands = std::thread::spawn(move || obey(&network));
            while !commands.is_finished() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faulty_proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads commands to the end of the input.
fn obey(network: &watch::Sender<Network>) {
    for line in io::stdin().lines().map_while(Result::ok) {
        let (name, value) = line.split_once(' ').unwrap_or((&line, "0"));
        let Ok(value) = value.parse::<u32>() else {
            eprintln!("faulty_proxy: not a number: {line}");
            continue;
        };
        let mut next = Network::default();
        match name {
            "free" => {}
            "delay" => next.delay = Duration::from_millis(value.into()),
            "partition" => next.cut_off = usize::try_from(value).unwrap_or(usize::MAX),
            _ => eprintln!("faulty_proxy: unknown command: {line}"),
        }
        network.send_replace(next);
    }
}

/// One of the addresses.
#[derive(Clone)]
struct Door {
    backend: String,
    number: usize,
    network: watch::Receiver<Network>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(self.clone().carry(client));
        }
    }

    async fn carry(mut self, mut client: TcpStream) {
        self.passes().await;
        // A backend that is down refuses at once.
        let Ok(mut server) = TcpStream::connect(&self.backend).await else {
            return;
        };
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = self.clone().copy(from_client, to_server) => {}
            () = self.clone().copy(from_server, to_client) => {}
        }
    }

    /// Waits until this address is not cut off.
    async fn passes(&mut self) {
        let number = self.number;
        let passes = self.network.wait_for(|network| network.cut_off <= number);
        let _ = passes.await;
    }

    async fn copy(
        mut self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
    ) {
        let (sender, mut pieces) = mpsc::channel::<Piece>(MOST_UNDER_WAY);
        let network = self.network.clone();
        let read = async {
            let mut buffer = vec![0; BUFFER_BYTES];
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                let due = Instant::now() + network.borrow().delay;
                let bytes = buffer[..count].to_vec();
                if sender.send(Piece { due, bytes }).await.is_err() {
                    return;
                }
            }
        };
        let write = async {
            while let Some(Piece { due, bytes }) = pieces.recv().await {
                sleep_until(due).await;
                self.passes().await;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = write => {}
        }
    }
}
