//! Runs `pg_dump` and `pg_restore`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use embedded_postgres::{EmbeddedPostgres, find_program_for};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::BackupError;

/// What is kept of the error output of a program.
const OUTPUT_BYTES: u64 = 4 * 1_024;

/// A program that ends when it is dropped.
pub(super) struct PostgresProgram {
    name: &'static str,
    program: PathBuf,
}

impl PostgresProgram {
    /// The program for a server of this version.
    pub(super) fn find(
        name: &'static str,
        bin_dir: Option<&Path>,
        major: u32,
    ) -> Result<Self, BackupError> {
        let program = find_program_for(name, bin_dir, major);
        let program = program.ok_or(BackupError::NoProgram { name, major })?;
        Ok(Self { name, program })
    }

    /// Starts it on the database of this server. Its input and output are pipes.
    pub(super) fn start(
        self,
        server: &EmbeddedPostgres,
        arguments: &[&str],
    ) -> Result<RunningProgram, BackupError> {
        let started = Command::from(server.client_command(&self.program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let name = self.name;
        let child = started.map_err(|error| BackupError::Program {
            name,
            output: error.to_string(),
        })?;
        Ok(RunningProgram { name, child })
    }
}

pub(super) struct RunningProgram {
    name: &'static str,
    pub(super) child: Child,
}

impl RunningProgram {
    /// The error output, which must be read while the program runs.
    pub(super) fn errors(&mut self) -> impl Future<Output = String> + use<> {
        let stderr = self.child.stderr.take();
        async move {
            match stderr {
                Some(stderr) => beginning(stderr).await,
                None => String::new(),
            }
        }
    }

    /// Waits for its end. It fails with these errors.
    pub(super) async fn end(mut self, errors: String) -> Result<(), BackupError> {
        let name = self.name;
        let failed = |output| BackupError::Program { name, output };
        let ended = self.child.wait().await;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(format!("{errors} ({status})"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

async fn beginning(mut output: impl AsyncRead + Unpin) -> String {
    let mut begin = Vec::new();
    let mut limited = (&mut output).take(OUTPUT_BYTES);
    // What could be read is better than nothing.
    let _ = limited.read_to_end(&mut begin).await;
    // A program whose output nobody reads would not end.
    let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&begin).trim().to_owned()
}
