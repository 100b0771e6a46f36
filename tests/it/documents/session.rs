//! The shell of one document.

use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::blocks::{Block, Way};
use super::root;
use crate::support::cluster::open_dir;

/// A document that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(3);
/// The service and its Postgres stop within this time.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Lines of the output that a failure shows.
const SHOWN_LINES: usize = 30;
/// Variables of ours that a reader has too.
const KEPT: [&str; 4] = ["PATH", "PG_BIN_DIR", "LANG", "PYENV_ROOT"];

/// What every session begins with: commands that fail end it, also within a pipe.
const START: &str = r#"
set -eu
exec 2>&1
ready() { until "$REAL_CURL" -sf -o "$SCRATCH/ready" "http://$PORCHLIGHT_ADDR/health/ready"; do sleep 0.1; done; }
command_not_found_handle() { echo "$1: command not found" | tee -a "$FAILURES"; return 127; }
block() { [ ! -s "$FAILURES" ] || { cat "$FAILURES"; exit 1; }; echo "@@ $1"; }
"#;

/// Stands in for curl, so that an answer with an error is a failure. In its place a reader would read the answer.
const CURL: &str = r#"#!/usr/bin/env bash
"$REAL_CURL" --fail-with-body "$@" <&0 &
trap 'kill $!; exit 143' TERM
status=0
wait $! || status=$?
case $status in
  0 | 23) ;; # 23: nobody reads its output any more
  *) echo "curl $*: exit status $status" >>"$FAILURES" ;;
esac
exit "$status"
"#;

pub struct Session {
    document: String,
    script: String,
    /// The directory in which the commands run: it looks like the repository, and files that the commands
    /// make are made here.
    directory: TempDir,
}

impl Session {
    pub fn new(document: &str, blocks: &[Block]) -> Self {
        let mut script = START.to_owned();
        let uses_it = |block: &Block| block.text.contains("scripts/serve seed");
        if blocks.iter().any(uses_it) && !blocks.iter().any(starts_a_service) {
            script.push_str("scripts/serve --demo >\"$SCRATCH/log\" 2>&1 &\nready\n");
        }
        let mut has_background = false;
        for block in blocks.iter().filter(|block| block.is_run()) {
            // Writing to a string does not fail.
            let _ = writeln!(script, "block {document:?}:{}", block.line);
            add(block, &mut script);
            has_background |= block.leaves_something_running();
            if has_background {
                // A reader needs longer than this until the next block.
                script.push_str("sleep 1\n");
            }
        }
        script.push_str("block end\n");
        Self {
            document: document.to_owned(),
            script,
            directory: checkout(),
        }
    }

    /// Runs all of it. What its commands print is the result, or a report of the failure.
    pub async fn run(self) -> Result<String, String> {
        let document = self.document.clone();
        let running = tokio::task::spawn_blocking(move || self.run_to_its_end());
        let (is_success, output) = running.await.expect("no panic");
        if is_success {
            return Ok(output);
        }
        let mut blocks = output.lines().filter_map(|line| line.strip_prefix("@@ "));
        let block = blocks.next_back().unwrap_or(&document).to_owned();
        let lines: Vec<_> = output.lines().collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
        Err(format!("The block at {block} fails:\n{shown}"))
    }

    fn run_to_its_end(&self) -> (bool, String) {
        let output = self.directory.path().join(".scratch/output");
        let file = std::fs::File::create(&output).expect("a file");
        let mut bash = self.command().stdout(file).spawn().expect("bash runs");
        let group = Pid::from_raw(i32::try_from(bash.id()).expect("a pid"));
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match bash.try_wait().expect("it was started") {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => pause(),
            }
        };
        // The service stops its Postgres at this signal. Whoever is left then is killed.
        let _ = killpg(group, Signal::SIGTERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while killpg(group, None).is_ok() && Instant::now() < deadline {
            pause();
        }
        let _ = killpg(group, Signal::SIGKILL);
        let _ = bash.wait();
        let mut printed =
            String::from_utf8_lossy(&std::fs::read(&output).expect("a file")).into_owned();
        if status.is_none() {
            let _ = write!(
                printed,
                "\nit does not end within {} seconds",
                LIMIT.as_secs()
            );
        }
        (status.is_some_and(|status| status.success()), printed)
    }

    fn command(&self) -> Command {
        let directory = self.directory.path();
        let scratch = directory.join(".scratch");
        std::fs::write(scratch.join("session.sh"), &self.script).expect("a file");
        let mut command = Command::new("bash");
        command
            .arg(scratch.join("session.sh"))
            .current_dir(directory)
            .process_group(0)
            .stdin(Stdio::null())
            .env_clear();
        command.envs(
            KEPT.iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", scratch.join("bin").display()))
            .env("HOME", directory)
            .env("SCRATCH", &scratch)
            .env("FAILURES", scratch.join("failures"))
            .env("REAL_CURL", find("curl", &path))
            .env("PORCHLIGHT_BIN", env!("CARGO_BIN_EXE_porchlight"))
            .env("PORCHLIGHT_ADDR", free_address().to_string())
            .env("PORT", free_address().port().to_string())
            .env("PORCHLIGHT_DATA_DIR", directory.join("data"));
        command
    }
}

fn starts_a_service(block: &Block) -> bool {
    block.way == Way::OwnTerminal && block.text.contains("serve")
}

fn add(block: &Block, script: &mut String) {
    let text = &block.text;
    let code = match block.way {
        Way::OwnTerminal => format!("(\n{text}\n) &\nready\n"),
        Way::Sql => {
            format!("porchlight psql -X -v ON_ERROR_STOP=1 <<'END OF SQL'\n{text}\nEND OF SQL\n")
        }
        Way::Python => format!("python3 - <<'END OF PYTHON'\n{text}\nEND OF PYTHON\n"),
        _ => format!("{text}\n"),
    };
    script.push_str(&code);
}

/// A directory with everything of the repository, and with the curl of this test.
fn checkout() -> TempDir {
    let directory = open_dir();
    let entries = std::fs::read_dir(root()).expect("a folder").flatten();
    for entry in entries.filter(|entry| entry.file_name() != ".env") {
        symlink(entry.path(), directory.path().join(entry.file_name())).expect("a link");
    }
    let scratch = directory.path().join(".scratch");
    std::fs::create_dir_all(scratch.join("bin")).expect("a folder");
    let curl = scratch.join("bin/curl");
    std::fs::write(&curl, CURL).expect("a file");
    std::fs::set_permissions(&curl, PermissionsExt::from_mode(0o755)).expect("permissions");
    directory
}

fn find(program: &str, path: &str) -> String {
    let found = path.split(':').map(|dir| Path::new(dir).join(program));
    let mut found = found.filter(|file| file.is_file());
    let file = found
        .next()
        .unwrap_or_else(|| panic!("{program} is not installed"));
    file.display().to_string()
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address")
}

/// Between two looks at a process.
#[expect(
    clippy::disallowed_methods,
    reason = "a process is looked at from a thread of its own"
)]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}
