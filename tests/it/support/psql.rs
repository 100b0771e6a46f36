//! `psql`, the client that people use.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a script, which must succeed.
pub fn psql(url: &str, script: &str) {
    let mut command = Command::new(program());
    command.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-f", "-", url]);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let mut psql = started.unwrap_or_else(|error| {
        panic!("psql does not start ({error}): install postgresql-client, or set PG_BIN_DIR")
    });
    let mut input = psql.stdin.take().expect("a pipe");
    input.write_all(script.as_bytes()).expect("it reads");
    drop(input);
    assert!(psql.wait().expect("it ends").success(), "{script}");
}

/// The one beside the Postgres that `scripts/setup` has installed, or the one in `PATH`.
fn program() -> PathBuf {
    let directory = std::env::var_os("PG_BIN_DIR").map(PathBuf::from);
    let installed = directory.map(|directory| directory.join("psql"));
    let installed = installed.filter(|program| program.exists());
    installed.unwrap_or_else(|| "psql".into())
}
