//! Cleaning up after an owner that was killed. This process holds the lock of the data
//! directory, so it may stop a server that still runs there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{interval, timeout};

use crate::error::Problem;
use crate::layout::Layout;
use crate::limits::POLL;
use crate::socket;

const PID_FILE: &str = "postmaster.pid";
/// The signals for a server that was left behind, and the time that it has after each.
const STOP_SIGNALS: [(Signal, Duration); 2] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
];

/// The process id in the cluster's pid file.
pub(crate) fn recorded_pid(cluster: &Path) -> Option<u32> {
    let text = fs::read_to_string(cluster.join(PID_FILE)).ok()?;
    parse(&text).map(|pid| pid.as_raw().unsigned_abs())
}

/// Makes sure that no server runs on the cluster, and that Postgres sees that too.
pub(crate) async fn clean_up(layout: &Layout) -> Result<(), Problem> {
    let path = layout.cluster.join(PID_FILE);
    while let Ok(text) = fs::read_to_string(&path) {
        match parse(&text) {
            // Then look again: a stopped process that has not been reaped would count as alive.
            Some(pid) if serves(pid, &layout.cluster) => stop(pid, &layout.cluster).await?,
            Some(pid) if is_alive(pid) => {
                replace_pid(&path, &text)?;
                break;
            }
            Some(_) => break,
            // A full disk or a power cut left it empty; Postgres would refuse to start.
            None => fs::remove_file(&path).map_err(Problem::io("remove", &path))?,
        }
    }
    socket::remove_stale(layout)
}

async fn stop(pid: Pid, cluster: &Path) -> Result<(), Problem> {
    tracing::warn!(%pid, "stopping the Postgres that an earlier run left behind");
    for (signal, limit) in STOP_SIGNALS {
        let _ = kill(pid, signal);
        if timeout(limit, gone(pid, cluster)).await.is_ok() {
            return Ok(());
        }
    }
    Err(Problem::Leftover(pid.as_raw()))
}

async fn gone(pid: Pid, cluster: &Path) {
    let mut ticks = interval(POLL);
    while serves(pid, cluster) {
        ticks.tick().await;
    }
}

/// The process id in the file belongs to an unrelated process by now, and Postgres would take
/// that for a server. Postgres ignores the id of its own parent, so this process's id replaces
/// it. The rest of the file stays: Postgres finds orphaned backends in shared memory with it.
fn replace_pid(path: &Path, text: &str) -> Result<(), Problem> {
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(path, format!("{}\n{rest}", std::process::id())).map_err(Problem::io("write", path))
}

/// The first line is the process id. It is negative for a backend without a server.
fn parse(text: &str) -> Option<Pid> {
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    (pid != 0).then(|| Pid::from_raw(pid.saturating_abs()))
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

fn serves(pid: Pid, cluster: &Path) -> bool {
    is_alive(pid) && (works_in(pid, cluster) || is_command_on(&arguments(pid), cluster))
}

/// A server's working directory is its cluster. Not every system shows it.
fn works_in(pid: Pid, cluster: &Path) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim() == "postgres"
        && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == cluster)
}

fn is_command_on(arguments: &str, cluster: &Path) -> bool {
    arguments.contains("postgres")
        && arguments.contains(&format!("-D {} ", cluster.to_string_lossy()))
}

/// The command line of a process, with a space after each argument. A zombie has none.
fn arguments(pid: Pid) -> String {
    if let Ok(words) = fs::read(format!("/proc/{pid}/cmdline")) {
        return String::from_utf8_lossy(&words).replace('\0', " ");
    }
    let answer = Command::new("ps")
        .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
        .output();
    answer.map_or_else(
        |_| String::new(),
        |answer| format!("{} ", String::from_utf8_lossy(&answer.stdout).trim()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_is_read_from_the_first_line() {
        assert_eq!(parse("42\n/data\n"), Some(Pid::from_raw(42)));
        assert_eq!(parse("-42\n/data\n"), Some(Pid::from_raw(42)));
        assert_eq!(parse(""), None);
        assert_eq!(parse("0\n"), None);
    }

    #[test]
    fn only_a_postgres_with_this_cluster_serves_it() {
        let cluster = Path::new("/data/postgres");
        assert!(is_command_on(
            "/bin/postgres -D /data/postgres -c a=b ",
            cluster
        ));
        assert!(!is_command_on(
            "/bin/postgres -D /data/postgres2 -c a=b ",
            cluster
        ));
        assert!(!is_command_on(
            "vim /data/postgres/postgresql.conf ",
            cluster
        ));
        assert!(!is_command_on("", cluster));
    }

    #[test]
    fn this_process_is_alive_and_no_server() {
        let me = Pid::this();
        assert!(is_alive(me));
        assert!(!serves(me, &std::env::current_dir().unwrap()));
    }
}
