//! A transaction that stays open: only writers of the very same rows wait for it, and
//! they delay nobody else.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Call, MODULES, agent, body, run, two};
use crate::support::wait::soon;
use crate::support::{Service, Stream, short_or_long};

/// Everything else takes less time than a write waits for a locked row.
const SOON: Duration = Duration::from_secs(2);
/// Clients that try to write the locked rows again and again, at each instance: more than it has
/// connections.
const STUBBORN: usize = 40;

/// How long the transaction stays open.
fn duration() -> Duration {
    Duration::from_secs(short_or_long(4, 20))
}

/// Creates a record of each module that will be locked, and one that will not.
async fn make(service: &Service) {
    let ann = agent("ann");
    for (module, _, required) in MODULES {
        for id in ["held", "free"] {
            let fields = json!({"id": id, required: "0"});
            body(&Call::by(service, &ann).create(module, &fields).await, 201);
        }
    }
}

/// Writes to a record of every module, and does not commit.
async fn hold(sql: &mut PgConnection) {
    run(sql, "begin isolation level repeatable read").await;
    for (module, _, required) in MODULES {
        let text = format!(
            "update porchlight.{module} set {required} = 'late' where id = 'held';
             insert into porchlight.{module} (broker_id, id, {required}) values ('b', 'late', 'late')"
        );
        run(sql, &text).await;
    }
    run(
        sql,
        "select porchlight.emit('test:late', '{\"broker\": \"b\"}')",
    )
    .await;
}

/// Tries to write the locked row, and to create the uncommitted one, until the transaction ends.
/// At worst it is refused.
async fn insist(service: &Service, module: &str, required: &str, over: watch::Receiver<bool>) {
    let (eve, path) = (agent("eve"), format!("{module}/held"));
    let late = json!({"id": "late", required: "early"});
    while !*over.borrow() {
        let call = Call::by(service, &eve);
        let patched = call.patch(&path, &json!({})).await;
        assert!(matches!(patched.status, 200 | 503), "{}", patched.text);
        let made = call.create(module, &late).await;
        assert!(matches!(made.status, 409 | 503), "{}", made.text);
    }
}

/// Everything that others do once, and how long the slowest of it took until it was published.
async fn work(
    services: &[Service; 2],
    sql: &mut PgConnection,
    stream: &mut Stream,
    n: usize,
) -> Duration {
    let ann = agent("ann");
    let service = &services[n % 2];
    let mut slowest = Duration::ZERO;
    for (module, singular, required) in MODULES {
        let path = format!("{module}/free");
        for (by_sql, verb) in [
            (false, "updated"),
            (true, "updated"),
            (false, "archived"),
            (false, "restored"),
        ] {
            let began = Instant::now();
            if by_sql {
                let text = format!(
                    "update porchlight.{module} set {required} = 's-{n}' where id = 'free'"
                );
                run(sql, &text).await;
            } else {
                let call = Call::by(service, &ann);
                let answer = match verb {
                    "updated" => call.patch(&path, &json!({required: n.to_string()})).await,
                    "archived" => call.put(&path, "archive").await,
                    _ => call.put(&path, "restore").await,
                };
                body(&answer, 200);
            }
            let received = stream.next_logged().await;
            assert_eq!(received.name, format!("{singular}:{verb}"));
            assert_eq!(received.json()["recordId"], "free");
            slowest = slowest.max(began.elapsed());
        }
        let began = Instant::now();
        let listed = service.list(&format!("/records/{module}"), &ann).await;
        assert_eq!(super::ids(&listed), ["free", "held"]);
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_is_held_open_delays_nobody_elses_writes_nor_events() {
    let services = two(&[]).await;
    let mut sql = services[0].database.connect().await;
    make(&services[0]).await;
    let mut stream = services[1].stream("/stream?since=0", &agent("bob")).await;
    stream.logged(2 * MODULES.len()).await;
    let mut held = services[0].database.connect().await;
    hold(&mut held).await;
    let (over, is_over) = watch::channel(false);
    let insisting = services.iter().flat_map(|service| {
        let is_over = &is_over;
        (0..STUBBORN).map(move |n| {
            let (module, _, required) = MODULES[n % MODULES.len()];
            insist(service, module, required, is_over.clone())
        })
    });
    let insisting = join_all(insisting);
    let working = async {
        let until = Instant::now() + duration();
        let (mut slowest, mut n) = (Duration::ZERO, 1);
        while Instant::now() < until {
            slowest = slowest.max(work(&services, &mut sql, &mut stream, n).await);
            n += 1;
        }
        run(&mut held, "commit").await;
        over.send_replace(true);
        slowest
    };
    let (_, slowest) = tokio::join!(insisting, working);
    assert!(slowest < SOON, "{slowest:?}");
    // All of it is published, in its order.
    for (_, singular, _) in MODULES {
        for (verb, id) in [("updated", "held"), ("created", "late")] {
            let received = soon("what was held", stream.next_logged()).await;
            assert_eq!(received.name, format!("{singular}:{verb}"));
            assert_eq!(received.json()["recordId"], Value::from(id));
        }
    }
    assert_eq!(stream.next_logged().await.name, "test:late");
}
