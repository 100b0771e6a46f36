//! A Redis that belongs to one test.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::child::ChildProcess;
use super::eventually;

pub struct RedisServer {
    dir: TempDir,
    flags: Vec<String>,
    running: Option<ChildProcess>,
}

impl RedisServer {
    /// Starts one on a unix socket.
    pub async fn start() -> Self {
        Self::with(&["--port", "0"]).await
    }

    /// Starts one with these flags.
    pub async fn with(flags: &[&str]) -> Self {
        let mut server = Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            flags: flags.iter().map(ToString::to_string).collect(),
            running: None,
        };
        server.come_back().await;
        server
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// How a service reaches it.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// Starts it again, empty.
    pub async fn come_back(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(self.socket())
            .args(&self.flags)
            .current_dir(self.dir.path())
            .stdout(Stdio::null());
        let running = ChildProcess::spawn(&mut command).unwrap_or_else(|error| {
            panic!("redis-server cannot be started ({error}); `scripts/setup --test` installs it")
        });
        self.running = Some(running);
        eventually("Redis answers", async || self.try_ask("PING").await).await;
    }

    pub fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    /// The first line of the answer to a command.
    pub async fn ask(&self, command: &str) -> String {
        self.try_ask(command).await.expect("an answer")
    }

    /// All that answers a command.
    pub async fn ask_all(&self, command: &str) -> String {
        let mut answer = self.raw(command).await.expect("a connection");
        let mut bytes = vec![0; 4_096];
        let count = answer.read(&mut bytes).await.expect("an answer");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    async fn try_ask(&self, command: &str) -> Option<String> {
        let mut lines = self.raw(command).await?;
        let mut line = String::new();
        lines.read_line(&mut line).await.ok()?;
        (!line.is_empty()).then(|| line.trim_end().to_owned())
    }

    /// What it sends after a command, as it is.
    pub async fn raw(&self, command: &str) -> Option<BufReader<UnixStream>> {
        let mut stream = UnixStream::connect(self.socket()).await.ok()?;
        let command = format!("{command}\r\n");
        stream.write_all(command.as_bytes()).await.ok()?;
        Some(BufReader::new(stream))
    }
}
