//! What a change of one record of many costs: few bytes to each viewer, and to the database the
//! same number of statements for any number of viewers.

use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::Executor;

use super::agent;
use crate::support::own::OwnPostgres;
use crate::support::requests::{client, stream_at};
use crate::support::{Answer, Process, Stream, eventually};

const RECORDS: usize = 50;
const UPDATES: usize = 20;
const MANY: usize = 100;
/// What one change may cost one viewer, whatever else the record has.
const MOST_BYTES: usize = 2_048;

async fn open(process: &Process, user: &str) -> Stream {
    let mut stream = stream_at(&process.url("/stream"), &agent(user), false).await;
    until(&mut stream, "stream:ready").await;
    stream
}

/// Reads to the end of the event with this in it.
async fn until(stream: &mut Stream, words: &str) {
    while !stream.next_of_all().await.data.contains(words) {}
}

struct Setup {
    process: Process,
    client: Client,
}

impl Setup {
    /// With records, each as large as it may be.
    async fn start(postgres: &OwnPostgres) -> Self {
        let mut sql = postgres.connect().await;
        let log = "alter role postgres set log_statement = 'all'";
        sql.execute(log).await.expect("a setting");
        let url = postgres.url();
        // Nothing happens but what the test does.
        let variables = [
            ("DATABASE_URL", &url[..]),
            ("PORCHLIGHT_RELAY_POLL_MS", "10000"),
            ("PORCHLIGHT_POLL_MS", "60000"),
            ("PORCHLIGHT_HEARTBEAT_SECONDS", "60"),
        ];
        let process = Process::start("127.0.0.1:0", &variables).await;
        let client = client(true);
        let setup = Self { process, client };
        for n in 0..RECORDS {
            let fields = json!({"id": format!("r-{n}"), "address": "1 Oak St", "commission": 5,
                "notes": "n".repeat(5_000), "buyerName": "b".repeat(200)});
            setup.ask(Method::POST, "", &fields, 201).await;
        }
        setup
    }

    async fn ask(&self, method: Method, path: &str, fields: &Value, status: u16) {
        let url = self.process.url(&format!("/records/escrows{path}"));
        let request = self.client.request(method, url).json(fields);
        let answer = Answer::to(request.bearer_auth(agent("ann").signed())).await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }

    /// Waits until this many are here, and every viewer has received that.
    async fn settle(&self, connections: &mut [Stream], mark: &str) {
        let everybody = async || {
            let url = self.process.url("/presence");
            let request = self.client.get(url).bearer_auth(agent("ann").signed());
            let online = Answer::to(request).await.json()["online"].as_u64();
            (online == u64::try_from(connections.len()).ok()).then_some(())
        };
        eventually("everybody is here", everybody).await;
        self.mark(connections, mark).await;
    }

    /// An event that everybody has read.
    async fn mark(&self, connections: &mut [Stream], mark: &str) {
        self.ask(Method::PATCH, "/r-0", &json!({"city": mark}), 200)
            .await;
        join_all(
            connections
                .iter_mut()
                .map(|connection| until(connection, mark)),
        )
        .await;
    }

    /// What a number of changes of one record costs: statements of all of them, by the database's own
    /// account, and the bytes of each on the connection that had the most.
    async fn cost(&self, postgres: &OwnPostgres, viewers: usize) -> (usize, usize) {
        let opening = (0..viewers).map(|n| {
            let user = format!("u{n}");
            let process = &self.process;
            async move { open(process, &user).await }
        });
        let mut connections = join_all(opening).await;
        self.settle(&mut connections, &format!("begin-{viewers}-"))
            .await;
        let before = statements(postgres);
        let of_line: Vec<_> = connections
            .iter()
            .map(|connection| connection.text.len())
            .collect();
        for n in 0..UPDATES {
            self.mark(&mut connections, &format!("change-{viewers}-{n}-"))
                .await;
        }
        let all = statements(postgres) - before;
        let bytes = connections
            .iter()
            .zip(of_line)
            .map(|(connection, before)| connection.text.len() - before);
        (all, bytes.max().expect("a viewer") / UPDATES)
    }
}

fn statements(postgres: &OwnPostgres) -> usize {
    let log = postgres.log();
    log.lines()
        .filter(|connection| connection.contains("execute ") || connection.contains("statement: "))
        .count()
}

#[tokio::test]
async fn a_change_of_one_record_of_fifty_is_small_and_no_viewer_costs_a_query() {
    let postgres = OwnPostgres::start().await;
    let setup = Setup::start(&postgres).await;
    let (of_one, bytes_of_one) = setup.cost(&postgres, 1).await;
    let (of_many, bytes_of_many) = setup.cost(&postgres, MANY).await;
    for bytes in [bytes_of_one, bytes_of_many] {
        assert!((1..MOST_BYTES).contains(&bytes), "{bytes}");
    }
    // A few statements run on a timer. One for each viewer and change would be two thousand.
    assert!(of_one >= UPDATES, "{of_one}: the log tells of them");
    assert!(of_many < of_one + UPDATES * MANY / 8, "{of_one} {of_many}");
}
