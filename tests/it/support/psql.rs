//! `psql`, the client that people use, and other programs of Postgres.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs a script, which must succeed.
pub fn psql(url: &str, script: &str) {
    let mut command = Command::new(program("psql"));
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

/// Runs a program like `pg_dump`, which must succeed.
pub fn run_program(name: &str, arguments: &[&str]) {
    if let Err(errors) = try_program(name, arguments) {
        panic!("{name} {arguments:?}: {errors}");
    }
}

/// Runs a program, which may fail: then this is its error output.
pub fn try_program(name: &str, arguments: &[&str]) -> Result<(), String> {
    let ended = Command::new(program(name)).args(arguments).output();
    let ended = ended.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    if ended.status.success() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// The one beside the Postgres that `scripts/setup` has installed, or the one in `PATH`.
fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os("PG_BIN_DIR").map(PathBuf::from);
    let installed = directory.map(|directory| directory.join(name));
    let installed = installed.filter(|program| program.exists());
    installed.unwrap_or_else(|| name.into())
}
