//! `porchlight worker`: a process without a socket, which can be killed.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::child::ChildProcess;

/// A worker of its own.
pub struct Worker {
    child: ChildProcess,
}

impl Worker {
    /// Starts one on a database, with short leases.
    pub fn start(url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_porchlight"));
        command
            .arg("worker")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", url)
            .env("PORCHLIGHT_RECORD_IDS", "any")
            .env("PORCHLIGHT_TASK_LEASE_MIN_SECONDS", "1")
            .env("PORCHLIGHT_TASK_LEASE_MAX_SECONDS", "4")
            .env("PORCHLIGHT_TASK_BACKOFF_MS", "50")
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = ChildProcess::spawn(&mut command).expect("the binary runs");
        Self { child }
    }

    pub fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Kills it.
    pub fn kill(self) {
        self.child.kill();
    }

    /// Its exit code, which must come.
    pub async fn exit_code(&mut self) -> Option<i32> {
        super::eventually("the worker ends", || {
            let status = self.child.try_wait();
            std::future::ready(status.map(|status| status.code()))
        })
        .await
    }
}
