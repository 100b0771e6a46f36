//! A service in another process, which tests kill. It is this test binary again, with a filter
//! for the one test below.

use std::env;
use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use embedded_postgres::EmbeddedPostgres;
use nix::unistd::User;

use super::support::{TestDir, answers, config, set_mode};

const DATA_DIR: &str = "EMBEDDED_POSTGRES_TEST_DATA_DIR";

/// The process. It stops when its standard input ends, so at the end of the test at the latest.
pub(crate) struct Service {
    pub(crate) process: Child,
    pub(crate) postmaster: u32,
    lines: BufReader<ChildStdout>,
}

impl Service {
    pub(crate) fn spawn(dir: &TestDir) -> Self {
        let data = dir.data();
        Self::run(Command::new(env::current_exe().unwrap()), data)
    }

    /// Starts it as another user, who gets a copy of the binary that it can read.
    pub(crate) fn spawn_as(user: &User, dir: &TestDir, data: PathBuf) -> Self {
        let copy = dir.path().join("service");
        // Another process copies it: see `write_script`.
        let original = env::current_exe().unwrap();
        let copied = Command::new("cp").arg(original).arg(&copy).status();
        assert!(copied.unwrap().success());
        set_mode(&copy, 0o755);
        let mut command = Command::new(copy);
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        Self::run(command, data)
    }

    fn run(mut command: Command, data: PathBuf) -> Self {
        let mut process = command
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("service::a_service_runs_until_its_input_ends")
            .env(DATA_DIR, data)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        let mut service = Self {
            process,
            postmaster: 0,
            lines,
        };
        service.postmaster = service.word_after("postmaster").parse().unwrap();
        service
    }

    /// Waits for a line that begins with `key`.
    pub(crate) fn word_after(&mut self, key: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the service ended before it said {key}");
            if let Some(word) = line.strip_prefix(key) {
                return word.trim().to_owned();
            }
        }
    }

    /// Kills the process with SIGKILL, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets the process stop by itself.
    pub(crate) fn finish(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

fn say(line: &str) {
    let mut stdout = stdout().lock();
    writeln!(stdout, "\n{line}").unwrap();
    stdout.flush().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by other tests, in another process"]
async fn a_service_runs_until_its_input_ends() {
    let Some(data) = env::var_os(DATA_DIR) else {
        return;
    };
    let mut interrupted = tokio::signal::unix::signal(interrupt()).unwrap();
    let postgres = EmbeddedPostgres::start(config(data)).await.unwrap();
    say(&format!(
        "postmaster {}",
        postgres.postmaster_pid().unwrap()
    ));
    let input = tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
    tokio::pin!(input);
    loop {
        tokio::select! {
            _ = &mut input => break,
            _ = interrupted.recv() => say(&format!("interrupted {}", answers(&postgres).await)),
        }
    }
    postgres.stop().await;
}

fn interrupt() -> tokio::signal::unix::SignalKind {
    tokio::signal::unix::SignalKind::interrupt()
}
