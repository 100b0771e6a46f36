//! `porchlight tail`: follows a stream, for people in a terminal and for scripts.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ColorChoice;
use sse_client::{CursorFile, HttpAddress, TlsAuthorities};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use self::line::LineFormat;
use self::output::TailOutput;
use self::scope::TailScope;
use self::session::{TailSession, TailSource};
use super::run::{fail, stop_signal};
use crate::platform::{Clock, Dice};

mod line;
mod output;
mod scope;
mod session;

/// A stream is given up after 2.5 heartbeats, which is 20 s.
const HEARTBEAT_SECONDS: &str = "8";

#[derive(clap::Args, Debug)]
pub(super) struct TailCommand {
    /// What to follow, as in the paths of /stream: all, user, team, broker, worker, or
    /// records/MODULE/ID
    #[arg(value_name = "SCOPE", default_value = "all")]
    scope: TailScope,

    /// Address of the service
    #[arg(
        long,
        env = "PORCHLIGHT_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    url: String,

    /// Token that says who asks
    #[arg(long, env = "PORCHLIGHT_TOKEN", hide_env_values = true, value_parser = token, value_name = "TOKEN")]
    token: String,

    /// One of the token's teams, with the scope team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,

    /// Only these types, such as escrow:*,listing:sold
    #[arg(long, value_name = "TYPES")]
    types: Option<String>,

    /// Only these records, such as escrows/e-1,listings/l-1
    #[arg(long, value_name = "RECORDS")]
    records: Option<String>,

    /// Where to begin without a stored cursor: a position, -20 for the last 20, or 0 for everything that
    /// is stored; by default with the next event
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    since: Option<String>,

    /// File that keeps the cursor, so that the next run continues where this one ends
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,

    /// End after this many events, not counting those of the stream itself (`stream:*` and snapshots)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Print each event as one line of JSON
    #[arg(long)]
    json: bool,

    /// Whether lines have colours
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,

    /// Certificate authorities to trust beside the usual ones, in PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// A token that a header can carry.
fn token(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        Err("is empty")
    } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("has characters that no token has")
    }
}

pub(super) fn run(command: &TailCommand) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no runtime: {error}")),
    };
    let ended = runtime.block_on(follow(command));
    // A write to a pipe that nobody reads may still hang.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason),
    }
}

/// Follows the stream until it is over, a signal comes, or nobody reads the output.
async fn follow(command: &TailCommand) -> Result<(), String> {
    let stop = stop_signal().map_err(|error| error.to_string())?;
    let mut cursor_file = command.cursor_file.as_deref().map(CursorFile::at);
    let cursor = cursor_file
        .as_mut()
        .map_or(Ok(String::new()), CursorFile::load);
    let cursor = cursor.map_err(|error| format!("the cursor file cannot be read: {error}"))?;
    let stopped = CancellationToken::new();
    let output = TailOutput {
        format: command.format(),
        clock: Clock::system(),
        cursor_file,
        limit: command.limit,
        stopped: stopped.clone(),
    };
    let source = command.source(&cursor)?;
    let session = TailSession::new(source, &cursor, output, Dice::system());
    let session = session.run();
    tokio::pin!(session);
    tokio::select! {
        ended = &mut session => return ended,
        () = stop => {}
        () = output::nobody_reads() => {}
    }
    stopped.cancel();
    session.await
}

impl TailCommand {
    fn format(&self) -> LineFormat {
        let is_coloured = match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        };
        match (self.json, is_coloured) {
            (true, _) => LineFormat::Json,
            (false, true) => LineFormat::Coloured,
            (false, false) => LineFormat::Plain,
        }
    }

    fn source(&self, cursor: &str) -> Result<TailSource, String> {
        let heartbeat = Some(HEARTBEAT_SECONDS.to_owned());
        let given = [
            ("heartbeat", &heartbeat),
            ("team", &self.team),
            ("types", &self.types),
            ("records", &self.records),
            // A stored cursor is newer.
            (
                "since",
                if cursor.is_empty() {
                    &self.since
                } else {
                    &None
                },
            ),
        ];
        let given = given
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let parameters: Vec<_> = given.collect();
        let address = HttpAddress::parse(&self.url, self.scope.path(), &parameters);
        let mut authorities = TlsAuthorities::usual();
        if let Some(file) = &self.ca_file {
            authorities = authorities
                .with_file(file)
                .map_err(|error| error.to_string())?;
        }
        Ok(TailSource {
            address: address.map_err(|error| error.to_string())?,
            authorities,
            token: self.token.clone(),
        })
    }
}
