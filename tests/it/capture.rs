//! Tables of a CRM whose changes become events, whoever writes to them.

mod bad;
mod bulk;
mod canary;
mod changes;
mod emit;
mod lost;
mod masking;
mod owners;
mod previous;
mod relay;
mod rights;
mod schema;
mod stuck;
mod triggers;
mod values;

use std::sync::Arc;

use serde_json::Value;
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::people::agent;
use crate::support::sql::{run, until_counted};
use crate::support::wait::soon;
use crate::support::{Message, Service, Stream, eventually};

/// Two instances, and a connection that is not theirs.
struct Crm {
    a: Service,
    b: Service,
    sql: PgConnection,
    markers: i64,
}

/// A table of listings as a CRM has it.
const LISTINGS: &str = "create table public.listings (
    id text primary key, broker_id text not null default 'b', team_id text, agent_id text,
    version int not null default 1, archived_at timestamptz, updated_by text,
    list_price numeric, commission numeric, notes text)";
const WATCH: &str = "select porchlight.watch('public.listings', module => 'listings',
    broker_column => 'broker_id', team_column => 'team_id', owner_column => 'agent_id',
    version_column => 'version', archived_column => 'archived_at', actor_column => 'updated_by',
    private_columns => '{commission}', hidden_columns => '{notes}')";

impl Crm {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Two instances with these flags.
    async fn with(flags: &[&str]) -> Self {
        let database = Arc::new(TestDatabase::create().await);
        let a = Service::on(Arc::clone(&database), flags).await;
        let b = Service::on(Arc::clone(&database), flags).await;
        let sql = database.connect().await;
        let markers = 0;
        Self { a, b, sql, markers }
    }

    /// With a watched table of listings.
    async fn with_listings() -> Self {
        let mut crm = Self::new().await;
        crm.run(LISTINGS).await;
        crm.run(WATCH).await;
        crm
    }

    /// Runs statements, which must succeed.
    async fn run(&mut self, sql: &str) {
        run(&mut self.sql, sql).await;
    }

    /// Runs a statement on tables that instances use, until no deadlock with them ends it.
    async fn run_despite_deadlocks(&mut self, sql: &'static str) {
        let ended = async {
            while let Err(error) = (&mut self.sql).execute(sql).await {
                let code = error.as_database_error().and_then(DatabaseError::code);
                assert_eq!(code.as_deref(), Some("40P01"), "{sql}: {error}");
            }
        };
        soon(sql, ended).await;
    }

    /// What a statement is refused with: the message and the hint.
    async fn refused(&mut self, sql: &str) -> String {
        let outcome = self.sql.execute(AssertSqlSafe(sql.to_owned())).await;
        let error = outcome.expect_err(sql);
        let error = error.as_database_error().expect("a refusal");
        let error = error.downcast_ref::<sqlx::postgres::PgDatabaseError>();
        format!("{} {}", error.message(), error.hint().unwrap_or_default())
    }

    /// Everything that these streams receive up to now.
    async fn received(&mut self, streams: &mut [Stream]) -> Vec<Vec<Value>> {
        self.run(MARKER).await;
        let mut all = Vec::new();
        for stream in streams {
            all.push(until_marker(stream).await);
        }
        all
    }

    /// Every event for team `a`, from history.
    async fn listed(&mut self) -> Vec<Value> {
        self.markers += 1;
        let n = self.markers;
        let data = format!("'{{\"n\": {n}}}'");
        self.run(&MARKER.replace("')", &format!("', {data})")))
            .await;
        let token = agent("ann");
        eventually("the marker is listed", async || {
            let page = self.b.list("/events?limit=1000", &token).await;
            let events = page["events"].as_array().expect("events");
            let is_marker = |event: &&Value| event["type"] == "test:marker";
            // Notifications of the record's owner come at any time.
            let is_own = |event: &&Value| event["data"]["kind"].is_null() && !is_marker(event);
            let is_there = events.iter().any(|event| event["data"]["n"] == n);
            is_there.then(|| events.iter().filter(is_own).cloned().collect())
        })
        .await
    }

    /// Why events were set aside.
    async fn reasons(&mut self) -> Vec<String> {
        let sql = "select reason from porchlight.poison order by id";
        let reasons = sqlx::query_scalar(sql).fetch_all(&mut self.sql);
        reasons.await.expect("reasons")
    }
}

const MARKER: &str = "select porchlight.emit('test:marker', '{\"broker\": \"b\"}')";

async fn until_marker(stream: &mut Stream) -> Vec<Value> {
    let events = stream.logged_until("test:marker").await;
    events.iter().map(Message::json).collect()
}

/// `listing:updated l-1 {"listPrice":2}`.
fn in_short(event: &Value) -> String {
    let what = ["type", "recordId"].map(|field| event[field].as_str().unwrap_or("-"));
    let received = [&event["data"], &event["changes"]];
    let received = received.into_iter().filter(|received| !received.is_null());
    let received: Vec<_> = received.map(ToString::to_string).collect();
    [what.join(" "), received.join(" ")]
        .join(" ")
        .trim_end()
        .to_owned()
}

fn all_in_short(events: &[Value]) -> Vec<String> {
    events.iter().map(in_short).collect()
}
