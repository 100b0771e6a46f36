//! The service as a process of its own, which can be killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::signal::Signal;

use super::child::ChildProcess;
use super::service::SECRET;

/// A `porchlight serve`.
pub struct Process {
    pub addr: SocketAddr,
    pub log: Arc<Mutex<String>>,
    child: ChildProcess,
    keeping: JoinHandle<()>,
}

impl Process {
    /// Starts one, on an address (port 0: any) and with these variables set.
    pub async fn start(addr: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_program(env!("CARGO_BIN_EXE_porchlight"), addr, variables).await
    }

    /// What starts one, for tests that take its output themselves.
    pub fn command(addr: &str, variables: &[(&str, &str)]) -> Command {
        Self::command_of(env!("CARGO_BIN_EXE_porchlight"), addr, variables)
    }

    fn command_of(program: &str, addr: &str, variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("PORCHLIGHT_ADDR", addr)
            .env("JWT_SECRET", SECRET)
            .env("PORCHLIGHT_RECORD_IDS", "any");
        // Only the tests of rate limits have some.
        for bucket in ["USER", "BROKERAGE", "WORKER", "ADDRESS"] {
            command.env(format!("PORCHLIGHT_{bucket}_RATE"), "0");
        }
        command
            .envs(variables.iter().copied())
            .current_dir(std::env::temp_dir());
        command
    }

    /// The same of another version.
    pub async fn start_program(program: &str, addr: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Self::command_of(program, addr, variables);
        let child = ChildProcess::spawn(command.stderr(Stdio::piped()));
        let mut child = child.expect("the binary runs");
        let stderr = BufReader::new(child.stderr());
        let log = Arc::<Mutex<String>>::default();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let kept = Arc::clone(&log);
        let keeping = std::thread::spawn(move || keep(stderr, &kept, sender));
        let addr = super::wait::soon("the service listens", receiver).await;
        let addr = addr.unwrap_or_else(|_| panic!("no service: {}", log.lock().expect("a log")));
        Self {
            addr,
            log,
            child,
            keeping,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it uses.
    pub fn resident_kib(&self) -> u64 {
        self.resident_kib_if_running().expect("a size")
    }

    /// The same, unless it has just ended.
    pub fn resident_kib_if_running(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    pub fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Kills it.
    pub fn kill(self) {
        self.child.kill();
    }

    /// Its exit code, which must come; by then its log is whole.
    pub async fn exit_code(&mut self) -> Option<i32> {
        super::eventually("the process ends", || {
            let status = self.child.try_wait();
            let code = status.filter(|_| self.keeping.is_finished());
            std::future::ready(code.map(|status| status.code()))
        })
        .await
    }
}

fn keep(
    lines: impl BufRead,
    log: &Mutex<String>,
    sender: tokio::sync::oneshot::Sender<SocketAddr>,
) {
    let mut sender = Some(sender);
    for line in lines.lines().map_while(Result::ok) {
        if let Some((_, rest)) = line.split_once("listening on http://") {
            let addr = rest
                .split(['"', ' '])
                .next()
                .and_then(|addr| addr.parse().ok());
            if let (Some(addr), Some(sender)) = (addr, sender.take()) {
                let _ = sender.send(addr);
            }
        }
        let mut log = log.lock().expect("a log");
        log.push_str(&line);
        log.push('\n');
    }
}
