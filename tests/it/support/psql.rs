//! The program that people have at hand.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a script, which must succeed. False where there is no such program.
pub fn psql(url: &str, script: &str) -> bool {
    let mut command = Command::new("psql");
    command.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-f", "-", url]);
    let Ok(mut psql) = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn() else {
        return false;
    };
    let mut input = psql.stdin.take().expect("a pipe");
    input.write_all(script.as_bytes()).expect("it reads");
    drop(input);
    assert!(psql.wait().expect("it ends").success(), "{script}");
    true
}
