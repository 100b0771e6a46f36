//! The binary as a command that ends.

use std::process::{Command, Output, Stdio};

use super::wait::soon;

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `porchlight` with these arguments and variables, and none of our own except for what finds programs.
pub async fn porchlight(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = alone(env!("CARGO_BIN_EXE_porchlight"));
    command.args(arguments).envs(variables.iter().copied());
    ended(command).await
}

/// A program that gets no variables of our own, except for what finds programs.
pub fn alone(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    let kept = ["PATH", "PG_BIN_DIR"].map(|name| Some((name, std::env::var_os(name)?)));
    command.envs(kept.into_iter().flatten());
    command.current_dir(std::env::temp_dir());
    command
}

/// Runs a command until it ends.
pub async fn ended(mut command: Command) -> Ended {
    let running = tokio::task::spawn_blocking(move || command.output());
    let ended = soon("the command ends", running).await.expect("no panic");
    let Output {
        status,
        stdout,
        stderr,
    } = ended.expect("the binary runs");
    Ended {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}
