//! `porchlight backup`: writes the embedded database to a file.

use std::path::PathBuf;
use std::process::ExitCode;

use time::format_description::well_known::Rfc3339;

use super::run::{fail, print, run_until_stopped};
use crate::platform::database::back_up;
use crate::platform::telemetry::progress;
use crate::platform::{Clock, DatabaseSettings};

#[derive(clap::Args, Debug)]
pub(super) struct BackupCommand {
    #[command(flatten)]
    database: DatabaseSettings,

    /// The file to write; an older backup of this name is replaced when the new one is whole
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(command: &BackupCommand) -> ExitCode {
    let file = command.file.display();
    let created_at = match Clock::system().now().truncate_to_second().format(&Rfc3339) {
        Ok(created_at) => created_at,
        Err(error) => return fail(&error.to_string()),
    };
    let show = |bytes: u64| progress::show(&format!("backing up: {:.1} MB", megabytes(bytes)));
    let made = run_until_stopped(async {
        let made = back_up(&command.database, &command.file, created_at, show).await;
        progress::clear();
        made.map_err(|error| error.to_string())
    });
    match made {
        Ok(made) => print(&format!(
            "backed up to {file} ({:.1} MB)",
            megabytes(made.bytes)
        )),
        Err(error) => fail(&format!("no backup was made: {error}")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
