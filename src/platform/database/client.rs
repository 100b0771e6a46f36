//! `psql`, the client that people use, connected to the database of the settings.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use embedded_postgres::{EmbeddedError, find_program, has_cluster};
use percent_encoding::percent_decode_str;

use super::{DatabaseSettings, visit_embedded};

/// Why `psql` could not run.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "psql was not found. Install it (Debian: apt-get install postgresql-client; macOS: brew install \
         libpq), or set PG_BIN_DIR to the directory that has it"
    )]
    NoProgram,
    #[error("there is no database in {} yet: `porchlight serve` or `porchlight migrate` creates it", .0.display())]
    NoDatabase(PathBuf),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("psql could not run: {0}")]
    Run(#[from] std::io::Error),
}

/// Runs `psql` with these arguments until it ends. An embedded Postgres that does not run is started for
/// this time.
pub async fn run_psql(
    settings: &DatabaseSettings,
    arguments: &[OsString],
) -> Result<ExitStatus, ClientError> {
    let bin_dir = settings.pg_bin_dir.as_deref();
    let mut psql = Command::new(find_program("psql", bin_dir).ok_or(ClientError::NoProgram)?);
    if let Some(url) = &settings.database_url {
        let target = DatabaseTarget::of(url);
        psql.args(["-d", &target.url]);
        psql.envs(target.password.map(|password| ("PGPASSWORD", password)));
        return finish(psql, arguments).await;
    }
    let data_dir = settings.data_dir()?;
    if !has_cluster(&data_dir) {
        return Err(ClientError::NoDatabase(data_dir));
    }
    let server = visit_embedded(settings).await?;
    psql.envs(server.client_variables());
    let ended = finish(psql, arguments).await;
    server.stop().await;
    ended
}

async fn finish(mut psql: Command, arguments: &[OsString]) -> Result<ExitStatus, ClientError> {
    psql.args(arguments);
    let running = tokio::task::spawn_blocking(move || psql.status());
    let ended = running.await.map_err(std::io::Error::other)?;
    Ok(ended?)
}

/// A URL without its password, which the list of processes would show.
#[derive(Debug, PartialEq)]
struct DatabaseTarget {
    url: String,
    password: Option<String>,
}

impl DatabaseTarget {
    fn of(url: &str) -> Self {
        let whole = || Self {
            url: url.to_owned(),
            password: None,
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return whole();
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let Some((login, host)) = authority.rsplit_once('@') else {
            return whole();
        };
        let Some((user, password)) = login.split_once(':') else {
            return whole();
        };
        let password = percent_decode_str(password).decode_utf8_lossy();
        Self {
            url: format!("{scheme}://{user}@{host}{path}"),
            password: Some(password.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_url_is_not_an_argument() {
        for (url, shown, password) in [
            (
                "postgres://u:p%40s@h:5432/d?a=b",
                "postgres://u@h:5432/d?a=b",
                Some("p@s"),
            ),
            ("postgres://u@h/d", "postgres://u@h/d", None),
            (
                "postgres:///d?host=/run/x:y@z",
                "postgres:///d?host=/run/x:y@z",
                None,
            ),
            ("postgresql://u:@h", "postgresql://u@h", Some("")),
            ("no url", "no url", None),
        ] {
            let target = DatabaseTarget::of(url);
            assert_eq!(
                (&*target.url, target.password.as_deref()),
                (shown, password)
            );
        }
    }
}
