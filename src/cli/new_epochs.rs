//! `porchlight new-epochs`: for a database that was restored in a way that Porchlight cannot notice.

use std::process::ExitCode;

use embedded_postgres::has_cluster;

use super::run::{fail, print, run_until_stopped};
use crate::app::{self, NewEpochs};
use crate::platform::DatabaseSettings;

#[derive(clap::Args, Debug)]
pub(super) struct NewEpochsCommand {
    #[command(flatten)]
    database: DatabaseSettings,

    /// Refuse all tokens that were issued until now: revocations after the backup are lost
    #[arg(long)]
    revoke_tokens: bool,
}

pub(super) fn run(command: &NewEpochsCommand) -> ExitCode {
    let settings = &command.database;
    let renewed = run_until_stopped(async {
        if settings.database_url.is_none() {
            let data_dir = settings.data_dir().map_err(|error| error.to_string())?;
            if !has_cluster(&data_dir) {
                return Err(format!("there is no database in {}", data_dir.display()));
            }
        }
        let renewed = app::renew_epochs(settings, command.revoke_tokens).await;
        renewed.map_err(|error| error.to_string())
    });
    match renewed {
        Ok(renewed) => print(&report(renewed)),
        Err(error) => fail(&error),
    }
}

/// What was renewed, and what an operator has to know.
pub(super) fn report(renewed: NewEpochs) -> String {
    let logs = match renewed.logs {
        1 => "1 log has a new epoch".to_owned(),
        logs => format!("{logs} logs have new epochs"),
    };
    let tokens = if renewed.revoked > 0 {
        "all tokens that were issued until now are refused".to_owned()
    } else {
        "revocations of tokens after the backup are lost: repeat them, or run `porchlight new-epochs \
         --revoke-tokens`"
            .to_owned()
    };
    format!("{logs}: clients with older cursors get a reset\n{tokens}")
}
