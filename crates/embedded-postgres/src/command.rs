//! Running a Postgres program: with which user, process group and environment, and only for
//! as long as this process lives.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::account::Account;

/// The only variables that Postgres inherits: the environment may hold secrets.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];
/// With this prefix a program gets SIGINT when the thread that started it ends. For `postgres`
/// that means a fast shutdown.
const DIE_WITH_PARENT: [&str; 4] = ["setpriv", "--pdeathsig", "INT", "--"];

/// A command that runs as `account`, in its own process group, so that a Ctrl-C in a terminal
/// does not reach it. The thread that starts it must live for as long as it runs.
pub(crate) fn new(program: &Path, account: &Account) -> Command {
    let mut command = bound_to_parent(program);
    if account.switch {
        // The standard library drops the supplementary groups too. The change of user comes
        // before `setpriv`, because it would clear the signal that `setpriv` asks for.
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

pub(crate) fn kept_variables() -> impl Iterator<Item = (&'static str, OsString)> {
    let kept = KEPT_VARIABLES.into_iter();
    kept.filter_map(|name| Some((name, env::var_os(name)?)))
}

fn bound_to_parent(program: &Path) -> Command {
    static CAN_BIND: OnceLock<bool> = OnceLock::new();
    if !*CAN_BIND.get_or_init(can_bind) {
        return Command::new(program);
    }
    let mut command = Command::new(DIE_WITH_PARENT[0]);
    command.args(&DIE_WITH_PARENT[1..]).arg(program);
    command
}

/// The `setpriv` of Busybox cannot do this, and macOS has none.
fn can_bind() -> bool {
    Command::new(DIE_WITH_PARENT[0])
        .args(&DIE_WITH_PARENT[1..])
        .arg("true")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|answer| answer.status.success())
}
