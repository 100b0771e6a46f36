//! Which transactions change rows of two brokerages, noted by a trigger on every table while two brokerages use
//! everything at the same time.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::requests::post;
use crate::support::sql::{run, until_counted};
use crate::support::{Service, Token, for_team};

const NOTE: &str = "
    create table public.touched (transaction xid8, broker text, relation text);
    create function public.touch() returns trigger language plpgsql as $$
    begin
        insert into public.touched
        values (pg_current_xact_id(), coalesce(new.broker_id, old.broker_id), tg_relid::regclass::text);
        return null;
    end $$;
    do $$
    declare t regclass;
    begin
        for t in select attrelid from pg_attribute a join pg_class c on c.oid = a.attrelid
            where attname = 'broker_id' and relkind = 'r' and relnamespace = 'porchlight'::regnamespace
        loop
            execute format('create trigger zz_touch after insert or update or delete on %s
                for each row execute function public.touch()', t);
        end loop;
    end $$";
/// What commits of several requests together may change: the log, keys of requests and their number, and the outbox that
/// becomes events. Beside them, what an instance knows of people: their names, teams and signs of life.
const TOGETHER: [&str; 9] = [
    "brokers",
    "events",
    "idempotency_keys",
    "memberships",
    "notification_marks",
    "outbox",
    "people",
    "presence",
    "quota_use",
];
const BROKERS: [&str; 2] = ["b", "c"];
const PUBLICATIONS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_change_one_brokerage_unless_they_commit_requests_together() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    run(&mut sql, NOTE).await;
    join_all(BROKERS.map(|broker| use_everything(&service, broker))).await;
    let notified = "select count(*) from porchlight.notifications";
    until_counted(&mut sql, notified, 2).await;
    let changed = "select distinct relation from public.touched where transaction in (
        select transaction from public.touched group by 1 having count(distinct broker) > 1)";
    let changed: Vec<String> = sqlx::query_scalar(changed)
        .fetch_all(&mut sql)
        .await
        .expect("tables");
    let changed: BTreeSet<_> = changed
        .iter()
        .map(|name| name.trim_start_matches("porchlight."))
        .collect();
    // Otherwise the test says nothing.
    assert!(changed.contains("events"), "{changed:?}");
    let all: Vec<String> = sqlx::query_scalar("select distinct relation from public.touched")
        .fetch_all(&mut sql)
        .await
        .expect("tables");
    assert!(all.len() > 10, "{all:?}");
    let unexpected: Vec<_> = changed
        .iter()
        .filter(|name| !TOGETHER.contains(name))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?} of {changed:?}");
}

async fn use_everything(service: &Service, broker: &str) {
    let ann = Token::user("ann", &["a"]).of(broker);
    let publishing = Token::service(broker);
    let events = (0..PUBLICATIONS).map(async |n| {
        let sent = post(service, &publishing, "/events", &for_team("a", n)).await;
        assert_eq!(sent.status, 201, "{}", sent.text);
    });
    join_all(events).await;
    let fields = json!({"address": "1 Main Street", "teamId": "a"});
    let created = post(service, &ann, "/records/escrows", &fields).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.json()["id"].clone();
    for (path, body) in [
        (
            "/locks",
            json!({"module": "escrows", "recordId": id, "session": "tab"}),
        ),
        (
            "/presence/heartbeat",
            json!({"session": "tab", "status": "online"}),
        ),
        ("/tasks", json!({"type": "summarize", "title": "Summary"})),
        ("/sessions/ticket", json!({})),
    ] {
        let answer = post(service, &ann, path, &body).await;
        assert!(answer.status < 300, "{path}: {}", answer.text);
    }
    let notification = json!({"audience": {"user": "ann"}, "level": "info", "title": "Hello"});
    let sent = post(service, &publishing, "/notifications", &notification).await;
    assert_eq!(sent.status, 201, "{}", sent.text);
}
