//! Each event makes one notification, whichever process dies when.

use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::Connection;

use super::{agent, done, until_had};
use crate::support::appending::append_events;
use crate::support::cluster::TestDatabase;
use crate::support::{Process, Service, eventually};

#[tokio::test]
async fn a_killed_notifier_leaves_no_notification_out_and_makes_none_twice() {
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let variables = [("DATABASE_URL", &url[..])];
    let mut sql = database.connect().await;
    let mut n = 0;
    for round in 0..3 {
        let process = Process::start("127.0.0.1:0", &variables).await;
        if round == 0 {
            append_tasks(&mut sql, &mut n).await;
            until_notified(&database, n).await;
        }
        // Another transaction holds the sequence: the notifier dies in the middle of its work.
        let mut other = sql.begin().await.unwrap();
        let sequence = "select from porchlight.notification_books for update";
        sqlx::query(sequence).execute(&mut *other).await.unwrap();
        append_tasks(&mut database.connect().await, &mut n).await;
        eventually("it waits for the sequence", async || {
            let waiting = "select count(*) from pg_stat_activity where datname = current_database()
                and wait_event_type = 'Lock' and query like '%notification_books%'";
            let mut sql = database.connect().await;
            let waiting: i64 = sqlx::query_scalar(waiting)
                .fetch_one(&mut sql)
                .await
                .unwrap();
            (waiting > 0).then_some(())
        })
        .await;
        process.kill();
        other.rollback().await.unwrap();
    }
    let service = Service::on(Arc::clone(&database), &[]).await;
    let titles = "select title from porchlight.notifications order by id";
    let received = eventually("all are notified of", async || {
        let mut sql = database.connect().await;
        let received: Vec<String> = sqlx::query_scalar(titles)
            .fetch_all(&mut sql)
            .await
            .unwrap();
        (received.len() >= usize::try_from(n).unwrap()).then_some(received)
    })
    .await;
    let expected: Vec<_> = (1..=n).map(|n| format!("Task {n} is done")).collect();
    assert_eq!(received, expected);
    let events = "select count(*) from porchlight.events where type = 'notification:success'";
    let events: i64 = sqlx::query_scalar(events)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(events, i64::from(n));
    let listed = service.list("/notifications", &agent("ann")).await;
    assert_eq!(listed["unread"], n);
}

/// Some tasks of Ann's ended.
async fn append_tasks(sql: &mut sqlx::PgConnection, n: &mut i32) {
    let first = *n + 1;
    *n += 30;
    let received = [("b".parse().unwrap(), (first..=*n).map(task).collect())];
    append_events(sql, &received).await.unwrap();
}

async fn until_notified(database: &TestDatabase, count: i32) {
    eventually("they are published", async || {
        let mut sql = database.connect().await;
        let received = "select count(*) from porchlight.notifications";
        let received: i64 = sqlx::query_scalar(received)
            .fetch_one(&mut sql)
            .await
            .unwrap();
        (received == i64::from(count)).then_some(())
    })
    .await;
}

fn task(n: i32) -> porchlight::log::NewEvent {
    let event_type = "ai:task:completed".parse().unwrap();
    let data = json!({"taskId": format!("t-{n}"), "title": format!("Task {n}")});
    porchlight::log::NewEvent::new("user:ann".parse().unwrap(), event_type).with(&data)
}

#[tokio::test]
async fn what_happened_before_there_was_a_notifier_is_no_news() {
    let database = Arc::new(TestDatabase::create().await);
    let first = Service::on(Arc::clone(&database), &[]).await;
    let mut sql = database.connect().await;
    first.stop().await;
    // A log from before: as the migration finds it.
    let before = [("old".parse().unwrap(), vec![task(1)])];
    append_events(&mut sql, &before).await.unwrap();
    let migrated = "insert into porchlight.notified select broker_id, head from porchlight.brokers";
    sqlx::query(migrated).execute(&mut sql).await.unwrap();
    let service = Service::on(Arc::clone(&database), &[]).await;
    let after = |broker: &str| (broker.parse().unwrap(), vec![task(2)]);
    append_events(&mut sql, &[after("old"), after("new")])
        .await
        .unwrap();
    for broker in ["old", "new"] {
        let who = agent("ann").of(broker);
        let received = until_had(&service, &who, 1).await;
        let titles: Vec<_> = received.iter().map(|one| &one["title"]).collect();
        assert_eq!(titles, ["Task 2 is done"], "{broker}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_become_a_notification_delays_no_other() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    let cursed = "alter table porchlight.notifications add check (title not like '%cursed%')";
    sqlx::query(cursed).execute(&mut sql).await.unwrap();
    let events = (1..=5).map(|n| {
        let record = if n == 3 {
            "cursed".to_owned()
        } else {
            format!("l-{n}")
        };
        done(&record, "sold", "bob", "ann")
    });
    append_events(&mut sql, &[("b".parse().unwrap(), events.collect())])
        .await
        .unwrap();
    let received = until_had(&service, &agent("ann"), 4).await;
    let records: Vec<&Value> = received.iter().map(|one| &one["recordId"]).collect();
    assert_eq!(records, ["l-5", "l-4", "l-2", "l-1"]);
}
