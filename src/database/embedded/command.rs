//! How a program of Postgres is run: as whom, in which group, and not longer than we live.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::account::Account;

/// What of our environment Postgres gets; our secrets are not its business.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];
/// With this before it, a program gets an interrupt when the thread that started it ends,
/// which to `postgres` means a fast shutdown.
const DIE_WITH_PARENT: [&str; 4] = ["setpriv", "--pdeathsig", "INT", "--"];

/// A command that runs as `account`, in a process group of its own, so that a Ctrl-C in a
/// terminal reaches us alone. Its caller's thread has to stay for as long as it runs.
pub(super) fn of(program: &Path, account: &Account) -> Command {
    let mut command = bound_to_us(program);
    if account.switch {
        // The standard library gives up our supplementary groups with the user. This
        // happens before `setpriv`, whose wish a change of user would clear.
        command.uid(account.uid).gid(account.gid);
    }
    command
        .env_clear()
        .envs(kept_variables())
        .env("LC_ALL", "C")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null());
    command
}

fn kept_variables() -> impl Iterator<Item = (&'static str, OsString)> {
    let kept = KEPT_VARIABLES.into_iter();
    kept.filter_map(|name| Some((name, env::var_os(name)?)))
}

fn bound_to_us(program: &Path) -> Command {
    static CAN_BIND: OnceLock<bool> = OnceLock::new();
    if !*CAN_BIND.get_or_init(can_bind) {
        return Command::new(program);
    }
    let mut command = Command::new(DIE_WITH_PARENT[0]);
    command.args(&DIE_WITH_PARENT[1..]).arg(program);
    command
}

/// Busybox has a `setpriv` that cannot, and macOS has none.
fn can_bind() -> bool {
    Command::new(DIE_WITH_PARENT[0])
        .args(&DIE_WITH_PARENT[1..])
        .arg("true")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|answer| answer.status.success())
}
