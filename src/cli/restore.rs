//! `porchlight restore`: puts a backup in the place of the embedded database.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use time::macros::format_description;

use super::run::{fail, print, run_until_stopped};
use crate::app::{self, NewEpochs};
use crate::platform::database::{Backup, BackupError, Restore};
use crate::platform::telemetry::progress;
use crate::platform::{Clock, DatabaseSettings};

#[derive(clap::Args, Debug)]
pub(super) struct RestoreCommand {
    #[command(flatten)]
    database: DatabaseSettings,

    /// Replace the database of the data directory, which is kept beside the new one
    #[arg(long)]
    force: bool,

    /// Refuse all tokens that were issued until now: revocations after the backup are lost
    #[arg(long)]
    revoke_tokens: bool,

    /// A file that `porchlight backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A database that was restored.
struct Restored {
    made_at: String,
    /// The roles that were created.
    roles: Vec<String>,
    renewed: NewEpochs,
    /// Where the former database is kept.
    kept: Option<PathBuf>,
}

pub(super) fn run(command: &RestoreCommand) -> ExitCode {
    let tag = format_description!("[year][month][day]T[hour][minute][second]Z");
    let tag = match Clock::system().now().format(tag) {
        Ok(tag) => tag,
        Err(error) => return fail(&error.to_string()),
    };
    let restored = run_until_stopped(async {
        let restored = restore(command, &tag).await;
        progress::clear();
        restored
    });
    match restored {
        Ok(restored) => print(&report(&command.file, &restored)),
        Err(error) => fail(&format!("nothing was restored: {error}")),
    }
}

async fn restore(command: &RestoreCommand, tag: &str) -> Result<Restored, String> {
    let text = |error: BackupError| error.to_string();
    let mut backup = Backup::open(&command.file).map_err(text)?;
    let check = |percent| progress::show(&format!("checking the backup: {percent} %"));
    backup.check(check).map_err(text)?;
    let restore = Restore::begin(&command.database, command.force);
    let restore = restore.await.map_err(text)?;
    match fill(&restore, &mut backup, command.revoke_tokens).await {
        Ok((roles, renewed)) => Ok(Restored {
            made_at: backup.summary.created_at,
            roles,
            renewed,
            kept: restore.finish(tag).await.map_err(text)?,
        }),
        Err(error) => {
            restore.cancel().await;
            Err(error)
        }
    }
}

async fn fill(
    restore: &Restore,
    backup: &mut Backup,
    revokes_tokens: bool,
) -> Result<(Vec<String>, NewEpochs), String> {
    let show = |percent| {
        progress::show(&match percent {
            100 => "restoring: the rows are read, indexes follow".to_owned(),
            percent => format!("restoring: {percent} %"),
        });
    };
    let loaded = restore.load(backup, show).await;
    let roles = loaded.map_err(|error| error.to_string())?;
    let renewed = app::renew_epochs(restore.settings(), revokes_tokens).await;
    let renewed = renewed.map_err(|error| error.to_string())?;
    Ok((roles, renewed))
}

fn report(file: &Path, restored: &Restored) -> String {
    let (file, made_at) = (file.display(), &restored.made_at);
    let mut report = format!("restored {file}, which was made at {made_at}");
    if let Some(kept) = &restored.kept {
        let kept = format!("\nthe former database is in {}", kept.display());
        report.push_str(&kept);
    }
    if !restored.roles.is_empty() {
        report.push_str(&about(&restored.roles));
    }
    report + "\n" + &super::new_epochs::report(restored.renewed)
}

/// A backup has the rights of roles, and nothing else of them.
fn about(roles: &[String]) -> String {
    format!(
        "\ncreated the roles {}, which have their rights and cannot log in: give them logins and passwords \
         (`alter role … login password …`), their settings, and their members (`grant … to …`)",
        roles.join(", ")
    )
}
