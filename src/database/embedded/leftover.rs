//! What a killed service has left behind. We hold the lock of the data directory, so a
//! server that still runs on it is ours to stop.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{interval, timeout};

use super::layout::Layout;
use super::{EmbeddedError, POLL, socket};

const PID_FILE: &str = "postmaster.pid";
/// What a leftover is told, and how long it has to obey: stop, then stop at once.
const ORDERS: [(Signal, Duration); 2] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(10)),
];

/// The process that the cluster says runs on it.
pub(super) fn recorded_pid(cluster: &Path) -> Option<u32> {
    let text = fs::read_to_string(cluster.join(PID_FILE)).ok()?;
    parse(&text).map(|pid| pid.as_raw().unsigned_abs())
}

/// Sees to it that no server runs on the cluster and that Postgres will not think so.
pub(super) async fn settle(layout: &Layout) -> Result<(), EmbeddedError> {
    let path = layout.cluster.join(PID_FILE);
    while let Ok(text) = fs::read_to_string(&path) {
        match parse(&text) {
            // Then look again: what was stopped may not have been reaped yet, and Postgres
            // would take it for alive.
            Some(pid) if is_ours(pid, &layout.cluster) => stop(pid, &layout.cluster).await?,
            Some(pid) if is_alive(pid) => {
                disown(&path, &text)?;
                break;
            }
            Some(_) => break,
            // Cut off by a full disk or a power cut; Postgres would refuse to start.
            None => fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))?,
        }
    }
    socket::remove_stale(layout)
}

async fn stop(pid: Pid, cluster: &Path) -> Result<(), EmbeddedError> {
    tracing::warn!(%pid, "stopping the Postgres that an earlier run left behind");
    for (signal, limit) in ORDERS {
        let _ = kill(pid, signal);
        if timeout(limit, gone(pid, cluster)).await.is_ok() {
            return Ok(());
        }
    }
    Err(EmbeddedError::Leftover(pid.as_raw()))
}

async fn gone(pid: Pid, cluster: &Path) {
    let mut ticks = interval(POLL);
    while is_ours(pid, cluster) {
        ticks.tick().await;
    }
}

/// The recorded process id now belongs to a stranger, whom Postgres would take for a
/// server. Ours in its place is passed over, being that of its parent; the rest of the file
/// stays, because with it Postgres looks for orphaned backends in shared memory.
fn disown(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(path, format!("{}\n{rest}", std::process::id()))
        .map_err(EmbeddedError::io("write", path))
}

/// The first line is the process id, negative for a backend without a server.
fn parse(text: &str) -> Option<Pid> {
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    (pid != 0).then(|| Pid::from_raw(pid.saturating_abs()))
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

fn is_ours(pid: Pid, cluster: &Path) -> bool {
    is_alive(pid) && (works_in(pid, cluster) || is_command_on(&arguments(pid), cluster))
}

/// A server's working directory is its cluster. Not every system lets us see that.
fn works_in(pid: Pid, cluster: &Path) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim() == "postgres"
        && fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == cluster)
}

fn is_command_on(arguments: &str, cluster: &Path) -> bool {
    arguments.contains("postgres")
        && arguments.contains(&format!("-D {} ", cluster.to_string_lossy()))
}

/// How a process was started, in words with a space after each. A zombie has none.
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
    fn only_a_postgres_on_this_very_cluster_is_ours() {
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
    fn we_are_alive_and_not_a_leftover() {
        let me = Pid::this();
        assert!(is_alive(me));
        assert!(!is_ours(me, &std::env::current_dir().unwrap()));
    }
}
