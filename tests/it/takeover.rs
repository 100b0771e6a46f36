//! A service that uses the embedded Postgres of a command, and runs it itself once the command has ended.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};

use serde_json::json;

use crate::support::child::ChildProcess;
use crate::support::cluster::open_dir;
use crate::support::command::porchlight;
use crate::support::people::agent;
use crate::support::requests::stream_at;
use crate::support::{Process, Publisher, for_team, number};

/// `porchlight psql` with a Postgres of its own.
struct Psql {
    process: ChildProcess,
    input: ChildStdin,
}

impl Psql {
    fn start(data_dir: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_porchlight"));
        command.args(["psql", "-X", "-At"]).env_clear();
        let kept = ["PATH", "PG_BIN_DIR"].map(|name| Some((name, std::env::var_os(name)?)));
        command.envs(kept.into_iter().flatten());
        command
            .env("PORCHLIGHT_DATA_DIR", data_dir)
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = ChildProcess::spawn(&mut command).expect("the binary runs");
        let mut input = process.stdin();
        writeln!(input, "select 'connected';").expect("it reads");
        let mut line = String::new();
        let mut output = BufReader::new(process.stdout());
        output.read_line(&mut line).expect("an answer");
        assert_eq!(line, "connected\n");
        Self { process, input }
    }

    /// Its input ends, and so does it.
    fn quit(self) {
        drop(self.input);
        let mut process = self.process;
        process.wait();
    }
}

/// Events reach a stream of the service before and after `end` has ended the owner of its database.
async fn a_service_outlives_the_owner(end: impl FnOnce(Psql)) {
    let dir = open_dir();
    let data_dir = dir.path().join("data");
    let data_dir = data_dir.to_str().expect("text");
    let variables = [("PORCHLIGHT_DATA_DIR", data_dir)];
    let migrated = porchlight(&["migrate"], &variables).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let psql = Psql::start(data_dir);
    let service = Process::start("127.0.0.1:0", &variables).await;
    let publisher = Publisher::new(&service.url(""));
    let mut stream = stream_at(&service.url("/stream/team"), &agent("u"), false).await;
    publisher.insist("1", &events(1)).await;
    assert_eq!(number(&stream.next_logged().await), 1);

    end(psql);
    publisher.insist("2", &events(2)).await;
    assert_eq!(number(&stream.next_logged().await), 2);
    publisher.wait_for_service().await;
    let log = service.log.lock().expect("a log").clone();
    assert!(log.contains("running it here"), "{log}");
}

fn events(n: u64) -> serde_json::Value {
    json!({"events": [for_team("a", n)]})
}

#[tokio::test]
async fn a_service_runs_the_database_of_a_psql_that_has_ended() {
    a_service_outlives_the_owner(Psql::quit).await;
}

#[tokio::test]
async fn a_service_runs_the_database_of_a_psql_that_was_killed() {
    a_service_outlives_the_owner(|psql| psql.process.kill()).await;
}
