//! The way from the outbox to the log: nothing is lost, doubled or delayed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, Executor};

use super::{Crm, LISTINGS, MARKER, WATCH, agent, run, until_counted, until_marker};
use crate::support::cluster::TestDatabase;
use crate::support::{Process, Service, eventually};

#[tokio::test]
async fn a_transaction_that_stays_open_delays_nobody_and_comes_whole_when_it_commits() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a'), ('l-2', 'a')")
        .await;
    let mut streams = [crm.b.stream("/stream", &agent("ann")).await];
    crm.received(&mut streams).await;
    let [mut stream] = streams;
    let mut long = crm.a.database.connect().await;
    run(
        &mut long,
        "begin; update public.listings set list_price = 1 where id = 'l-1'",
    )
    .await;
    run(
        &mut long,
        "select porchlight.emit('test:long', '{\"broker\": \"b\"}')",
    )
    .await;
    for n in 0..20 {
        crm.run(&format!(
            "update public.listings set list_price = {n} where id = 'l-2'"
        ))
        .await;
        let received = stream.next_logged().await.json();
        assert_eq!(
            (&received["recordId"], &received["changes"]["listPrice"]),
            (&"l-2".into(), &n.into())
        );
    }
    run(
        &mut long,
        "update public.listings set list_price = 2 where id = 'l-1'; commit",
    )
    .await;
    for expected in ["listing:updated", "test:long", "listing:updated"] {
        assert_eq!(stream.next_logged().await.name, expected);
    }
}

#[tokio::test]
async fn ten_thousand_rows_of_one_statement_are_ten_thousand_events() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, list_price)
         select 'l-' || n, 'a', n from generate_series(1, 10000) n",
    )
    .await;
    let mut stream = crm.b.stream("/stream", &agent("ann")).await;
    stream.next().await;
    until_counted(
        &mut crm.sql,
        "select count(*) from porchlight.events",
        10_000,
    )
    .await;
    crm.run("update public.listings set list_price = list_price + 1")
        .await;
    crm.run(MARKER).await;
    let received = until_marker(&mut stream).await;
    let updated: BTreeMap<_, _> = received
        .iter()
        .filter(|event| event["type"] == "listing:updated")
        .map(|event| {
            (
                event["recordId"].to_string(),
                event["changes"]["listPrice"].as_i64(),
            )
        })
        .collect();
    assert_eq!(updated.len(), 10_000);
    for (id, price) in updated {
        let n: i64 = id
            .trim_matches('"')
            .trim_start_matches("l-")
            .parse()
            .unwrap();
        assert_eq!(price, Some(n + 1));
    }
}

/// Every value that a record ever had, in the order of the log.
async fn prices_of(service: &Service, record: &str) -> Vec<i64> {
    let path = format!("/events?limit=1000&types=listing:updated&records=listings/{record}");
    let page = service.list(&path, &agent("ann")).await;
    let events = page["events"].as_array().expect("events");
    let price = |event: &Value| event["changes"]["listPrice"].as_i64().expect("a price");
    events.iter().map(price).collect()
}

#[tokio::test]
async fn another_instance_looks_at_the_outbox_when_the_one_that_looked_is_gone() {
    let database = Arc::new(TestDatabase::create().await);
    let url = database.url();
    let first = Process::start("127.0.0.1:0", &[("DATABASE_URL", &url[..])]).await;
    let mut sql = database.connect().await;
    // A second look can only begin after the first.
    let looks = "select count(*) from pg_stat_activity
        where datname = current_database() and query like '%wait_for_outbox%' and state = 'active'
            and pid <> pg_backend_pid()";
    until_counted(&mut sql, looks, 1).await;
    let second = Service::on(Arc::clone(&database), &[]).await;
    run(&mut sql, LISTINGS).await;
    run(&mut sql, WATCH).await;
    let mut stream = second.stream("/stream", &agent("ann")).await;
    first.kill();
    run(
        &mut sql,
        "insert into public.listings (id, team_id) values ('l-1', 'a')",
    )
    .await;
    assert_eq!(stream.next_logged().await.json()["recordId"], "l-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_are_killed_lose_nothing_and_double_nothing() {
    let database = Arc::new(TestDatabase::create().await);
    let last = Service::on(Arc::clone(&database), &["--relay-poll-ms=5"]).await;
    let mut sql = database.connect().await;
    run(&mut sql, LISTINGS).await;
    run(&mut sql, WATCH).await;
    run(&mut sql, "insert into public.listings (id, team_id) select 'l-' || n, 'a' from generate_series(1, 4) n").await;
    let url = database.url();
    let killing = async {
        for _ in 0..6 {
            let variables = [
                ("DATABASE_URL", &url[..]),
                ("PORCHLIGHT_RELAY_POLL_MS", "5"),
            ];
            let process = Process::start("127.0.0.1:0", &variables).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
            process.kill();
        }
    };
    let writing = async |record: u8| {
        let mut sql = database.connect().await;
        for n in 1..=300 {
            let update =
                format!("update public.listings set list_price = {n} where id = 'l-{record}'");
            run(&mut sql, &update).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::join!(killing, writing(1), writing(2), writing(3), writing(4));
    until_counted(&mut sql, "select count(*) from porchlight.outbox", 0).await;
    for record in 1..=4 {
        let received = prices_of(&last, &format!("l-{record}")).await;
        assert_eq!(received, (1..=300).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_row_that_the_log_refuses_is_set_aside_and_the_line_goes_on() {
    let mut crm = Crm::with_listings().await;
    crm.run("alter table porchlight.events add check (record_id is distinct from 'cursed')")
        .await;
    crm.run(
        "insert into public.listings (id, team_id)
         select case n when 7 then 'cursed' else 'l-' || n end, 'a' from generate_series(1, 20) n",
    )
    .await;
    let received = crm.listed().await;
    assert_eq!(received.len(), 19);
    let reasons = crm.reasons().await;
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("check"), "{reasons:?}");
    let sql = "select outbox_row ->> 'record_id' from porchlight.poison";
    let record: String = sqlx::query_scalar(sql)
        .fetch_one(&mut crm.sql)
        .await
        .unwrap();
    assert_eq!(record, "cursed");
}

#[tokio::test]
async fn a_row_with_the_number_of_one_that_was_set_aside_stops_nothing() {
    let mut crm = Crm::new().await;
    // As after a restore, or by hand.
    let invalid = "insert into porchlight.outbox (id, broker_id) overriding system value
        values (7, 'not a broker')";
    for n in 1..=2 {
        crm.run(invalid).await;
        assert_eq!(crm.listed().await, [Value::Null; 0]);
        assert_eq!(crm.reasons().await.len(), n);
    }
}

#[tokio::test]
async fn a_log_that_somebody_holds_does_not_hold_up_the_others() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, broker_id, team_id) values ('l-1', 'held', 'a'), ('l-2', 'b', 'a')").await;
    assert_eq!(crm.listed().await.len(), 1);
    let mut beside = crm.a.database.connect().await;
    let mut transaction = beside.begin().await.unwrap();
    let hold = "select 1 from porchlight.brokers where broker_id = 'held' for update";
    transaction.execute(hold).await.unwrap();
    crm.run("update public.listings set list_price = 1").await;
    assert_eq!(crm.listed().await.len(), 2);
    transaction.rollback().await.unwrap();
    let token = agent("ann").of("held");
    eventually("the locked log is published", async || {
        let page = crm.a.list("/events", &token).await;
        (page["events"].as_array().unwrap().len() == 2).then_some(())
    })
    .await;
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn a_held_log_with_more_changes_than_one_look_reads_does_not_hold_up_the_others() {
    let mut crm = Crm::new().await;
    let emit = "select porchlight.emit('test:row', '{\"team\": \"a\"}', broker =>";
    crm.run(&format!("{emit} 'held')")).await;
    crm.listed().await;
    let mut beside = crm.a.database.connect().await;
    let mut transaction = beside.begin().await.unwrap();
    let hold = "select 1 from porchlight.brokers where broker_id = 'held' for update";
    transaction.execute(hold).await.unwrap();
    crm.run(&format!(
        "begin; {emit} 'held') from generate_series(1, 20500); {emit} 'b'); commit"
    ))
    .await;
    let published =
        "select count(*) from porchlight.events where broker_id = 'b' and type = 'test:row'";
    until_counted(&mut crm.sql, published, 1).await;
    transaction.rollback().await.unwrap();
    let published = "select count(*) from porchlight.events where broker_id = 'held'";
    until_counted(&mut crm.sql, published, 20_501).await;
}

#[tokio::test]
async fn outbox_rows_are_published_in_the_order_of_their_ids() {
    let mut crm = Crm::new().await;
    // Postgres reuses space that vacuum frees, so newer rows may come before older ones.
    crm.run(
        "insert into porchlight.outbox (id, broker_id, audience, type, data)
             overriding system value
         select n, 'b', 'team:a', 'test:row', json_build_object('row', n)::text
         from generate_series(150, 101, -1) n",
    )
    .await;
    let listed = crm.listed().await;
    let rows: Vec<_> = listed.iter().map(|e| e["data"]["row"].as_i64()).collect();
    assert_eq!(rows, (101..=150).map(Some).collect::<Vec<_>>());
}
