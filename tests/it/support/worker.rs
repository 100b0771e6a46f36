//! `porchlight worker`: a process without a socket, which can be killed.

use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A worker of its own.
pub struct Worker {
    child: Child,
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
            .env("PORCHLIGHT_TASK_LEASE_MAX_SECONDS", "2")
            .env("PORCHLIGHT_TASK_BACKOFF_MS", "50")
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("the binary runs");
        Self { child }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Ends it without a word.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ran");
    }

    /// Its exit code, which must come.
    pub async fn exit_code(&mut self) -> Option<i32> {
        super::eventually("the worker ends", || {
            let status = self.child.try_wait().expect("it ran");
            std::future::ready(status.map(|status| status.code()))
        })
        .await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
