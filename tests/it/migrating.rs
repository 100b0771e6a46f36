//! Migrating: tables once, functions by revision, and databases of other builds.

use std::sync::Arc;

use porchlight::platform::database::{FUNCTIONS, SqlFunction};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::cluster::TestDatabase;
use crate::support::command::{Ended, porchlight};
use crate::support::wait::soon;
use crate::support::{Service, eventually};

const OLD: SqlFunction = SqlFunction::new(
    "probe",
    "-- revision: 7
     create or replace function porchlight.probe() returns text language sql as $$ select 'old' $$;",
);
const NEW: SqlFunction = SqlFunction::new(
    "probe",
    "-- revision: 8
     create or replace function porchlight.probe() returns text language sql as $$ select 'new' $$;",
);
/// Another content with the revision of the old one.
const CHANGED: SqlFunction = SqlFunction::new(
    "probe",
    "-- revision: 7
     create or replace function porchlight.probe() returns text language sql as $$ select 'changed' $$;",
);
const BAD: SqlFunction = SqlFunction::new("bad", "-- revision: 1\nthis is no SQL");

/// The functions of a version that has this one beside those of this build.
fn version(function: SqlFunction) -> Vec<SqlFunction> {
    FUNCTIONS.iter().copied().chain([function]).collect()
}

/// A version starts: it migrates the database.
async fn start(database: &TestDatabase, function: SqlFunction) {
    let opened = database.open().await;
    let migrated = opened.migrate_with(&version(function)).await;
    opened.close().await;
    migrated.expect("a migrated database");
}

async fn text(database: &TestDatabase, query: &'static str) -> String {
    let mut sql = database.connect().await;
    let text = sqlx::query_scalar(query).fetch_one(&mut sql).await;
    text.expect("a text")
}

async fn probe(database: &TestDatabase) -> String {
    text(database, "select porchlight.probe()").await
}

async fn revision(database: &TestDatabase) -> String {
    let query = "select revision::text from porchlight.functions where name = 'probe'";
    text(database, query).await
}

#[tokio::test]
async fn a_new_revision_is_applied_and_an_old_one_is_not() {
    let database = TestDatabase::create().await;
    for (function, expected) in [
        (OLD, "old"),
        (CHANGED, "old"),
        (NEW, "new"),
        (OLD, "new"),
        (NEW, "new"),
    ] {
        start(&database, function).await;
        assert_eq!(probe(&database).await, expected);
    }
    assert_eq!(revision(&database).await, "8");
}

#[tokio::test]
async fn versions_that_start_in_any_order_leave_the_newer_function() {
    for order in [[OLD, NEW], [NEW, OLD]] {
        let database = Arc::new(TestDatabase::empty().await);
        for function in order {
            start(&database, function).await;
        }
        assert_eq!(probe(&database).await, "new");
        // This build is an even older version: it does not know the function.
        Service::on(Arc::clone(&database), &[]).await.stop().await;
        assert_eq!(probe(&database).await, "new");
    }
}

#[tokio::test]
async fn versions_that_start_at_the_same_time_leave_the_newer_function() {
    for _ in 0..3 {
        let database = TestDatabase::empty().await;
        let versions = [OLD, NEW, OLD, NEW, OLD];
        let starting = versions.map(|function| start(&database, function));
        futures_util::future::join_all(starting).await;
        assert_eq!(probe(&database).await, "new");
        assert_eq!(revision(&database).await, "8");
    }
}

#[tokio::test]
async fn of_functions_with_a_bad_one_none_is_applied_and_the_next_start_does_not_wait() {
    let database = TestDatabase::create().await;
    start(&database, OLD).await;
    let opened = database.open().await;
    let refused = opened.migrate_with(&[NEW, BAD]).await.unwrap_err();
    assert!(refused.to_string().contains("functions"), "{refused}");
    assert_eq!(probe(&database).await, "old");
    start(&database, NEW).await;
    assert_eq!(probe(&database).await, "new");
    opened.close().await;
}

/// Functions are created before those that they use, so their bodies are not checked then.
#[tokio::test]
async fn the_body_of_every_function_is_right() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    let mut transaction = sql.begin().await.unwrap();
    for function in FUNCTIONS {
        let applied = transaction.execute(function.sql).await;
        assert!(applied.is_ok(), "{}: {:?}", function.name, applied.err());
    }
}

#[tokio::test]
async fn every_function_of_the_schema_is_in_a_file() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    let query = "select distinct p.proname::text from pg_proc p
        where p.pronamespace = 'porchlight'::regnamespace";
    let functions = sqlx::query_scalar::<_, String>(query);
    for name in functions.fetch_all(&mut sql).await.unwrap() {
        let is_in_a_file = FUNCTIONS.iter().any(|function| function.name == name);
        assert!(is_in_a_file, "{name}");
    }
}

async fn execute(sql: &mut PgConnection, statement: &'static str) {
    let executed = sql.execute(statement).await;
    executed.expect(statement);
}

const STATEMENTS: &str = "select string_agg(statements::text, ' ' order by module)
    from porchlight.watches";

#[tokio::test]
async fn new_functions_make_the_statements_of_watched_tables_again() {
    let database = TestDatabase::create().await;
    start(&database, OLD).await;
    let statements = text(&database, STATEMENTS).await;
    let mut sql = database.connect().await;
    execute(&mut sql, "update porchlight.watches set statements = '{}'").await;
    start(&database, OLD).await;
    assert_ne!(text(&database, STATEMENTS).await, statements);
    start(&database, NEW).await;
    assert_eq!(text(&database, STATEMENTS).await, statements);
}

#[tokio::test]
async fn tables_of_records_are_watched_once() {
    const WATCHED: &str = "select string_agg(module, ' ' order by module) from porchlight.watched()
        where problem is null";
    let database = TestDatabase::create().await;
    let all = "appointments clients escrows leads listings";
    assert_eq!(text(&database, WATCHED).await, all);
    let mut sql = database.connect().await;
    execute(&mut sql, "select porchlight.unwatch('porchlight.leads')").await;
    start(&database, NEW).await;
    let others = "appointments clients escrows listings";
    assert_eq!(text(&database, WATCHED).await, others);
}

async fn migrate(database: &TestDatabase) -> Ended {
    porchlight(&["migrate"], &[("DATABASE_URL", &database.url())]).await
}

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_database_of_an_unreleased_build_is_refused_with_what_to_do() {
    const WORDS: [&str; 5] = [
        "unreleased build",
        "data directory",
        "drop schema porchlight cascade",
        "run the build that made it",
        "0.2.0",
    ];
    // As the unreleased builds left it, with more migrations than there are today.
    let database = TestDatabase::empty().await;
    let mut sql = database.connect().await;
    for statement in [
        "create schema porchlight",
        "create table porchlight.migrations (version bigint primary key, description text not null,
             installed_on timestamptz not null default now(), success boolean not null,
             checksum bytea not null, execution_time bigint not null)",
        "insert into porchlight.migrations
         select n, 'event log', now(), true, sha384(n::text::bytea), 1
         from generate_series(1, 16) n",
    ] {
        execute(&mut sql, statement).await;
    }
    assert_refused(&migrate(&database).await, &WORDS);
    let tables = "select count(*)::text from pg_tables where schemaname = 'porchlight'";
    assert_eq!(text(&database, tables).await, "1");
    // What the message says helps.
    execute(&mut sql, "drop schema porchlight cascade").await;
    let ended = migrate(&database).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_as_that() {
    let database = TestDatabase::create().await;
    let mut sql = database.connect().await;
    let newer = "insert into porchlight.migrations
        (version, description, success, checksum, execution_time)
        values (999999, 'more', true, '', 1)";
    execute(&mut sql, newer).await;
    let ended = migrate(&database).await;
    assert_refused(&ended, &["newer version of Porchlight", "999999"]);
    assert!(!ended.stderr.contains("unreleased"), "{}", ended.stderr);
}

/// It locks a table that everybody needs, and then one that another transaction may hold.
const LOCKING: SqlFunction = SqlFunction::new(
    "probe",
    "-- revision: 9
     lock table porchlight.events in access exclusive mode;
     lock table porchlight.outbox in access exclusive mode;
     create or replace function porchlight.probe() returns text language sql as $$ select 'locked' $$;",
);

#[tokio::test]
async fn a_migration_that_waits_for_a_transaction_keeps_nobody_else_waiting() {
    const WAITS: &str = "select (count(*) > 0)::text from pg_locks
        where not granted and relation = 'porchlight.outbox'::regclass";
    let database = TestDatabase::create().await;
    let mut holder = database.connect().await;
    let held = "begin; lock table porchlight.outbox in row exclusive mode";
    execute(&mut holder, held).await;
    let others = async {
        for _ in 0..2 {
            eventually("the migration waits", async || {
                (text(&database, WAITS).await == "true").then_some(())
            })
            .await;
            let read = text(&database, "select count(*)::text from porchlight.events");
            assert_eq!(soon("others read the log", read).await, "0");
        }
        execute(&mut holder, "rollback").await;
    };
    tokio::join!(start(&database, LOCKING), others);
    assert_eq!(probe(&database).await, "locked");
}
