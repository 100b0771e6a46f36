//! Leases that nobody renews.

use std::sync::Arc;

use porchlight::collab::{LockSweeper, Locks};
use porchlight::directory::Modules;
use porchlight::log::EventCommitter;
use porchlight::log::{ChangeHints, CommitNotifier, PeerNotifier};
use porchlight::platform::DedicatedConnection;
use porchlight::platform::Queues;
use porchlight::platform::{Dice, InstanceCount};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgPool};
use tokio_util::sync::CancellationToken;

use super::{
    RECORD, agent, end_every_lease, lock, locks, post_lock, received_until_marker, two,
    until_counted,
};
use crate::support::cluster::TestDatabase;
use crate::support::sql::run;
use crate::support::{Answer, Process, Service, eventually};

/// Waits until nothing is locked at broker `b`.
async fn until_swept(database: &TestDatabase) {
    let mut connection = database.connect().await;
    let sql = "select count(*) from porchlight.locks where broker_id = 'b' and user_id is not null";
    until_counted(&mut connection, sql, 0).await;
}

#[tokio::test]
async fn an_expiry_is_published_once_to_everyone_and_in_order() {
    let [a, b] = &two(&[]).await;
    let mut connection = a.database.connect().await;
    let mut streams = [
        a.stream("/stream", &agent("ann")).await,
        b.stream("/stream", &agent("bob")).await,
        b.stream("/stream/team", &agent("cid")).await,
        a.stream("/stream/records/escrows/e-1", &agent("dan")).await,
        b.stream("/stream?types=escrow:*,test:*", &agent("eve"))
            .await,
    ];
    let about = |verb: &str| {
        json!({"type": format!("escrow:{verb}"), "audience": {"team": "a"}, "module": "escrows",
            "recordId": RECORD})
    };
    let mut expected = Vec::new();
    for fence in 1..=5 {
        b.publish(&about("updated")).await;
        assert_eq!(
            lock(a, &agent("ann"), RECORD, "tab").await.json()["fence"],
            fence
        );
        b.publish(&about("sold")).await;
        end_every_lease(&mut connection).await;
        until_swept(&a.database).await;
        expected.extend([
            "escrow:updated".to_owned(),
            format!("escrow:locked ann {fence}"),
            "escrow:sold".to_owned(),
            format!("escrow:unlocked expired ann {fence}"),
        ]);
    }
    // The marker is about the record as well, for the stream of that record.
    let marker = json!({"type": "test:marker", "audience": {"team": "a"}, "module": "escrows",
        "recordId": RECORD});
    a.publish(&marker).await;
    for stream in &mut streams {
        let received = stream.logged(expected.len() + 1).await;
        let received: Vec<_> = received
            .iter()
            .map(|message| super::in_short(&message.name, &message.json()["data"]))
            .collect();
        assert_eq!(received[..expected.len()], expected);
        assert_eq!(received[expected.len()], "test:marker");
    }
}

#[tokio::test]
async fn what_is_over_is_free_whether_anybody_has_noticed_or_not() {
    let [a, b] = &two(&[]).await;
    let mut connection = a.database.connect().await;
    let mut streams = [b.stream("/stream", &agent("cid")).await];
    let mut expected = Vec::new();
    for n in 0..20 {
        let (holder, next) = (format!("u-{n}"), format!("u-{}", n + 1));
        assert_ne!(lock(a, &agent(&holder), RECORD, "tab").await.status, 409);
        end_every_lease(&mut connection).await;
        // Either a sweeper or the next holder ends it.
        let late = post_lock(b, &agent(&holder), "e-1/renew", json!({"session": "tab"})).await;
        late.refused(404, "not_locked", "a late renewal");
        assert_eq!(lock(b, &agent(&next), RECORD, "tab").await.status, 201);
        expected.push(format!("escrow:locked {holder} {}", n + 1));
        expected.push(format!("escrow:unlocked expired {holder} {}", n + 1));
    }
    expected.push("escrow:locked u-20 21".to_owned());
    assert_eq!(received_until_marker(a, &mut streams).await, [expected]);
}

#[tokio::test]
async fn the_lock_of_a_killed_instance_expires_all_the_same_and_is_published_once() {
    let database = Arc::new(TestDatabase::create().await);
    let left = [
        Service::on(Arc::clone(&database), &[]).await,
        Service::on(Arc::clone(&database), &[]).await,
    ];
    let url = database.url();
    let process = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url)]).await;
    let mut streams = [
        left[0].stream("/stream", &agent("bob")).await,
        left[1].stream("/stream", &agent("cid")).await,
    ];
    let body = json!({"module": "escrows", "recordId": RECORD, "session": "tab"});
    let request = left[0].client.post(process.url("/locks"));
    let request = request.bearer_auth(agent("ann").signed()).json(&body);
    assert_eq!(Answer::to(request).await.status, 201);
    process.kill();
    assert_eq!(locks(&left[0], &agent("bob"), "").await.len(), 1);
    end_every_lease(&mut database.connect().await).await;
    until_swept(&database).await;
    let expected = ["escrow:locked ann 1", "escrow:unlocked expired ann 1"];
    let received = received_until_marker(&left[0], &mut streams).await;
    assert_eq!(received, [expected, expected]);
}

#[tokio::test]
async fn many_expiries_at_once_are_published_once_each() {
    const LOCKS: usize = 450;
    let [a, b] = &two(&[]).await;
    let ann = agent("ann");
    let mut stream = b.stream("/stream?types=escrow:unlocked", &ann).await;
    lock(a, &ann, "seed", "tab").await;
    let mut connection = a.database.connect().await;
    // More than one step of a sweep, all over at the same moment.
    let sql = format!(
        "insert into porchlight.locks select broker_id, module, 'e-' || n, 1, user_id, session,
             sessions, audience, locked_at, renewed_at, clock_timestamp(), '[]'
         from porchlight.locks, generate_series(1, {LOCKS}) n"
    );
    connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    let received = stream.logged(LOCKS).await;
    let mut records: Vec<_> = received
        .iter()
        .map(|message| message.json()["recordId"].as_str().unwrap().to_owned())
        .collect();
    records.sort();
    records.dedup();
    assert_eq!(records.len(), LOCKS);
    let held = locks(a, &ann, "").await;
    assert_eq!(held.len(), 1, "the seed");
    let sql = "select count(*) from porchlight.events where type = 'escrow:unlocked'";
    let count: i64 = sqlx::query_scalar(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(count, 450);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_number_of_sweepers_at_the_same_moment_publish_each_expiry_once() {
    const SWEEPERS: u32 = 8;
    let [a, _] = &two(&[]).await;
    lock(a, &agent("ann"), "seed", "tab").await;
    let mut connection = a.database.connect().await;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(SWEEPERS);
    let pool: PgPool = pool.connect_lazy_with(a.database.options());
    for round in 0..8 {
        let sql = format!(
            "insert into porchlight.locks select broker_id, module, 'e-{round}-' || n, 1, user_id,
                 session, sessions, audience, locked_at, renewed_at, clock_timestamp(), '[]'
             from porchlight.locks, generate_series(1, 30) n where record_id = 'seed'"
        );
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let stop = CancellationToken::new();
        let sweeping = (0..SWEEPERS).map(|_| {
            let (committed, _) = CommitNotifier::new(
                ChangeHints::default(),
                PeerNotifier::default(),
                &Queues::default(),
            );
            let sweeper = LockSweeper {
                instances: InstanceCount::default(),
                database: DedicatedConnection::new(pool.clone().into()),
                modules: Modules::default(),
                committer: EventCommitter::new(Dice::system(), committed),
                // They pause alike as well.
                dice: Dice::seeded(round),
                stop: stop.clone(),
            };
            let (_, sweeping) = Locks::start(pool.clone().into(), sweeper);
            tokio::spawn(sweeping.into_future())
        });
        let sweeping: Vec<_> = sweeping.collect();
        let sql = "select count(*) from porchlight.locks where user_id is not null";
        until_counted(&mut connection, sql, 1).await;
        stop.cancel();
        for sweeper in sweeping {
            sweeper.await.unwrap();
        }
    }
    let sql = "select count(*), count(distinct record_id) from porchlight.events
         where type = 'escrow:unlocked'";
    let received: (i64, i64) = sqlx::query_as(sql)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(received, (240, 240));
}

#[tokio::test]
async fn a_log_that_somebody_holds_does_not_keep_the_locks_of_others() {
    let [a, b] = &two(&[]).await;
    lock(a, &agent("ann").of("a-first"), RECORD, "tab").await;
    lock(a, &agent("ann"), RECORD, "tab").await;
    let (mut beside, mut connection) = (a.database.connect().await, a.database.connect().await);
    let mut transaction = beside.begin().await.unwrap();
    let hold = "select 1 from porchlight.brokers where broker_id = 'a-first' for update";
    transaction.execute(hold).await.unwrap();
    end_every_lease(&mut connection).await;
    until_swept(&a.database).await;
    transaction.rollback().await.unwrap();
    let token = agent("ann").of("a-first");
    let ended = async || {
        let path = "/events?types=escrow:unlocked";
        let events = b.list(path, &token).await["events"]
            .as_array()
            .unwrap()
            .len();
        (events == 1).then_some(())
    };
    eventually("the locked log is published", ended).await;
}

#[tokio::test]
async fn locks_of_many_brokerages_that_cannot_be_ended_do_not_keep_those_of_others() {
    // As many brokerages as one query reads, all before `b`.
    const HELD: i64 = 64;
    let service = Service::with(&[]).await;
    lock(&service, &agent("ann"), RECORD, "tab").await;
    let database = &service.database;
    let (mut beside, mut connection) = (database.connect().await, database.connect().await);
    let others = format!(
        "insert into porchlight.locks select 'a-' || n, module, record_id, 1, user_id, session, sessions,
             audience, locked_at, renewed_at, clock_timestamp() + interval '500 ms', '[]'
         from porchlight.locks, generate_series(1, {HELD}) n"
    );
    run(&mut connection, &others).await;
    let mut transaction = beside.begin().await.unwrap();
    let hold = "select from porchlight.locks where broker_id <> 'b' for update";
    transaction.execute(hold).await.unwrap();
    let over = "select count(*) from porchlight.locks where locked_until <= clock_timestamp()";
    until_counted(&mut connection, over, HELD).await;
    let end = "update porchlight.locks set locked_until = clock_timestamp() where broker_id = 'b'";
    run(&mut connection, end).await;
    until_swept(database).await;
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn locks_of_a_module_that_is_gone_end_too() {
    let database = Arc::new(TestDatabase::create().await);
    let before = Service::on(Arc::clone(&database), &[]).await;
    lock(&before, &agent("ann"), RECORD, "tab").await;
    before.stop().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("modules.toml");
    std::fs::write(&file, "[[module]]\nname = 'leads'\nsingular = 'lead'").unwrap();
    let flag = format!("--modules={}", file.display());
    let after = Service::on(Arc::clone(&database), &[&flag]).await;
    end_every_lease(&mut database.connect().await).await;
    until_swept(&database).await;
    let events = after.list("/events", &agent("ann")).await;
    let types = |event: &Value| event["type"].clone();
    let types: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(types)
        .collect();
    assert_eq!(types, ["escrow:locked", "record:unlocked"]);
}
