//! Instances as processes, Postgres, and the networks between them and to their clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::Signal;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::history::{Entry, History};
use crate::log::LogMemory;
use crate::settings::Settings;
use crate::support::cluster::open_dir;
use crate::support::own::OwnPostgres;
use crate::support::proxy::Backend;
use crate::support::{Process, Proxy};

/// The size of the disk of Postgres, where it has one of its own.
const DISK: &str = "size=640m,mode=0755";
const POSTGRES: &[(&str, &str)] = &[
    ("max_connections", "200"),
    ("max_wal_size", "128MB"),
    ("shared_buffers", "32MB"),
];
/// Short times, so that much happens in a run.
const VARIABLES: &[(&str, &str)] = &[
    ("PORCHLIGHT_MEMORY_MB", "1"),
    ("PORCHLIGHT_WORKERS", "2"),
    ("PORCHLIGHT_HEARTBEAT_SECONDS", "1"),
    ("PORCHLIGHT_EXPIRING_SECONDS", "2"),
    ("PORCHLIGHT_UNAVAILABLE_SECONDS", "3"),
    ("PORCHLIGHT_DRAIN_SPREAD_SECONDS", "1"),
    ("PORCHLIGHT_RETENTION_EVENTS", "2500"),
    ("PORCHLIGHT_RETENTION_INTERVAL_SECONDS", "2"),
    ("PORCHLIGHT_STREAMS_PER_USER", "500"),
    ("PORCHLIGHT_PRESENCE_GRACE_SECONDS", "1"),
    ("PORCHLIGHT_PRESENCE_TIMEOUT_SECONDS", "4"),
    ("PORCHLIGHT_TASK_LEASE_MIN_SECONDS", "1"),
    ("PORCHLIGHT_TASK_LEASE_SECONDS", "4"),
    ("PORCHLIGHT_TASK_CANCEL_SECONDS", "3"),
    ("PORCHLIGHT_TASK_BACKOFF_MS", "200"),
    ("PORCHLIGHT_WITH_WORKER", "true"),
];

/// One instance, and the networks on both of its sides.
pub struct Instance {
    pub number: usize,
    /// Between clients and the instance.
    pub front: Proxy,
    /// Between the instance and Postgres.
    pub back: Proxy,
    addr: SocketAddr,
    program: String,
    process: Mutex<Option<Process>>,
}

impl Instance {
    async fn start(number: usize, socket: &Path, program: &str) -> Self {
        let back = Proxy::to(Backend::Unix(socket.to_owned())).await;
        let process = start_process(program, "127.0.0.1:0", &back).await;
        let addr = process.addr;
        Self {
            number,
            front: Proxy::to(Backend::Tcp(addr)).await,
            back,
            addr,
            program: program.to_owned(),
            process: Mutex::new(Some(process)),
        }
    }

    /// Its address for clients.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.front.url())
    }

    /// Kills the process.
    pub async fn kill(&self, history: &History) {
        if let Some(process) = self.process.lock().await.take() {
            self.look_at_log(&process, history);
            process.kill();
        }
    }

    /// Starts a new process in the place of one that has ended.
    pub async fn restart(&self) {
        let process = start_process(&self.program, &self.addr.to_string(), &self.back).await;
        *self.process.lock().await = Some(process);
    }

    pub async fn signal(&self, signal: Signal) {
        if let Some(process) = &*self.process.lock().await {
            process.signal(signal);
        }
    }

    /// Waits for the end of the process.
    pub async fn ended(&self, history: &History) {
        if let Some(mut process) = self.process.lock().await.take() {
            let code = process.exit_code().await;
            if code != Some(0) {
                let text = format!("it ended with {code:?}");
                let instance = self.number;
                history.note(Entry::Crashed { instance, text });
            }
            self.look_at_log(&process, history);
        }
    }

    /// Ends the process at once, which was asked to stop before.
    pub async fn hurry(&self, history: &History) {
        self.signal(Signal::SIGTERM).await;
        if let Some(mut process) = self.process.lock().await.take() {
            // Whatever it was doing, it did not do it to the end.
            let _ = process.exit_code().await;
            self.look_at_log(&process, history);
        }
    }

    /// Notes how much memory it uses.
    pub async fn measure(&self, history: &History) {
        if let Some(process) = &*self.process.lock().await
            && let Some(kib) = process.resident_kib_if_running()
        {
            history.note(Entry::Memory {
                instance: self.number,
                process: process.id(),
                kib,
            });
        }
    }

    fn look_at_log(&self, process: &Process, history: &History) {
        let log = process.log.lock().expect("a log");
        for line in log.lines().filter(|line| line.contains("panicked")) {
            history.note(Entry::Crashed {
                instance: self.number,
                text: line.to_owned(),
            });
        }
    }
}

async fn start_process(program: &str, addr: &str, back: &Proxy) -> Process {
    let url = back.database_url("porchlight");
    let mut variables = VARIABLES.to_vec();
    variables.push(("DATABASE_URL", &url));
    Process::start_program(program, addr, &variables).await
}

/// The disk of Postgres, which can be full where it is a file system of its own.
pub struct Disk {
    dir: tempfile::TempDir,
    is_mounted: bool,
}

impl Disk {
    fn new() -> Self {
        let dir = open_dir();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "tmpfs"]);
        let mounted = mount.arg(dir.path()).status();
        let is_mounted = mounted.is_ok_and(|status| status.success());
        Self { dir, is_mounted }
    }

    pub fn can_be_full(&self) -> bool {
        self.is_mounted
    }

    fn ballast(&self) -> PathBuf {
        self.dir.path().join("ballast")
    }

    /// Uses all that is left.
    pub fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.ballast()).expect("a file");
        let piece = vec![1; 1 << 16];
        while file.write_all(&piece).is_ok() {}
    }

    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("a file");
    }

    fn unmount(&self) {
        if self.is_mounted {
            let mut unmount = Command::new("umount");
            let _ = unmount.args(["-q", "-l"]).arg(self.dir.path()).status();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

pub struct World {
    pub settings: Settings,
    pub history: History,
    pub log: LogMemory,
    pub instances: Vec<Instance>,
    pub postgres: Mutex<OwnPostgres>,
    /// How to reach Postgres beside the instances.
    pub database_url: String,
    /// No more changes from here on.
    pub calm: CancellationToken,
    /// Everyone stops.
    pub ended: CancellationToken,
    next: AtomicU64,
    /// Goes away after Postgres.
    pub disk: Disk,
}

impl World {
    pub async fn start(settings: Settings) -> Self {
        let history = History::create(&settings.history).expect("a history");
        history.note(Entry::Began {
            seed: settings.seed,
            instances: settings.instances,
            clock_ms: history.began_ms(),
        });
        let disk = Disk::new();
        let postgres = OwnPostgres::start_in(disk.dir.path(), POSTGRES).await;
        let socket = postgres.socket();
        let mut instances = Vec::new();
        for number in 0..settings.instances {
            instances.push(Instance::start(number, &socket, &settings.program).await);
        }
        Self {
            settings,
            history,
            log: LogMemory::default(),
            instances,
            database_url: postgres.url(),
            postgres: Mutex::new(postgres),
            calm: CancellationToken::new(),
            ended: CancellationToken::new(),
            next: AtomicU64::new(1),
            disk,
        }
    }

    /// A number that nothing else has.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub fn note(&self, entry: Entry) {
        self.history.note(entry);
    }

    /// Whether actors go on changing things.
    pub fn is_busy(&self) -> bool {
        !self.calm.is_cancelled()
    }

    /// Ends all processes in order.
    pub async fn stop(&self) {
        for instance in &self.instances {
            instance.signal(Signal::SIGTERM).await;
            instance.ended(&self.history).await;
        }
        self.postgres.lock().await.go_away().await;
        self.disk.unmount();
    }
}
