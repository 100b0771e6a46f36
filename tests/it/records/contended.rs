//! One record that many write at once, each in their own way: nothing is lost, and everything is
//! published in the order in which it was written.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::{Call, agent, body, run, two, until_counted};
use crate::support::psql::psql;
use crate::support::{Service, Token};

/// How often each adds its letter to a text.
const BY_REQUEST: i64 = 150;
const BY_STATEMENT: i64 = 60;
const SCRIPTS: i64 = 5;
const OF_A_SCRIPT: i64 = 10;
/// How often somebody writes fields that nobody else writes.
const BESIDE: i64 = 80;

/// A user that reads the record before each write.
struct Writer<'a> {
    service: &'a Service,
    who: Token,
    path: &'a str,
    /// Refusals because somebody else was faster.
    refused: i64,
}

impl<'a> Writer<'a> {
    fn new(service: &'a Service, name: &str, path: &'a str) -> Self {
        Self {
            service,
            who: agent(name),
            path,
            refused: 0,
        }
    }

    /// Computes the change from the record as it was read, and retries until it is accepted.
    async fn write(&mut self, record: &mut Value, made: impl Fn(&Value) -> Value) {
        loop {
            let version = record["version"].as_i64().expect("a version");
            let call = Call::by(self.service, &self.who).knowing(version);
            let answer = call.patch(self.path, &made(record)).await;
            match answer.status {
                200 => return *record = answer.json(),
                409 => *record = answer.json()["record"].clone(),
                _ => panic!("{}", answer.text),
            }
            self.refused += 1;
        }
    }
}

fn text(record: &Value) -> &str {
    record["description"].as_str().expect("a text")
}

/// The statement that adds a letter.
fn adding(letter: char) -> String {
    format!(
        "update porchlight.listings set description = description || '{letter}' where id = 'l-1'"
    )
}

async fn add(mut writer: Writer<'_>, letter: char, mut record: Value) -> i64 {
    for _ in 0..BY_REQUEST {
        let one_more = |record: &Value| json!({"description": format!("{}{letter}", text(record))});
        writer.write(&mut record, one_more).await;
    }
    writer.refused
}

/// A write to fields that nobody else writes is never refused.
async fn write_beside(mut writer: Writer<'_>, mut record: Value) -> i64 {
    for n in 1..=BESIDE {
        let both = |_: &Value| json!({"bedrooms": n, "city": n.to_string()});
        writer.write(&mut record, both).await;
    }
    writer.refused
}

/// Statements of the CRM's own, some of which are undone.
async fn add_by_statement(mut sql: PgConnection) {
    for _ in 0..BY_STATEMENT {
        let mut undone = sql.begin().await.expect("a transaction");
        run(&mut undone, &adding('u')).await;
        undone.rollback().await.expect("an end");
        run(&mut sql, &adding('s')).await;
    }
}

async fn add_by_psql(url: String) {
    let script = format!("{};\n", adding('p')).repeat(usize::try_from(OF_A_SCRIPT).expect("small"));
    for _ in 0..SCRIPTS {
        let (url, script) = (url.clone(), script.clone());
        let running = tokio::task::spawn_blocking(move || psql(&url, &script));
        running.await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_record_that_many_write_at_once_loses_nothing() {
    let [a, b] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let fields = json!({"id": "l-1", "address": "1", "description": ""});
    let first = Call::by(&a, &agent("ann"))
        .create("listings", &fields)
        .await;
    let first = body(&first, 201);
    let merging = "listings/l-1?merge=fields";
    let (ann, bob, cid, (), ()) = tokio::join!(
        add(Writer::new(&a, "ann", "listings/l-1"), 'a', first.clone()),
        add(Writer::new(&b, "bob", merging), 'b', first.clone()),
        write_beside(Writer::new(&a, "cid", merging), first.clone()),
        add_by_statement(a.database.connect().await),
        add_by_psql(a.database.url()),
    );
    assert!(ann > 0 && bob > 0, "they have met: {ann} {bob}");
    assert_eq!(cid, 0, "what is nobody else's collides with nothing");
    let last = Call::by(&b, &agent("ann")).get("listings/l-1").await;
    let last = body(&last, 200);
    let of = |letter| i64::try_from(text(&last).matches(letter).count()).expect("small");
    let counts = ['a', 'b', 's', 'p', 'u'].map(of);
    let by_psql = SCRIPTS * OF_A_SCRIPT;
    assert_eq!(counts, [BY_REQUEST, BY_REQUEST, BY_STATEMENT, by_psql, 0]);
    let versions = 1 + 2 * BY_REQUEST + BY_STATEMENT + by_psql + BESIDE;
    assert_eq!(
        (&last["bedrooms"], &last["version"]),
        (&json!(BESIDE), &json!(versions))
    );
    // Each version was published once and in order.
    until_counted(&mut sql, "select count(*) from porchlight.outbox", 0).await;
    let received: Vec<(i64, Option<String>)> = sqlx::query_as(
        "select version, changes ->> 'description' from porchlight.events
         where record_id = 'l-1' order by position",
    )
    .fetch_all(&mut sql)
    .await
    .expect("events");
    let told_versions: Vec<_> = received.iter().map(|(version, _)| *version).collect();
    assert_eq!(told_versions, (1..=versions).collect::<Vec<_>>());
    let texts: Vec<_> = received.into_iter().filter_map(|(_, text)| text).collect();
    let lengths: Vec<_> = texts.iter().map(String::len).collect();
    assert_eq!(lengths, (1..=text(&last).len()).collect::<Vec<_>>());
    assert!(texts.iter().all(|one| text(&last).starts_with(one)));
}
