//! `porchlight psql`: a SQL prompt on the database of the service.

use std::ffi::OsString;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::run::{fail, runtime};
use crate::platform::DatabaseSettings;
use crate::platform::database::run_psql;

#[derive(clap::Args, Debug)]
pub(super) struct PsqlCommand {
    #[command(flatten)]
    database: DatabaseSettings,

    /// Arguments of psql, after the flags above: -c 'select …', -f FILE
    #[arg(
        value_name = "ARGUMENTS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    arguments: Vec<OsString>,
}

pub(super) fn run(command: &PsqlCommand) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let ended = runtime.block_on(async {
        // Ctrl-C in a terminal reaches both: it ends a query of psql, and must not end this process.
        let _ignored = signal(SignalKind::interrupt())?;
        run_psql(&command.database, &command.arguments).await
    });
    match ended {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => fail(&error.to_string()),
    }
}
