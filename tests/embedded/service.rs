//! A service as a process of its own, to be killed: this very test binary once more, with a
//! filter for the one test below.

use std::env;
use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::unistd::User;
use porchlight::database::embedded::{EmbeddedConfig, EmbeddedPostgres};

use super::support::{Place, answers, bin_dir, set_mode};

const DATA_DIR: &str = "PORCHLIGHT_TEST_DATA_DIR";

/// The process; it stops when its standard input ends, and so no later than this test.
pub(crate) struct Service {
    pub(crate) process: Child,
    pub(crate) postmaster: u32,
    lines: BufReader<ChildStdout>,
}

impl Service {
    pub(crate) fn spawn(place: &Place) -> Self {
        let data = place.data();
        Self::run(Command::new(env::current_exe().unwrap()), data)
    }

    /// As another user, who need not be able to read our own binary.
    pub(crate) fn spawn_as(user: &User, place: &Place, data: PathBuf) -> Self {
        let copy = place.path().join("service");
        // By another process: ours would keep it "busy" in a test that forks meanwhile.
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

    /// As `kill -9` does, and waits for its end.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it stop by itself.
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
#[ignore = "run by the other tests, as a process of its own"]
async fn a_service_runs_until_its_input_ends() {
    let Some(data) = env::var_os(DATA_DIR) else {
        return;
    };
    let mut interrupted = tokio::signal::unix::signal(interrupt()).unwrap();
    let config = EmbeddedConfig {
        bin_dir: bin_dir(),
        ..EmbeddedConfig::new(data)
    };
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
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
